"""One slide -> its picture, its measures, and what lies over it; by a worker process.

    slide at the level that fits ─▶ picture (WebP)                         kept: see `kept`
    some squares ─▶ focus and colour, where nothing else measures them     kept, too
    tissue.zarr ─▶ outline      locations.parquet ─▶ grid      features.zarr, colours ─▶ map

Each part fails by itself, and says why: the page is written without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from pathassets.adapters.opencv import bounded_webp, lossless_webp
from pathassets.adapters.parquet import load_locations
from pathassets.adapters.store.store import Store
from pathassets.adapters.zarr.arrays import load_mask
from pathassets.core.address import Address
from pathassets.core.features.feature_map import CohortColours, evenly
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.locations.overlay import shrink_to
from pathassets.core.locations.squares_picture import MAX_CELLS, Cells, draw_edges, paint_cells
from pathassets.core.quality.patch_measures import measure
from pathassets.core.quality.slide_measures import SlideMeasures
from pathassets.core.slides.regions import read_overview, read_region
from pathassets.core.tissue.outline_path import outline_path
from pathassets.core.tissue.tissue_mask import TissueMask
from pathassets.engine.platform.cohort_page.kept import Kept, PictureSize
from pathassets.engine.platform.cohort_page.sampled_rows import map_rows
from pathassets.engine.slides.open import OpenedSlide
from pathassets.engine.slides.scratch import Scratch
from pathassets.engine.slides.source import SlidePath, find_source
from pathassets.engine.stages.patch_locations import LOCATIONS
from pathassets.engine.stages.tissue_mask import MASK
from pathassets.engine.stores import store_of_task
from pathassets.errors import PathAssetsError, TileUnreadable

FRAME_PX = 1024
"""Units of the longer side of a slide, in which all lies that is drawn over it."""
N_SURVEYED = 9
"""Squares of a survey: a quarter of a second where a tile takes long."""
SURVEY_MPP = 1.0
"""Their micrometres per pixel: nuclei have some 6 to 10 pixels there."""
SURVEY_PX = 256
"""Their side."""

MAX_GRID_BYTES, MAX_MAP_BYTES = 2_000, 5_000
"""Of the pictures that lie over a slide; they become smaller until that suffices."""
SMALLER = 0.7

T = TypeVar("T")
_NO_CELLS: tuple[Cells | None, bytes] = (None, b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class LookTask:
    """A slide to look at."""

    slide_id: str
    fingerprint: str
    paths: tuple[SlidePath, ...]
    slide_mpp: float | None
    width_px0: int
    height_px0: int
    store_root: str
    store_work: str
    """Folder of this machine for what is copied of a bucket's store."""
    artifacts: Mapping[str, Address]
    """Its mask, locations and features, as far as they are current, by stage."""
    kept: Kept
    size: PictureSize
    colours: CohortColours | None = None
    """None where no features are shown."""
    is_surveyed: bool = True
    """Whether focus and colour are measured here: no entry of `patch_quality` says them."""
    is_reading: bool = True
    """Whether the slide is opened for what is not kept of it."""
    scratch: Scratch | None = None
    """Where objects are copied to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideLook:
    """What there is to see of a slide; what could not be had is empty, and `problems` says why."""

    slide_id: str
    picture: bytes = b""
    """WebP of the whole slide; empty where it cannot be read."""
    measures: SlideMeasures = field(default_factory=SlideMeasures)
    outline: str = ""
    """Of the tissue, an SVG path in the frame."""
    grid: bytes = b""
    """WebP of the area of the slide: edges of the patches."""
    map: bytes = b""
    """WebP of cells, each in its colour; the first at the slide's corner."""
    map_size: tuple[float, float] = (0.0, 0.0)
    """Width and height of that picture in the frame."""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What was read of a slide's artifacts, and what could not be."""

    task: LookTask
    problems: list[str] = field(default_factory=list)

    @property
    def frame_scale(self) -> float:
        """Units of the frame in a level-0 pixel."""
        return FRAME_PX / max(self.task.width_px0, self.task.height_px0)

    @property
    def store(self) -> Store:
        """Where they are."""
        return store_of_task(self.task.store_root, self.task.store_work)

    def folder(self, stage: str) -> Path | None:
        """Where an artifact is; None where there is none that is current."""
        address = self.task.artifacts.get(stage)
        return None if address is None else self.store.fetch(address)

    def attempt(self, make: Callable[[], T], instead: T) -> T:
        """Make a part; where that fails, say why, and go on with another."""
        try:
            return make()
        except PathAssetsError as error:
            self.problems.append(str(error))
            return instead


def look_at_slide(task: LookTask) -> SlideLook:
    """Look at a slide: what is kept of it is not read again."""
    parts = _Parts(task=task)
    mask = parts.attempt(lambda: _mask(parts), None)
    locations = parts.attempt(lambda: _locations(parts), None)
    look = _pixels(parts, locations)
    cells, cell_picture = parts.attempt(lambda: _cells(parts), _NO_CELLS)
    return replace(
        look,
        outline=_outline(parts, mask),
        grid=_grid(parts, locations),
        map=cell_picture,
        map_size=(0.0, 0.0) if cells is None else cells.size_in(parts.frame_scale),
        problems=tuple(parts.problems),
    )


def _mask(parts: _Parts) -> TissueMask | None:
    folder = parts.folder("tissue_mask")
    return None if folder is None else load_mask(folder / MASK)


