"""A slide whose patient withdraws consent -> nothing of it, but a row that keeps it out.

    named in a release? ─▶ refused, unless asked ─▶ begun: the row that keeps it out
        ─▶ its folders in the store, its pictures ─▶ what Dagster shows ─▶ its rows, last

Killed in between, the slide is in the catalog still and the same command goes on; `doctor` says so.
The file that was scanned is nobody's to delete but its owner's: it is named.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pathassets.adapters.store.opening import upkeep_of
from pathassets.engine.platform.cohort_page.kept import Kept
from pathassets.engine.platform.other_catalogs import OtherCatalog, find_others
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.selections.names import slide_named
from pathassets.engine.platform.upkeep.clearing.garbage import without_runs
from pathassets.errors import CatalogError

Wipe = Callable[[Sequence[str]], None]
"""Takes what Dagster shows of slide ids away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Which slide is to go, who says so, and why."""

    slide_id: str
    who: str
    why: str
    keep_artifacts: bool = False
    from_releases: bool = False
    """Whether it goes though releases name it; they stay as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """What went, and what somebody else has to see to."""

    slide_id: str
    n_artifacts: int
    files: tuple[str, ...]
    """That hold the slide, untouched."""
    releases: tuple[str, ...]
    """That name it still."""
    are_artifacts_kept: bool
    others: tuple[OtherCatalog, ...]
    """Catalogs that use the store, too, and know nothing of it."""
    stays: str
    """What the storage keeps of what was removed; empty where nothing."""


def forget(platform: Platform, request: Request, wipe: Wipe) -> Gone:
    """Take a slide out for good.

    Raises:
        SlideForgotten: it was taken out already.
        CatalogError: there is no such slide, or a release names it.
        StoreError: the store is not writable, or a run works in it.
    """
    slide = platform.catalog.slide(slide_named(platform.catalog, request.slide_id, is_going=True))
    slide_id, fingerprint = slide.slide_id, slide.fingerprint
    slide_ids = platform.catalog.ids_of(slide_id)
    releases = platform.catalog.releases_with(slide_ids)
    if releases and not request.from_releases:
        raise CatalogError(
            f"slide {slide_id}: is named by {', '.join(releases)}",
            remedy="--from-releases takes it out all the same; they stay, and name it as withdrawn",
        )
    files = tuple(one.path for one in platform.catalog.paths(slide_id))
    n_artifacts = len(platform.catalog.addresses_of(slide_ids))
    others = find_others(platform.store, platform.catalog)
    stays = "" if request.keep_artifacts else upkeep_of(platform.store).keeps_removed()
    with (
        platform.store.staging(f"forget-{uuid.uuid4().hex}") as bin_,
        without_runs(platform, besides=bin_.name),
    ):
        platform.catalog.begin_forgetting(slide_id, who=request.who, why=request.why)
        if not request.keep_artifacts:
            upkeep_of(platform.store).remove_slides(slide_ids, bin_)
        Kept.of(platform.settings.home).forget(fingerprint)
        wipe(slide_ids)
        platform.catalog.erase_slide(slide_ids, keep_artifacts=request.keep_artifacts)
    return Gone(
        slide_id=slide_id,
        n_artifacts=n_artifacts,
        files=files,
        releases=tuple(releases),
        are_artifacts_kept=request.keep_artifacts,
        others=tuple(others),
        stays=stays,
    )


def dataset_of(version: str) -> str:
    """Dataset of a version or a release, as `Gone.releases` names it.

    >>> dataset_of("cohort@0123456789abcdef"), dataset_of("cohort@3")
    ('cohort', 'cohort')
    """
    return version.partition("@")[0]
