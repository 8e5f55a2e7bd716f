"""Features that were imported -> what it spared: time of encoding, bytes of slides.

How fast it would have been computed is what this home did for the entry, or else an assumption.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pathassets.core.stages import FEATURES
from pathassets.engine.platform.exchange.adopt import Imported
from pathassets.engine.platform.platform import Platform

ASSUMED_RATE = 100.0
"""Patches per second where nothing was measured: a large encoder on one GPU does a few hundred, a
CPU a few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """What needs not be computed again."""

    n_patches: int
    slide_bytes: int
    """Of slides that need not be read for it."""
    rate: float
    """Patches per second."""
    is_measured: bool
    """Whether the rate is that of this home's own runs."""

    @property
    def seconds(self) -> float:
        """Time of encoding."""
        return self.n_patches / self.rate


def savings_of(
    platform: Platform, name: str, imported: Iterable[Imported], rate: float | None
) -> Savings:
    """Sum up what was, or would be, adopted; `rate` where a person states it."""
    adopted = [one for one in imported if one.state == "adopted"]
    measured = None if rate is not None else _measured_rate(platform, name)
    return Savings(
        n_patches=sum(one.n_patches for one in adopted),
        slide_bytes=sum(one.slide_bytes for one in adopted),
        rate=rate or measured or ASSUMED_RATE,
        is_measured=measured is not None,
    )


def _measured_rate(platform: Platform, name: str) -> float | None:
    """Patches per second of the entry's own artifacts, where their making was timed."""
    made = {
        a.address: a.facts.get("n_patches", 0) for a in platform.catalog.artifacts(FEATURES, name)
    }
    n_patches, seconds = 0, 0.0
    for attempt in platform.catalog.latest_attempts().values():
        if attempt.address in made and attempt.state == "made" and attempt.seconds:
            n_patches += made[attempt.address]
            seconds += attempt.seconds
    return n_patches / seconds if n_patches and seconds else None
