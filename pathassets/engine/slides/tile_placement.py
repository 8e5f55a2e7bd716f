"""Tiles -> patches: what threads do with the tiles of one pass.

    tile ─▶ decode ─▶ (shrink) ─▶ copy a piece into each patch it touches ─▶ patch done (resample)

One object is one pass. Its methods belong to the thread that leads the pass, but `run`, which any
number of threads call at once, each with other tiles: no two of them write to one place.

A tile that is just one patch is decoded straight into it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pathassets.core.patches.read_plan import Pass, Raster, pieces_of
from pathassets.core.slides.regions import WHITE, resample, shrink
from pathassets.core.slides.tiles import TileDamaged, TileFault, TileSource

PLANNED_RUNS = 64
"""Runs whose pieces are worked out together: run by run it took 8 us a tile, and decoding 200."""


class Delivery(NamedTuple):
    """A complete batch of one pass."""

    squares: np.ndarray
    """int64 (m,): which of the pass's squares it holds."""
    lost: np.ndarray
    """int64: those that it should hold and does not, because a tile of theirs is bad."""
    pixels: np.ndarray
    """RGB uint8 (m, y, x, 3)."""


class Run(NamedTuple):
    """Tiles that a thread takes at once."""

    tiles: slice
    """Which of the pass's."""
    pieces: np.ndarray
    """int64 (k, 7): what they give to squares, see `pieces_of`."""


