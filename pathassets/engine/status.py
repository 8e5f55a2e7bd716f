"""Plan + catalog -> where the cohort stands: one row a slide, one cell an asset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from pathassets.catalog.records import AttemptRecord, RefusalRecord
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.recipe import Key
from pathassets.engine.dataset import PlannedDataset, plan_dataset
from pathassets.engine.plan import PlannedSlide, plan_slides
from pathassets.engine.platform import Platform
from pathassets.engine.slide_task import Step

CellState = Literal["current", "stale", "failed", "blocked", "missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Where one asset of one slide stands."""

    key: Key
    state: CellState
    """stale: made, but not from what is in force now. blocked: not tried, its parent failed."""
    digest: str
    """Of the artifact that the recipe would make now."""
    n_patches: int | None = None
    tissue_mm2: float | None = None
    reason: str = ""
    message: str = ""
    remedy: str = ""
    is_final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideStatus:
    """One row."""

    planned: PlannedSlide
    cells: tuple[Cell, ...]

    @property
    def failure(self) -> Cell | None:
        """The first asset that failed."""
        return next((c for c in self.cells if c.state == "failed"), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortStatus:
    """All rows, and the files that never became one."""

    slides: tuple[SlideStatus, ...]
    datasets: tuple[Cell, ...]
    """Each dataset: stale when its slides would give another version now."""
    annotations: tuple[str, ...]
    """Names under which people may draw on slides."""
    refusals: tuple[RefusalRecord, ...]

    def counts(self, key: Key) -> Mapping[str, int]:
        """How many slides stand in each state at one asset."""
        return Counter(c.state for s in self.slides for c in s.cells if c.key == key)


def cohort_status(platform: Platform) -> CohortStatus:
    """Where every slide stands. A few queries for any cohort."""
    known = _Known(platform)
    planned = plan_slides(platform)
    return CohortStatus(
        slides=tuple(slide_status(one, known) for one in planned),
        datasets=tuple(
            _made_dataset(plan_dataset(platform, entry, planned), known)
            for entry in platform.recipe.datasets
        ),
        annotations=tuple(entry.name for entry in platform.recipe.recorded),
        refusals=tuple(platform.catalog.refusals()),
    )


@dataclass(frozen=True, slots=True)
class _FewFacts:
    """Of each artifact only what a cell shows."""

    n_patches: int | None = None
    tissue_mm2: float | None = None

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        return cls(facts.get("n_patches"), facts.get("tissue_mm2"))


class _Known:
    """What the catalog knows, read once."""

    def __init__(self, platform: Platform) -> None:
        self.attempts = platform.catalog.latest_attempts()
        self.facts = {a.address: _FewFacts.of(a.facts) for a in platform.catalog.artifacts()}
        self.made = {(*address.key, address.subject) for address in self.facts}


def slide_status(planned: PlannedSlide, known: _Known) -> SlideStatus:
    """Where one slide stands."""
    return SlideStatus(
        planned=planned, cells=tuple(_cell(step, known) for step in planned.steps.values())
    )


def _cell(step: Step, known: _Known) -> Cell:
    address = step.address
    place = (*address.key, address.subject)
    attempt = known.attempts.get(place)
    tried = attempt.state if attempt is not None and attempt.address == address else ""
    if attempt is not None and tried == "failed":
        return _tried(attempt)  # even where it was made once: its files are damaged
    if address in known.facts:
        return _made(address, "current", known.facts[address])
    if attempt is not None and tried == "blocked":
        return _tried(attempt)
    state: CellState = "stale" if place in known.made else "missing"
    return Cell(key=address.key, state=state, digest=address.digest)


def _made(address: Address, state: CellState, facts: _FewFacts) -> Cell:
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


def _made_dataset(planned: PlannedDataset, known: _Known) -> Cell:
    address = planned.address
    state: CellState = "missing"
    if (*address.key, ALL_SLIDES) in known.made:
        state = "current" if address in known.facts else "stale"
    return _made(address, state, known.facts.get(address, _FewFacts()))


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
