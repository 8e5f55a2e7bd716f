from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from pathassets.defs.page.service import CODE_SERVER, NO_LEASH, all_of, kill

PROGRAM = """
import subprocess, sys, time
children = [subprocess.Popen(["sleep", "600"]) for _ in range(2)]
print(*(child.pid for child in children), flush=True)
time.sleep(600)
"""
NAMED = """
import multiprocessing, subprocess, time
semaphore = multiprocessing.get_context("spawn").Semaphore()
child = subprocess.Popen(["sleep", "600"])
print(semaphore._semlock.name, flush=True)
time.sleep(600)
"""
ENDS_S = 10.0
"""More than a killed child may take to be seen."""
STAYS_S = 0.5


@contextmanager
def serving(
    folder: Path, *arguments: str, leash: int | None = None, program: str = PROGRAM
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A program that has children, as a service; gives what it says of itself."""
    (folder / "program.py").write_text(program)
    command = [sys.executable, "-m", "pathassets.defs.page.service"]
    started = subprocess.Popen(  # noqa: S603 - our own module
        [*command, NO_LEASH if leash is None else str(leash), "program", *arguments],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
        pass_fds=() if leash is None else (leash,),
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
    )  # fmt: skip
    try:
        assert started.stdout is not None
        yield started, started.stdout.readline().strip()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.communicate()


def pids(said: str) -> list[int]:
    return [int(pid) for pid in said.split()]


def stays(process: subprocess.Popen[str]) -> bool:
    try:
        process.wait(STAYS_S)
    except subprocess.TimeoutExpired:
        return True
    return False


def test_a_code_server_ends_with_all_its_children_when_one_of_them_was_killed(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, CODE_SERVER) as (server, said):
        children = pids(said)
        os.kill(children[0], signal.SIGTERM)  # as Dagster has an old one end, when it loads anew
        assert stays(server)
        os.kill(children[1], signal.SIGKILL)
        assert server.wait(ENDS_S) == -signal.SIGKILL


def test_another_program_sees_to_its_children_itself(tmp_path: Path) -> None:
    with serving(tmp_path) as (server, said):
        os.kill(pids(said)[0], signal.SIGKILL)
        assert stays(server)


def test_a_program_ends_with_the_holder_of_its_leash_and_leaves_nothing(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with serving(tmp_path, leash=reading) as (server, said):
        seen = [psutil.Process(pid) for pid in pids(said)]
        os.close(writing)
        assert server.wait(ENDS_S) == -signal.SIGKILL
        assert psutil.wait_procs(seen, timeout=ENDS_S)[1] == []
    os.close(reading)


@pytest.mark.parametrize("is_killed", [True, False])
def test_what_processes_had_under_a_name_is_removed_after_they_were_killed(
    tmp_path: Path, *, is_killed: bool
) -> None:
    reading, writing = os.pipe()
    with serving(tmp_path, leash=reading, program=NAMED) as (server, said):
        named = Path("/dev/shm", f"sem.{said.lstrip('/')}")  # noqa: S108 - where Linux has them
        tree = all_of({server.pid})
        assert named.exists()
        assert len(tree) == 3  # with the child, and Python's own, which removes what is named
        if is_killed:
            kill(tree)
        else:
            os.close(writing)
        assert psutil.wait_procs([*tree], timeout=ENDS_S)[1] == []
        assert not named.exists()
    os.close(reading)
    if is_killed:
        os.close(writing)
