"""The artifacts whose bytes nobody read for longest -> read and hashed; what is damaged is told.

    oldest first ─▶ hashed, some at a time ─▶ whole: noted when
                                           └▶ damaged: an attempt that failed, which status shows
                                              and the next run reads again, to make it anew

Stopped at any time, what was read counts. A share a night reads all bytes once in so many nights.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from datetime import datetime

from pathassets.adapters.store.damage import Damage
from pathassets.catalog.part import now
from pathassets.core.address import Address
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.presence import damage_said
from pathassets.engine.platform.standing.damaged import enter_damage

logger = logging.getLogger(__name__)

SHARE = 0.05
MOST_MINUTES = 525_600
"""A year, the longest that can be asked for."""
_N_BATCH = 64
"""Artifacts between two notes of what was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrubbed:
    """What was read, and what of it was not what was published."""

    n_artifacts: int
    n_bytes: int
    damaged: tuple[tuple[Address, Damage], ...]
    oldest_at: datetime | None
    """When the artifact was hashed that was not for longest; None where there is none."""


def scrub(platform: Platform, *, share: float = SHARE, minutes: float = math.inf) -> Scrubbed:
    """Hash a share of all artifacts, at least one, those first that nobody hashed for longest.

    Raises:
        CatalogError: what was found cannot be noted.
    """
    began_at, began_s = now(), time.monotonic()
    n_wanted = n_to_scrub(platform, share)
    n_done = n_bytes = 0
    damaged: list[tuple[Address, Damage]] = []
    while n_done < n_wanted and time.monotonic() - began_s < minutes * 60:
        batch = platform.catalog.longest_unhashed(min(_N_BATCH, n_wanted - n_done), before=began_at)
        if not batch:
            break
        n_threads = platform.settings.n_workers
        found = list(platform.store.find_damaged_bytes(batch, n_threads=n_threads))
        _note(platform, found)
        platform.catalog.note_hashed([address for address, _ in batch])
        damaged += found
        n_done += len(batch)
        n_bytes += sum(file.size_bytes for _, files in batch for file in files)
    return Scrubbed(
        n_artifacts=n_done,
        n_bytes=n_bytes,
        damaged=tuple(damaged),
        oldest_at=platform.catalog.hash_age().oldest_at,
    )


def n_to_scrub(platform: Platform, share: float) -> int:
    """How many artifacts a share of all is."""
    return math.ceil(share * platform.catalog.hash_age().n_artifacts)


def _note(platform: Platform, found: list[tuple[Address, Damage]]) -> None:
    enter_damage(platform, found, by="scrub")
    for address, damage in found:
        logger.warning("%s", damage_said(address, damage)[1])
