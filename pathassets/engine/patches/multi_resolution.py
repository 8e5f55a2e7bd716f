"""ExtractionJob -> pixels of its patches, at each of its resolutions.

    job ─▶ views (where all patches lie at each resolution) ─▶ readings side by side ─▶ ReadSets

Patches of a set share their centre, so at a coarser resolution their corners lie further out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np

from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches.read_plan import ReadSpec
from pathassets.core.patches.seamless import SeamlessRead, plan_seamless, resample_square
from pathassets.core.slides.bad_tiles import BadTiles
from pathassets.core.slides.resolution import LevelOrMpp, downsample_of, matching_level, unit_of
from pathassets.core.slides.slide import Slide
from pathassets.engine.patches.extraction import ExtractionJob
from pathassets.engine.slides.open import open_slide
from pathassets.engine.slides.read_patches import PatchBatch, read_patches
from pathassets.engine.workers.parts.job import Allocate, ReadSet
from pathassets.errors import SpecError


def read_job(  # noqa: PLR0913 - what is read, and how fast
    job: ExtractionJob, part: slice, *, n_batch: int, n_threads: int,
    allocate: Allocate | None = None, budget_bytes: int | None = None,
    spec: ReadSpec | None = None,
) -> Generator[ReadSet, None, None]:  # fmt: skip
    """Open the slide of a job and yield a part of its patches, in order, `n_batch` at a time.

    Content depends on neither `part`, `n_batch` nor `n_threads`. Batches are decoded straight into
    what `allocate` gives (fresh memory where there is none); their receiver owns them.
    `budget_bytes` bounds the pixels that are begun and not yielded, all resolutions together.

    Raises:
        SlideError: it cannot be opened or read.
        SpecError: it has no such level, no known mpp, or not that one without resampling.
    """
    how = ReadHow(
        n_batch=n_batch, n_threads=n_threads, allocate=allocate, budget_bytes=budget_bytes,
        spec=spec or ReadSpec(),
    )  # fmt: skip
    with open_slide(job.wsi_file, mpp=job.slide_mpp) as slide:
        yield from read_sets(slide, job, how, part=part)


def read_sets(
    slide: Slide,
    job: ExtractionJob,
    how: ReadHow,
    *,
    part: slice = slice(None),
    bad_tiles: BadTiles | None = None,
) -> Generator[ReadSet, None, None]:
    """Yield a part of a job's patches of a slide that is open, in order.

    Where bad tiles may be skipped, what touches one at any resolution is left out at all, and
    listed in `bad_tiles` by its place in the job.

    Raises:
        TileUnreadable: a tile cannot be read; with `skip`, more of them than the spec allows.
        SpecError: the slide has no such level, no known mpp, or not that one without resampling.
    """
    views = [_view_of(slide, job, value) for value in job.levels_or_mpps]
    how = how.shared_by(len(views))
    bad_tiles_of_each = [BadTiles() for _ in views]
    first = range(len(job))[part].start if len(job.x_px0[part]) else 0
    with ExitStack() as stack:
        readings = [
            stack.enter_context(closing(view.read(slide, part, how, own)))
            for view, own in zip(views, bad_tiles_of_each, strict=True)
        ]
        for indices, pixels in _together(readings, how.n_batch):
            places = indices + first
            corners_px0 = tuple(view.corners_px0[places] for view in views)
            yield ReadSet(places=places, corners_px0=corners_px0, pixels=pixels)
    if bad_tiles is not None:
        _enter_all(bad_tiles, bad_tiles_of_each, first)


def _together(
    readings: list[Generator[PatchBatch, None, None]], n_batch: int
) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, ...]]]:
    """What all readings have of each batch; a batch of which one has nothing is left out."""
    heads = [next(reading, None) for reading in readings]
    while all(head is not None for head in heads):
        batches = [head for head in heads if head is not None]
        numbers = [int(batch.indices[0]) // n_batch for batch in batches]
        if min(numbers) == max(numbers):
            shared = reduce(np.intersect1d, (batch.indices for batch in batches))
            if len(shared):
                yield shared, tuple(_chosen(batch, shared) for batch in batches)
        heads = [
            next(reading, None) if number == min(numbers) else batch
            for reading, number, batch in zip(readings, numbers, batches, strict=True)
        ]
    for reading in readings:  # to its end, so that its bad tiles are all known
        deque(reading, maxlen=0)


def _chosen(batch: PatchBatch, shared: np.ndarray) -> np.ndarray:
    if len(shared) == len(batch.indices):
        return batch.pixels
    return batch.pixels[np.isin(batch.indices, shared)]


def _enter_all(bad_tiles: BadTiles, own: list[BadTiles], first: int) -> None:
    """Add up what the readings at all resolutions could not read."""
    bad_tiles.n_tiles += sum(part.n_tiles for part in own)
    bad_tiles.is_upsampled |= any(part.is_upsampled for part in own)
    for part in own:
        bad_tiles.faults |= part.faults
    skipped = {index + first for part in own for index in part.skipped}
    bad_tiles.skipped = sorted(skipped.union(bad_tiles.skipped))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadHow:
    """How fast, into what memory, and what becomes of bad tiles."""

    n_batch: int
    n_threads: int = 1
    allocate: Allocate | None = None
    budget_bytes: int | None = None
    """Pixels begun and not yielded, all resolutions together."""
    spec: ReadSpec = field(default_factory=ReadSpec)

    def shared_by(self, n: int) -> ReadHow:
        """The part of each of `n` readings side by side."""
        budget_bytes = None if self.budget_bytes is None else self.budget_bytes // n
        return replace(self, n_threads=max(1, self.n_threads // n), budget_bytes=budget_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """All patches of a job at one of its resolutions."""

    corners_px0: np.ndarray
    """int64 (n, 2)."""
    slot_px: int
    level: int | None
    """The stored level that is read as it is; None where patches are resampled."""
    mpp: float | None
    downsample: float
    is_seamless: bool

    def read(
        self, slide: Slide, part: slice, how: ReadHow, bad_tiles: BadTiles
    ) -> Generator[PatchBatch, None, None]:
        """Yield the patches of a part of the job."""
        x_px0, y_px0 = np.ascontiguousarray(self.corners_px0[part].T)
        if self.is_seamless and self.level is None:
            return _read_seamless(slide, self, self.corners_px0[part], how, bad_tiles)
        locations = PatchLocations(
            x_px0=x_px0, y_px0=y_px0, tissue_share=np.ones(len(x_px0), np.float32),
            side_px0=max(1, round(self.slot_px * self.downsample)), patch_px=self.slot_px,
            mpp=self.mpp, level=self.level,
        )  # fmt: skip
        return read_patches(
            slide, locations, spec=how.spec, n_batch=how.n_batch, n_threads=how.n_threads,
            bad_tiles=bad_tiles, allocate=how.allocate, budget_bytes=how.budget_bytes,
        )  # fmt: skip


def _view_of(slide: Slide, job: ExtractionJob, value: LevelOrMpp) -> _View:
    scales = slide.info.scales
    unit = unit_of(value)
    downsample = downsample_of(value, unit, scales)
    level = int(value) if unit == "level" else matching_level(scales.level_downsamples, downsample)
    if level is None and job.resampling_mode is None:
        have = ", ".join(f"{d * (scales.mpp or 0):g}" for d in scales.level_downsamples)
        raise SpecError(
            f"{job.wsi_file}: no level has {value:g} um per pixel (they have {have})",
            remedy="Give resampling_mode='tile' or 'wsi', or ask for a level",
        )
    x_px0, y_px0 = job.x_px0, job.y_px0
    if job.is_set:
        base = downsample_of(job.level_or_mpp, unit_of(job.level_or_mpp), scales)
        x_px0 = _around_centre(x_px0, job.width_px, base, downsample)
        y_px0 = _around_centre(y_px0, job.height_px, base, downsample)
    return _View(
        corners_px0=np.stack([x_px0, y_px0], axis=1), slot_px=job.slot_px, level=level,
        mpp=value if isinstance(value, float) else None, downsample=downsample,
        is_seamless=job.resampling_mode == "wsi",
    )  # fmt: skip


def _around_centre(
    start_px0: np.ndarray, length_px: np.ndarray, base: float, downsample: float
) -> np.ndarray:
    """Where patches of another downsample begin that share the centres of those of `base`.

    >>> [int(_around_centre(np.array([512]), np.array([256]), 1.0, d)[0]) for d in (1.0, 2.0, 1.5)]
    [512, 384, 448]
    """
    centre_px0 = start_px0 + length_px * base / 2
    return np.rint(centre_px0 - length_px * downsample / 2).astype(np.int64)


def _read_seamless(
    slide: Slide, view: _View, corners_px0: np.ndarray, how: ReadHow, bad_tiles: BadTiles
) -> Generator[PatchBatch, None, None]:
    """Yield patches of the level resampled as a whole: native squares around each are read."""
    info, (x_px0, y_px0) = slide.info, corners_px0.T
    read = plan_seamless(x_px0, y_px0, patch_px=view.slot_px, downsample=view.downsample, info=info)
    batches = read_patches(
        slide, _squares_of(read, info.level_downsamples[read.level]), spec=how.spec,
        n_batch=how.n_batch, n_threads=how.n_threads, bad_tiles=bad_tiles,
        budget_bytes=how.budget_bytes,
    )  # fmt: skip
    allocate = how.allocate or _fresh
    with closing(batches):
        for indices, squares in batches:
            pixels = allocate(len(indices), read.patch_px, read.patch_px, 3)
            for number, square, patch in zip(indices.tolist(), squares, pixels, strict=True):
                resample_square(read, number, square, patch)
            yield PatchBatch(indices, pixels)


def _squares_of(read: SeamlessRead, downsample: float) -> PatchLocations:
    """The squares of whole level pixels that patches are resampled from."""
    return PatchLocations(
        x_px0=np.rint(read.left_px * downsample).astype(np.int64),
        y_px0=np.rint(read.top_px * downsample).astype(np.int64),
        tissue_share=np.ones(len(read.x_px), np.float32),
        side_px0=max(1, round(read.side_px * downsample)),
        patch_px=read.side_px, mpp=None, level=read.level,
    )  # fmt: skip


def _fresh(*shape: int) -> np.ndarray:
    return np.empty(shape, np.uint8)
