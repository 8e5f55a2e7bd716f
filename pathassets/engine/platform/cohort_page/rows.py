"""Catalog -> what the page says of each slide, some hundreds by a dozen queries.

slide ids ─▶ where each stands, what people and files say of it ─▶ PageRow
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pathassets.catalog.records import CohortState, Verdict
from pathassets.core.address import Address
from pathassets.core.near_names import did_you_mean
from pathassets.core.recipe import Entry, Key, Recipe
from pathassets.core.stages import FEATURES, PATCH_QUALITY, SLIDE_EMBEDDING
from pathassets.engine.platform.plan import PlannedSlide, slide_paths
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.rows import Cell, CellState, SlideStatus, slide_rows
from pathassets.engine.slides.source import SlidePath
from pathassets.errors import SpecError

WORST_FIRST: tuple[CellState, ...] = (
    "failed", "damaged", "blocked", "missing", "stale", "current",
)  # fmt: skip
"""A slide is in the first of these that any of its assets is in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Which entries of the recipe the page shows of each slide."""

    tissue_mask: Key | None = None
    patch_locations: Key | None = None
    features: Key | None = None
    embedding: Key | None = None
    quality: Key | None = None
    """The entry of `patch_quality` that focus and colour are of: of the squares that are shown, if
    there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRow:
    """One slide, in numbers and words."""

    slide_id: str
    planned: PlannedSlide
    state: CellState
    cells: tuple[Cell, ...]
    trouble: Cell | None
    """The first asset that failed or is damaged."""
    facts: Mapping[str, str]
    """What people and files say of it: patient, site, label, scanner, stain."""
    labels: Mapping[str, str]
    """Its other labels and its patient's, by name."""
    covered: Mapping[str, str]
    """Labels of its patient that its own of the same name stand before: selections know both."""
    tags: tuple[str, ...]
    cohorts: tuple[str, ...]
    tissue_mm2: float | None
    n_patches: int | None
    n_bad_tiles: int
    verdict: Verdict | None
    artifacts: Mapping[str, Address]
    """What of `Shown` is there and current, by its stage."""

    @property
    def paths(self) -> tuple[SlidePath, ...]:
        """Where its file was seen."""
        return slide_paths(self.planned.paths, "stamp")


def choose_shown(recipe: Recipe, features: str = "") -> Shown:
    """Choose what is shown: of the features that are named, or else the first of the recipe.

    Raises:
        SpecError: the recipe has no features of that name.
    """
    of_slides = recipe.per_slide
    named = [one for one in of_slides if one.stage.name == FEATURES]
    found = next((one for one in named if features in {"", one.name}), None)
    if found is None and features:
        raise SpecError(
            f"features/{features}: the recipe has none of that name",
            remedy=did_you_mean(features, [one.name for one in named], "It has"),
        )
    line = [*recipe.lineage(found)] if found is not None else [*of_slides]
    embedding = next(
        (
            e
            for e in of_slides
            if found and e.stage.name == SLIDE_EMBEDDING and e.parent == found.key
        ),
        None,
    )
    squares = _first(line, "patch_locations")
    measured = [one for one in of_slides if one.stage.name == PATCH_QUALITY]
    of_squares = [one for one in measured if one.parent == squares]
    return Shown(
        tissue_mask=_first(line, "tissue_mask"), patch_locations=squares,
        features=None if found is None else found.key,
        embedding=None if embedding is None else embedding.key,
        quality=_first([*of_squares, *measured], PATCH_QUALITY),
    )  # fmt: skip


def _first(entries: Collection[Entry], stage: str) -> Key | None:
    return next((one.key for one in entries if one.stage.name == stage), None)


def page_rows(platform: Platform, slide_ids: Collection[str], shown: Shown) -> list[PageRow]:
    """Rows of some slides, in the order given; ids that are no slide's are left out."""
    catalog = platform.catalog
    found = {row.planned.slide_id: row for row in slide_rows(platform, slide_ids)}
    patients = {row.planned.record.patient or "" for row in found.values()}
    said = catalog.cohort_state(slide_ids, patients)
    bad_tiles = catalog.n_bad_tiles(slide_ids)
    verdicts = {one.slide_id: one for one in catalog.verdicts()}
    return [
        _row(
            found[one], said, shown, n_bad_tiles=bad_tiles.get(one, 0), verdict=verdicts.get(one)
        )
        for one in slide_ids
        if one in found
    ]  # fmt: skip


def _row(
    status: SlideStatus, said: CohortState, shown: Shown,
    *, n_bad_tiles: int, verdict: Verdict | None,
) -> PageRow:  # fmt: skip
    planned, slide_id = status.planned, status.planned.slide_id
    cells = {cell.key: cell for cell in status.cells}
    of_slide = said.slides.get(slide_id, {})
    of_patient = said.patients.get(of_slide.get("patient", ""), {})
    facts = {**of_patient, **of_slide, "scanner": planned.record.scanner or ""}
    mask, squares = (
        None if key is None else cells.get(key)
        for key in (shown.tissue_mask, shown.patch_locations)
    )
    return PageRow(
        slide_id=slide_id, planned=planned, state=_worst(status), cells=status.cells,
        trouble=status.failure or next(iter(status.damages), None),
        facts={name: facts[name] for name in _FACTS if facts.get(name)},
        labels={n.removeprefix("label."): v for n, v in facts.items() if n.startswith("label.")},
        covered={
            name.removeprefix("label."): value for name, value in of_patient.items()
            if name.partition(".")[0] == "label" and of_slide.get(name, value) != value
        },
        tags=tuple(sorted(said.tags.get(slide_id, ()))),
        cohorts=tuple(sorted(said.cohorts.get(slide_id, ()))),
        tissue_mm2=None if mask is None else mask.tissue_mm2,
        n_patches=None if squares is None else squares.n_patches,
        n_bad_tiles=n_bad_tiles, verdict=verdict,
        artifacts=_current(planned, cells, shown),
    )  # fmt: skip


_FACTS = ("patient", "site", "label", "scanner", "stain")


def _worst(status: SlideStatus) -> CellState:
    states = {cell.state for cell in (*status.cells, *status.damages)}
    return next((state for state in WORST_FIRST if state in states), "missing")


def _current(
    planned: PlannedSlide, cells: Mapping[Key, Cell], shown: Shown
) -> Mapping[str, Address]:
    keys = (shown.tissue_mask, shown.patch_locations, shown.features, shown.embedding)
    return {
        key[0]: planned.steps[key].address
        for key in keys
        if key is not None and key in cells and cells[key].state == "current"
    }
