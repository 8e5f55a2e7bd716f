"""Slide -> every tile of every level, read: what a run would meet, and where.

A file that kills its decoder, or hangs it, costs a worker process and is reported like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from pathassets.adapters.files import content_changed, fingerprint_of
from pathassets.adapters.objects.remote_file import FilePlace, RemoteFile
from pathassets.adapters.openslide.members import members_of
from pathassets.core.slides.slide import SlideInfo
from pathassets.core.slides.tiles import TileDamaged, TileFault, TileGrid, TileSource
from pathassets.engine.slides.open import OpenedSlide, open_slide
from pathassets.engine.slides.remote.whole import copy_of
from pathassets.engine.slides.scratch import Scratch
from pathassets.engine.workers.pool import Workers
from pathassets.errors import (
    PathAssetsError,
    ResourcesShort,
    SlideError,
    StoreError,
    WorkerLost,
)

RUN_TILES = 64
"""Tiles a thread takes at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckTask:
    """A slide to check."""

    path: FilePlace
    fingerprint: str
    """What its content is registered as; empty where it is not registered."""
    n_threads: int
    scratch: Scratch | None = None
    """Where an object is copied to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelCheck:
    """What one level is like."""

    grid: TileGrid
    faults: tuple[TileFault, ...]
    """Tiles that cannot be read or not be believed, row by row."""
    drawn: tuple[int, ...]
    """Tiles that are not stored, or of another place, and drawn from the next finer level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a slide is like."""

    path: FilePlace
    info: SlideInfo | None = None
    levels: tuple[LevelCheck, ...] = ()
    error: PathAssetsError | None = None
    """Why it cannot be read at all."""

    @property
    def faults(self) -> list[TileFault]:
        """Of all levels."""
        return [fault for level in self.levels for fault in level.faults]

    @property
    def is_sound(self) -> bool:
        """Whether every tile can be read."""
        return self.error is None and not self.faults


def check_slides(workers: Workers, tasks: Iterable[CheckTask]) -> Iterator[Check]:
    """Check slides one after the other; yields as they finish."""
    for task, result in workers.imap(check_slide, tasks):
        if isinstance(result, WorkerLost):
            yield Check(path=task.path, error=result)
        elif isinstance(result, Exception):
            raise result
        else:
            yield result


def check_slide(task: CheckTask) -> Check:
    """Read every tile of a slide, and where it is registered compare its content first."""
    try:
        if isinstance(task.path, RemoteFile):
            return _check_object(task.path, task)
        if task.fingerprint and fingerprint_of(members_of(task.path)) != task.fingerprint:
            raise content_changed(task.path)
        return _check_file(task.path, task)
    except (SlideError, StoreError, ResourcesShort) as error:
        return Check(path=task.path, error=error)


def _check_object(file: RemoteFile, task: CheckTask) -> Check:
    """Check the copy of an object, which is whole."""
    with closing(copy_of(file, task.scratch)) as copy:
        if task.fingerprint not in {"", copy.fingerprint}:
            raise content_changed(file)
        try:
            return replace(_check_file(copy.path, task), path=file)
        except SlideError as error:
            raise error.about(file) from error


def _check_file(path: Path, task: CheckTask) -> Check:
    with open_slide(path) as slide, ThreadPoolExecutor(task.n_threads) as pool:
        levels = tuple(_check_level(slide, i, pool) for i in range(slide.info.n_levels))
        return Check(path=path, info=slide.info, levels=levels)


def _check_level(slide: OpenedSlide, level: int, pool: ThreadPoolExecutor) -> LevelCheck:
    source = slide.tiles(level)
    tiles = iter(range(source.grid.n_tiles))
    runs = iter(lambda: list(islice(tiles, RUN_TILES)), [])
    found = pool.map(lambda run: _faults_in(source, level, run), runs)
    faults = tuple(fault for run in found for fault in run)
    return LevelCheck(grid=source.grid, faults=faults, drawn=slide.drawn_tiles(level))


def _faults_in(source: TileSource, level: int, tiles: list[int]) -> list[TileFault]:
    grid = source.grid
    buffer = np.empty((grid.tile_height_px, grid.tile_width_px, 3), np.uint8)
    faults = []
    for tile in tiles:
        try:
            source.read(tile, out=buffer)
        except TileDamaged as damage:
            faults.append(grid.fault(level, tile, damage))
    return faults
