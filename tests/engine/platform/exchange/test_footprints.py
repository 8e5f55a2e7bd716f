"""What each format says of the side of a patch, on slides at 0.25 and at 0.2738 um: one pixel off
at most, or nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import anndata
import numpy as np
import pytest
import zarr

from pathassets.adapters.annotations.reader import read_annotations
from pathassets.adapters.tifffile import PyramidSpec
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.exchange.export import ExportRequest, Tool, export
from pathassets.engine.platform.plan import plan_slides
from tests.engine.conftest import RECIPE
from tests.engine.foreign_readers import read_clam_patches, read_stamp, read_trident
from tests.engine.imports import rows_of

MPP = {"even": 0.25, "odd": 0.2738}
UM = 32.0
"""Side of the recipe's patches: 64 px at 0.5 um."""


def trident(to: Path, name: str) -> np.ndarray:
    seen = read_trident(to / f"20x_64px_0px_overlap/features_colour_stats/{name}.h5")
    return squares(seen.corners_px0, seen.side_px0)


def clam(to: Path, name: str) -> np.ndarray | None:
    path = to / "patches" / f"{name}.h5"
    if not path.exists():
        return None
    seen = read_clam_patches(path, (1.0, 4.0))
    return squares(seen.corners_px0, seen.side_px0)


def stamp(to: Path, name: str) -> np.ndarray:
    (path,) = to.glob(f"colour_stats-*/{name}.h5")
    seen = read_stamp(path, MPP[name])
    return squares(seen.corners_px0, seen.side_px0)


def slideflow(to: Path, name: str) -> float:
    return float(json.loads((to / "bags" / "bags_config.json").read_text())["tile_um"]) / MPP[name]


def h5ad(to: Path, name: str) -> np.ndarray:
    obs = anndata.read_h5ad(to / f"{name}.h5ad").obs
    return obs[["x0_px0", "y0_px0", "x1_px0", "y1_px0"]].to_numpy()


def spatialdata(to: Path, name: str) -> float:
    spec = zarr.open_group(to / f"{name}.zarr", mode="r").attrs["tile_spec"]["tiles"]
    return int(spec["width"] * spec["base_downsample"])


def qupath(to: Path, name: str) -> np.ndarray:
    drawn = read_annotations(to / f"{name}.geojson").polygons[1:]
    return np.array([[*p.points.min(axis=0), *p.points.max(axis=0)] for p in drawn])


def squares(corners: np.ndarray, side: float) -> np.ndarray:
    return np.concatenate([corners, corners + side], axis=1)


READERS = {
    "trident": trident, "clam": clam, "stamp": stamp, "slideflow": slideflow, "anndata": h5ad,
    "spatialdata": spatialdata, "qupath": qupath,
}  # fmt: skip


@pytest.mark.usefixtures("here", "platform")
def test_every_export_says_the_footprint_to_a_pixel_or_is_refused(
    reopen, make_slide, register, tmp_path
):
    platform = reopen(RECIPE.replace("{mpp: 8.0}", "{mpp: 8.0, min_object_um2: 100.0}"))
    slides = [
        make_slide(f"{name}.svs", seed=seed, spec=PyramidSpec(tile_px=64, mpp=mpp))
        for seed, (name, mpp) in enumerate(MPP.items())
    ]
    planned = register(platform, *slides)
    list(run_batch(platform, planned, platform.recipe.per_slide, run_id="run"))
    boxes_px0 = {p.slide_id.partition("-")[0]: rows_of(platform, p).boxes_px0
                 for p in plan_slides(platform)}  # fmt: skip
    assert set(READERS) == set(get_args(Tool))
    unsaid = []
    for tool, read in READERS.items():
        to = tmp_path / tool
        list(export(platform, ExportRequest(tool=tool, what="features/stats", to=to)))
        for name, expected in boxes_px0.items():
            seen = read(to, name)
            if seen is None:
                unsaid.append((tool, name))
            elif isinstance(seen, np.ndarray):
                np.testing.assert_allclose(seen, expected, rtol=0, atol=0.999)
                np.testing.assert_array_equal(seen[:, :2], expected[:, :2])
            else:
                assert abs(seen - UM / MPP[name]) < 1, (tool, name)
    assert unsaid == [("clam", "odd")]
