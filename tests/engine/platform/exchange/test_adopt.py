from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import zarr

from pathassets.adapters.exchange import trident
from pathassets.adapters.exchange.parts.h5_bags import read_h5_bag
from pathassets.adapters.tifffile import PyramidSpec
from pathassets.adapters.zarr.arrays import FeatureRows
from pathassets.catalog.records import BadTileRecord
from pathassets.core.address import Address
from pathassets.core.recipe import Entry
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.datasets.build import build_dataset
from pathassets.engine.platform.datasets.freeze import freeze
from pathassets.engine.platform.exchange.adopt import ImportRequest, adopt
from pathassets.engine.platform.exchange.export import ExportRequest, export
from pathassets.engine.platform.exchange.savings import ASSUMED_RATE, savings_of
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.provenance.lineage import lineage_of
from pathassets.engine.platform.provenance.stale import find_stale
from pathassets.engine.platform.status import cohort_status
from pathassets.engine.platform.upkeep.scrub import scrub
from pathassets.engine.platform.upkeep.stored import check_rows
from pathassets.engine.stages.outcomes import import_again
from pathassets.errors import SpecError
from tests.engine.conftest import RECIPE
from tests.engine.foreign_readers import read_trident
from tests.engine.imports import (
    FEATURES,
    all_rows,
    by_name,
    rows_of,
    states,
    take,
    trident_file,
    write_raw2features,
    write_slide2vec,
)

pytestmark = pytest.mark.usefixtures("here")
N_COLUMNS = 25


# What was exported comes back


@pytest.mark.parametrize("tool", ["trident", "clam", "stamp"])
@pytest.mark.usefixtures("slides")
def test_what_was_exported_comes_back_as_the_same_rows(platform, exported, exports, tool):
    assert states(take(platform, tool, exported / tool)) == ["adopted", "adopted"]
    for name, planned in by_name(platform).items():
        rows, (expected, boxes_px0) = rows_of(platform, planned), exports[1][name]
        if tool == "stamp":
            expected = expected.astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(all_rows(rows), expected)
        np.testing.assert_array_equal(rows.boxes_px0, boxes_px0)


@pytest.mark.usefixtures("platform")
def test_at_an_odd_mpp_too(reopen, make_slide, register, tmp_path):
    text = RECIPE.replace("{mpp: 8.0}", "{mpp: 8.0, min_object_um2: 100.0}")
    small = reopen(text)
    spec = PyramidSpec(tile_px=64, mpp=0.2738)
    planned = register(small, make_slide("odd.svs", spec=spec))
    list(run_batch(small, planned, small.recipe.per_slide, run_id="run"))
    before = rows_of(small, plan_slides(small)[0])
    expected, boxes_px0 = all_rows(before), before.boxes_px0
    for tool in ("trident", "clam", "stamp"):
        to = tmp_path / tool
        list(export(small, ExportRequest(tool=tool, what="features/stats", to=to)))
        recipe = text.replace("  stats:", f"  of_{tool}:")
        other = reopen(recipe.replace("features: stats", f"features: of_{tool}"))
        request = ImportRequest(tool=tool, folder=to, features=f"of_{tool}")
        assert states(adopt(other, request)) == ["adopted"], tool
        address = plan_slides(other)[0].steps["features", f"of_{tool}"].address
        after = FeatureRows(other.store.path_of(address) / "features.zarr")
        np.testing.assert_array_equal(after.boxes_px0, boxes_px0)
        if tool != "stamp":
            np.testing.assert_array_equal(all_rows(after), expected)


# Who it is