def _locations(parts: _Parts) -> PatchLocations | None:
    address, folder = parts.task.artifacts.get("patch_locations"), parts.folder("patch_locations")
    if address is None or folder is None:
        return None
    facts = parts.store.read(address).facts
    return load_locations(
        folder / LOCATIONS, side_px0=facts["side_px0"], patch_px=facts["patch_px"],
        mpp=facts["mpp"],
    )  # fmt: skip


def _outline(parts: _Parts, mask: TissueMask | None) -> str:
    if mask is None:
        return ""
    longest_px0 = max(parts.task.width_px0, parts.task.height_px0)
    return outline_path(mask, longest_px0=longest_px0, frame_px=FRAME_PX)


def _grid(parts: _Parts, locations: PatchLocations | None) -> bytes:
    if locations is None or not len(locations):
        return b""
    task = parts.task
    for longest_px in _smaller(FRAME_PX):  # of thousands of scattered squares it has many bytes
        data = lossless_webp(
            draw_edges(
                locations, width_px0=task.width_px0, height_px0=task.height_px0,
                longest_px=longest_px,
            )
        )  # fmt: skip
        if len(data) <= MAX_GRID_BYTES:
            break
    return data


def _cells(parts: _Parts) -> tuple[Cells | None, bytes]:
    """The feature map, in as many cells as its bytes allow, and its picture."""
    folder, colours, task = parts.folder("features"), parts.task.colours, parts.task
    if folder is None or colours is None:
        return _NO_CELLS
    boxes_px0, rows = map_rows(folder, n_columns=colours.n_columns)
    if not len(rows):
        return _NO_CELLS
    rgb = colours.colours_of(rows)
    for max_cells in _smaller(MAX_CELLS):
        cells = paint_cells(
            boxes_px0, rgb, width_px0=task.width_px0, height_px0=task.height_px0,
            max_cells=max_cells,
        )  # fmt: skip
        if len(data := lossless_webp(cells.rgba)) <= MAX_MAP_BYTES:
            break
    return cells, data


def _smaller(side: int) -> Iterator[int]:
    """A side, and ever smaller ones.

    >>> [*_smaller(96)][:4], [*_smaller(96)][-1]
    ([96, 67, 46, 32], 1)
    """
    while side:
        yield side
        side = int(side * SMALLER)


# ---------------------------------------------------------------------------- pixels


def _pixels(parts: _Parts, locations: PatchLocations | None) -> SlideLook:
    """Picture and measures: kept ones, or new ones where the slide may be opened."""
    task, kept = parts.task, parts.task.kept
    made_from = measured_on(task.artifacts)
    picture = kept.picture(task.fingerprint, task.size)
    measures = kept.measures(task.fingerprint, made_from) if task.is_surveyed else SlideMeasures()
    look = SlideLook(
        slide_id=task.slide_id, picture=picture or b"", measures=measures or SlideMeasures()
    )
    if not task.is_reading or (picture is not None and measures is not None):
        return look
    found = parts.attempt(lambda: _read(task, locations), None)
    if found is None:
        return look
    picture, measures = found
    kept.keep_picture(task.fingerprint, task.size, picture)
    if task.is_surveyed:
        kept.keep_measures(task.fingerprint, made_from, measures)
    return replace(look, picture=picture, measures=measures)


def measured_on(artifacts: Mapping[str, Address]) -> str:
    """By what measures are told apart: the tissue, and the squares, that they were taken on."""
    stages = ("tissue_mask", "patch_locations")
    return "-".join(artifacts[one].digest if one in artifacts else "none" for one in stages)


def _read(task: LookTask, locations: PatchLocations | None) -> tuple[bytes, SlideMeasures]:
    source = find_source(task.slide_id, task.fingerprint, task.paths, task.scratch, waits=True)
    with closing(source), source.open(task.slide_mpp) as slide:
        longest_px0 = max(slide.info.width_px0, slide.info.height_px0)
        overview, _ = read_overview(
            slide, downsample=max(1.0, longest_px0 / task.size.side_px), on_fault=lambda _: None
        )
        measures = _survey(slide, locations) if task.is_surveyed else SlideMeasures()
    return bounded_webp(shrink_to(overview, task.size.side_px), task.size.max_bytes), measures


def _survey(slide: OpenedSlide, locations: PatchLocations | None) -> SlideMeasures:
    """Measures of squares that lie evenly among those with the most tissue, as of patches."""
    if locations is None or not len(locations) or slide.info.mpp is None:
        return SlideMeasures()
    squares = [*_squares(slide, locations)]
    return SlideMeasures.of_patches(measure(np.stack(squares))) if squares else SlideMeasures()


def _squares(slide: OpenedSlide, locations: PatchLocations) -> Iterator[np.ndarray]:
    full = np.flatnonzero(locations.tissue_share >= np.median(locations.tissue_share))
    chosen = full[evenly(len(full), N_SURVEYED)]
    middle_px0 = locations.boxes_px0[chosen].reshape(-1, 2, 2).mean(axis=1)
    half_px0 = SURVEY_PX / 2 * max(1.0, SURVEY_MPP / (slide.info.mpp or SURVEY_MPP))
    for x, y in (middle_px0 - half_px0).round().astype(int).tolist():
        with suppress(TileUnreadable):  # told as a bad tile
            yield read_region(
                slide, x, y, width_px=SURVEY_PX, height_px=SURVEY_PX,
                mpp=max(SURVEY_MPP, slide.info.mpp or SURVEY_MPP),
            )  # fmt: skip