class RunDone(NamedTuple):
    """What became of a run of tiles."""

    tiles: slice
    lost: list[int]
    """Squares that a bad tile touches."""
    faults: list[TileFault]
    """Bad tiles, in the order in which they were read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementJob:
    """What all passes over one set of locations share."""

    level: int
    source: TileSource
    raster: Raster
    patch_px: int
    n_batch: int

    @property
    def needs_resampling(self) -> bool:
        """Whether squares of the raster have another side than patches."""
        return self.raster.side_px != self.patch_px

    @property
    def tile_shape(self) -> tuple[int, int, int]:
        """Of a decoded tile."""
        grid, area_shrink = self.raster.grid, self.raster.area_shrink
        return grid.tile_height_px * area_shrink, grid.tile_width_px * area_shrink, 3

    @property
    def whole_piece(self) -> list[int]:
        """The piece of a tile that is exactly one square, all that is decoded; else none is."""
        side_px = self.raster.side_px
        # Where tiles are shrunk after decoding, no piece of one is as large as what is decoded.
        is_same = self.tile_shape[:2] == (side_px, side_px)
        return [0, 0, side_px, side_px, 0, 0] if is_same else []

    @property
    def batch_bytes(self) -> int:
        """Pixels of a batch, and of the squares that it is resampled from."""
        n_px = self.patch_px**2 + (self.raster.side_px**2 if self.needs_resampling else 0)
        return self.n_batch * n_px * 3


class TilePlacer:
    """One pass over the tiles that some consecutive squares touch."""

    def __init__(
        self, job: PlacementJob, squares: slice, plan: Pass, allocate: Callable[..., np.ndarray]
    ) -> None:
        self._job = job
        self._first_square = squares.start
        self._allocate = allocate
        """Gives uint8 memory of a shape for a batch; asked by the thread that leads the pass."""
        self._plan = plan
        self._is_cut: list[bool] = job.raster.is_cut[squares].tolist()
        self._left: list[int] = plan.n_tiles.tolist()
        """Tiles that have still to come to each square before it can be resampled."""
        self._lock = threading.Lock()
        self._local = threading.local()
        self._spare: list[np.ndarray] = []
        """Squares to resample from, free to be used again."""
        self._targets: list[np.ndarray] = [_NOTHING] * len(self._left)
        """Where tiles are copied to: a patch of a batch, or a square that becomes one."""
        self._is_lost = np.zeros(len(self._left), bool)
        self._whole_piece = job.whole_piece
        self._begin_order = np.argsort(plan.first, kind="stable")
        self._begin_place = plan.first[self._begin_order]
        self._n_begun = 0
        self._end_order = np.argsort(plan.last, kind="stable")
        self._end_place = plan.last[self._end_order]
        self._n_ended = int(np.searchsorted(self._end_place, 0))
        """Squares beside the level, whose place is -1, have nothing to wait for."""
        starts = np.arange(0, len(self._left), job.n_batch)
        n_left = np.add.reduceat((plan.n_tiles > 0).astype(int), starts) if len(starts) else starts
        self._batch_left: list[int] = n_left.tolist()
        """Squares that have still to be done in each batch."""
        self._ready = [number for number, left in enumerate(self._batch_left) if not left]
        """Complete and not delivered; squares beside the level are complete from the start."""
        self._n_delivered = 0
        self._batches: dict[int, np.ndarray] = {}
        """Pixels of the batches begun and not delivered."""

    def runs(self, n_tiles: int) -> Iterator[Run]:
        """Cut the pass into runs of tiles."""
        starts = self._plan.starts
        for block in _cut(slice(0, len(self._plan.tiles)), PLANNED_RUNS * n_tiles):
            pieces = pieces_of(self._job.raster, self._plan, block, self._first_square)
            for tiles in _cut(block, n_tiles):
                low, high = starts[[tiles.start, tiles.stop]] - starts[block.start]
                yield Run(tiles, pieces[low:high])

    def n_open_with(self, tiles: slice) -> int:
        """How many batches would be begun and not delivered with these tiles, too."""
        return len({square // self._job.n_batch for square in self._begun_by(tiles)}
                   | self._batches.keys())  # fmt: skip

    def open(self, tiles: slice) -> None:
        """Make room for the squares that these tiles are the first to touch."""
        begun = self._begun_by(tiles)
        self._n_begun += len(begun)
        for square in begun:
            target = self._slot(square)
            if self._job.needs_resampling:
                target = self._square()
            if self._is_cut[square]:
                target[:] = WHITE
            self._targets[square] = target

    def _begun_by(self, tiles: slice) -> list[int]:
        stop = int(np.searchsorted(self._begin_place, tiles.stop))
        begun: list[int] = self._begin_order[self._n_begun : stop].tolist()
        return begun

    def _square(self) -> np.ndarray:
        side_px = self._job.raster.side_px
        return self._spare.pop() if self._spare else np.empty((side_px, side_px, 3), np.uint8)

    def _slot(self, square: int) -> np.ndarray:
        number, place = divmod(square, self._job.n_batch)
        batch = self._batches.get(number)
        if batch is None:
            patch_px = self._job.patch_px
            batch = self._allocate(self._job.n_batch, patch_px, patch_px, 3)
            self._batches[number] = batch
        return np.asarray(batch[place])

    def run(self, run: Run) -> RunDone:
        """Read some tiles and give each to the squares it touches. For any thread."""
        tiles, pieces = run.tiles, run.pieces.tolist()
        stops = self._plan.starts[tiles.start : tiles.stop + 1]
        stops = (stops - stops[0]).tolist()
        faults, lost = [], []
        for i, tile in enumerate(self._plan.tiles[tiles].tolist()):
            mine = pieces[stops[i] : stops[i + 1]]
            try:
                self._spread(tile, mine)
            except TileDamaged as damage:
                faults.append(self._job.source.grid.fault(self._job.level, tile, damage))
                lost += [piece[0] for piece in mine]
        if self._job.needs_resampling:
            for square in self._count_down([piece[0] for piece in pieces]):
                self._resample(square)
        return RunDone(tiles, lost, faults)

    def _spread(self, tile: int, pieces: list[list[int]]) -> None:
        source, raster, targets = self._job.source, self._job.raster, self._targets
        if len(pieces) == 1 and pieces[0][1:] == self._whole_piece:
            source.read(tile, shrink=raster.decode_shrink, out=targets[pieces[0][0]])
            return
        rgb = source.read(tile, shrink=raster.decode_shrink, out=self._tile_buffer())
        factor = raster.area_shrink
        if factor > 1:
            self._blank_beyond(tile, rgb)
            if len(pieces) > 1:  # pieces may overlap, and none is to be averaged twice
                rgb, factor = shrink(rgb, factor), 1
        for square, x0, y0, x1, y1, x, y in pieces:
            place = targets[square][y : y + y1 - y0, x : x + x1 - x0]
            piece = rgb[y0 * factor : y1 * factor, x0 * factor : x1 * factor]
            if factor > 1:
                shrink(piece, factor, out=place)
            else:
                place[:] = piece

    def _tile_buffer(self) -> np.ndarray:
        """One for each thread: what a tile is decoded into before it is cut up."""
        try:
            buffer: np.ndarray = self._local.buffer
        except AttributeError:
            buffer = self._local.buffer = np.empty(self._job.tile_shape, np.uint8)
        return buffer

    def _blank_beyond(self, tile: int, rgb: np.ndarray) -> None:
        """What a tile has beyond the level is white, as anything there."""
        grid = self._job.source.grid
        x_px, y_px = grid.corner_px(tile)
        rgb[max(0, grid.height_px - y_px) :] = WHITE
        rgb[:, max(0, grid.width_px - x_px) :] = WHITE

    def _count_down(self, squares: list[int]) -> list[int]:
        """Note that one more tile has come to each; returns those that have all."""
        left, done = self._left, []
        with self._lock:
            for square in squares:
                left[square] -= 1
                if not left[square]:
                    done.append(square)
        return done

    def _resample(self, square: int) -> None:
        target, patch_px = self._targets[square], self._job.patch_px
        resample(target, width_px=patch_px, height_px=patch_px, out=self._slot(square))
        self._spare.append(target)

    def finish(self, run: RunDone) -> None:
        """Note what a run has done; runs are finished in the order of the pass.

        A square is done with the run of its last tile in that order, whichever tile came last: so
        it is known by then whether any is bad, and batches are ready at the same run always.
        """
        self._is_lost[run.lost] = True
        stop = int(np.searchsorted(self._end_place, run.tiles.stop))
        ended: list[int] = self._end_order[self._n_ended : stop].tolist()
        self._n_ended = stop
        for square in ended:
            self._targets[square] = _NOTHING
            number = square // self._job.n_batch
            self._batch_left[number] -= 1
            if not self._batch_left[number]:
                self._ready.append(number)

    def complete(self, *, in_order: bool) -> Iterator[Delivery]:
        """Yield the batches that are complete; those before one that is not only, if in order."""
        if not in_order:
            while self._ready:
                yield self._deliver(self._ready.pop(0))
        while in_order and self._n_delivered < len(self._batch_left):
            if self._batch_left[self._n_delivered]:
                return
            yield self._deliver(self._n_delivered)

    def _deliver(self, number: int) -> Delivery:
        n_batch, n_squares = self._job.n_batch, len(self._left)
        start, stop = number * n_batch, min((number + 1) * n_batch, n_squares)
        for square in np.flatnonzero(self._plan.n_tiles[start:stop] == 0).tolist():
            self._slot(start + square)[:] = WHITE
        pixels = self._batches.pop(number)[: stop - start]
        self._n_delivered += 1
        is_lost = self._is_lost[start:stop]
        if is_lost.any():
            pixels = pixels[~is_lost]
        squares = np.arange(start, stop)
        return Delivery(squares[~is_lost], squares[is_lost], pixels)


def _cut(tiles: slice, n_tiles: int) -> Iterator[slice]:
    """The same tiles, at most `n_tiles` at a time."""
    for start in range(tiles.start, tiles.stop, n_tiles):
        yield slice(start, min(start + n_tiles, tiles.stop))


_NOTHING = np.empty((0, 0, 3), np.uint8)