@pytest.mark.usefixtures("slides")
def test_adopted_features_are_another_artifact_than_our_own(platform, exported):
    own = {p.slide_id: p.steps[FEATURES].address for p in plan_slides(platform)}
    take(platform, "trident", exported / "trident")
    for planned in plan_slides(platform):
        step = planned.steps[FEATURES]
        assert step.is_external
        assert step.address != own[planned.slide_id]
        artifact = platform.store.read_checked(step.address)
        assert artifact.facts["provenance"] == "external"
        assert artifact.code_version == "external"
        source = artifact.spec["external"]
        assert (source["tool"], len(source["sha256"])) == ("trident", 64)
        assert source["parameters"]["patch_size"] == 64
        assert artifact.parents == (Address.of_slide(planned.slide_id, planned.version),)
        rows = rows_of(platform, planned)
        assert rows.attributes["provenance"] == "external"
        assert rows.attributes["external"] == source
        traced = lineage_of(platform, platform.store.path_of(step.address))
        assert traced.facts["provenance"] == "external"
        assert traced.facts["spec"]["external"] == source


def test_only_the_missing_part_is_computed_and_a_dataset_takes_both(platform, slides, exported):
    trident_file(exported, "b").unlink()
    (one,) = take(platform, "trident", exported / "trident")
    adopted = platform.store.read(by_name(platform)["a"].steps[FEATURES].address)
    outcomes = {
        o.slide_id: {s.step.entry.key: s.state for s in o.steps}
        for o in run_batch(
            platform, plan_slides(platform), platform.recipe.per_slide, run_id="rest"
        )
    }
    assert outcomes[one.slide_id][FEATURES] == "current"
    (other,) = [s.slide_id for s in slides if s.slide_id != one.slide_id]
    assert outcomes[other][FEATURES] == "made"
    (entry,) = platform.recipe.datasets
    built = build_dataset(platform, entry, run_id="build")
    assert built.artifact.facts["n_slides"] == 2
    folder = platform.store.path_of(built.artifact.address)
    rows = pd.read_parquet(folder / "manifest.parquet").set_index("slide_id")
    from_slide_alone = rows["tissue_mask_digest"] + rows["patch_locations_digest"] == ""
    assert from_slide_alone.to_dict() == {one.slide_id: True, other: False}
    traced = lineage_of(platform, folder)
    said = {str(p.address): p.facts.get("provenance") for p in traced.parents}
    assert said[str(adopted.address)] == "external"
    assert list(said.values()).count(None) == 1
    release = freeze(platform, "cohort", who="Ann", why="paper")
    assert release.licences == {
        "colour_stats": "none needed: no weights",
        "external": "not known: another tool made the features of 1 of 2 slides, by weights that "
        "only who imported them can tell",
    }
    assert json.loads((folder / "recipe.json").read_text())["external"] == [one.slide_id]
    assert (release.tissue_mask, release.patch_locations) == ("otsu", "grid")
    mine = plan_slides(platform, {other})[0].steps.values()
    assert {step.address for step in mine} <= platform.catalog.held()


@pytest.mark.usefixtures("slides")
def test_what_was_imported_is_exported_like_any_other(platform, exported, tmp_path):
    take(platform, "trident", exported / "trident")
    request = ExportRequest(tool="trident", what="features/stats", to=tmp_path / "again")
    assert states(export(platform, request)) == ["written", "written"]
    for name in "ab":
        (again,) = (tmp_path / "again").glob(f"20x_64px_0px_overlap/features_*/{name}.h5")
        before, after = (read_trident(path) for path in (trident_file(exported, name), again))
        np.testing.assert_array_equal(after.rows, before.rows)
        np.testing.assert_array_equal(after.corners_px0, before.corners_px0)
        assert after.side_px0 == before.side_px0


@pytest.mark.usefixtures("slides")
def test_importing_again_changes_nothing(platform, exported):
    take(platform, "trident", exported / "trident")
    before = list(platform.catalog.artifacts("features"))
    assert states(take(platform, "trident", exported / "trident")) == ["known", "known"]
    assert list(platform.catalog.artifacts("features")) == before


