"""Catalog, store -> where the cohort stands: counts by query, rows page by page, and who failed.

wanted (planned where it is not) ─▶ a look at the store, or how old the last is
                                ─▶ counts │ the first failures │ SlideStatus, page by page
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from pathassets.catalog.records import AttemptRecord, RejectedFile
from pathassets.catalog.standing.looks import LookAge
from pathassets.catalog.standing.standing import NOT_CURRENT, WantedCell
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.recipe import Key
from pathassets.engine.platform.plan import PlannedSlide, annotation_address, plan_slides
from pathassets.engine.platform.planned_datasets import dataset_address, known_address
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.presence import (
    FewFacts,
    StoredArtifacts,
    damage_said,
    stored_artifacts,
)
from pathassets.engine.platform.standing.look import look
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.stages.outcomes import Explained, Step
from pathassets.errors import CatalogError

CellState = Literal["current", "stale", "damaged", "failed", "blocked", "missing"]
MADE_ANEW = "pathassets run makes it anew"
MAX_TOLD = 20
"""Cells told one by one; of the others, how many there are of each reason."""
MAX_LOOKED = 2_000
"""Artifacts that are looked at without being asked to: an eighth of a second."""
MAX_EXACT = 5_000
"""Slides of which it is worked out which version a dataset would be, where that is not known."""
N_READ = 500
"""Slides read at once where all are gone through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell(Explained):
    """Where one asset of one slide stands."""

    key: Key
    state: CellState
    """stale: made, but not from what is in force now. damaged: made, and its files are gone or are
    not what they were; the reason tells which. blocked: not tried, its parent failed."""
    digest: str
    """Of the artifact that the recipe would make now."""
    n_patches: int | None = None
    tissue_mm2: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideStatus:
    """One row."""

    planned: PlannedSlide
    cells: tuple[Cell, ...]
    annotations: Mapping[str, Cell] = field(default_factory=dict)
    """What was recorded for it and is gone or damaged, by name: no run can make that."""

    @property
    def failure(self) -> Cell | None:
        """The first asset that failed."""
        return next((c for c in self.cells if c.state == "failed"), None)

    @property
    def damages(self) -> tuple[Cell, ...]:
        """What was made or recorded and is not whole any more."""
        return (*self.annotations.values(), *(c for c in self.cells if c.state == "damaged"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Cells of one kind: the first with their words, the others by their reasons."""

    cells: tuple[Cell, ...] = ()
    rest: Mapping[str, int] = field(default_factory=dict)
    """How many more there are of each reason."""

    @property
    def n_cells(self) -> int:
        """All of them."""
        return len(self.cells) + sum(self.rest.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Troubles:
    """What failed, a cell for each slide, and what is damaged."""

    failures: Told = Told()
    damages: Told = Told()


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


def cohort_status(platform: Platform, *, is_looking: bool | None = None) -> CohortStatus:
    """Where the cohort stands. The same queries for any cohort; none reads what it does not tell.

    The store is looked at where that is quick, unless somebody says.

    Raises:
        CatalogError: it knows no slide, though the store holds artifacts.
    """
    catalog = platform.catalog
    plan_id = refresh_wanted(platform)
    rejected_files = tuple(catalog.rejected_files())
    n_slides = catalog.n_slides()
    if not n_slides and not rejected_files:
        require_own_catalog(platform)
    counts = catalog.state_counts(plan_id)
    has_looked = _n_made(counts) <= MAX_LOOKED if is_looking is None else is_looking
    if has_looked:
        look(platform, plan_id)
        counts = catalog.state_counts(plan_id)
    return CohortStatus(
        n_slides=n_slides,
        counts={entry.key: counts.get(entry.key, {}) for entry in platform.recipe.per_slide},
        annotations={
            entry.name: sum(counts.get(entry.key, {}).values())
            for entry in platform.recipe.recorded
        },
        datasets=dataset_cells(platform, plan_id, is_exact=n_slides <= MAX_EXACT),
        troubles=find_troubles(platform, plan_id),
        rejected_files=rejected_files,
        look=None if has_looked else catalog.look_age(plan_id),
    )


def _n_made(counts: Mapping[Key, Mapping[str, int]]) -> int:
    return sum(n.get("current", 0) + n.get("damaged", 0) for n in counts.values())


def require_own_catalog(platform: Platform) -> None:
    """Make sure that a catalog without slides is not one that was lost beside a full store.

    Raises:
        CatalogError: the store holds artifacts.
    """
    if platform.store.holds_any():
        raise CatalogError(
            f"the catalog knows no slide, and the store {platform.store.root} holds artifacts: it "
            "is not the catalog that they were recorded in",
            remedy="Restore it from its backup, or point PATHASSETS_CATALOG at it; without one, "
            "ingest the slides again: `pathassets run` takes over what is whole",
        )


# ------------------------------------------------------------------------------------ rows


def slide_rows(
    platform: Platform, slide_ids: Collection[str] | None = None
) -> Iterator[SlideStatus]:
    """Rows of all slides in order of registration, read as they are asked for, or of some.

    They say what the catalog knows; `cohort_status` brings that up to date.
    """
    pages = platform.catalog.slide_pages(N_READ) if slide_ids is None else [list(slide_ids)]
    for page in pages:
        planned = plan_slides(platform, page)
        known = stored_artifacts(platform, planned)
        yield from (slide_status(one, known) for one in planned)


def first_rows(platform: Platform, n_rows: int) -> list[SlideStatus]:
    """The first so many rows: those with open work, then those without, if there is room."""
    plan_id = refresh_wanted(platform)
    first = platform.catalog.first_slides(plan_id, n_rows, is_open=True)
    rest = platform.catalog.first_slides(plan_id, n_rows - len(first), is_open=False)
    return [*slide_rows(platform, first), *slide_rows(platform, rest)]


def slide_status(planned: PlannedSlide, known: StoredArtifacts) -> SlideStatus:
    """Where one slide stands."""
    return SlideStatus(
        planned=planned,
        cells=tuple(_cell(step, known) for step in planned.steps.values()),
        annotations=dict(_lost_annotations(planned, known)),
    )


def _lost_annotations(planned: PlannedSlide, known: StoredArtifacts) -> Iterator[tuple[str, Cell]]:
    if not planned.annotations:
        return
    from pathassets.engine.stages.recorded_annotation import record_again  # noqa: PLC0415 - shapely

    for name, drawn in planned.annotations.items():
        address = annotation_address(drawn)
        if not drawn.is_withdrawn and address in known.damage:
            remedy = record_again(drawn.slide_id, name)
            yield name, damaged_cell(address, known.damage[address], remedy)


def _cell(step: Step, known: StoredArtifacts) -> Cell:
    """What `catalog.states` derives in SQL, with its words."""
    address = step.address
    place = (*address.key, address.partition_key)
    attempt = known.attempts.get(place)
    if (failed := known.failure(address)) is not None:
        return _tried(failed)  # even where it was made once: it could not be made again
    if address in known.facts and address not in known.damage:
        return made_cell(address, known.facts[address])
    if attempt is not None and attempt.address == address and attempt.state == "blocked":
        return _tried(attempt)
    if (damage := known.damage.get(address)) is not None:
        return damaged_cell(address, damage)
    state: CellState = "stale" if place in known.made else "missing"
    return Cell(key=address.key, state=state, digest=address.digest)


def damaged_cell(address: Address, damage: str, remedy: str = MADE_ANEW) -> Cell:
    """One that was made, and is not whole any more."""
    reason, message = damage_said(address, damage)
    return Cell(
        key=address.key, state="damaged", digest=address.digest,
        reason=reason, message=message, remedy=remedy,
    )  # fmt: skip


def made_cell(address: Address, facts: FewFacts) -> Cell:
    """One that is current."""
    return Cell(
        key=address.key,
        state="current",
        digest=address.digest,
        n_patches=facts.n_patches,
        tissue_mm2=facts.tissue_mm2,
    )


def _tried(attempt: AttemptRecord) -> Cell:
    return Cell(
        key=attempt.address.key,
        state="failed" if attempt.state == "failed" else "blocked",
        digest=attempt.address.digest,
        reason=attempt.reason,
        message=attempt.message,
        remedy=attempt.remedy,
        is_final=attempt.is_final,
    )


# -------------------------------------------------------------------------------- troubles


def find_troubles(
    platform: Platform, plan_id: int, slide_ids: Collection[str] = frozenset()
) -> Troubles:
    """What failed and what is damaged, of all slides or of some."""
    failed = _chosen(platform.catalog.cells_in(plan_id, "failed"), slide_ids)
    damaged = _chosen(platform.catalog.cells_in(plan_id, "damaged"), slide_ids)
    return Troubles(
        failures=_told(platform, _first_of_each(platform, failed), _failures_of),
        damages=_told(platform, _of_each(damaged), _damages_of),
    )


def _chosen(cells: Iterable[WantedCell], slide_ids: Collection[str]) -> Iterator[WantedCell]:
    return (cell for cell in cells if not slide_ids or cell.slide_id in slide_ids)


def _first_of_each(
    platform: Platform, cells: Iterable[WantedCell]
) -> Iterator[tuple[str, list[str]]]:
    """Of each slide the reason of its first failure, in the order of the recipe."""
    order = {entry.key: place for place, entry in enumerate(platform.recipe.per_slide)}
    for slide_id, found in groupby(cells, key=_slide_id):
        first = min(found, key=lambda cell: order.get(cell.key, len(order)))
        yield slide_id, [first.reason]


def _of_each(cells: Iterable[WantedCell]) -> Iterator[tuple[str, list[str]]]:
    for slide_id, found in groupby(cells, key=_slide_id):
        yield slide_id, [cell.reason for cell in found]


def _slide_id(cell: WantedCell) -> str:
    return cell.slide_id


def _told(
    platform: Platform,
    reasons: Iterable[tuple[str, list[str]]],
    cells_of: Callable[[SlideStatus], Iterable[Cell]],
) -> Told:
    """Read the first slides' cells whole; count the others by their reasons."""
    first: list[str] = []
    rest: Counter[str] = Counter()
    n_first = 0
    for slide_id, said in reasons:
        if n_first < MAX_TOLD:
            first.append(slide_id)
            n_first += len(said)
        else:
            rest.update(said)
    cells = [cell for row in slide_rows(platform, first) for cell in cells_of(row)]
    rest.update(cell.reason for cell in cells[MAX_TOLD:])
    return Told(cells=tuple(cells[:MAX_TOLD]), rest=dict(rest.most_common()))


def _failures_of(row: SlideStatus) -> Iterator[Cell]:
    if row.failure is not None:
        yield row.failure


def _damages_of(row: SlideStatus) -> tuple[Cell, ...]:
    return row.damages


# ---------------------------------------------------------------------------- what is to be done


def dataset_cells(platform: Platform, plan_id: int, *, is_exact: bool = True) -> tuple[Cell, ...]:
    """Each dataset of the recipe: stale when its slides would give another version now.

    Where it need not be exact, a version is not worked out anew: one that is not known of its
    slides as they are is another than was ever built.
    """
    find = dataset_address if is_exact else known_address
    return tuple(
        _dataset_cell(platform, entry.key, find(platform, plan_id, entry))
        for entry in platform.recipe.datasets
    )


def _dataset_cell(platform: Platform, key: Key, address: Address | None) -> Cell:
    last = platform.catalog.latest_attempts([ALL_SLIDES]).get((*key, ALL_SLIDES))
    if last is not None and last.address == address and last.state == "failed":
        return _tried(last)  # its parts are not apart
    record = None if address is None else platform.catalog.find_artifact(address)
    if address is None or record is None:
        is_made = any(platform.catalog.made_of([key], [ALL_SLIDES]))
        state: CellState = "stale" if is_made else "missing"
        return Cell(key=key, state=state, digest="" if address is None else address.digest)
    if (damage := platform.store.check_sizes(address, record.files)) is not None:
        return damaged_cell(address, str(damage))
    return made_cell(address, FewFacts.of(record.facts))


def failed_datasets(platform: Platform, keys: Collection[Key]) -> tuple[Cell, ...]:
    """Those of these datasets of which the last build made no version, and why."""
    tried = platform.catalog.latest_attempts([ALL_SLIDES])
    last = (tried.get((*key, ALL_SLIDES)) for key in sorted(keys))
    return tuple(_tried(one) for one in last if one is not None and one.state == "failed")


def slides_with_work(
    platform: Platform, plan_id: int, keys: Collection[Key], *, retry: bool
) -> set[str]:
    """Slides of which a run of these assets would compute anything new.

    A failure that the slide's content alone decides is not tried again unless asked: the same bytes
    fail the same way.
    """
    catalog = platform.catalog
    open_work = catalog.slides_in(plan_id, keys, ("stale", "damaged", "missing"))
    tried = catalog.slides_in(plan_id, keys, ("failed", "blocked"))
    if tried and not retry:
        tried -= catalog.slides_in(plan_id, keys, ("failed",), is_final=True)
    return open_work | tried


def slides_not_current(platform: Platform, plan_id: int, keys: Collection[Key]) -> set[str]:
    """Slides of which not all of these assets are current."""
    return platform.catalog.slides_in(plan_id, keys, NOT_CURRENT)
