"""What users give to all extractors, in memory and to disk, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from pathassets.core.slides.resolution import LevelOrMpp
from pathassets.engine.patches.extraction import ExtractionSpec, ResamplingMode
from pathassets.errors import SpecError, WrongArguments

OnError = Literal["raise", "skip", "collect"]


def check_counts(**numbers: object) -> None:
    """Refuse what is no whole number of 1 or more.

    Raises:
        SpecError: one is so; named as here.
    """
    for name, number in numbers.items():
        check_number(name, number, least=1)


def check_number(name: str, number: object, *, least: int) -> None:
    """Refuse what is no whole number, or too small a one.

    Raises:
        SpecError: it is so.
    """
    is_whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not is_whole or number < least:  # type: ignore[operator] # it is a number then
        kind = SpecError if is_whole else WrongArguments
        raise kind(
            f"extractor: {name}={number!r} is no whole number of {least} or more",
            remedy=f"Give {least} or more",
        )


def check_on_error(on_error: OnError) -> None:
    """Refuse what no pool does about slides that fail.

    Raises:
        SpecError: it is so.
    """
    if on_error not in get_args(OnError):
        raise SpecError(
            f"extractor: no on_error={on_error!r}", remedy="Give 'raise', 'skip' or 'collect'"
        )


def extraction_spec(
    levels_or_mpps: Sequence[LevelOrMpp] | None,
    resampling_mode: ResamplingMode | None,
    included_labels: Sequence[str] | None,
    excluded_labels: Sequence[str] | None,
) -> ExtractionSpec:
    """Bring together how patches are to be read.

    Raises:
        SpecError: something of it is impossible.
    """
    return ExtractionSpec(
        levels_or_mpps=None if levels_or_mpps is None else tuple(levels_or_mpps),
        resampling_mode=resampling_mode,
        included_labels=_labels("included_labels", included_labels),
        excluded_labels=_labels("excluded_labels", excluded_labels),
    )


def _labels(name: str, labels: Sequence[str] | None) -> tuple[str, ...]:
    if isinstance(labels, str):
        raise SpecError(f"extractor: {name}={labels!r} is no list", remedy=f"Give [{labels!r}]")
    return tuple(labels or ())
