"""What is found damaged by its bytes is made anew by the run that the remedy names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pathassets.engine.stages import features as stage
from tests.unprivileged import read_only
from tests.upkeep.home import (
    CHUNK,
    contents,
    features,
    findings,
    flip,
    ids,
    invoke,
    opened,
    output,
    refused,
)

OTHER_BYTES = "has other bytes than were published"


def dataset(home: Path) -> Path:
    [folder] = (home / "store" / "dataset" / "cohort" / "all").glob("*")
    return folder


def features_of_a(home: Path) -> Path:
    return features(home, "a")


def locations_of_a(home: Path) -> Path:
    [folder] = (home / "store" / "patch_locations" / "grid").glob("a-*/*")
    return folder


@pytest.mark.parametrize(
    ("place", "file"),
    [
        (features_of_a, CHUNK),
        (locations_of_a, "locations.parquet"),
        (dataset, "manifest.parquet"),
    ],
)
def test_what_the_doctor_finds_damaged_by_its_bytes_the_next_run_makes_anew(home, place, file):
    folder = place(home)
    before = contents(folder)
    flip(folder / file)
    [found] = findings("--bytes")["artifact_damaged"]
    assert found["evidence"] == f"{file} {OTHER_BYTES}"
    assert found["remedy"] == "pathassets run makes it anew"
    assert "artifact_corrupt" in output("status")
    output("run")
    assert contents(folder) == before
    assert findings("--bytes") == {}


def test_a_version_in_force_that_was_released_is_made_anew_too(home):
    folder = dataset(home)
    before = contents(folder)
    output("dataset", "freeze", "cohort", "--who", "Ann", "--why", "paper")
    flip(folder / "manifest.parquet")
    [found] = findings("--bytes")["artifact_damaged"]
    assert (found["remedy"], found["is_note"]) == ("pathassets run makes it anew", False)
    output("run")
    assert contents(folder) == before


@pytest.mark.parametrize("is_looked_at", [False, True])
def test_a_damaged_version_is_in_force_though_a_look_found_its_features_damaged(home, is_looked_at):
    folder, chunk = dataset(home), features(home, "a") / CHUNK
    before = contents(folder)
    (folder / "manifest.parquet").unlink()
    chunk.unlink()
    if is_looked_at:
        assert "is damaged" in output("status")
    found = findings()["artifact_damaged"]
    assert {one["subject"].partition("/")[0] for one in found} == {"dataset", "features"}
    assert {one["remedy"] for one in found} == {"pathassets run makes it anew"}
    output("run")
    assert contents(folder) == before
    assert findings() == {}


@pytest.mark.parametrize("place", [features_of_a, dataset])
def test_what_was_noted_as_damaged_the_doctor_tells_without_reading_bytes(home, place):
    folder = place(home)
    flip(next(path for path in sorted(folder.rglob("*")) if path.suffix in {"", ".parquet"}
              and path.is_file()))  # fmt: skip
    assert findings() == {}
    output("scrub", "--share", "1", code=1)
    [found] = findings()["artifact_damaged"]
    assert found["subject"].endswith(folder.name)
    assert found["evidence"].endswith(f"{OTHER_BYTES}, as was noted")
    assert found["remedy"] == "pathassets run makes it anew"
    output("run")
    assert findings() == {}


def test_what_was_noted_as_damaged_and_is_gone_since_is_told_once(home):
    file = features(home, "a") / CHUNK
    flip(file)
    output("dataset", "verify", "cohort", code=1)
    file.unlink()
    [found] = findings()["artifact_damaged"]
    assert found["evidence"] == f"{CHUNK} is gone"


def test_a_drawing_that_was_noted_as_damaged_is_told_until_it_is_recorded_again(home):
    [file] = (home / "store" / "annotations").rglob("annotations.geojson")
    flip(file)
    findings("--bytes")
    [found] = findings()["artifact_damaged"]
    assert found["remedy"].startswith("Record it again: pathassets annotations set")
    stated = ("--name", "tumour", "--who", "Ann", "--why", "review of 3 May")
    output("annotations", "set", ids(home)[0], home / "a.geojson", *stated)
    assert findings() == {}


def test_a_drawing_that_the_doctor_finds_damaged_is_told_with_how_to_record_it(home):
    [file] = (home / "store" / "annotations").rglob("annotations.geojson")
    flip(file)
    [found] = findings("--bytes")["artifact_damaged"]
    assert found["remedy"].startswith("Record it again: pathassets annotations set")
    with opened(home) as catalog:
        [noted] = [one for one in catalog.attempts() if one.run_id.startswith("doctor-")]
    assert noted.remedy == found["remedy"]


def test_of_what_lies_within_a_drawing_that_is_gone_no_run_is_promised(home):
    recipe = home / "recipe.yaml"
    inside = "annotations: tumour, region: annotations, min_tissue"
    recipe.write_text(recipe.read_text().replace("min_tissue", inside))
    output("run", code=1)  # on the other slide nothing is drawn
    [drawn] = (home / "store" / "annotations").rglob("annotations.geojson")
    shutil.rmtree(drawn.parent)
    for part in ("patch_locations", "features"):
        for made in (home / "store" / part).glob("*/a-*"):
            shutil.rmtree(made)
    told = findings()["artifact_gone"]
    assert not any("pathassets run" in one["remedy"] for one in told)
    within = f"Record annotations/tumour/{ids(home)[0]}/{drawn.parent.name} again, as its line says"
    waiting = [one["subject"] for one in told if one["remedy"].startswith(f"{within}: then it is")]
    assert [subject.partition("/")[0] for subject in waiting] == ["features", "patch_locations"]


def test_on_a_store_that_is_read_only_no_run_is_promised_where_nothing_can_be_noted(home):
    flip(features(home, "a") / CHUNK)
    with read_only(home / "store"):
        [found] = findings("--bytes")["artifact_damaged"]
    assert found["remedy"].startswith("It could not be noted here: doctor --bytes does, where")
    assert "pathassets run" not in found["remedy"]


def test_what_an_export_finds_damaged_the_next_run_makes_anew(home, tmp_path):
    folder = features(home, "a")
    before = contents(folder)
    flip(folder / CHUNK)
    export = ("export", "clam", "features/colour", tmp_path / "clam")
    said = " ".join(invoke(*export).output.split())
    assert OTHER_BYTES in said
    assert "pathassets run makes it anew where it is in force" in said
    output("run")
    assert contents(folder) == before
    assert invoke(*export).exit_code == 0


def test_features_that_dataset_verify_finds_damaged_the_next_run_makes_anew(home):
    folder = features(home, "a")
    before = contents(folder)
    flip(folder / CHUNK)
    assert "artifact_corrupt" in output("dataset", "verify", "cohort", code=1)
    output("run")
    assert contents(folder) == before
    output("dataset", "verify", "cohort")


def test_a_dataset_whose_own_files_verify_finds_damaged_the_next_run_makes_anew(home):
    folder = dataset(home)
    flip(folder / "recipe.json")
    said = refused("dataset", "verify", "cohort")
    assert f"recipe.json: {OTHER_BYTES}. pathassets run makes it anew where it is in force" in said
    output("run")
    output("dataset", "verify", "cohort")


def test_verify_tells_what_is_damaged_where_it_cannot_be_noted(home):
    flip(features(home, "a") / CHUNK)
    with read_only(home / "store"):
        assert "artifact_corrupt" in output("dataset", "verify", "cohort", code=1)


def test_a_release_of_damaged_files_is_refused_and_the_next_run_makes_them_anew(home):
    folder = dataset(home)
    flip(folder / "recipe.json")
    freeze = ("dataset", "freeze", "cohort", "--who", "Ann", "--why", "paper")
    assert "pathassets run makes it anew where it is in force" in refused(*freeze)
    output("run")
    output(*freeze)


def test_an_older_version_of_a_dataset_that_is_damaged_is_not_taken_for_the_last_built(home):
    first = dataset(home)
    _, b = ids(home)
    output("mpp", "set", b, "0.5", "--who", "Ann", "--why", "measured")
    output("run")
    [newer] = {one.name for one in first.parent.iterdir()} - {first.name}
    flip(first / "manifest.parquet")
    assert first.name in findings("--bytes")["artifact_damaged"][0]["subject"]
    output("scrub", "--share", "1", code=1)
    assert newer in output("dataset", "show", "cohort")
    assert "dataset/cohort: current" in output("status")


def test_fix_does_all_that_it_promises_where_a_home_was_restored_without_its_artifacts(
    made: Path, home: Path
) -> None:
    shutil.rmtree(home)
    output("restore", made.with_suffix(".backup"))
    promised = [one for some in findings().values() for one in some if one["can_fix"]]
    assert {one["kind"] for one in promised} == {"partition_missing"}
    found = [one for some in findings("--fix").values() for one in some]
    assert [one["kind"] for one in found if one["done"]] == ["partition_missing"] * 2
    assert not any(one["failed"] for one in found)
    assert "event_missing" not in findings()


def test_an_event_is_missed_only_of_what_is_whole_in_the_store(
    home: Path, dagster_state: Path
) -> None:
    shutil.rmtree(home / ".dagster")
    shutil.copytree(dagster_state, home / ".dagster")
    shutil.rmtree(features(home, "a"))
    (features(home, "b") / CHUNK).unlink()
    shutil.rmtree(dataset(home))
    found = findings("--fix")
    assert len(found["event_missing"]) == 4
    assert all(one["done"] for one in found["event_missing"])
    output("run")
    assert findings() == {}


def test_of_a_release_whose_features_were_made_anew_to_other_bytes_a_note_tells(home, monkeypatch):
    output("dataset", "freeze", "cohort", "--who", "Ann", "--why", "paper")
    shutil.rmtree(features(home, "a"))
    with monkeypatch.context() as patched:
        patched.setattr(stage, "software_versions", lambda: {"torch": "of another year"})
        output("run")
    [found] = findings()["release_changed"]
    assert (found["subject"], found["is_note"]) == ("cohort@1", True)
    assert found["evidence"] == (
        f"features of 1 slide, {ids(home)[0]} the first, were made anew, to other bytes than it "
        "names"
    )
    assert "take a newer version" in found["remedy"]
    assert "cohort@1" in output("doctor")
