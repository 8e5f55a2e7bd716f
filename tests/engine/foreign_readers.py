"""Readers of other tools' files, written from their documents: what they open, and how.

TRIDENT: WSI.py, IO.py (read_coords); CLAM: dataset_modules/dataset_h5.py, dataset_generic.py;
STAMP: modeling/data.py. They take the names that the tools take, and fail where those would.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch


@dataclass(frozen=True)
class Seen:
    """What a reader gets of one slide."""

    corners_px0: np.ndarray
    side_px0: float
    rows: np.ndarray


def read_trident_patches(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    with h5py.File(path) as file:
        return file["coords"][:], dict(file["coords"].attrs)


def read_trident(path: Path) -> Seen:
    """Features and where they lie; the footprint as the patcher works it out."""
    with h5py.File(path) as file:
        said = file["coords"].attrs
        side = said["patch_size"] * said["level0_magnification"] / said["target_magnification"]
        assert said["patch_size_level0"] == int(said["patch_size_level0"])
        assert isinstance(file["features"].attrs["encoder"], str)
        return Seen(file["coords"][:], float(side), file["features"][:])


def read_clam_h5(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with h5py.File(path) as file:
        return file["features"][:], file["coords"][:]


def read_clam_pt(path: Path) -> torch.Tensor:
    return torch.load(path, weights_only=True)


def read_clam_patches(path: Path, level_downsamples: tuple[float, ...]) -> Seen:
    """Where patches lie: CLAM reads `patch_size` pixels of `patch_level`."""
    with h5py.File(path) as file:
        said = file["coords"].attrs
        side = said["patch_size"] * level_downsamples[said["patch_level"]]
        return Seen(file["coords"][:], float(side), np.zeros((0, 0)))


def read_clam_splits(path: Path) -> dict[str, list[str]]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {part: [r[part] for r in rows if r[part]] for part in ("train", "val", "test")}


def read_stamp(path: Path, slide_mpp: float) -> Seen:
    """Features and micrometres, as `get_coords` takes them."""
    with h5py.File(path) as file:
        said = file.attrs
        assert "encoder" not in said
        assert said["feat_type"] == "tile"
        assert said["unit"] == "um"
        assert said["extractor"]
        side = float(said["tile_size_um"]) / slide_mpp
        corners = np.rint(file["coords"][:].astype(np.float64) / slide_mpp).astype(np.int64)
        return Seen(corners, side, file["feats"][:])
