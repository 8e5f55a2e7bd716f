"""A work of lines in a module that a line cannot import, and whoever gives it can."""

import sys

if any("engine/workers/worker.py" in part for part in sys.orig_argv):
    raise ImportError("no such library here")


def never_begun(_end):
    """Be imported by its name."""