def test_what_was_computed_here_is_left_alone(platform, get_ready, exported):
    get_ready(platform, 2, is_run=True)
    before = [p.steps[FEATURES].address for p in plan_slides(platform)]
    assert states(take(platform, "trident", exported / "trident")) == ["computed", "computed"]
    assert [p.steps[FEATURES].address for p in plan_slides(platform)] == before


@pytest.mark.usefixtures("slides")
def test_with_another_resolution_or_entry_it_counts_no_more(platform, reopen, exported):
    take(platform, "trident", exported / "trident")
    a = by_name(platform)["a"]
    platform.catalog.override_mpp(a.slide_id, 0.4, who="me", why="log")
    after = by_name(platform)
    assert not after["a"].steps[FEATURES].is_external
    assert after["b"].steps[FEATURES].is_external
    for old, new in (
        ("encoder: colour_stats", "encoder: resnet18"),
        ("patch_px: 64", "patch_px: 65"),
        ("mpp: 0.5}", "mpp: 0.51}"),
    ):
        other = reopen(RECIPE.replace(old, new))
        assert not by_name(other)["b"].steps[FEATURES].is_external, new
    denser = reopen(RECIPE.replace("mpp: 0.5}", "mpp: 0.5, stride_px: 32}"))
    assert by_name(denser)["b"].steps[FEATURES].is_external  # it lies where the tool laid it


@pytest.mark.usefixtures("slides")
def test_another_version_of_our_code_makes_it_no_other(platform, exported, monkeypatch):
    take(platform, "trident", exported / "trident")
    before = by_name(platform)["a"].steps[FEATURES].address
    monkeypatch.setattr(Entry, "code_version", property(lambda _: "next"))
    assert by_name(platform)["a"].steps[FEATURES].address == before


def test_one_that_is_gone_is_not_made_in_its_name(platform, slides, exported):
    take(platform, "trident", exported / "trident")
    a = by_name(platform)["a"]
    shutil.rmtree(platform.store.path_of(a.steps[FEATURES].address))
    (outcome,) = run_batch(platform, [a], platform.recipe.per_slide, run_id="run")
    failure = outcome.failure
    assert failure is not None
    assert failure.reason == "artifact_missing"
    assert "was imported from trident" in failure.message
    assert "pathassets unimport" in failure.remedy
    platform.catalog.withdraw_adopted("stats", [a.slide_id], who="me", why="lost")
    a = by_name(platform)["a"]
    assert not a.steps[FEATURES].is_external
    (outcome,) = run_batch(platform, [a], platform.recipe.per_slide, run_id="again")
    assert outcome.failure is None
    assert by_name(platform)["b"].steps[FEATURES].is_external
    assert slides


@pytest.mark.usefixtures("slides")
def test_of_one_that_is_gone_every_command_says_what_mends_it(platform, exported):
    take(platform, "trident", exported / "trident")
    a = by_name(platform)["a"].steps[FEATURES].address
    shutil.rmtree(platform.store.path_of(a))
    remedy = import_again(a, "trident")
    assert f"pathassets import trident FOLDER --features stats (pathassets lineage {a} " in remedy
    [told] = cohort_status(platform).troubles.damages.cells
    assert (told.state, told.remedy) == ("damaged", remedy)
    assert "was imported from trident, and is gone" in told.message
    [finding] = [f for f in check_rows(platform, reads_bytes=False) if f.subject == str(a)]
    assert finding.remedy == remedy
    assert lineage_of(platform, str(a)).facts["damaged"] == told.message
    scrub(platform, share=1.0)
    [scrubbed] = cohort_status(platform).troubles.failures.cells
    assert (scrubbed.state, scrubbed.remedy) == ("failed", remedy)


