"""Seconds and bytes -> text as people write them: three digits at most, in the unit that fits."""

from __future__ import annotations

_BYTES = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
_SECONDS = (("days", 86_400.0), ("hours", 3600.0), ("min", 60.0))
MANY = 2.0
"""Hours and days are spoken of from two on: 90 min, 36 hours."""


def duration(seconds: float) -> str:
    """How long something takes.

    >>> [duration(s) for s in (0, 0.04, 35.2, 90, 5400, 9000, 200_000)]
    ['0 s', 'less than 1 s', '35 s', '90 s', '90 min', '2.5 hours', '2.31 days']
    """
    for unit, size in _SECONDS:
        if seconds >= MANY * size:
            return f"{_three(seconds / size)} {unit}"
    return "less than 1 s" if 0 < seconds < 1 else f"{seconds:.0f} s"


def volume(n_bytes: float) -> str:
    """How many bytes there are.

    >>> [volume(n) for n in (0, 999, 1234, 5_600_000, 12_000_000_000)]
    ['0 bytes', '999 bytes', '1.23 kB', '5.6 MB', '12 GB']
    """
    for unit, size in _BYTES:
        if n_bytes >= size:
            return f"{_three(n_bytes / size)} {unit}"
    return f"{n_bytes:.0f} bytes"


def _three(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"  # noqa: PLR2004 - no 1e+03
