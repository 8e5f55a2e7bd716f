"""Numbers that users give, for all areas or for each -> arrays, refused where impossible."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pathassets.errors import SpecError, WrongArguments

PerArea = float | Sequence[float] | np.ndarray
"""A number, or a list with one for each area."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Which numbers a parameter takes; truth values and texts are never numbers."""

    low: float = -math.inf
    high: float = math.inf
    is_open: bool = False
    """Whether `low` itself is refused."""
    is_whole: bool = False

    def check(self, name: str, value: Any) -> None:
        """Let a number through.

        Raises:
            SpecError: it is not in the range; WrongArguments, it is no number.
        """
        kinds = int | np.integer if self.is_whole else int | float | np.integer | np.floating
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        if is_number and self._has(value):
            return
        kind = SpecError if is_number else WrongArguments
        raise kind(f"{name}: {value!r} is not possible", remedy=f"Give {self}")

    def check_all(self, name: str, value: Any) -> None:
        """Let a number, or a list of them, through.

        Raises:
            SpecError: one is none, or not in the range.
        """
        for entry in value if is_list(value) else (value,):
            self.check(name, entry)

    def _has(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        return self.low < value <= self.high if self.is_open else self.low <= value <= self.high

    def __str__(self) -> str:
        what = "a whole number" if self.is_whole else "a number"
        limits = []
        if math.isfinite(self.low):
            limits.append(f"above {self.low:g}" if self.is_open else f"of {self.low:g} or more")
        if math.isfinite(self.high):
            limits.append(f"up to {self.high:g}")
        return " ".join([what, *limits])


ANY = Range()
SHARE = Range(low=0.0, high=1.0)
LENGTH = Range(low=0.0, is_open=True)
COUNT = Range(low=0, is_whole=True)
SIDE = Range(low=1, is_whole=True)


def is_list(value: object) -> bool:
    """Whether a parameter's value is several, by its type."""
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def spread(name: str, value: PerArea, n_areas: int) -> np.ndarray:
    """One number for each area, float64 (n_areas,).

    >>> spread("overlap_ratio", 0.5, 2).tolist()
    [0.5, 0.5]

    Raises:
        SpecError: it is a list of another length.
    """
    numbers = np.asarray(value, np.float64)
    if numbers.ndim and len(numbers) != n_areas:
        raise SpecError(
            f"{name}: a list of {len(numbers)} for {n_areas} areas",
            remedy="Give one number for all, or one for each area that is left after filtering",
        )
    return np.array(np.broadcast_to(numbers, n_areas))


def refuse_twins(request: object, *names: str) -> None:
    """Refuse a length that is given in pixels and in micrometres.

    Raises:
        SpecError: both are.
    """
    if all(getattr(request, name) is not None for name in names):
        raise SpecError(f"{' and '.join(names)} are both given", remedy="Give one of them")


def check_flag(name: str, value: object) -> None:
    """Let True and False through.

    Raises:
        SpecError: it is neither.
    """
    if not isinstance(value, bool | np.bool_):
        raise SpecError(f"{name}: {value!r} is not possible", remedy="Give True or False")