@pytest.mark.usefixtures("slides")
def test_what_was_imported_and_counts_no_more_is_stale_with_the_change_that_did_it(
    platform, reopen, exported
):
    take(platform, "trident", exported / "trident")
    for old, new, said in (
        ("encoder: colour_stats", "encoder: resnet18", "recipe encoder: colour_stats → resnet18"),
        ("patch_px: 64", "patch_px: 65", "recipe of patches, patch_px: 64 → 65"),
    ):
        found = find_stale(reopen(RECIPE.replace(old, new)))
        assert {str(one.changes[0]) for one in found if one.address.key == FEATURES} == {said}
    a = by_name(reopen(RECIPE))["a"]
    platform.catalog.override_mpp(a.slide_id, 0.4, who="me", why="log")
    platform.catalog.withdraw_adopted("stats", [a.slide_id], who="Ann", why="doubt")
    [stale] = find_stale(platform)
    assert list(map(str, stale.changes)) == ["import withdrawn, by Ann", "mpp: 0.5 → 0.4, by me"]


@pytest.mark.usefixtures("slides")
def test_a_withdrawn_import_counts_again_once_it_is_imported_again(platform, exported):
    take(platform, "trident", exported / "trident")
    withdrawn = platform.catalog.withdraw_adopted("stats", None, who="me", why="doubt")
    assert len(withdrawn) == 2
    assert not any(p.steps[FEATURES].is_external for p in plan_slides(platform))
    assert platform.catalog.withdraw_adopted("stats", None, who="me", why="doubt") == []
    assert states(take(platform, "trident", exported / "trident")) == ["adopted", "adopted"]
    assert all(p.steps[FEATURES].is_external for p in plan_slides(platform))


@pytest.mark.usefixtures("slides")
def test_a_dry_run_writes_nothing_and_says_the_same(platform, exported):
    dry = take(platform, "trident", exported / "trident", is_dry=True)
    assert states(dry) == ["adopted", "adopted"]
    assert list(platform.catalog.artifacts("features")) == []
    assert not (platform.store.root / "features").exists()
    assert dry == take(platform, "trident", exported / "trident")
    savings = savings_of(platform, "stats", dry, None)
    assert (savings.rate, savings.is_measured) == (ASSUMED_RATE, False)
    assert savings.n_patches == sum(one.n_patches for one in dry) > 0
    assert savings.seconds == pytest.approx(savings.n_patches / ASSUMED_RATE)
    assert savings.slide_bytes > 0


# What is refused


def edit(path: Path, change: Callable[..., Any]) -> None:
    """Rewrite a file's coordinates and features."""
    with h5py.File(path, "r+") as file:
        arrays = {name: file[name][:] for name in ("coords", "features")}
        attributes = {name: dict(file[name].attrs) for name in arrays}
        for name, array in change(**arrays).items():
            del file[name]
            file.create_dataset(name, data=array)
            for key, value in attributes[name].items():
                file[name].attrs[key] = value


def moved(coords, **_):
    coords[3] = (100_000, 5)
    return {"coords": coords}


def beyond_the_edge(coords, **_):
    coords[0, 0] = 600 - 63
    return {"coords": coords}


def without_a_row(features, **_):
    return {"features": features[:-1]}


def not_a_number(features, **_):
    features[7, 2] = np.nan
    return {"features": features}


def infinite(features, **_):
    features[0, 0] = -np.inf
    return {"features": features}


def twice(coords, **_):
    coords[4] = coords[1]
    return {"coords": coords}


def shorter(features, **_):
    return {"features": features[:, :-1]}


def whole_numbers(features, **_):
    return {"features": features.astype(np.int32)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (moved, "coordinates 3 lie beyond the slide: row 3 is at (100000, 5)"),
        (beyond_the_edge, "coordinates 0 lie beyond the slide"),
        (without_a_row, "rows of features for"),
        (not_a_number, "row 7 has NaN or infinity"),
        (infinite, "row 0 has NaN or infinity"),
        (twice, "1 coordinates are there more than once"),
        (shorter, "rows have 24 numbers, colour_stats has 25"),
        (whole_numbers, "features are int32"),
    ],
)
@pytest.mark.usefixtures("slides")
def test_a_file_that_was_tampered_with_is_refused_with_the_reason(platform, exported, change, said):
    edit(trident_file(exported), change)
    done = {one.path.stem: one for one in take(platform, "trident", exported / "trident")}
    assert (done["a"].state, done["b"].state) == ("refused", "adopted")
    assert said in done["a"].said
    assert not by_name(platform)["a"].steps[FEATURES].is_external


