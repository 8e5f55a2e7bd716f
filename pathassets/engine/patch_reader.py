"""Slide, PatchLocations -> batches of patch pixels, each tile decoded once a pass.

    plan ──▶ runs of tiles ──▶ threads: read, decode, copy each tile into ──▶ batches, delivered in
    (core)   in order, as          all patches it touches; a patch whose          order or as they
             long as there is      last tile came is done                         are complete
             room

Content depends on nothing but slide, locations and spec: threads only decide when a batch is ready.

Memory is that of the batches begun and not delivered, whatever the slide's height: of a grid that
is about one row of patches. Locations that need more than `BUDGET_BYTES` are read in several
passes, a tile that two of them touch once in each.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Literal, NamedTuple, get_args

import numpy as np

from pathassets.core.ledger import Ledger
from pathassets.core.locations import PatchLocations
from pathassets.core.patches import (
    ReadSpec,
    lay_raster,
    most_open,
    plan_pass,
    plan_read,
)
from pathassets.core.slide import Slide
from pathassets.engine.scatter import Buffers, RunDone, Scatter, ScatterJob
from pathassets.errors import SpecError

logger = logging.getLogger(__name__)

Order = Literal["location", "completed"]

BUDGET_BYTES = 192 * 2**20
"""Pixels that may be begun and not delivered."""
RUN_TILES = 16
"""Tiles a thread takes at once: 3 ms of decoding to 0.1 ms of handing over."""


class PatchBatch(NamedTuple):
    """Some patches of a slide."""

    indices: np.ndarray
    """int64 (m,): which of the locations they are."""
    pixels: np.ndarray
    """RGB uint8 (m, y, x, 3)."""


def read_patches(  # noqa: PLR0913 - the public door: each has a default
    slide: Slide,
    locations: PatchLocations,
    *,
    spec: ReadSpec | None = None,
    n_batch: int = 64,
    n_threads: int = 1,
    order: Order = "location",
    ledger: Ledger | None = None,
) -> Generator[PatchBatch, None, None]:
    """Yield all patches in batches of `n_batch`, fewer in the last and where some were skipped.

    With order "location" they come as the locations do. "completed" yields each batch as soon as it
    is whole; squares near to each other share one. What a batch holds is the same for any number of
    threads. Parts beyond the slide are white. `ledger` is filled with what could not be read, and
    says whether patches were enlarged, because the slide has fewer pixels than asked for.

    A batch is its receiver's for as long as he keeps it. Threads end with the last batch, or when
    the generator is closed.

    Raises:
        SpecError: at once: `n_batch` or `n_threads` is below 1, or there is no such order.
        TileUnreadable: a tile cannot be read; with `skip`, more of them than the spec allows.
    """
    _check(n_batch=n_batch, n_threads=n_threads, order=order)
    spec, ledger = spec or ReadSpec(), Ledger() if ledger is None else ledger
    read = plan_read(locations, slide.info.level_downsamples, fast=spec.fast)
    ledger.is_upsampled = read.is_upsampled
    if read.is_upsampled:
        logger.warning(
            "%s: has fewer pixels than asked for, patches of %d px are enlarged from %d px",
            slide.path, read.patch_px, read.side_px,
        )  # fmt: skip
    source = slide.tiles(read.level)
    raster = lay_raster(locations, slide.info, read, source)
    index = np.arange(len(locations))
    if order == "completed":
        index = raster.near_together()
        raster = replace(raster, x_px=raster.x_px[index], y_px=raster.y_px[index])
    job = ScatterJob(
        level=read.level, source=source, raster=raster, patch_px=read.patch_px, n_batch=n_batch
    )
    crew = _Crew(slide, spec, ledger, in_order=order == "location", n_threads=n_threads)
    return crew.read_all(job, index)


def _check(*, n_batch: int, n_threads: int, order: Order) -> None:
    for name, number in (("n_batch", n_batch), ("n_threads", n_threads)):
        if number < 1:
            raise SpecError(f"patches: {name}={number} reads nothing", remedy="Give 1 or more")
    if order not in get_args(Order):
        known = " or ".join(get_args(Order))
        raise SpecError(f"patches: no order={order!r}", remedy=f"Give {known}")


def _parts(job: ScatterJob, squares: slice, *, in_order: bool) -> Iterator[slice]:
    """Cut the squares into as few passes as the budget allows, each a whole number of batches."""
    n_batches = -(-(squares.stop - squares.start) // job.n_batch)
    if n_batches > 1:
        n_open = most_open(plan_pass(job.raster, squares), job.n_batch, in_order=in_order)
        if n_open * job.batch_bytes > BUDGET_BYTES:
            middle = squares.start + n_batches // 2 * job.n_batch
            yield from _parts(job, slice(squares.start, middle), in_order=in_order)
            yield from _parts(job, slice(middle, squares.stop), in_order=in_order)
            return
    yield squares


class _Crew:
    """Threads that work off one pass after the other."""

    def __init__(
        self, slide: Slide, spec: ReadSpec, ledger: Ledger, *, in_order: bool, n_threads: int
    ) -> None:
        self._in_order = in_order
        self._path = slide.path
        self._spec = spec
        self._ledger = ledger
        self._n_waiting = 2 * n_threads
        self._pool = ThreadPoolExecutor(n_threads, "decode")
        self._buffers = Buffers()

    def read_all(self, job: ScatterJob, index: np.ndarray) -> Generator[PatchBatch, None, None]:
        """Yield the batches of all squares, which are the locations `index`."""
        squares = slice(0, len(index))
        self._ledger.n_tiles = len(plan_pass(job.raster, squares).tiles)
        try:
            for part in _parts(job, squares, in_order=self._in_order):
                yield from self._read(job, part, index[part])
        finally:
            self._pool.shutdown(cancel_futures=True)
            self._ledger.skipped.sort()

    def _read(self, job: ScatterJob, squares: slice, index: np.ndarray) -> Iterator[PatchBatch]:
        """Yield the batches of some consecutive squares, which are the locations `index`."""
        scatter = Scatter(job, squares, self._buffers)
        most_batches = max(2, BUDGET_BYTES // job.batch_bytes)
        waiting: deque[Future[RunDone]] = deque()
        yield from self._deliver(scatter, index)
        for tiles in scatter.runs(RUN_TILES):
            while waiting and (
                len(waiting) >= self._n_waiting or scatter.n_open_with(tiles) > most_batches
            ):
                yield from self._take(scatter, waiting.popleft(), index)
            scatter.open(tiles)
            waiting.append(self._pool.submit(scatter.run, tiles))
        while waiting:
            yield from self._take(scatter, waiting.popleft(), index)

    def _take(
        self, scatter: Scatter, done: Future[RunDone], index: np.ndarray
    ) -> Iterator[PatchBatch]:
        """Wait for the oldest run: so the first bad tile is the same one for any thread count."""
        run = done.result()
        for fault in run.faults:
            self._ledger.enter(fault, self._spec, self._path)
        scatter.finish(run)
        yield from self._deliver(scatter, index)

    def _deliver(self, scatter: Scatter, index: np.ndarray) -> Iterator[PatchBatch]:
        for squares, lost, pixels in scatter.complete(in_order=self._in_order):
            self._ledger.skipped += index[lost].tolist()
            if len(squares):
                yield PatchBatch(index[squares], pixels)
