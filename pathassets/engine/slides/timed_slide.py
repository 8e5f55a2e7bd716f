"""Slide -> the same slide, which adds up the time that its tiles take to read."""

from __future__ import annotations

import threading
import time

import numpy as np

from pathassets.core.slides.slide import Slide, SlideInfo
from pathassets.core.slides.tiles import TileGrid, TileSource, expect_tiles


class TimedSlide:
    """An open slide, in the shape of `core.slide.Slide`."""

    def __init__(self, slide: Slide) -> None:
        self._slide = slide
        self._lock = threading.Lock()
        self.reading_s = 0.0
        """Of all threads that read, decoding."""

    @property
    def path(self) -> str:
        """What errors call it."""
        return self._slide.path

    @property
    def info(self) -> SlideInfo:
        """Facts of the slide."""
        return self._slide.info

    def tiles(self, level: int) -> TileSource:
        """The tiles of a level."""
        return _TimedTiles(self, self._slide.tiles(level))

    def add(self, seconds: float) -> None:
        """Note what a tile took."""
        with self._lock:
            self.reading_s += seconds

    def close(self) -> None:
        """Give the file handles back."""
        self._slide.close()


class _TimedTiles:
    def __init__(self, slide: TimedSlide, source: TileSource) -> None:
        self._slide, self._source = slide, source
        self.grid: TileGrid = source.grid
        self.can_shrink: bool = source.can_shrink

    def expect(self, tiles: np.ndarray) -> None:
        started_s = time.perf_counter()
        expect_tiles(self._source, tiles)
        self._slide.add(time.perf_counter() - started_s)

    def read(self, tile: int, *, shrink: int = 1, out: np.ndarray | None = None) -> np.ndarray:
        started_s = time.perf_counter()
        try:
            return self._source.read(tile, shrink=shrink, out=out)
        finally:
            self._slide.add(time.perf_counter() - started_s)