@pytest.mark.usefixtures("slides")
@pytest.mark.parametrize("is_disguised", [False, True])
def test_another_slide_s_file_under_a_slide_s_name_is_refused(platform, exported, is_disguised):
    shutil.move(trident_file(exported, "b"), trident_file(exported, "a"))
    if is_disguised:
        with h5py.File(trident_file(exported, "a"), "r+") as file:
            file["coords"].attrs["name"] = "a"
    (one,) = take(platform, "trident", exported / "trident")
    assert one.state == "refused"
    said = ("is called like a-", "says it is of b-") if is_disguised else ("'a'", "'b'")
    assert all(word in one.said for word in said)


@pytest.mark.usefixtures("slides")
@pytest.mark.parametrize("tool", ["clam", "stamp"])
def test_it_is_refused_of_clam_and_stamp_too(platform, exported, tool):
    (a,) = exported.glob(f"{tool}/{'h5_files' if tool == 'clam' else '*'}/a.h5")
    shutil.move(a.with_name("b.h5"), a)
    (one,) = take(platform, tool, exported / tool)
    assert "says it is of b-" in one.said


@pytest.mark.usefixtures("slides")
def test_numbers_that_lie_in_another_file_are_not_read(platform, exported, tmp_path):
    path = trident_file(exported)
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["features"] = np.zeros((3, N_COLUMNS), np.float32)
    with h5py.File(path, "r+") as file:
        del file["features"]
        file["features"] = h5py.ExternalLink(tmp_path / "secret.h5", "features")
    done = {one.path.stem: one for one in take(platform, "trident", exported / "trident")}
    assert "has no dataset 'features' of its own" in done["a"].said


@pytest.mark.usefixtures("slides")
def test_rows_of_a_billion_numbers_are_not_read(platform, exported):
    with h5py.File(trident_file(exported), "r+") as file:
        n_rows = len(file["features"])
        del file["features"]
        file.create_dataset("features", (n_rows, 10**9), np.float32, chunks=(1, 1024))
    done = {one.path.stem: one for one in take(platform, "trident", exported / "trident")}
    assert "features: not all of it was written" in done["a"].said


@pytest.mark.usefixtures("slides")
def test_a_file_of_a_slide_of_another_size_is_refused(platform, exported):
    with h5py.File(trident_file(exported), "r+") as file:
        for key in list(file["coords"].attrs):
            if key.startswith("pathassets_"):
                del file["coords"].attrs[key]
        file["coords"].attrs["level0_width"] = 999
    done = {one.path.stem: one for one in take(platform, "trident", exported / "trident")}
    assert "the file says the slide has 999 x 500 px" in done["a"].said


@pytest.mark.usefixtures("slides")
def test_patches_of_another_size_are_refused_unless_that_is_said(platform, exported):
    for path in exported.glob("trident/*/features_*/*.h5"):
        with h5py.File(path, "r+") as file:
            file["coords"].attrs["level0_magnification"] = 20.5
    done = take(platform, "trident", exported / "trident")
    assert states(done) == ["refused", "refused"]
    assert "patches cover 65.6 level-0 px (32.80 um), the entry asks for 64 px" in done[0].said
    again = take(platform, "trident", exported / "trident", max_off=0.05)
    assert states(again) == ["adopted", "adopted"]


@pytest.mark.usefixtures("slides")
def test_two_files_of_one_slide_are_both_refused(platform, exported):
    path = trident_file(exported)
    other = path.parents[1] / "features_too"
    other.mkdir()
    shutil.copy(path, other / path.name)
    done = [one for one in take(platform, "trident", exported / "trident") if "a-" in one.slide_id]
    assert states(done) == ["refused", "refused"]
    assert "2 files are of slide a-" in done[0].said


