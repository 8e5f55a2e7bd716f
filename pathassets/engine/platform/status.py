"""Catalog, store -> where the cohort stands: counts by query, rows page by page, and who failed.

wanted (planned where it is not) ─▶ a look at the store, or how old the last is
                                ─▶ counts │ the first failures │ SlideStatus, page by page
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from pathassets.catalog.records import RejectedFile
from pathassets.catalog.standing.looks import LookAge
from pathassets.catalog.standing.standing import NOT_CURRENT
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.recipe import Entry, Key
from pathassets.engine.platform.forgotten import removals_begun
from pathassets.engine.platform.planned_datasets import dataset_address, known_address
from pathassets.engine.platform.planning.work import Skipped, find_work
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.presence import FewFacts
from pathassets.engine.platform.selection import doubts_of
from pathassets.engine.platform.standing.look import look, look_where_quick
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.platform.standing.rows import (
    Cell,
    CellState,
    damaged_cell,
    made_cell,
    tried,
)
from pathassets.engine.platform.standing.troubles import Troubles, find_troubles
from pathassets.errors import CatalogError, SelectionError, SlideForgotten, SpecError

MAX_EXACT = 5_000
"""Slides of which it is worked out which version a dataset would be, where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortStatus:
    """The cohort as a whole, and the files that never became a part of it."""

    n_slides: int
    counts: Mapping[Key, Mapping[str, int]]
    """How many slides stand in each state at each asset of a slide, in the order of the recipe."""
    annotations: Mapping[str, int]
    """Names under which people may draw on slides, and on how many they did."""
    datasets: tuple[Cell, ...]
    """Each dataset: stale when its slides would give another version now."""
    troubles: Troubles
    rejected_files: tuple[RejectedFile, ...]
    look: LookAge | None = None
    """How old the last look at the store is; None where it was looked at now."""
    doubts: tuple[SelectionError, ...] = ()
    """What datasets of the recipe select by, and no slide has."""
    left_out: tuple[Cell, ...] = ()
    """Entries of which nothing can be made: files with weights that they name are gone."""
    going: tuple[SlideForgotten, ...] = ()
    """What is told of slides whose removal was begun: they are counted nowhere else."""


def cohort_status(platform: Platform, *, is_looking: bool | None = None) -> CohortStatus:
    """Where the cohort stands. The same queries for any cohort; none reads what it does not tell.

    The store is looked at where that is quick, unless somebody says.

    Raises:
        CatalogError: it knows no slide, though the store holds artifacts.
    """
    left_out = left_out_cells(platform, [one.key for one in platform.recipe.entries])
    platform, catalog = platform.readable, platform.catalog
    plan_id = refresh_wanted(platform)
    rejected_files = tuple(catalog.rejected_files())
    n_slides = catalog.n_slides()
    if not n_slides and not rejected_files:
        require_own_catalog(platform)
    age = look_where_quick(platform, plan_id, is_looking=is_looking)
    counts = catalog.state_counts(plan_id)
    return CohortStatus(
        n_slides=n_slides,
        counts={entry.key: counts.get(entry.key, {}) for entry in platform.recipe.per_slide},
        annotations=_n_drawn(platform, counts),
        datasets=dataset_cells(platform, plan_id, is_exact=n_slides <= MAX_EXACT),
        troubles=find_troubles(platform, plan_id),
        rejected_files=rejected_files,
        look=age,
        doubts=tuple(doubts_of(platform)),
        left_out=left_out,
        going=tuple(removals_begun(catalog)),
    )


def slides_status(
    platform: Platform, slide_ids: Collection[str], *, is_looking: bool | None = None
) -> CohortStatus:
    """Where some slides stand: as `cohort_status`, without datasets and files that were refused."""
    chosen = frozenset(slide_ids)
    left_out = left_out_cells(platform, [one.key for one in platform.recipe.per_slide])
    platform = platform.readable
    plan_id = refresh_wanted(platform)
    age = look_where_quick(platform, plan_id, slide_ids, is_looking=is_looking)
    counts = platform.catalog.state_counts(plan_id, slide_ids)
    return CohortStatus(
        n_slides=len(slide_ids),
        counts={entry.key: counts.get(entry.key, {}) for entry in platform.recipe.per_slide},
        annotations=_n_drawn(platform, counts),
        datasets=(),
        troubles=find_troubles(platform, plan_id, chosen) if chosen else Troubles(),
        rejected_files=(),
        look=age,
        left_out=left_out,
    )


def _n_drawn(platform: Platform, counts: Mapping[Key, Mapping[str, int]]) -> Mapping[str, int]:
    return {
        entry.name: sum(counts.get(entry.key, {}).values()) for entry in platform.recipe.recorded
    }


def require_own_catalog(platform: Platform) -> None:
    """Make sure that a catalog without slides is not one that was lost beside a full store.

    Raises:
        CatalogError: the store holds artifacts.
    """
    if platform.store.holds_any() and not platform.catalog.begun_removals():
        raise CatalogError(
            f"the catalog knows no slide, and the store {platform.store.where} holds artifacts: it "
            "is not the catalog that they were recorded in",
            remedy="Restore it from its backup, or point PATHASSETS_CATALOG at it; without one, "
            "ingest the slides again: `pathassets run` takes over what is whole",
        )


# ---------------------------------------------------------------------------- what is to be done


def dataset_cells(platform: Platform, plan_id: int, *, is_exact: bool = True) -> tuple[Cell, ...]:
    """Each dataset of the recipe: stale when its slides would give another version now.

    Where it need not be exact, a version is not worked out anew: one that is not known of its
    slides as they are is another than was ever built.
    """
    return tuple(
        _cell_of_dataset(platform, plan_id, entry, is_exact=is_exact)
        for entry in platform.recipe.datasets
    )


