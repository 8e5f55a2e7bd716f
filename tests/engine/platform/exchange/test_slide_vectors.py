"""Slide embeddings as files of the tools that have a place for them; refused to the others."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest

from pathassets.adapters.exchange.parts.claims import claimed_source
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.exchange.export import ExportRequest, export
from pathassets.engine.platform.plan import plan_slides
from pathassets.errors import SpecError
from tests.engine.conftest import RECIPE
from tests.engine.imports import all_rows, rows_of

pytestmark = pytest.mark.usefixtures("here")
WHAT = "slide_embedding/mean"


def do(platform, tool, to):
    return list(export(platform, ExportRequest(tool=tool, what=WHAT, to=to)))


@pytest.fixture
def embedded(platform, reopen, get_ready):
    """Slides a and b with the mean of their features."""
    get_ready(platform, 2, is_run=True)
    opened = reopen(f"{RECIPE}slide_embedding: {{mean: {{features: stats}}}}\n")
    list(run_batch(opened, plan_slides(opened), opened.recipe.per_slide, run_id="embed"))
    return opened


def test_trident_and_stamp_get_the_vector_as_their_own_slide_encoders_write_it(embedded, tmp_path):
    for tool in ("trident", "stamp"):
        assert [one.state for one in do(embedded, tool, tmp_path / tool)] == ["written", "written"]
    (planned, _) = plan_slides(embedded)
    rows = rows_of(embedded, planned)
    expected = all_rows(rows).mean(axis=0, dtype=np.float64).astype(np.float32)
    folder = "trident/20x_64px_0px_overlap/slide_features_mean-colour_stats"
    with h5py.File(tmp_path / folder / "a.h5") as file:
        np.testing.assert_array_equal(file["features"][:], expected)
        np.testing.assert_array_equal(file["coords"][:], rows.boxes_px0[:, :2])
        assert file["features"].attrs["name"] == "a"
        assert file["coords"].attrs["patch_size_level0"] == 64
    embedding = str(planned.steps["slide_embedding", "mean"].address)
    assert claimed_source(tmp_path / folder / "a.h5") == embedding
    (path,) = tmp_path.glob("stamp/mean-colour_stats-slide-*/a.h5")
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["feats"][:], expected)
        assert (file["feats"].dtype, file.attrs["feat_type"]) == (np.float32, "slide")
        assert (file.attrs["encoder"], file.attrs["pathassets_source"]) == (
            "mean", embedding,
        )  # fmt: skip


def test_a_tool_without_a_place_for_it_is_refused_and_so_is_one_whose_features_are_gone(
    embedded, tmp_path
):
    for tool in ("clam", "slideflow", "anndata", "spatialdata", "qupath"):
        with pytest.raises(SpecError, match=f"{tool} has no place for it") as caught:
            do(embedded, tool, tmp_path)
        assert "TRIDENT and STAMP take slide_embedding" in caught.value.remedy
    for planned in plan_slides(embedded):
        shutil.rmtree(embedded.store.path_of(planned.steps["features", "stats"].address))
    done = do(embedded, "trident", tmp_path)
    assert [one.state for one in done] == ["refused", "refused"]
    assert done[0].said.startswith("features/stats was made on ")
