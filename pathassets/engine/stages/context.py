"""What the stages of one slide share while it is worked on: handle, overview, artifacts.

SlideTask ─▶ LazyContext ─▶ SlideContext    opened by the first step that has to compute
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pathassets.adapters.store.store import Artifact, Store
from pathassets.core.address import Address
from pathassets.core.slides.regions import read_overview
from pathassets.core.slides.resolution import coarsest_level, downsample_for
from pathassets.core.slides.slide import resolution_error
from pathassets.core.slides.tiles import TileFault, expect_tiles
from pathassets.engine.slides.open import OpenedSlide
from pathassets.engine.slides.source import Source, find_source
from pathassets.engine.stages.outcomes import SlideTask
from pathassets.engine.stores import store_of_task
from pathassets.errors import PathAssetsError, SlideChanged

OVERVIEW_MPP = 8.0
"""Resolution of the picture under what is drawn for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A slide made small."""

    asked_mpp: float
    rgb: np.ndarray
    """uint8 (y, x, 3)."""
    downsample: float
    """Level-0 pixels per pixel of it."""
    level: int
    """The level that it was made from."""
    n_tiles: int
    """Tiles of that level."""
    faults: tuple[TileFault, ...]
    """Those that could not be read."""


def _read_overview(slide: OpenedSlide, mpp: float, slide_mpp: float) -> Overview:
    downsample = downsample_for(mpp, slide_mpp)
    level = coarsest_level(slide.info.level_downsamples, downsample)
    faults: list[TileFault] = []
    source = slide.tiles(level)
    expect_tiles(source, np.arange(source.grid.n_tiles))
    rgb, true_downsample = read_overview(slide, downsample=downsample, on_fault=faults.append)
    return Overview(
        asked_mpp=mpp, rgb=rgb, downsample=true_downsample, level=level,
        n_tiles=slide.tiles(level).grid.n_tiles, faults=tuple(dict.fromkeys(faults)),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineShare:
    """What the work on a slide gets of the machine that it runs on."""

    device: str = "cpu"
    """Where encoders and modules compute: `cpu`, or such as `cuda:0`."""
    n_threads: int = 1
    """Threads that decode the slide's tiles."""


@dataclass
class SlideContext:
    """What the stages of one slide share while it is worked on."""

    slide_id: str
    slide: OpenedSlide
    source: Source
    """Where it is read."""
    fingerprint: str
    slide_mpp: float
    store: Store
    share: MachineShare
    _overview: Overview | None = None
    """The one that was asked for last: at 2 um per pixel 0.5 GB."""

    def overview(self, mpp: float) -> Overview:
        """The whole slide at `mpp` or finer; tiles that cannot be read are white, and listed."""
        if self._overview is None or self._overview.asked_mpp != mpp:
            self._overview = None  # its memory first
            self._overview = _read_overview(self.slide, mpp, self.slide_mpp)
        return self._overview

    def artifact(self, address: Address) -> tuple[Artifact, Path]:
        """A published artifact of this slide, its files checked, and its folder."""
        return self.store.read_checked(address), self.store.fetch(address)

    def reader_facts(self) -> dict[str, Any]:
        """What read the pixels, why not the tile reader where it could have, and what is left."""
        info = self.slide.info
        facts: dict[str, Any] = {"reader": info.reader}
        if info.fallback:
            facts["fallback"] = info.fallback
        if info.notes:
            facts["notes"] = list(info.notes)
        return facts

    def check_unchanged(self) -> None:
        """Make sure that what was read is what was registered.

        Raises:
            SlideUnreadable: the file is gone.
            SlideChanged: it was written to.
        """
        if self.source.look() != self.source.stamp:
            raise SlideChanged(
                self.source.registered,
                "changed while it was read",
                remedy=f"Once it is whole, register it: pathassets ingest {self.source.registered}",
            )

    def close(self) -> None:
        """Give the slide's handle and the overview's memory back."""
        self._overview = None
        self.slide.close()


class LazyContext:
    """A context that is opened by the first step that has to compute; if that fails, it fails all.

    A slide whose artifacts are all there is not looked for.
    """

    def __init__(self, task: SlideTask, share: MachineShare) -> None:
        self._task = task
        self._share = share
        self.store = store_of_task(task.store_root, task.store_work)
        self.source: Source | None = None
        """Where the slide is read; None where nobody looked for it."""
        self._context: SlideContext | None = None
        self._error: PathAssetsError | None = None

    def get(self) -> SlideContext:
        """Open it, once.

        Raises:
            SlideError: the slide has no resolution, or it cannot be found or opened.
            StoreError: the scratch folder cannot be read or written.
        """
        if self._error is not None:
            raise self._error
        if self._context is None:
            try:
                self._context = self._open()
            except PathAssetsError as error:
                self._error = error
                raise
        return self._context

    def _open(self) -> SlideContext:
        task = self._task
        if task.slide_mpp is None:
            raise resolution_error(task.slide_id, task.resolution_reason, task.resolution_fact)
        self.source = find_source(task.slide_id, task.fingerprint, task.paths, task.scratch)
        return SlideContext(
            slide_id=task.slide_id,
            slide=self.source.open(task.slide_mpp),
            source=self.source,
            fingerprint=task.fingerprint,
            slide_mpp=task.slide_mpp,
            store=self.store,
            share=self._share,
        )

    def named(self, error: Exception) -> Exception:
        """Say of the registered file what was found out about its copy."""
        return error if self.source is None else self.source.named(error)

    def close(self) -> None:
        """Give back what was opened, and the slide's copy."""
        if self._context is not None:
            self._context.close()
        if self.source is not None:
            self.source.close()
