"""Works of lines on a machine that has GPUs: no line here has one, so that one is made up.

What torch and the drivers would tell is put in place as a line imports its work, and there alone.
"""

import sys
import time

from pathassets.engine.workers import devices
from tests.engine import simulated_cards

if any("engine/workers/worker.py" in part for part in sys.orig_argv):  # and not in the test
    simulated_cards.stay()
    devices._gpus = lambda _wanted: {"cuda:0": "GPU-a", "cuda:1": "GPU-b"}


def tell_threads(end):
    for number, item in end.items():
        end.done(number, (item, end.device, end.n_threads))


def hold_back(end):
    """Take one item, and no other for as long as a file is not there."""
    for number, path in end.items():
        while path is not None and not path.exists():
            time.sleep(0.01)
        end.done(number, end.device)
