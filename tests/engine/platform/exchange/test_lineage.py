"""A file of an export leads back to the artifact that it was made from."""

from __future__ import annotations

import json

import h5py
import pytest

from pathassets.adapters.exchange.parts.listed import LIST
from pathassets.core.address import Address
from pathassets.engine.platform.datasets.build import build_dataset
from pathassets.engine.platform.exchange.export import ExportRequest, export
from pathassets.engine.platform.provenance.lineage import lineage_of
from pathassets.errors import CatalogError
from tests.engine.imports import FEATURES

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def planned(platform, get_ready):
    return get_ready(platform, 2, is_run=True)


def test_each_file_of_an_export_is_traced_up_and_down(platform, planned, tmp_path):
    (entry,) = platform.recipe.datasets
    build_dataset(platform, entry, run_id="run-2")
    for tool, what in (("slideflow", "dataset/cohort"), ("spatialdata", "features/stats")):
        list(export(platform, ExportRequest(tool=tool, what=what, to=tmp_path / tool)))
    features = planned[0].steps[FEATURES].address
    for name in ("slideflow/bags/a.pt", "spatialdata/a.zarr", "spatialdata/a.zarr/zarr.json"):
        traced = lineage_of(platform, tmp_path / name)
        assert traced.address == features, name
        assert (traced.facts["known_by"], traced.facts["export_is"]) == (LIST, "as it was exported")
        assert [one.address.stage for one in traced.parents] == ["patch_locations", "slide"]
        assert [one.address.stage for one in traced.children] == ["dataset"]
    assert lineage_of(platform, tmp_path / "slideflow/annotations.csv").address.stage == "dataset"
    with (tmp_path / "slideflow/bags/a.pt").open("ab") as file:
        file.write(b"x")
    traced = lineage_of(platform, tmp_path / "slideflow/bags/a.pt")
    assert traced.facts["export_is"] == "changed since it was exported"


@pytest.mark.parametrize("tool", ["trident", "anndata"])
def test_a_file_without_a_list_or_with_an_older_one_is_traced_by_what_it_says(
    platform, planned, tmp_path, tool
):
    request = ExportRequest(tool=tool, what="features/stats", to=tmp_path)
    list(export(platform, request))
    paths = [p for p in tmp_path.rglob("a.h5*") if p.is_file()]
    (tmp_path / LIST).write_text("".join(
        json.dumps({n: v for n, v in json.loads(line).items() if n != "artifact"}) + "\n"
        for line in (tmp_path / LIST).read_text().splitlines()
    ))  # fmt: skip
    for path in paths:
        traced = lineage_of(platform, path)
        assert traced.address == planned[0].steps[FEATURES].address
        assert traced.facts["known_by"] == "its attributes"
        assert traced.facts["export_is"] == "as it was exported"
    assert {one.state for one in export(platform, request)} == {"kept"}  # and has the address now
    assert lineage_of(platform, paths[0]).facts["known_by"] == LIST
    (tmp_path / LIST).unlink()
    assert "export_is" not in lineage_of(platform, paths[0]).facts


@pytest.mark.usefixtures("planned")
def test_a_stranger_s_word_is_no_artifact_and_no_link_is_followed(platform, tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["pathassets_source"] = str(Address("features", "stats", "..", ".."))
    with pytest.raises(CatalogError, match=r"was exported from features/stats/\.\./"):
        lineage_of(platform, path)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["uns"] = h5py.ExternalLink(str(path), "/")
        file["coords"] = h5py.ExternalLink(str(path), "/")
    with pytest.raises(CatalogError, match="knows no artifact that it is a copy of"):
        lineage_of(platform, tmp_path / "b.h5")
