"""What is exported is read by the packages that it is for, where they install from PyPI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pytest

from pathassets.adapters.annotations.reader import read_annotations
from pathassets.adapters.zarr.arrays import FeatureRows
from pathassets.engine.platform.exchange.export import ExportRequest, export
from tests.engine.annotations import record_boxes

pytestmark = pytest.mark.usefixtures("here")
FEATURES = ("features", "stats")
READERS = os.environ.get("SPATIALDATA_PYTHON", sys.executable)
"""A Python that has spatialdata and wsidata, which want another pandas than the checkout's."""


def do(platform, tool, to, what="features/stats"):
    done = list(export(platform, ExportRequest(tool=tool, what=what, to=to)))
    assert {one.state for one in done} == {"written"}


@pytest.fixture
def one(platform, get_ready):
    (planned,) = get_ready(platform, 1, is_run=True)
    return planned


@pytest.fixture
def rows(platform, one):
    return FeatureRows(platform.store.path_of(one.steps[FEATURES].address) / "features.zarr")


def test_anndata_reads_rows_boxes_centres_and_what_they_are(platform, one, rows, tmp_path):
    do(platform, "anndata", tmp_path)
    found = anndata.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(found.X, np.concatenate(list(rows.chunks())))
    assert found.X.dtype == np.float32
    boxes_px0 = found.obs[["x0_px0", "y0_px0", "x1_px0", "y1_px0"]].to_numpy()
    np.testing.assert_array_equal(boxes_px0, rows.boxes_px0)
    assert boxes_px0.dtype == np.int64
    np.testing.assert_array_equal(found.obsm["spatial"], (boxes_px0[:, :2] + boxes_px0[:, 2:]) / 2)
    assert found.var_names[0] == "red_mean"
    assert found.uns["encoder"] == "colour_stats"
    assert found.uns["pathassets_slide_sha256"] == one.record.fingerprint
    assert (found.uns["patch_px"], found.uns["slide_mpp"]) == (64, 0.5)
    assert found.obs_names.is_unique


def test_qupath_s_geojson_has_tissue_and_tiles_with_the_features_as_measurements(
    platform, one, rows, tmp_path
):
    do(platform, "qupath", tmp_path)
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    kinds = [feature["properties"]["objectType"] for feature in features]
    assert kinds == ["annotation"] + ["tile"] * len(rows)
    first = next(rows.chunks())[0]
    measured = features[1]["properties"]["measurements"]
    assert next(iter(measured)) == "colour_stats: red_mean"
    np.testing.assert_array_equal(np.array(list(measured.values()), np.float32), first)
    drawn = read_annotations(tmp_path / "a.geojson").polygons
    boxes = [[*p.points.min(axis=0), *p.points.max(axis=0)] for p in drawn[1:]]
    np.testing.assert_array_equal(boxes, rows.boxes_px0)
    assert len({feature["id"] for feature in features[1:]}) == len(rows)
    assert one


def test_qupath_gets_what_people_drew(platform, reopen, get_ready, tmp_path):
    recipe = platform.settings.recipe.read_text() + "annotations: {tumour: }\n"
    drawn = reopen(recipe)
    (one,) = get_ready(drawn, 1, is_run=True)
    record_boxes(drawn, one.slide_id, (10, 20, 300, 200))
    do(drawn, "qupath", tmp_path, "annotations/tumour")
    (polygon,) = read_annotations(tmp_path / "a.geojson").polygons
    assert polygon.points.min(axis=0).tolist() == [10, 20]


@pytest.mark.slow  # spatialdata takes ten seconds to import
def test_spatialdata_and_wsidata_read_tiles_features_and_footprint(platform, one, rows, tmp_path):
    has = subprocess.run([READERS, "-c", "import wsidata"], check=False, capture_output=True)  # noqa: S603
    if has.returncode:
        pytest.skip("needs wsidata: SPATIALDATA_PYTHON names a Python that has it")
    do(platform, "spatialdata", tmp_path)
    script = Path(__file__).parents[2] / "spatialdata_reader.py"
    done = subprocess.run(  # noqa: S603  (our own script)
        [READERS, script, tmp_path / "a.zarr", one.paths[0].path],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout)
    expected = np.concatenate(list(rows.chunks()))
    np.testing.assert_array_equal(np.array(seen["rows"], np.float32), expected)
    np.testing.assert_array_equal(np.array(seen["fetched"], np.float32), expected)
    np.testing.assert_array_equal(seen["bounds"], rows.boxes_px0)
    assert (seen["table"], seen["region"], seen["dtype"]) == (
        "colour_stats_tiles", ["tiles"], "float32",
    )  # fmt: skip
    assert seen["columns"] == ["tile_id", "x", "y", "tissue_id", "geometry"]
    assert seen["base"] == [64, 64]
    assert seen["tissues"] == 1
    assert set(seen["tissue_id"]) == {0}
    assert seen["matched"] == len(expected)