@pytest.mark.usefixtures("slides")
def test_of_several_encoders_in_one_folder_the_entry_s_is_taken(platform, exported):
    path = trident_file(exported)
    other = path.parents[1] / "features_uni_v2"
    shutil.copytree(path.parent, other)
    for each in other.glob("*.h5"):
        with h5py.File(each, "r+") as file:
            file["features"].attrs["encoder"] = "uni_v2"
    done = take(platform, "trident", exported / "trident")
    assert sorted(states(done)) == ["adopted", "adopted", "other", "other"]


@pytest.mark.usefixtures("slides")
def test_another_encoder_alone_is_refused(platform, exported):
    for each in exported.glob("trident/*/features_*/*.h5"):
        with h5py.File(each, "r+") as file:
            file["features"].attrs["encoder"] = "uni_v2"
    done = take(platform, "trident", exported / "trident")
    assert states(done) == ["refused", "refused"]
    assert "they were made by uni_v2, the entry asks for colour_stats" in done[0].said


def test_a_name_of_two_slides_is_refused(platform, make_slide, register, exported):
    register(platform, make_slide("x/a.svs", seed=7), make_slide("y/a.svs", seed=8))
    with h5py.File(trident_file(exported), "r+") as file:
        for key in list(file["coords"].attrs):
            if key.startswith("pathassets_"):
                del file["coords"].attrs[key]
    done = {one.path.stem: one for one in take(platform, "trident", exported / "trident")}
    assert "2 slides are called 'a'" in done["a"].said
    assert "no slide has the SHA-256" in done["b"].said


@pytest.mark.usefixtures("slides")
def test_features_on_tiles_that_are_known_to_be_bad_are_refused(platform, exported):
    a = by_name(platform)["a"]
    tile = BadTileRecord(
        slide_id=a.slide_id, level=0, x_px=128, y_px=128, width_px=64, height_px=64, tile=3,
        reason="damaged", message="not a JPEG", found_by="check",
    )  # fmt: skip
    platform.catalog.enter_bad_tiles([tile])
    done = {one.path.stem: one for one in take(platform, "trident", exported / "trident")}
    assert (done["a"].state, done["b"].state) == ("refused", "adopted")
    assert "patches lie on tiles that cannot be read" in done["a"].said


@pytest.mark.usefixtures("slides")
def test_a_file_that_is_none_is_refused_and_the_others_are_taken(platform, exported):
    path = trident_file(exported)
    path.write_bytes(path.read_bytes()[:700])
    done = {one.path.stem: one for one in take(platform, "trident", exported / "trident")}
    assert (done["a"].state, done["b"].state) == ("refused", "adopted")
    assert "cannot be read as HDF5" in done["a"].said


@pytest.mark.usefixtures("slides")
def test_clam_s_features_need_the_patches_that_say_how_large_they_are(platform, exported):
    folder = exported / "clam"
    for path in folder.glob("h5_files/*.h5"):
        with h5py.File(path, "r+") as file:
            for key in list(file.attrs):
                del file.attrs[key]
    shutil.move(folder / "patches", exported / "elsewhere")
    done = take(platform, "clam", folder)
    assert states(done) == ["refused", "refused"]
    assert "nothing tells how large the patches are" in done[0].said
    again = take(platform, "clam", folder, patches=exported / "elsewhere")
    assert states(again) == ["adopted", "adopted"]


@pytest.mark.usefixtures("slides")
def test_a_folder_without_features_is_refused(platform, tmp_path):
    for tool in ("trident", "clam", "stamp", "slide2vec", "raw2features"):
        with pytest.raises(SpecError, match=f"{tmp_path}"):
            take(platform, tool, tmp_path)


