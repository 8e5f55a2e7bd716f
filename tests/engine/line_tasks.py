"""What lines are given in tests: a module, for a line imports its work by its name."""

import ctypes
import os
import threading
import time
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from tests.engine import pool_tasks

LARGE_BYTES = 2**20
"""More than a pipe holds."""
HOLD = ctypes.PyDLL(None).usleep
"""A function of C that keeps the interpreter lock."""


def hold_the_lock():
    while True:
        HOLD(1_000_000)


def raise_as_it_is_opened():
    raise ImportError("no such item here")


class OpensNowhere:
    """An item that can be sent, and not be read."""

    def __reduce__(self):
        return raise_as_it_is_opened, ()


DEEDS = pool_tasks.DEEDS | {
    "segfault": lambda: ctypes.string_at(0),
    "hold": hold_the_lock,
    "no disk": partial(os.stat, "/no/such/disk"),
}


def behave(item):
    """Do what an item says; one in two words does so under another name."""
    how = item.partition(": ")[2] or item
    DEEDS.get(how, str)()
    return (lambda: how) if how == "unpicklable" else item


def do_each(end):
    """Do one item after the other; what is raised is the end of the line."""
    for number, item in end.items():
        end.done(number, behave(item))


def do_ahead(end):
    """Likewise, with all that there are taken at once."""
    for number, item in _taken_ahead(end):
        end.done(number, behave(item))


def _taken_ahead(end):
    taken = SimpleQueue()

    def take():
        for entry in end.items():
            taken.put(entry)
        taken.put(None)

    threading.Thread(target=take, daemon=True).start()
    return iter(taken.get, None)


def tell_errors(end):
    """Do one item after the other; what is raised is its result."""
    for number, item in end.items():
        try:
            end.done(number, behave(item))
        except BaseException as error:  # noqa: BLE001  (as a work's boundary is)
            end.failed(number, error)


def tell_pid(end):
    for number, item in end.items():
        if item == "nap":
            time.sleep(0.4)
        end.done(number, os.getpid())


def tell_threads(end):
    for number, item in end.items():
        end.done(number, (item, end.device, end.n_threads))


def hold_back(end):
    """Take one item, and no other for as long as a file is not there."""
    for number, path in end.items():
        while path is not None and not path.exists():
            time.sleep(0.01)
        end.done(number, os.getpid())


def note_and_wait(end):
    """Do what is done of a call, with one item after the other."""
    for number, path in end.items():
        end.done(number, pool_tasks.note_and_wait(path))


def break_at_once(_end):
    """Not take an item."""
    raise LookupError("the model is gone")


def exit_at_once(_end):
    os._exit(3)


def get_on_slowly(end):
    """Take long for an item, and tell that it gets on."""
    n_done = 0

    def usage():
        nonlocal n_done
        n_done += 1
        return n_done

    end.usage = usage
    for number, item in end.items():
        time.sleep(item)
        end.done(number, n_done)


class StickingPipe:
    """Sends the first piece of a message, and then holds the interpreter lock."""

    def __init__(self, pipe):
        self._pipe = pipe

    def send_bytes(self, data):
        self._pipe.send_bytes(data)
        hold_the_lock()


def stick_while_it_tells(end):
    """Hold the interpreter lock while a large result is on its way."""
    for number, item in end.items():
        if item == "stick":
            end._pipe = StickingPipe(end._pipe)
        end.done(number, bytes(LARGE_BYTES))


def begin_once(end):
    """Do items in the one process that came first; all others end."""
    folder = Path(os.environ["LINE_TASKS_FOLDER"])
    try:
        (folder / "first").touch(exist_ok=False)
    except FileExistsError:
        os._exit(4)
    for number, item in end.items():
        time.sleep(0.1)
        end.done(number, item)


def count_and_wait(end):
    """Do each item once a beat has told how many there were."""
    n_items = 0
    asked = threading.Semaphore(0)

    def usage():
        asked.release()
        return n_items

    for number, item in end.items():
        n_items += 1
        end.usage = usage
        for _ in range(2):  # what is asked for is sent before it is asked for again
            asked.acquire()
        end.done(number, item)
