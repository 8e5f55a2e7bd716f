"""Imports: what is taken, what came of it, and outputs of tools that we do not write for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import zarr

from pathassets.adapters.zarr.arrays import FeatureRows
from pathassets.engine.platform.exchange.adopt import ImportRequest, adopt
from pathassets.engine.platform.plan import PlannedSlide, plan_slides
from pathassets.engine.platform.platform import Platform

FEATURES = ("features", "stats")


def take(platform, tool, folder, **how):
    request = ImportRequest(tool=tool, folder=folder, features="stats", **how)
    return list(adopt(platform, request))


def states(done):
    return [one.state for one in done]


def rows_of(platform, planned):
    address = planned.steps[FEATURES].address
    return FeatureRows(platform.store.path_of(address) / "features.zarr")


def all_rows(rows):
    return np.concatenate(list(rows.chunks()))


def trident_file(folder: Path, name: str = "a") -> Path:
    (found,) = folder.glob(f"trident/*/features_*/{name}.h5")
    return found


def by_name(platform: Platform) -> dict[str, PlannedSlide]:
    return {one.slide_id[0]: one for one in plan_slides(platform)}


def write_slide2vec(
    folder: Path, name: str, rows: np.ndarray, boxes_px0: np.ndarray, drawn: str = ""
) -> None:
    """As docs/output-layout.rst of slide2vec has it, of the tissue or of a class that was drawn."""
    embeddings, tiles = (folder / part / drawn for part in ("tile_embeddings", "tiles"))
    embeddings.mkdir(parents=True, exist_ok=True)
    tiles.mkdir(parents=True, exist_ok=True)
    stem = embeddings / name
    torch.save(torch.from_numpy(rows), f"{stem}.pt")
    meta = {
        "artifact_type": "tile_embeddings", "encoder_name": "colour_stats", "format": "pt",
        "feature_dim": rows.shape[1], "num_tiles": len(rows), "sample_id": name,
        "tile_size_lv0": 64, "coordinates_npz_path": "/elsewhere/a.coordinates.npz",
    }  # fmt: skip
    Path(f"{stem}.meta.json").write_text(json.dumps(meta))
    tiling = {
        "slide": {"dimensions": [600, 500], "base_spacing_um": 0.5},
        "tiling": {"requested_tile_size_px": 64, "requested_spacing_um": 0.5},
    }
    (tiles / f"{name}.coordinates.meta.json").write_text(json.dumps(tiling))
    np.savez(
        tiles / f"{name}.coordinates.npz", x=boxes_px0[:, 0], y=boxes_px0[:, 1],
        tile_index=np.arange(len(rows), dtype=np.int32),
        tissue_fractions=np.ones(len(rows), np.float32),
    )  # fmt: skip


def write_raw2features(  # noqa: PLR0913 - what a store says
    folder: Path,
    name: str,
    rows: np.ndarray,
    boxes_px0: np.ndarray,
    *,
    model: str = "colour_stats",
    weights_sha256: str | None = None,
) -> None:
    """As embeddings_store-0.1.schema.json of raw2features has it, in Zarr v2 as it writes."""
    root = zarr.open_group(folder / f"{name}.embeddings.zarr", mode="w", zarr_format=2)
    grid = root.require_group("grids").require_group("mpp0.5_px64")
    grid.attrs["raw2features"] = {
        "schema_version": "0.1", "grid_hash": "x",
        "source": {"uri": "file:///a", "slide_id": name, "mpp_level0": 0.5,
                   "level_dimensions": [[600, 500]], "level_downsamples": [1.0]},
        "patching": {"target_mpp": 0.5, "achieved_mpp": 0.5, "patch_px": 64, "level0_patch": 64,
                     "level0_step": 64, "n_patches": len(rows), "coords_convention": "level0_xy"},
        "models": {model: {"embedding_dim": rows.shape[1], "weights_sha256": weights_sha256}},
        "provenance": {"raw2features_version": "0.2.0"},
    }  # fmt: skip
    coords = grid.create_array("coords", shape=(len(rows), 2), dtype="int32", chunks=(4096, 2))
    coords[:] = boxes_px0[:, :2]
    features = grid.require_group("features")
    array = features.create_array(
        model, shape=rows.shape, dtype="float32", chunks=(4096, rows.shape[1])
    )
    array[:] = rows
