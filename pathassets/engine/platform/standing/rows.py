"""Plan + catalog -> where each slide stands, row by row, as it was last seen.

slide ids, page by page ─▶ planned, and what is known of them ─▶ SlideStatus: a Cell an asset
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pathassets.catalog.part import portions
from pathassets.catalog.records import AttemptRecord
from pathassets.catalog.standing.standing import NOT_CURRENT
from pathassets.core.address import Address
from pathassets.core.recipe import Key
from pathassets.engine.platform.plan import PlannedSlide, annotation_address, plan_slides
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.presence import (
    FewFacts,
    StoredArtifacts,
    damage_said,
    stored_artifacts,
)
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.stages.outcomes import Explained, Step, import_again

CellState = Literal["current", "stale", "damaged", "failed", "blocked", "missing"]
MADE_ANEW = "pathassets run makes it anew"
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
    n_used: int | None = None
    """Of a dataset with rules for patches, those of `n_patches` that it uses."""
    tissue_mm2: float | None = None
    n_slides: int | None = None
    """Of a dataset, slides in it."""
    n_to_compute: int | None = None
    """Of a dataset, slides that it left out and that a run would make features of."""


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


def slide_rows(
    platform: Platform, slide_ids: Collection[str] | None = None
) -> Iterator[SlideStatus]:
    """Rows of all slides in order of registration, read as they are asked for, or of some.

    They say what the catalog knows; `cohort_status` brings that up to date.
    """
    pages = platform.catalog.slide_pages(N_READ) if slide_ids is None else portions(slide_ids)
    for page in pages:
        planned = plan_slides(platform, page)
        known = stored_artifacts(platform, planned)
        yield from (slide_status(one, known) for one in planned)


def first_rows(
    platform: Platform, n_rows: int, slide_ids: Collection[str] | None = None
) -> list[SlideStatus]:
    """The first so many rows, of all slides or of some: those with open work, then the others."""
    catalog, plan_id = platform.catalog, refresh_wanted(platform)
    if slide_ids is None:
        first = catalog.first_slides(plan_id, n_rows, is_open=True)
        rest = catalog.first_slides(plan_id, n_rows - len(first), is_open=False)
    else:
        keys = [entry.key for entry in platform.recipe.per_slide]
        is_open = catalog.slides_in(plan_id, keys, NOT_CURRENT)
        first = [one for one in slide_ids if one in is_open][:n_rows]
        rest = [one for one in slide_ids if one not in is_open][: n_rows - len(first)]
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
        return tried(failed)  # even where it was made once: it could not be made again
    if address in known.facts and address not in known.damage:
        return made_cell(address, known.facts[address])
    if attempt is not None and attempt.address == address and attempt.state == "blocked":
        return tried(attempt)
    if (damage := known.damage.get(address)) is not None:
        remedy = import_again(address, step.tool) if step.tool else MADE_ANEW
        return damaged_cell(address, damage, remedy, tool=step.tool)
    state: CellState = "stale" if place in known.made else "missing"
    return Cell(key=address.key, state=state, digest=address.digest)


def damaged_cell(address: Address, damage: str, remedy: str = MADE_ANEW, *, tool: str = "") -> Cell:
    """One that was made, or imported from a tool, and is not whole any more."""
    reason, message = damage_said(address, damage, tool)
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
        n_used=facts.n_used,
        tissue_mm2=facts.tissue_mm2,
    )


def tried(attempt: AttemptRecord) -> Cell:
    """One of which the last attempt made nothing."""
    return Cell(
        key=attempt.address.key,
        state="failed" if attempt.state == "failed" else "blocked",
        digest=attempt.address.digest,
        reason=attempt.reason,
        message=attempt.message,
        remedy=attempt.remedy,
        is_final=attempt.is_final,
    )
