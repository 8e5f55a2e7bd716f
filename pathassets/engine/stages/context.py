"""What the stages of one slide share while it is worked on: overview, artifacts, handles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pathassets.adapters.files import FileStamp, stamp_of
from pathassets.adapters.images.mask_files import IMAGE_SUFFIXES, NUMPY_SUFFIXES
from pathassets.adapters.store.store import Artifact, Store
from pathassets.core.address import Address
from pathassets.core.slides.regions import read_overview
from pathassets.core.slides.resolution import coarsest_level, downsample_for
from pathassets.core.slides.tiles import TileFault
from pathassets.engine.slides.open import OpenedSlide
from pathassets.errors import ArtifactCorrupt, ArtifactMissing, SlideChanged

PREVIEW = "preview.jpg"
"""Picture of an artifact, for a person to judge it by."""
LOCATIONS = "locations.parquet"
OVERVIEW_MPP = 8.0
"""Resolution of the picture under what is drawn for people."""

ORIGINAL = "original"
"""Folder of an annotation with the file as a person gave it."""
POLYGONS = "annotations.geojson"
"""Of an annotation, what the file draws, in level-0 pixels; there is none where it is a picture."""
MASK_PICTURES = frozenset(IMAGE_SUFFIXES | NUMPY_SUFFIXES)
"""Endings of files that are a mask; all others hold polygons."""

Facts = dict[str, Any]
"""What a person wants to know of an artifact. They are part of it, so they hold no clock."""
Parents = Mapping[str, Address]
"""What an artifact is made from, by section."""


def record_again(slide_id: str, name: str) -> str:
    """Remedy where an annotation is gone: a person drew it, so no run can make it."""
    command = f"pathassets annotations set {slide_id} FILE --name {name} --who NAME --why …"
    return f"Record it again: {command}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a stage is asked to make."""

    address: Address
    spec: Any
    """Of its section's kind."""
    parents: Parents
    folder: Path
    """Where its files go."""
    weights_sha256: str = ""
    """Weights that decide its bytes; empty where there are none."""


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
    rgb, true_downsample = read_overview(slide, downsample=downsample, on_fault=faults.append)
    return Overview(
        asked_mpp=mpp, rgb=rgb, downsample=true_downsample, level=level,
        n_tiles=slide.tiles(level).grid.n_tiles, faults=tuple(dict.fromkeys(faults)),
    )  # fmt: skip


@dataclass
class Bench:
    """What the stages of one slide share while it is worked on."""

    slide_id: str
    slide: OpenedSlide
    members: list[Path]
    """All files of the slide."""
    stamp: FileStamp
    """How they looked when their content was known to be the registered one."""
    fingerprint: str
    slide_mpp: float
    store: Store
    device: str
    """`auto`, `cpu` or `cuda`."""
    n_threads: int = 1
    """Threads that decode the slide's tiles."""
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
        return self.store.read_checked(address), self.store.path_of(address)

    def annotation(self, address: Address) -> tuple[Artifact, Path]:
        """An annotation that a person recorded, its files checked, and its folder."""
        what = f"{'/'.join(address.key)} of {address.partition_key} was recorded, and"
        remedy = record_again(address.partition_key, address.name)
        try:
            return self.artifact(address)
        except ArtifactMissing as error:
            raise ArtifactMissing(error.uri, f"{what} is gone", remedy=remedy) from error
        except ArtifactCorrupt as error:
            raise ArtifactCorrupt(error.uri, f"{what} is damaged", remedy=remedy) from error

    def reader_facts(self) -> Facts:
        """What read the pixels, why not the tile reader where it could have, and what is left."""
        info = self.slide.info
        facts: Facts = {"reader": info.reader}
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
        if stamp_of(self.members) != self.stamp:
            raise SlideChanged(
                self.slide.path,
                "changed while it was read",
                remedy=f"Once it is whole, register it: pathassets ingest {self.slide.path}",
            )

    def close(self) -> None:
        """Give the slide's handle and the overview's memory back."""
        self._overview = None
        self.slide.close()
