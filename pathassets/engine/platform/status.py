"""Plan + catalog + store -> where the cohort stands: one row a slide, one cell an asset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pathassets.adapters.store.damage import Damage
from pathassets.catalog.records import AttemptRecord, RejectedFile
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.recipe import Key
from pathassets.engine.platform.datasets.plan import PlannedDataset, plan_dataset
from pathassets.engine.platform.plan import PlannedSlide, annotation_address, plan_slides
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.presence import (
    FewFacts,
    StoredArtifacts,
    damage_said,
    find_damage,
    read_stored_artifacts,
)
from pathassets.engine.stages.outcomes import Explained, Step
from pathassets.engine.stages.recorded_annotation import record_again
from pathassets.errors import CatalogError

CellState = Literal["current", "stale", "damaged", "failed", "blocked", "missing"]
MADE_ANEW = "pathassets run makes it anew"


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
class CohortStatus:
    """All rows, and the files that never became one."""

    slides: tuple[SlideStatus, ...]
    datasets: tuple[Cell, ...]
    """Each dataset: stale when its slides would give another version now."""
    annotations: tuple[str, ...]
    """Names under which people may draw on slides."""
    rejected_files: tuple[RejectedFile, ...]

    def counts(self, key: Key) -> Mapping[str, int]:
        """How many slides stand in each state at one asset."""
        return Counter(c.state for s in self.slides for c in s.cells if c.key == key)


def cohort_status(platform: Platform) -> CohortStatus:
    """Where every slide stands. A few queries for any cohort, and a look at each file in force.

    Raises:
        CatalogError: it knows no slide, though the store holds artifacts.
    """
    planned = plan_slides(platform)
    rejected_files = tuple(platform.catalog.rejected_files())
    if not planned and not rejected_files:
        require_own_catalog(platform)
    known = read_stored_artifacts(platform, planned)
    return CohortStatus(
        slides=tuple(slide_status(one, known) for one in planned),
        datasets=tuple(
            _dataset_cell(platform, plan_dataset(platform, entry, planned, known), known)
            for entry in platform.recipe.datasets
        ),
        annotations=tuple(entry.name for entry in platform.recipe.recorded),
        rejected_files=rejected_files,
    )


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


def slide_status(planned: PlannedSlide, known: StoredArtifacts) -> SlideStatus:
    """Where one slide stands."""
    return SlideStatus(
        planned=planned,
        cells=tuple(_cell(step, known) for step in planned.steps.values()),
        annotations=dict(_lost_annotations(planned, known)),
    )


def _lost_annotations(planned: PlannedSlide, known: StoredArtifacts) -> Iterator[tuple[str, Cell]]:
    for name, drawn in planned.annotations.items():
        address = annotation_address(drawn)
        if not drawn.is_withdrawn and address in known.damage:
            remedy = record_again(drawn.slide_id, name)
            yield name, _damaged(address, known.damage[address], remedy)


def _cell(step: Step, known: StoredArtifacts) -> Cell:
    address = step.address
    place = (*address.key, address.partition_key)
    attempt = known.attempts.get(place)
    if (failed := known.failure(address)) is not None:
        return _tried(failed)  # even where it was made once: it could not be made again
    if address in known.facts and address not in known.damage:
        return _made(address, "current", known.facts[address])
    if attempt is not None and attempt.address == address and attempt.state == "blocked":
        return _tried(attempt)
    if (damage := known.damage.get(address)) is not None:
        return _damaged(address, damage)
    state: CellState = "stale" if place in known.made else "missing"
    return Cell(key=address.key, state=state, digest=address.digest)


def _damaged(address: Address, damage: Damage, remedy: str = MADE_ANEW) -> Cell:
    reason, message = damage_said(address, damage)
    return Cell(
        key=address.key, state="damaged", digest=address.digest,
        reason=reason, message=message, remedy=remedy,
    )  # fmt: skip


def _made(address: Address, state: CellState, facts: FewFacts) -> Cell:
    return Cell(
        key=address.key,
        state=state,
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


def _dataset_cell(platform: Platform, planned: PlannedDataset, known: StoredArtifacts) -> Cell:
    address = planned.address
    if (failed := known.failure(address)) is not None:
        return _tried(failed)  # its parts are not apart
    if address not in known.facts:
        state: CellState = "stale" if (*address.key, ALL_SLIDES) in known.made else "missing"
        return Cell(key=address.key, state=state, digest=address.digest)
    if (damage := find_damage(platform, address)) is not None:
        return _damaged(address, damage)
    return _made(address, "current", known.facts[address])


def needs_work(status: SlideStatus, keys: set[Key], *, retry: bool) -> bool:
    """Whether a run of these assets would compute anything new for the slide.

    A failure that the slide's content alone decides is not tried again unless asked: the same bytes
    fail the same way.
    """
    cells = [cell for cell in status.cells if cell.key in keys]
    if not retry and any(cell.state == "failed" and cell.is_final for cell in cells):
        hopeless = {"current", "failed", "blocked"}
        return any(cell.state not in hopeless for cell in cells)
    return any(cell.state != "current" for cell in cells)
