"""What each station does for one slide: read its parents, compute, write files into a folder.

    tissue_mask       overview of the slide            ─▶ tissue.zarr, preview.jpg
    patch_locations   tissue.zarr                      ─▶ locations.parquet, preview.jpg
    features          locations.parquet, patch pixels  ─▶ features.zarr

A station returns facts: what a person wants to know of the artifact. They are part of it, so they
hold no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from pathassets.adapters.opencv import preview_jpeg
from pathassets.adapters.openslide import OpenSlideSlide
from pathassets.adapters.parquet import load_locations, save_locations
from pathassets.adapters.store import Artifact, Store
from pathassets.adapters.zarr import FeatureWriter, load_mask, save_mask
from pathassets.core.address import Address
from pathassets.core.encoder import CARDS, Encoder
from pathassets.core.features import FeatureSpec, encode_patches
from pathassets.core.frames import downsample_for
from pathassets.core.locations import GridSpec, PatchLocations, lay_grid
from pathassets.core.overlay import draw_grid, draw_mask, shrink_to
from pathassets.core.patches import plan_read, read_overview
from pathassets.core.tissue import TissueSpec, find_tissue
from pathassets.engine.devices import lease_device
from pathassets.engine.encoders import open_encoder

TISSUE = "tissue.zarr"
LOCATIONS = "locations.parquet"
FEATURES = "features.zarr"
PREVIEW = "preview.jpg"

OVERVIEW_MPP = 8.0
"""Resolution of the picture under a grid overlay."""

Facts = dict[str, Any]


@dataclass
class Bench:
    """What the stations of one slide share while it is worked on."""

    slide_id: str
    path: Path
    fingerprint: str
    slide_mpp: float
    store: Store
    device: str
    """`auto`, `cpu` or `cuda`."""
    _overviews: dict[float, tuple[np.ndarray, float]] = field(default_factory=dict)

    @cached_property
    def slide(self) -> OpenSlideSlide:
        """The slide, opened when the first station asks for it."""
        return OpenSlideSlide(self.path)

    def overview(self, mpp: float) -> tuple[np.ndarray, float]:
        """RGB of the whole slide at `mpp` or finer and its downsample; read once."""
        if mpp not in self._overviews:
            downsample = downsample_for(mpp, self.slide_mpp)
            self._overviews[mpp] = read_overview(self.slide, downsample=downsample)
        return self._overviews[mpp]

    def artifact(self, address: Address) -> tuple[Artifact, Path]:
        """A published artifact of this slide and its folder."""
        return self.store.read(address), self.store.path_of(address)

    def close(self) -> None:
        """Give the slide's handle back, if it was opened."""
        if "slide" in self.__dict__:
            self.slide.close()


def make_tissue_mask(
    bench: Bench, spec: TissueSpec, parent: Address | None, folder: Path
) -> Facts:
    """Find the tissue on the overview."""
    del parent
    overview, downsample = bench.overview(spec.mpp)
    mask = find_tissue(overview, downsample=downsample, slide_mpp=bench.slide_mpp, spec=spec)
    save_mask(folder / TISSUE, mask)
    (folder / PREVIEW).write_bytes(preview_jpeg(draw_mask(overview, mask)))
    return {
        "tissue_share": mask.tissue_share,
        "tissue_mm2": mask.tissue_mm2,
        "downsample": downsample,
        "mask_mpp": downsample * bench.slide_mpp,
        "reader": bench.slide.info.reader,
    }


def make_patch_locations(
    bench: Bench, spec: GridSpec, parent: Address | None, folder: Path
) -> Facts:
    """Lay the grid over the tissue."""
    mask = load_mask(bench.artifact(_given(parent))[1] / TISSUE)
    info = bench.slide.info
    locations = lay_grid(mask, width_px0=info.width_px0, height_px0=info.height_px0, spec=spec)
    read = plan_read(locations, info.level_downsamples)
    save_locations(folder / LOCATIONS, locations)
    overview, _ = bench.overview(OVERVIEW_MPP)
    preview = draw_grid(shrink_to(overview), locations, width_px0=info.width_px0)
    (folder / PREVIEW).write_bytes(preview_jpeg(preview))
    return {
        "n_patches": len(locations),
        "patch_px": locations.patch_px,
        "side_px0": locations.side_px0,
        "mpp": locations.mpp,
        "level": read.level,
        "is_upsampled": read.is_upsampled,
        "reader": info.reader,
    }


def make_features(
    bench: Bench, spec: FeatureSpec, parent: Address | None, folder: Path
) -> Facts:
    """Encode every patch."""
    card = CARDS[spec.encoder]
    locations = _locations(bench, _given(parent))
    attributes: Facts = {
        "slide_id": bench.slide_id,
        "slide_sha256": bench.fingerprint,
        "slide_mpp": bench.slide_mpp,
        "patch_px": locations.patch_px,
        "patch_mpp": locations.mpp,
        "side_px0": locations.side_px0,
        "encoder": card.name,
        "encoder_version": card.version,
        "encoder_is_trained": card.is_trained,
        "weights_sha256": card.weights_sha256,
        "precision": card.precision,
        "feature_names": list(card.feature_names),
    }
    facts: Facts = {
        "n_patches": len(locations),
        "dim": card.dim,
        "encoder": card.name,
        "is_trained": card.is_trained,
        "reader": bench.slide.info.reader,
    }
    with lease_device(bench.device if card.can_use_gpu else "cpu") as device:
        with FeatureWriter(
            folder / FEATURES, locations.boxes_px0, dim=card.dim, attributes=attributes
        ) as writer:
            encoder = _encoder(spec.encoder, device) if len(locations) else None
            if encoder is not None:
                for _, rows in encode_patches(bench.slide, locations, encoder):
                    writer.write(rows)
        return {**facts, "device": device}


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

        prepare_process(1)  # slides run side by side: more threads would fight, and change last bits
    return open_encoder(name, device=device)
