"""What is exported is read by the packages that it is for, where they install from PyPI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from pathassets.adapters.annotations.reader import read_annotations
from pathassets.adapters.exchange.qupath import measurement_names
from pathassets.adapters.tifffile import PyramidSpec
from pathassets.adapters.zarr.arrays import FeatureRows
from pathassets.core.exchange.bags import Bag, Footprint, SlideFacts
from pathassets.core.exchange.components import as_components
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.exchange.export import ExportRequest, export
from pathassets.engine.platform.plan import plan_slides
from tests.bounded_slides import write_scn
from tests.engine.annotations import record_boxes
from tests.engine.conftest import RECIPE

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


def test_qupath_counts_from_the_corner_of_the_bounds(platform, register, tmp_path):
    scan = np.full((500, 600, 3), 245, np.uint8)
    scan[60:440, 60:540] = np.array([150, 60, 140]) + np.arange(480)[:, None] % 40
    (tmp_path / "scans").mkdir()
    path = write_scn(tmp_path / "scans" / "a.scn", scan, (1200, 1000), (320, 256))
    planned = register(platform, path)
    list(run_batch(platform, planned, platform.recipe.per_slide, run_id="run"))
    do(platform, "qupath", tmp_path / "to", "patch_locations/grid")
    table = pd.read_parquet(
        platform.store.path_of(plan_slides(platform)[0].steps["patch_locations", "grid"].address)
        / "locations.parquet"
    )
    assert table["x_px0"].min() >= 320  # on level 0
    drawn = read_annotations(tmp_path / "to" / "a.geojson").polygons
    corners = np.array([polygon.points.min(axis=0) for polygon in drawn[-len(table) :]])
    np.testing.assert_array_equal(corners[:, 0], table["x_px0"] - 320)
    np.testing.assert_array_equal(corners[:, 1], table["y_px0"] - 256)


def test_a_slide_that_is_not_there_is_not_shown_where_nobody_knows(platform, one, tmp_path):
    Path(one.paths[0].path).rename(tmp_path / "gone.svs")
    try:
        (said,) = export(
            platform, ExportRequest(tool="qupath", what="features/stats", to=tmp_path / "to")
        )
    finally:
        (tmp_path / "gone.svs").rename(one.paths[0].path)
    assert said.state == "refused"
    assert "level 0 or of the slide's bounds" in said.said


@pytest.mark.parametrize("n_columns", [65, 100])
def test_long_features_are_shown_as_the_components_along_which_they_differ(n_columns):
    rng = np.random.default_rng(0)
    along = rng.normal(size=300)
    rows = (rng.normal(size=(300, n_columns)) + 3 * along[:, None]).astype(np.float32)
    bag = Bag(
        slide=SlideFacts(
            slide_id="a-1", sha256="", name="a", file_name="a.svs", width_px0=1, height_px0=1,
            mpp=0.5, level_downsamples=(1.0,),
        ),
        footprint=Footprint(patch_px=64, mpp=0.5, side_px0=64), boxes_px0=np.zeros((300, 4), int),
        source="x", n_columns=n_columns, chunks=lambda: iter([rows[:128], rows[128:]]),
        attributes={"encoder": "x"},
    )  # fmt: skip
    shown = as_components(bag)
    assert measurement_names(shown) == ["x: component 1", "x: component 2", "x: component 3"]
    places = np.concatenate(list(shown.chunks()))
    assert places.shape == (300, 3)
    assert abs(np.corrcoef(places[:, 0], along)[0, 1]) > 0.99
    assert abs(np.corrcoef(places[:, 1], along)[0, 1]) < 0.1


@pytest.mark.slow  # spatialdata takes ten seconds to import
@pytest.mark.parametrize("cut", [(0.25, 128), (0.2738, 117)])
def test_spatialdata_and_wsidata_read_tiles_features_and_footprint(
    reopen, make_slide, register, tmp_path, cut
):
    mpp, side_px0 = cut
    has = subprocess.run([READERS, "-c", "import wsidata"], check=False, capture_output=True)  # noqa: S603
    if has.returncode:
        pytest.skip("needs wsidata: SPATIALDATA_PYTHON names a Python that has it")
    platform = reopen(RECIPE.replace("{mpp: 8.0}", "{mpp: 8.0, min_object_um2: 100.0}"))
    planned = register(platform, make_slide("a.svs", spec=PyramidSpec(tile_px=64, mpp=mpp)))
    list(run_batch(platform, planned, platform.recipe.per_slide, run_id="run"))
    (one,) = plan_slides(platform)
    rows = FeatureRows(platform.store.path_of(one.steps[FEATURES].address) / "features.zarr")
    do(platform, "spatialdata", tmp_path / "to")
    script = Path(__file__).parents[2] / "spatialdata_reader.py"
    done = subprocess.run(  # noqa: S603  (our own script)
        [READERS, script, tmp_path / "to" / "a.zarr", one.paths[0].path],
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
    assert seen["base"] == [side_px0, side_px0]
    assert seen["tissues"] == 1
    assert set(seen["tissue_id"]) == {0}
    assert seen["matched"] == len(expected)
