"""One of Dagster's programs, ended with `pathassets ui` however that ends.

`python -m pathassets.defs.page.service LEASH PROGRAM ARGUMENT…` runs an installed command, such as
`dagster-daemon`, or else a module as `python -m` would.
LEASH is the reading end of a pipe that only `pathassets ui` can write to: the kernel closes it when
that process is gone, be it by kill -9, and then nothing may go on serving. (Linux' parent-death
signal would not reach what the program starts, and comes too early: with a thread.)
"""

import os
import runpy
import signal
import sys
from collections.abc import Collection
from contextlib import suppress
from importlib.metadata import entry_points
from threading import Thread

import psutil

END_S = 15.0
"""How long what a program has started, such as a run, may take to end when it is interrupted."""
KILLED_S = 5.0
"""How long a killed process may take to be gone."""


def interrupt(processes: Collection[psutil.Process]) -> None:
    """Tell processes to end, as Ctrl-C in a terminal does."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT)


def kill(processes: Collection[psutil.Process]) -> None:
    """End processes that did not end by themselves."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs([*processes], timeout=KILLED_S)


def main(leash: int, program: str, arguments: list[str]) -> None:
    """Run a program, and end with the holder of the leash."""
    Thread(target=_end_with, args=(leash,), daemon=True).start()
    sys.argv = [program, *arguments]
    commands = entry_points(group="console_scripts", name=program)
    if commands:
        commands[program].load()()
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


def _end_with(leash: int) -> None:
    os.read(leash, 1)  # nothing is ever written: it returns when the other end is closed
    started = psutil.Process().children(recursive=True)
    interrupt(started)
    _, left = psutil.wait_procs(started, timeout=END_S)
    kill({*left, *psutil.Process().children(recursive=True)})
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