# Tools that we do not write for


@pytest.mark.parametrize(
    ("tool", "write"),
    [
        ("slide2vec", write_slide2vec),
        ("slide2vec", partial(write_slide2vec, drawn="tumor")),
        ("raw2features", write_raw2features),
    ],
)
@pytest.mark.usefixtures("slides")
def test_what_other_tools_left_is_taken(platform, exports, tmp_path, tool, write):
    for name, (rows, boxes_px0) in exports[1].items():
        write(tmp_path / "theirs", name, rows, boxes_px0)
    assert states(take(platform, tool, tmp_path / "theirs")) == ["adopted", "adopted"]
    for name, planned in by_name(platform).items():
        rows = rows_of(platform, planned)
        np.testing.assert_array_equal(all_rows(rows), exports[1][name][0])
        np.testing.assert_array_equal(rows.boxes_px0, exports[1][name][1])
        artifact = platform.store.read(planned.steps[FEATURES].address)
        assert artifact.facts["tool"] == tool


@pytest.mark.usefixtures("slides")
def test_a_tensor_with_code_in_it_is_refused_and_not_run(platform, exports, tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    rows, boxes_px0 = exports[1]["a"]
    write_slide2vec(tmp_path / "theirs", "a", rows, boxes_px0)
    torch.save(Trap(), tmp_path / "theirs" / "tile_embeddings" / "a.pt")
    (one,) = take(platform, "slide2vec", tmp_path / "theirs")
    assert one.state == "refused"
    assert "cannot be read as a tensor" in one.said
    assert not (tmp_path / "sprung").exists()


@pytest.mark.usefixtures("slides")
def test_raw2features_of_another_mpp_is_refused(platform, exports, tmp_path):
    rows, boxes_px0 = exports[1]["a"]
    write_raw2features(tmp_path, "a", rows, boxes_px0)
    grid = zarr.open_group(tmp_path / "a.embeddings.zarr/grids/mpp0.5_px64", mode="r+")
    header = dict(grid.attrs["raw2features"])
    header["source"]["mpp_level0"] = 0.25
    grid.attrs["raw2features"] = header
    (one,) = take(platform, "raw2features", tmp_path)
    assert "took the slide for 0.25 um per pixel, in force are 0.5" in one.said


@pytest.mark.usefixtures("platform")
def test_features_of_other_weights_are_refused_or_left_beside_those_that_are_asked_for(
    reopen, get_ready, tmp_path
):
    recipe = RECIPE.replace(
        "dataset:", "  net: {patch_locations: grid, encoder: resnet18}\ndataset:"
    )
    platform = reopen(recipe)
    get_ready(platform, 2)
    weights = platform.recipe.entry(("features", "net")).weights_sha256
    corners = np.array([[64, 64, 128, 128], [128, 64, 192, 128]])
    for folder, sha256 in (("one", "0" * 64), ("two", weights.upper())):
        write_raw2features(
            tmp_path / folder, "a", np.ones((2, 512), np.float32), corners,
            model="resnet18", weights_sha256=sha256,
        )  # fmt: skip

    def take_net(folder):
        request = ImportRequest(tool="raw2features", folder=folder, features="net", is_dry=True)
        return list(adopt(platform, request))

    (refused,) = take_net(tmp_path / "one")
    assert refused.state == "refused"
    assert f"weights of SHA-256 {'0' * 12}…, the entry's have {weights[:12]}…" in refused.said
    assert states(take_net(tmp_path)) == ["other", "adopted"]


@pytest.mark.usefixtures("slides")
def test_each_header_is_read_once(platform, exported, monkeypatch):
    read = []

    def noted(path, *rest):
        read.append(path.stem)
        return read_h5_bag(path, *rest)

    monkeypatch.setattr(trident, "read_h5_bag", noted)
    assert states(take(platform, "trident", exported / "trident")) == ["adopted", "adopted"]
    assert read == ["a", "b"]