def _cell_of_dataset(platform: Platform, plan_id: int, entry: Entry, *, is_exact: bool) -> Cell:
    """Where a dataset stands; failed, without a digest, where what it asks for cannot be."""
    find = dataset_address if is_exact else known_address
    try:
        return _dataset_cell(platform, entry.key, find(platform, plan_id, entry))
    except SpecError as error:  # its own fault: the others stand where they stand
        return _impossible(entry.key, error)


def left_out_cells(platform: Platform, keys: Collection[Key]) -> tuple[Cell, ...]:
    """Those of some entries, and of what they are made from, of which nothing can be made; why."""
    recipe = platform.recipe
    left_out = recipe.left_out
    meant = (
        {kin.key for key in keys for kin in recipe.lineage(recipe.entry(key))} if left_out else ()
    )
    return tuple(_impossible(key, error) for key, error in left_out.items() if key in meant)


def _impossible(key: Key, error: SpecError) -> Cell:
    """Where that stands which cannot be, whatever slides there are: it has no digest."""
    return Cell(
        key=key, state="failed", digest="", reason=error.reason,
        message=error.message.removeprefix(f"{'/'.join(key)}: "), remedy=error.remedy,
    )  # fmt: skip


def _dataset_cell(platform: Platform, key: Key, address: Address | None) -> Cell:
    last = platform.catalog.latest_attempts([ALL_SLIDES]).get((*key, ALL_SLIDES))
    if last is not None and last.address == address and last.state == "failed":
        return tried(last)  # its parts are not apart
    record = None if address is None else platform.catalog.find_artifact(address)
    if address is None or record is None:
        is_made = any(platform.catalog.made_of([key], [ALL_SLIDES]))
        state: CellState = "stale" if is_made else "missing"
        return Cell(key=key, state=state, digest="" if address is None else address.digest)
    if (damage := platform.store.check_sizes(address, record.files)) is not None:
        return damaged_cell(address, str(damage))
    made = made_cell(address, FewFacts.of(record.facts))
    n_slides, n_to_compute = (record.facts.get(name) for name in ("n_slides", "n_to_compute"))
    return replace(made, n_slides=n_slides, n_to_compute=n_to_compute)


def failed_datasets(platform: Platform, keys: Collection[Key]) -> tuple[Cell, ...]:
    """Those of these datasets of which the last build made no version, and why."""
    latest = platform.catalog.latest_attempts([ALL_SLIDES])
    last = (latest.get((*key, ALL_SLIDES)) for key in sorted(keys))
    return tuple(tried(one) for one in last if one is not None and one.state == "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWork:
    """Slides of which a run would compute anything new."""

    untried: frozenset[str] = frozenset()
    """Stale, damaged or missing: of what is wanted now, nothing was tried."""
    failed: frozenset[str] = frozenset()
    """Tried and failed, or behind what failed; they may be among the others, too."""

    @property
    def slide_ids(self) -> frozenset[str]:
        """All of them."""
        return self.untried | self.failed


def open_work(platform: Platform, plan_id: int, keys: Collection[Key], *, retry: bool) -> OpenWork:
    """What a run of these assets would compute anew.

    A failure that the slide's content alone decides is not tried again unless asked: the same bytes
    fail the same way.
    """
    catalog = platform.catalog
    untried = catalog.slides_in(plan_id, keys, ("stale", "damaged", "missing"))
    failed = catalog.slides_in(plan_id, keys, ("failed", "blocked"))
    if failed and not retry:
        failed -= catalog.slides_in(plan_id, keys, ("failed",), is_final=True)
    return OpenWork(untried=frozenset(untried), failed=frozenset(failed))


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeseenEntry:
    """What a run would do at one asset of slides: how many slides of each state."""

    key: Key
    to_compute: Mapping[str, int]
    refused: Mapping[str, int]
    """Not tried: it could not be made, or failed by the slide's content before."""
    n_current: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What a run would do, as `planning.work` finds it."""

    entries: tuple[ForeseenEntry, ...]
    skipped: tuple[Skipped, ...]
    """Why slides are not tried."""


def foresee(
    platform: Platform, slide_ids: Collection[str], entries: Iterable[Entry], *, retry: bool
) -> Foreseen:
    """What a run of these entries would do, of some slides or, where none is named, of all.

    The store is looked at, as a run does; nothing is made, and nothing tried.
    """
    plan_id, catalog = refresh_wanted(platform), platform.catalog
    look(platform, plan_id, slide_ids or None)
    asked = [entry for entry in entries if entry.stage.scope == "slide"]
    counts = catalog.state_counts(plan_id, slide_ids or None)
    work = find_work(platform, plan_id, asked, slide_ids or None, retry=retry)
    found = []
    for entry in asked:
        able = frozenset(work.to_do[entry.key])
        states = {one: n for one, n in counts.get(entry.key, {}).items() if one in NOT_CURRENT}
        done = {one: len(able & catalog.slides_in(plan_id, [entry.key], [one])) for one in states}
        left = {one: n - done[one] for one, n in states.items()}
        found.append(
            ForeseenEntry(
                key=entry.key,
                to_compute={one: n for one, n in done.items() if n},
                refused={one: n for one, n in left.items() if n},
                n_current=counts.get(entry.key, {}).get("current", 0),
            )
        )
    return Foreseen(entries=tuple(found), skipped=work.skipped)


def slides_not_current(platform: Platform, plan_id: int, keys: Collection[Key]) -> set[str]:
    """Slides of which not all of these assets are current."""
    return platform.catalog.slides_in(plan_id, keys, NOT_CURRENT)
