"""What each station does for one slide: read its parents, compute, write files into a folder.

    tissue_mask       overview of the slide            ─▶ tissue.zarr, preview.jpg
    patch_locations   tissue.zarr                      ─▶ locations.parquet, preview.jpg
    features          locations.parquet, patch pixels  ─▶ features.zarr

A station returns facts: what a person wants to know of the artifact. They are part of it, so they
hold no clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from pathassets.adapters.files import FileStamp, stamp_of
from pathassets.adapters.opencv import preview_jpeg
from pathassets.adapters.parquet import load_locations, save_locations
from pathassets.adapters.store import Artifact, Store
from pathassets.adapters.zarr import FeatureWriter, load_mask, save_mask
from pathassets.core.address import Address
from pathassets.core.encoder import CARDS, Encoder, EncoderCard
from pathassets.core.features import FeatureSpec, encode_patches
from pathassets.core.ledger import Ledger
from pathassets.core.locations import GridSpec, PatchLocations, lay_grid
from pathassets.core.overlay import draw_grid, draw_mask
from pathassets.core.patches import plan_read
from pathassets.core.regions import BoxPx, read_overview
from pathassets.core.resolution import coarsest_level, downsample_for
from pathassets.core.slide import SlideInfo
from pathassets.core.tiles import TileFault
from pathassets.core.tissue import TissueSpec, find_tissue
from pathassets.engine.devices import lease_device
from pathassets.engine.encoders import open_encoder
from pathassets.engine.patch_reader import read_patches
from pathassets.engine.slides import OpenedSlide
from pathassets.errors import SlideChanged

TISSUE = "tissue.zarr"
LOCATIONS = "locations.parquet"
FEATURES = "features.zarr"
PREVIEW = "preview.jpg"

OVERVIEW_MPP = 8.0
"""Resolution of the picture under a grid overlay."""

Facts = dict[str, Any]


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
    """What the stations of one slide share while it is worked on."""

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


def make_tissue_mask(bench: Bench, spec: TissueSpec, parent: Address | None, folder: Path) -> Facts:
    """Find the tissue on the overview."""
    del parent
    overview = bench.overview(spec.mpp)
    ledger = Ledger(n_tiles=overview.n_tiles)
    for fault in overview.faults:
        ledger.enter(fault, spec, bench.slide.path)
    downsample = overview.downsample
    mask = find_tissue(
        overview.rgb, downsample=downsample, slide_mpp=bench.slide_mpp, spec=spec
    ).without(_boxes_px(overview, bench.slide.info))
    save_mask(folder / TISSUE, mask)
    (folder / PREVIEW).write_bytes(preview_jpeg(draw_mask(overview.rgb, mask)))
    return {
        "tissue_share": mask.tissue_share,
        "tissue_mm2": mask.tissue_mm2,
        "downsample": downsample,
        "mask_mpp": downsample * bench.slide_mpp,
        **ledger.facts(),
        **_reader(bench),
    }


def _boxes_px(overview: Overview, info: SlideInfo) -> list[BoxPx]:
    """Parts of the overview that hold nothing, rounded outwards."""
    scale = info.level_downsamples[overview.level] / overview.downsample
    return [
        (
            int(f.x_px * scale), int(f.y_px * scale),
            math.ceil((f.x_px + f.width_px) * scale), math.ceil((f.y_px + f.height_px) * scale),
        )
        for f in overview.faults
    ]  # fmt: skip


def _reader(bench: Bench) -> Facts:
    """What read the pixels, and why it was not the tile reader where it could have been."""
    info = bench.slide.info
    return {"reader": info.reader, **({"fallback": info.fallback} if info.fallback else {})}


def make_patch_locations(
    bench: Bench, spec: GridSpec, parent: Address | None, folder: Path
) -> Facts:
    """Lay the grid over the tissue."""
    mask = load_mask(bench.artifact(_given(parent))[1] / TISSUE)
    info = bench.slide.info
    locations = lay_grid(mask, width_px0=info.width_px0, height_px0=info.height_px0, spec=spec)
    read = plan_read(locations, info.level_downsamples)
    save_locations(folder / LOCATIONS, locations)
    overview = bench.overview(OVERVIEW_MPP)
    preview = draw_grid(overview.rgb, locations, width_px0=info.width_px0)
    (folder / PREVIEW).write_bytes(preview_jpeg(preview))
    return {
        "n_patches": len(locations),
        "patch_px": locations.patch_px,
        "side_px0": locations.side_px0,
        "mpp": locations.mpp,
        "level": read.level,
        "is_upsampled": read.is_upsampled,
        **_reader(bench),
    }


def make_features(bench: Bench, spec: FeatureSpec, parent: Address | None, folder: Path) -> Facts:
    """Encode every patch, but those that may be skipped."""
    card = CARDS[spec.encoder]
    locations = _locations(bench, _given(parent))
    needs_gpu = card.can_use_gpu and len(locations) > 0
    ledger = Ledger()
    with (
        lease_device(bench.device if needs_gpu else "cpu") as device,
        FeatureWriter(
            folder / FEATURES,
            locations.boxes_px0,
            dim=card.dim,
            attributes=_attributes(bench, card, locations),
        ) as writer,
    ):
        if len(locations):
            encoder = _encoder(spec.encoder, device)
            reading = read_patches(
                bench.slide, locations, spec=spec, n_threads=bench.n_threads, ledger=ledger
            )
            with closing(reading) as batches:  # or its threads would read a slide that is closed
                for _, rows in encode_patches(batches, locations, encoder):
                    writer.write(rows)
        writer.leave_out(ledger.skipped)
    return {
        "n_patches": len(locations) - len(ledger.skipped),
        "n_skipped": len(ledger.skipped),
        "skipped": ledger.skipped,
        **ledger.facts(),
        "dim": card.dim,
        "encoder": card.name,
        "weights": card.weights,
        **_reader(bench),
        "device": device.partition(":")[0],  # which of several GPUs it was is chance
    }


def _attributes(bench: Bench, card: EncoderCard, locations: PatchLocations) -> Facts:
    """What a person who has only the Zarr group needs to know."""
    return {
        "slide_id": bench.slide_id,
        "slide_sha256": bench.fingerprint,
        "slide_mpp": bench.slide_mpp,
        "patch_px": locations.patch_px,
        "patch_mpp": locations.mpp,
        "side_px0": locations.side_px0,
        "encoder": card.name,
        "encoder_version": card.version,
        "weights": card.weights,
        "weights_sha256": card.weights_sha256,
        "precision": card.precision,
        "feature_names": list(card.feature_names),
    }


MAKERS: dict[str, Callable[[Bench, Any, Address | None, Path], Facts]] = {
    "tissue_mask": make_tissue_mask,
    "patch_locations": make_patch_locations,
    "features": make_features,
}
"""One for every section of the recipe that is made slide by slide."""


def _locations(bench: Bench, address: Address) -> PatchLocations:
    artifact, folder = bench.artifact(address)
    sizes = {name: artifact.facts[name] for name in ("side_px0", "patch_px", "mpp")}
    return load_locations(folder / LOCATIONS, **sizes)


def _given(parent: Address | None) -> Address:
    if parent is None:
        raise ValueError("this station is made from another one's artifact")
    return parent


@lru_cache(maxsize=2)
def _encoder(name: str, device: str) -> Encoder:
    """One open encoder for each name and device in a worker process: loading one costs seconds."""
    if CARDS[name].can_use_gpu:
        from pathassets.adapters.torch import prepare_process  # noqa: PLC0415 - torch takes seconds

        prepare_process(1)  # slides run side by side; more threads fight, and change last bits
    return open_encoder(name, device=device)
