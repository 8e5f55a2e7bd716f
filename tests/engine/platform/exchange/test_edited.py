"""What pathassets exported and somebody changed is refused, or taken for another's on request."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pathassets.adapters.exchange.parts.listed import LIST, ExportLists, sha256_of
from pathassets.engine.platform.exchange.adopt import ImportRequest, adopt
from pathassets.engine.platform.exchange.exported import UNLISTED
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


@pytest.mark.parametrize("tool", ["trident", "stamp"])
def test_of_slides_that_are_computed_here_an_edited_file_is_refused_as_well(
    platform, get_ready, ours, tool
):
    get_ready(platform, 2, is_run=True)
    folder = ours / tool
    assert states(take(platform, tool, folder)) == ["computed", "computed"]
    (path,) = (p for p in folder.rglob("a.h5") if p.parent.name != "patches")
    features = "feats" if tool == "stamp" else "features"
    with h5py.File(path, "r+") as file:
        file[features][13, 2] += 1
    for is_dry in (True, False):
        done = {one.path.stem: one for one in take(platform, tool, folder, is_dry=is_dry)}
        assert (done["a"].state, done["b"].state) == ("refused", "computed")
        assert done["a"].said.startswith("a.h5 was changed after its export")
    done = {one.path.stem: one for one in take(platform, tool, folder, accepts_edited=True)}
    assert done["a"].state == "computed"
    assert "was changed after its export" in done["a"].said

    listed = (folder / LIST).read_text()
    edited = listed.replace(ExportLists().line_of(path)["sha256"], sha256_of(path))
    for text in ("", edited):  # a list that is gone, and one that was edited with its file
        (folder / LIST).write_text(text)
        done = {one.path.stem: one for one in take(platform, tool, folder)}
        assert (done["a"].state, done["b"].state) == ("refused", "computed")
        assert "it says it is an export of 'features/stats/a-" in done["a"].said
        assert "and its row 13 is not the one there" in done["a"].said
    (folder / LIST).unlink()
    with h5py.File(path, "r+") as file:
        file[features][13, 2] -= 1
        file["coords"][0] = file["coords"][0] + 1
    done = {one.path.stem: one for one in take(platform, tool, folder)}
    assert "and its coordinates are not those there" in done["a"].said


@pytest.mark.usefixtures("slides")
def test_an_export_whose_list_was_left_behind_is_adopted_with_a_word_of_it(platform, exported):
    done = take(platform, "trident", exported / "trident", is_dry=True)
    assert [(one.state, one.said) for one in done] == [("adopted", UNLISTED)] * 2


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


def strip(path: Path, *names: str) -> None:
    """Remove attributes of an export from a file: those named, or all."""
    with h5py.File(path, "r+") as file:
        for item in (file, *file.values()):
            for name in list(item.attrs):
                if name.startswith("pathassets_") and (not names or name in names):
                    del item.attrs[name]


def rename_source(path: Path, source: str) -> None:
    with h5py.File(path, "r+") as file:
        for item in (file, *file.values()):
            if "pathassets_source" in item.attrs:
                item.attrs["pathassets_source"] = source


def relist(folder: Path, path: Path, **said: str) -> None:
    """Correct a file's line in the list: its SHA-256, and what else is named."""
    place = path.relative_to(folder).as_posix()
    lines = [json.loads(line) for line in (folder / LIST).read_text().splitlines()]
    for line in lines:
        if line["path"] == place:
            line.update({"sha256": sha256_of(path)} | said)
    (folder / LIST).write_text("".join(f"{json.dumps(line)}\n" for line in lines))


@pytest.mark.parametrize("tool", ["trident", "clam", "stamp"])
def test_who_edits_file_and_line_is_found_by_what_either_names(platform, get_ready, ours, tool):
    get_ready(platform, 2, is_run=True)  # the artifacts are here
    folder = ours / tool
    (path,) = (p for p in folder.rglob("a.h5") if p.parent.name != "patches")
    (other,) = (p for p in folder.rglob("b.h5") if p.parent.name != "patches")
    source, others = (ExportLists().line_of(one)["artifact"] for one in (path, other))
    whole, listed = path.read_bytes(), (folder / LIST).read_text()
    features = "feats" if tool == "stamp" else "features"

    def told(*, is_edited: bool = True, **how) -> str:
        """What is said of a.h5 once its line was corrected; it is put back after."""
        if is_edited:
            with h5py.File(path, "r+") as file:
                file[features][2, 1] += 1
        relist(folder, path, **how)
        done = {one.path.stem: one for one in take(platform, tool, folder, is_dry=True)}
        path.write_bytes(whole)
        (folder / LIST).write_text(listed)
        assert done["b"].state == "computed"
        if done["a"].state == "refused":
            command = f"pathassets import {tool} {folder} --features stats --accept-edited"
            assert done["a"].said.endswith(f"features: {command}")
        return f"{done['a'].state} {done['a'].said}"

    line = f"{LIST} says it is an export of"
    strip(path, "pathassets_source")
    assert "has attributes of an export, and its pathassets_source was removed" in told()
    strip(path)
    assert f"{line} '{source}', and its row 2 is not the one there" in told()
    strip(path)
    assert told(is_edited=False) == "computed "  # nothing that counts was changed
    forged = f"{source.rpartition('/')[0]}/0123456789abcdef"
    rename_source(path, forged)
    said = told()
    assert f"it says it is an export of '{forged}', and {line} '{source}'" in said
    assert f"{line} '{others}'" in told(is_edited=False, artifact=others)
    rename_source(path, others)
    assert f"'{others}', and is of slide a-" in told(artifact=others, is_edited=False)
    rename_source(path, "tissue_mask/otsu/a/0")
    assert "which names no features" in told(artifact="", is_edited=False)
    rename_source(path, forged)
    assert told(artifact=forged) == "computed "  # nobody can know: neither names what is here
