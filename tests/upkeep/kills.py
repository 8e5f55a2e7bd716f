"""One act of upkeep, killed before each of its steps in turn, each time in a copy of a home.

A step is a rename, a link, the removal of a tree, or a commit: between two of them nothing changes
that anybody could see.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine, event

from pathassets.engine.platform.platform import open_platform
from pathassets.engine.platform.upkeep.backup import write_backup
from pathassets.engine.platform.upkeep.clearing.garbage import remove_garbage
from pathassets.engine.platform.upkeep.doctor import examine, treat
from pathassets.engine.platform.upkeep.forget import Request
from pathassets.engine.platform.upkeep.forget import forget as take_out
from pathassets.engine.platform.upkeep.restore import restore_backup
from pathassets.engine.settings import read_settings

STEPS = {"os.rename", "os.link", "shutil.rmtree"}
FINISHED = "finished"
"""Beside the home in which nothing was killed any more."""


def killed_homes(home: Path, folder: Path, act: str) -> list[Path]:
    """Copies of a home, in each of which an act was killed one step later; the last one is whole.

    In a process of its own, which starts another for each by forking: modules are imported once.
    """
    folders = os.pathsep.join(filter(None, [str(Path.cwd()), *sys.path]))
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-m", "tests.upkeep.kills", str(home), str(folder), act],
        env=os.environ | {"PYTHONPATH": folders},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return sorted((p for p in folder.iterdir()), key=lambda path: int(path.name))


def _kill_at_each_step(home: Path, folder: Path, act: Callable[[Path], None]) -> None:
    n, status = 0, -1
    while status != 0:
        copy = folder / str(n)
        shutil.copytree(home, copy, symlinks=True, ignore=shutil.ignore_patterns(".dagster"))
        child = os.fork()
        if child == 0:
            _act(copy, act, n)
        _, status = os.waitpid(child, 0)
        if status not in {0, signal.SIGKILL}:
            sys.exit(f"step {n} ended with {status}")
        n += 1


def _act(home: Path, act: Callable[[Path], None], n_steps: int) -> None:
    """Act in this process, and kill it before one of the steps."""
    seen = 0

    def step(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen > n_steps:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(name: str, args: tuple[object, ...]) -> None:
        if name in STEPS and str(home.parent) in str(args[0]):
            step()

    os.environ["PATHASSETS_HOME"] = str(home)
    event.listen(Engine, "commit", step)
    sys.addaudithook(watch)
    try:
        act(home)
    except BaseException as error:  # noqa: BLE001 - a child must not go on as its parent
        sys.stderr.write(f"{error!r}\n")
        os._exit(3)
    os._exit(0)


def clear(_: Path) -> None:
    with open_platform(read_settings()) as platform:
        remove_garbage(platform, older_than_days=0)


def forget(home: Path) -> None:
    asked = Request(
        slide_id=(home / "slide_id").read_text(), who="Ann", why="consent", from_releases=True
    )
    with open_platform(read_settings()) as platform:
        take_out(platform, asked, lambda _: None)


def back_up(home: Path) -> None:
    with open_platform(read_settings()) as platform:
        write_backup(platform, home / "kept.backup")


def restore(home: Path) -> None:
    restore_backup(read_settings(), home / "kept.backup", is_forced=True)


def mend(home: Path) -> None:
    with open_platform(read_settings()) as platform:
        for _ in treat(examine(platform, search=[home / "scans"]), is_fixing=True):
            pass


ACTS = {one.__name__: one for one in (clear, forget, back_up, restore, mend)}

if __name__ == "__main__":
    _kill_at_each_step(Path(sys.argv[1]), Path(sys.argv[2]), ACTS[sys.argv[3]])
