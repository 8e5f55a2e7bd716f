"""What workers are given in tests: a module, for a worker imports a task by its name."""

import errno
import logging
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

import psutil

from pathassets.errors import SlideUnreadable


class OddError(Exception):
    """Cannot be unpickled: `args` are not what it is made from."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def workers_now():
    """Worker processes of this one."""
    return [process for process in psutil.Process().children() if is_worker(process)]


def is_worker(process):
    try:
        return any("engine/workers/worker.py" in part for part in process.cmdline())
    except psutil.Error:  # it has just ended
        return False


def square(x):
    return x * x


def warn(name):
    logging.getLogger("pathassets").warning("%s: warned", name)


def raise_error():
    raise ValueError("no such patch")


def raise_odd():
    raise OddError(1, 2)


def start_a_thread_without_memory():
    """A thread's stack is 8 MB of address space, of which there is 1 MB more."""
    leave_no_memory(1)
    threading.Thread(target=print).start()


def fill_the_memory():
    leave_no_memory(64)
    bytearray(2**30)


def leave_no_memory(n_mib):
    used = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + n_mib * 2**20, resource.RLIM_INFINITY))


def run_out_while_it_opens():
    error = SlideUnreadable("a.svs", "cannot be opened")
    raise error from OSError(errno.ENOMEM, "Cannot allocate memory")


def draw_too_much():
    import cv2  # noqa: PLC0415  (as late as a task may do)
    import numpy as np  # noqa: PLC0415  (likewise)

    pixels = np.zeros((8, 8, 3), np.uint8)
    leave_no_memory(64)
    cv2.resize(pixels, (30_000, 30_000))


DEEDS = {
    "no thread": start_a_thread_without_memory,
    "no memory": fill_the_memory,
    "no memory to draw": draw_too_much,
    "no memory to open": run_out_while_it_opens,
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


def note_and_wait(path):
    """Note by which process it is done, and wait for the word."""
    (path.parent / f"{path.name}.{os.getpid()}").touch()
    while not (path.parent / "go on").exists():
        time.sleep(0.02)
    return path.name


def modules_of(_item):
    return list(sys.modules)


def opencv_threads(_item):
    import cv2  # noqa: PLC0415  (as late as a task may do)

    return cv2.getNumThreads()


def memory_of(_item):
    return Path("/proc/self/maps").read_text()
