"""What workers are given in tests: a module, for a worker imports a task by its name."""

import os
import signal
import sys
import time
from pathlib import Path

import psutil


class OddError(Exception):
    """Cannot be unpickled: `args` are not what it is made from."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def workers_now():
    """Worker processes of this one."""
    return [process for process in psutil.Process().children() if is_worker(process)]


def is_worker(process):
    try:
        return any("engine/worker.py" in part for part in process.cmdline())
    except psutil.Error:  # it has just ended
        return False


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


def modules_of(_item):
    return list(sys.modules)


def opencv_threads(_item):
    import cv2  # noqa: PLC0415  (as late as a task may do)

    return cv2.getNumThreads()


def memory_of(_item):
    return Path("/proc/self/maps").read_text()
