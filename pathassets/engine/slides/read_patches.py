"""Slide, PatchLocations -> batches of patch pixels, each tile decoded once a pass.

    plan ──▶ runs of tiles ──▶ threads: read, decode, copy each tile into ──▶ batches, delivered in
    (core)   in order, as          all patches it touches; a patch whose          order or as they
             long as there is      last tile came is done                         are complete
             room

Content depends on nothing but slide, locations and spec: threads only decide when a batch is ready.

Memory is that of the batches begun and not delivered, whatever the slide's height: of a grid that
is about one row of patches. Locations that need more than a budget are read in several passes, a
tile that two of them touch once in each.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

import numpy as np

from pathassets.core import display
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches.read_plan import (
    Pass,
    PatchRead,
    ReadSpec,
    lay_raster,
    most_open,
    plan_pass,
    plan_read,
)
from pathassets.core.slides.bad_tiles import BadTiles
from pathassets.core.slides.slide import Slide
from pathassets.core.slides.tiles import expect_tiles
from pathassets.engine.slides.tile_placement import PlacementJob, RunDone, TilePlacer
from pathassets.engine.workers.buffers import Buffers
from pathassets.errors import SpecError

logger = logging.getLogger(__name__)

Order = Literal["location", "completed"]

BUDGET_BYTES = 192 * 2**20
"""Pixels that may be begun and not delivered, unless a caller says otherwise."""
RUN_TILES = 16
"""Tiles a thread takes at once: 3 ms of decoding to 0.1 ms of handing over."""


class PatchBatch(NamedTuple):
    """Some patches of a slide."""

    indices: np.ndarray
    """int64 (m,): which of the locations they are."""
    pixels: np.ndarray
    """RGB uint8 (m, y, x, 3)."""

    def __repr__(self) -> str:
        _, height_px, width_px, _ = self.pixels.shape
        size = f"{width_px} x {height_px} px"
        return display.line(self, display.count(len(self.indices), "patch"), size)


def read_patches(  # noqa: PLR0913 - the public door: each has a default
    slide: Slide,
    locations: PatchLocations,
    *,
    spec: ReadSpec | None = None,
    n_batch: int = 64,
    n_threads: int = 1,
    order: Order = "location",
    bad_tiles: BadTiles | None = None,
    allocate: Callable[..., np.ndarray] | None = None,
    budget_bytes: int | None = None,
) -> Generator[PatchBatch, None, None]:
    """Yield all patches in batches of `n_batch`, fewer in the last and where some were skipped.

    With order "location" they come as the locations do. "completed" yields each batch as soon as it
    is whole; squares near to each other share one. What a batch holds is the same for any number of
    threads. Parts beyond the slide are white. `bad_tiles` gets what could not be read, and
    says whether patches were enlarged, because the slide has fewer pixels than asked for.

    A batch is its receiver's for as long as he keeps it. Threads end with the last batch, or when
    the generator is closed. `allocate(*shape)` gives the uint8 arrays that batches are decoded
    into, in the thread that takes them from here; `budget_bytes` bounds those begun and not
    delivered, 192 MB by default, though never to less than two batches.

    Raises:
        SpecError: at once: `n_batch`, `n_threads` or `budget_bytes` is below 1, or there is no such
            order.
        TileUnreadable: a tile cannot be read; with `skip`, more of them than the spec allows.
    """
    budget_bytes = BUDGET_BYTES if budget_bytes is None else budget_bytes
    _check(order, n_batch=n_batch, n_threads=n_threads, budget_bytes=budget_bytes)
    spec, bad_tiles = spec or ReadSpec(), BadTiles() if bad_tiles is None else bad_tiles
    read = tell_of(slide, locations, spec)
    bad_tiles.is_upsampled = read.is_upsampled
    source = slide.tiles(read.level)
    raster = lay_raster(locations, slide.info, read, source)
    index = np.arange(len(locations))
    if order == "completed":
        index = raster.near_together()
        raster = replace(raster, x_px=raster.x_px[index], y_px=raster.y_px[index])
    job = PlacementJob(
        level=read.level, source=source, raster=raster, patch_px=read.patch_px, n_batch=n_batch
    )
    setup = _ReadSetup(
        in_order=order == "location", n_threads=n_threads, budget_bytes=budget_bytes,
        allocate=allocate or Buffers().take,
    )  # fmt: skip
    return _ReaderThreads(slide, spec, bad_tiles, setup).read_all(job, index)


def tell_of(slide: Slide, locations: PatchLocations, spec: ReadSpec) -> PatchRead:
    """Warn of what people should know before they use a slide's patches; returns the plan."""
    for note in slide.info.notes:
        _tell_once(slide.path, note)
    read = plan_read(locations, slide.info.level_downsamples, fast=spec.fast)
    if read.is_upsampled:
        logger.warning(
            "%s: has fewer pixels than asked for, patches of %d px are enlarged from %d px",
            slide.path, read.patch_px, read.side_px,
        )  # fmt: skip
    return read


