"""One of Dagster's programs, ended with `pathassets ui` however that ends.

`python -m pathassets.defs.page.service LEASH PROGRAM ARGUMENT…` runs an installed command, such as
`dagster-daemon`, or else a module as `python -m` would.
LEASH is the reading end of a pipe that only `pathassets ui` can write to: the kernel closes it when
that process is gone, be it by kill -9, and then nothing may go on serving. (Linux' parent-death
signal would not reach what the program starts, and comes too early: with a thread.) It is `-` where
something else, such as a container, ends what was started.

Where nobody asked for the end, runs are killed, not interrupted: Dagster's daemon starts again what
was killed, and what was interrupted it does not.
"""

import os
import runpy
import signal
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from importlib.metadata import entry_points
from threading import Thread

import psutil

CODE_SERVER = "code-server"
"""Argument of the program that has another one load the definitions, and does not miss it."""
NO_LEASH = "-"
KILLED_S = 5.0
"""How long a killed process may take to be gone."""
ASKED = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""Signals by which somebody asks a process to end."""
LOOK_S = 0.2
TRACKER = "from multiprocessing.resource_tracker import main"


def interrupt(processes: Collection[psutil.Process]) -> None:
    """Tell processes to end, as Ctrl-C in a terminal does."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT)


def kill(processes: Collection[psutil.Process]) -> None:
    """End processes that did not end by themselves, and let what they had under a name be removed.

    Python's resource trackers do so: each ends once all processes that it serves have.
    """
    trackers = {process for process in processes if _is_tracker(process)}
    _kill({*processes} - trackers)
    _, stuck = psutil.wait_procs([*trackers], timeout=KILLED_S)
    _kill(stuck)


def _kill(processes: Collection[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs([*processes], timeout=KILLED_S)


def _is_tracker(process: psutil.Process) -> bool:
    """Whether it is there to remove semaphores and shared memory after others."""
    with suppress(psutil.Error):
        return any(TRACKER in argument for argument in process.cmdline())
    return False


def all_of(sessions: Collection[int]) -> set[psutil.Process]:
    """Processes of sessions, each the id of a program: also those that have lost their parent."""
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with suppress(OSError, psutil.Error):
            if os.getsid(process.pid) in sessions:
                found.add(process)
    return found


def main(leash: str, program: str, arguments: list[str]) -> None:
    """Run a program, and end with the holder of the leash."""
    if leash != NO_LEASH:
        Thread(target=_end_with, args=(int(leash),), daemon=True).start()
    if CODE_SERVER in arguments and hasattr(os, "waitid"):
        Thread(target=_end_with_killed_child, daemon=True).start()
    sys.argv = [program, *arguments]
    commands = entry_points(group="console_scripts", name=program)
    if commands:
        commands[program].load()()
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


def _end_with(leash: int) -> None:
    os.read(leash, 1)  # nothing is ever written: it returns when the other end is closed
    _end()


def _end_with_killed_child() -> None:
    """End once a child was killed: without the definitions nothing more can be run.

    Dagster's code server would answer with an error for ever. It takes note of an ended child each
    five seconds, so that it is seen here before.
    """
    while not _has_killed_child():
        time.sleep(LOOK_S)
    _end()


def _has_killed_child() -> bool:
    """Wait until any child has ended, and leave it to be noticed; whether one was killed."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:  # none is there yet
        return False
    return any(_was_killed(child.pid) for child in psutil.Process().children())


def _was_killed(pid: int) -> bool:
    """Whether a child has ended, and that by a signal which nobody sends to ask for it."""
    try:
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return False
    if ended is None or ended.si_code not in {os.CLD_KILLED, os.CLD_DUMPED}:
        return False
    return int(ended.si_status) not in {*ASKED}


def _end() -> None:
    """Kill all that this program has started, and itself."""
    own = psutil.Process()
    orphans = all_of({own.pid})  # where it leads a session, as below `pathassets ui`
    started = {*own.children(recursive=True), *orphans} - {own}
    _kill({process for process in started if not _is_tracker(process)})  # they serve this one, too
    own.kill()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
