"""Looks that workers are given in tests: a module, for a worker imports a task by its name."""

import os
import signal
import time

from pathassets.engine.slides.inspect_files import NoSlide
from pathassets.errors import SlideUnreadable


def note(task):
    """Leave a sign of the look; a file called slow waits, and tells how many signs there were."""
    task.path.with_suffix(".seen").touch()
    if task.path.stem == "slow":
        time.sleep(1.0)
    if task.path.stem == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if task.path.stem == "raises":
        raise ZeroDivisionError("by zero")
    n_seen = len(list(task.path.parent.glob("*.seen")))
    return NoSlide(error=SlideUnreadable(task.path, str(n_seen)))