@lru_cache(maxsize=1024)
def _tell_once(path: str, note: str) -> None:
    """Warn of what is not read of a slide, and not again for each of its parts."""
    logger.warning("%s: %s", path, note)


def _check(order: Order, **numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise SpecError(f"patches: {name}={number} reads nothing", remedy="Give 1 or more")
    if order not in get_args(Order):
        known = " or ".join(get_args(Order))
        raise SpecError(f"patches: no order={order!r}", remedy=f"Give {known}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReadSetup:
    """How the threads go about it; of no account for what a batch holds."""

    in_order: bool
    n_threads: int
    budget_bytes: int
    allocate: Callable[..., np.ndarray]


def _parts(
    job: PlacementJob, squares: slice, plan: Pass, setup: _ReadSetup
) -> Iterator[tuple[slice, Pass]]:
    """Cut the squares into as few passes as the budget allows, each a whole number of batches."""
    n_batches = -(-(squares.stop - squares.start) // job.n_batch)
    if n_batches > 1:
        n_open = most_open(plan, job.n_batch, in_order=setup.in_order)
        if n_open * job.batch_bytes > setup.budget_bytes:
            middle = squares.start + n_batches // 2 * job.n_batch
            for half in (slice(squares.start, middle), slice(middle, squares.stop)):
                yield from _parts(job, half, plan_pass(job.raster, half), setup)
            return
    yield squares, plan


class _ReaderThreads:
    """Threads that work off one pass after the other."""

    def __init__(
        self, slide: Slide, spec: ReadSpec, bad_tiles: BadTiles, setup: _ReadSetup
    ) -> None:
        self._path = slide.path
        self._spec = spec
        self._bad_tiles = bad_tiles
        self._setup = setup
        self._pool = ThreadPoolExecutor(setup.n_threads, "decode")

    def read_all(self, job: PlacementJob, index: np.ndarray) -> Generator[PatchBatch, None, None]:
        """Yield the batches of all squares, which are the locations `index`."""
        squares = slice(0, len(index))
        whole = plan_pass(job.raster, squares)
        self._bad_tiles.n_tiles = len(whole.tiles)
        try:
            expect_tiles(job.source, whole.tiles)
            for part, plan in _parts(job, squares, whole, self._setup):
                placer = TilePlacer(job, part, plan, self._setup.allocate)
                yield from self._read(job, placer, index[part])
        finally:
            self._pool.shutdown(cancel_futures=True)
            self._bad_tiles.skipped.sort()

    def _read(
        self, job: PlacementJob, placer: TilePlacer, index: np.ndarray
    ) -> Iterator[PatchBatch]:
        """Yield the batches of one pass, whose squares are the locations `index`."""
        most_batches = max(2, self._setup.budget_bytes // job.batch_bytes)
        most_waiting = 2 * self._setup.n_threads
        waiting: deque[Future[RunDone]] = deque()
        yield from self._deliver(placer, index)
        for run in placer.runs(RUN_TILES):
            while waiting and (
                len(waiting) >= most_waiting or placer.n_open_with(run.tiles) > most_batches
            ):
                yield from self._take(placer, waiting.popleft(), index)
            placer.open(run.tiles)
            waiting.append(self._pool.submit(placer.run, run))
        while waiting:
            yield from self._take(placer, waiting.popleft(), index)

    def _take(
        self, placer: TilePlacer, done: Future[RunDone], index: np.ndarray
    ) -> Iterator[PatchBatch]:
        """Wait for the oldest run: so the first bad tile is the same one for any thread count."""
        run = done.result()
        for fault in run.faults:
            self._bad_tiles.enter(fault, self._spec, self._path)
        placer.finish(run)
        yield from self._deliver(placer, index)

    def _deliver(self, placer: TilePlacer, index: np.ndarray) -> Iterator[PatchBatch]:
        for squares, lost, pixels in placer.complete(in_order=self._setup.in_order):
            self._bad_tiles.skipped += index[lost].tolist()
            if len(squares):
                yield PatchBatch(index[squares], pixels)
