"""Slides of a few patches, written in milliseconds, good and bad in every way that a test needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pathassets.adapters.tifffile import PyramidSpec, corrupt_tile, write_pyramid

MPP = 0.5
N_PATCHES = 8
"""Of 256 px in the tissue."""
RECIPE = """
tissue_mask: {otsu: {method: otsu, mpp: 8.0}}
patch_locations: {grid: {tissue_mask: otsu, patch_px: 256, mpp: 0.5, min_tissue_share: 0.5}}
features: {colour: {patch_locations: grid, encoder: colour_stats}}
dataset: {cohort: {features: colour, split: {train: 0.7, val: 0.15, test: 0.15}, seed: 0}}
"""
"""One entry a section, and nothing that loads torch."""


def write_slide(path: Path, seed: int, *, mpp: float | None = MPP, is_blank: bool = False) -> Path:
    """Write a slide of 1024 x 768 px with one piece of tissue in its middle."""
    rng = np.random.default_rng(seed)
    rgb = np.full((768, 1024, 3), 244, np.uint8)
    if not is_blank:
        stain = np.array([150, 60, 120], np.uint8)
        rgb[128:640, 128:896] = stain + rng.integers(0, 60, (512, 768, 3), np.uint8)
    write_pyramid(path, rgb, PyramidSpec(mpp=mpp))
    return path


def write_corrupt_slide(path: Path, seed: int) -> Path:
    """Write one of which a level-0 tile in the tissue cannot be decoded; its overview can."""
    write_slide(path, seed)
    corrupt_tile(path, level=0, tile_index=5)
    return path


_SLOW_MODEL = """
import time
from pathassets.core.features.colour_stats import ColourStats

class Slow(ColourStats):
    def begin(self, batch):
        time.sleep(PAUSE_S)
        return super().begin(batch)

def build():
    return Slow()
"""


def write_slow_recipe(home: Path, pause_s: float) -> None:
    """Write a recipe whose features take so long, on a device line, and the model in a module."""
    write_slow_model(home, pause_s)
    model = "encoder: {name: 'slow_model:build', version: a}"
    (home / "recipe.yaml").write_text(RECIPE.replace("encoder: colour_stats", model))


def write_slow_model(folder: Path, pause_s: float) -> None:
    """Write the module `slow_model`, whose encoder takes so long for each batch."""
    (folder / "slow_model.py").write_text(_SLOW_MODEL.replace("PAUSE_S", str(pause_s)))
