"""A home -> what contradicts what in it, and what of that is mended.

    folders, database (look_at_home)  ─▶ files ─▶ rows ─▶ what is noted ─▶ releases ─▶ slides
                                      ─▶ what Dagster shows (defs/upkeep)

One finding after the other, each mended before the next is looked for: what a stage is made from is
entered before it is asked for. Nothing is removed that a person could want.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pathassets.engine.platform.other_catalogs import find_others
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.upkeep.finding import Finding, Treated
from pathassets.engine.platform.upkeep.noted import (
    check_noted,
    check_released_features,
    check_releases,
)
from pathassets.engine.platform.upkeep.slide_files import check_slides
from pathassets.engine.platform.upkeep.stored import check_rows, check_store
from pathassets.errors import PathAssetsError


def examine(
    platform: Platform, *, reads_bytes: bool = False, search: Sequence[Path] = ()
) -> Iterator[Finding]:
    """Hold catalog, store and slides against each other.

    `reads_bytes` hashes every file of every artifact; `search` are folders in which slides that are
    gone are looked for.
    """
    yield from _check_weights(platform)
    yield from _check_others(platform)
    yield from check_store(platform, reads_bytes=reads_bytes)
    yield from check_rows(platform, reads_bytes=reads_bytes)
    yield from check_noted(platform)
    yield from check_releases(platform, reads_bytes=reads_bytes)
    yield from check_released_features(platform)
    yield from check_slides(platform, search)


def _check_weights(platform: Platform) -> Iterator[Finding]:
    """Files that the recipe names, and without which nothing can be held against it."""
    for entry in platform.recipe.entries:
        if entry.unread is not None:
            yield Finding(
                kind="weights_unread",
                subject="/".join(entry.key),
                evidence=entry.unread.message,
                remedy=entry.unread.remedy,
            )


def _check_others(platform: Platform) -> Iterator[Finding]:
    """Other catalogs of the store: what they need looks here as if it were nobody's."""
    for other in find_others(platform.store, platform.catalog):
        yield Finding(
            kind="store_shared",
            subject=platform.store.where,
            evidence=f"is also the store of {other.said}: nothing is cleared here, and what is of "
            "no slide may be of one there",
            remedy=other.remedy,
            is_note=True,
        )


def treat(findings: Iterable[Finding], *, is_fixing: bool) -> Iterator[Treated]:
    """Mend findings, where that is asked for and can be."""
    for finding in findings:
        if not is_fixing or finding.mend is None:
            yield Treated(finding=finding)
            continue
        try:
            yield Treated(finding=finding, done=finding.mend())
        except (PathAssetsError, OSError) as error:
            yield Treated(finding=finding, failed=str(error))
