"""What pathassets exported and somebody changed is refused, or taken for another's on request."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pathassets.adapters.exchange.parts.listed import LIST, ExportLists
from pathassets.engine.platform.exchange.adopt import ImportRequest, adopt
from pathassets.engine.platform.provenance.lineage import lineage_of
from tests.engine.imports import FEATURES, all_rows, by_name, rows_of, states, take, trident_file

pytestmark = pytest.mark.usefixtures("here")


def brighten(path: Path) -> None:
    """Change rows in a way that no audit can see."""
    with h5py.File(path, "r+") as file:
        file["features"][:] = file["features"][:] + 1


@pytest.mark.usefixtures("slides")
def test_rows_that_were_changed_after_the_export_are_refused_with_the_way_out(platform, ours):
    brighten(trident_file(ours))
    done = {one.path.stem: one for one in take(platform, "trident", ours / "trident")}
    assert (done["a"].state, done["b"].state) == ("refused", "adopted")
    assert "a.h5 was changed after its export: its SHA-256 is" in done["a"].said
    assert "--accept-edited" in done["a"].said


@pytest.mark.usefixtures("slides")
def test_they_are_adopted_where_that_is_asked_for_and_said_to_be_edited(platform, ours, exports):
    brighten(trident_file(ours))
    done = take(platform, "trident", ours / "trident", accepts_edited=True)
    assert states(done) == ["adopted", "adopted"]
    planned = by_name(platform)
    said = {
        name: platform.store.read(one.steps[FEATURES].address).spec["external"].get("is_edited")
        for name, one in planned.items()
    }
    assert said == {"a": True, "b": None}
    expected = exports[1]["a"][0] + 1
    np.testing.assert_array_equal(all_rows(rows_of(platform, planned["a"])), expected)
    traced = lineage_of(platform, platform.store.path_of(planned["a"].steps[FEATURES].address))
    assert traced.facts["spec"]["external"]["is_edited"]


@pytest.mark.usefixtures("slides")
def test_edited_features_are_audited_like_all_others(platform, ours):
    with h5py.File(trident_file(ours), "r+") as file:
        file["features"][7, 2] = np.nan
    done = {one.path.stem: one for one in take(
        platform, "trident", ours / "trident", accepts_edited=True
    )}  # fmt: skip
    assert "row 7 has NaN or infinity" in done["a"].said


@pytest.mark.usefixtures("slides")
def test_a_folder_within_an_export_has_its_list_too(platform, ours):
    path = trident_file(ours)
    brighten(path)
    done = {one.path.stem: one for one in take(platform, "trident", path.parent)}
    assert "was changed after its export" in done["a"].said


@pytest.mark.usefixtures("slides")
def test_patches_of_clam_that_were_changed_are_refused_too(platform, ours):
    with h5py.File(ours / "clam" / "patches" / "a.h5", "r+") as file:
        file["coords"].attrs["name"] = "a "
    done = {one.path.stem: one for one in take(platform, "clam", ours / "clam")}
    assert (done["a"].state, done["b"].state) == ("refused", "adopted")
    assert "a.h5 was changed after its export" in done["a"].said


@pytest.mark.usefixtures("slides")
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_byte_that_is_flipped_is_refused_or_leaves_the_same_rows(platform, ours, exports, data):
    tool = data.draw(st.sampled_from(["trident", "clam", "stamp"]))
    files = sorted(p for p in (ours / tool).rglob("*") if p.is_file() and p.suffix != ".lock")
    path = data.draw(st.sampled_from(files))
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    bit = data.draw(st.integers(0, 7))
    path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << bit)]) + whole[place + 1 :])
    try:
        request = ImportRequest(tool=tool, folder=ours / tool, features="stats", is_dry=True)
        done = list(adopt(platform, request))
    finally:
        path.write_bytes(whole)
    assert all(one.said for one in done if one.state == "refused")
    for one in done:  # what would be adopted is what was exported
        if one.state == "adopted":
            assert one.path != path
            assert one.n_patches == len(exports[1][one.path.stem][0])


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no JSON",
        "[" * 5000,
        "3",
        '{"path": "a.h5"}',
        '{"path": "../a.h5", "sha256": "", "source": ""}',
    ],
)
def test_a_list_that_is_none_is_of_no_file(tmp_path, line):
    (tmp_path / LIST).write_text(f"{line}\n")
    (tmp_path / "a.h5").write_bytes(b"x")
    assert not ExportLists().change_of(tmp_path / "a.h5")
