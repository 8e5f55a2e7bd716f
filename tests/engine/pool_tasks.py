"""What workers are given in tests: a module, for a worker imports a task by its name."""

import os
import signal
import sys
import time
from pathlib import Path


class OddError(Exception):
    """Cannot be unpickled: `args` are not what it is made from."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def square(x):
    return x * x


def raise_error():
    raise ValueError("no such patch")


def raise_odd():
    raise OddError(1, 2)


DEEDS = {
    "exit 0": lambda: os._exit(0),
    "exit 3": lambda: os._exit(3),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "hang": lambda: time.sleep(600),
    "nap": lambda: time.sleep(0.4),
    "raise": raise_error,
    "odd": raise_odd,
    "sys.exit": lambda: sys.exit(3),
}


def behave(how):
    DEEDS.get(how, str)()
    return (lambda: how) if how == "unpicklable" else how


def pid_of(_item):
    return os.getpid()


def note_and_sleep(folder):
    (folder / f"{os.getpid()}.pid").touch()
    time.sleep(600)


def memory_of(_item):
    return Path("/proc/self/maps").read_text()
