"""Of a slide that was taken out nothing is left, and it is kept out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import dagster as dg
import pytest

from pathassets.defs.events.slide_events import said_unknown
from pathassets.defs.instance import open_instance
from pathassets.defs.partitions import slide_order
from pathassets.engine.platform.platform import open_to_read
from pathassets.engine.settings import read_settings
from tests.upkeep.home import (
    artifacts,
    findings,
    ids,
    invoke,
    opened,
    output,
    refused,
    status,
)

CONSENT = ("--who", "Ann", "--why", "consent withdrawn")


def take_out(home: Path, *options: str) -> str:
    a, _ = ids(home)
    return output("forget", a, *CONSENT, "--from-releases", *options)


def everywhere(home: Path, word: str) -> list[str]:
    """Files of a home, but the slides and tables that people hold, that have a word in them."""
    own = (home / "scans", home / "cohort.csv", home / "a.geojson")
    return [
        path.relative_to(home).as_posix()
        for path in sorted(home.rglob("*"))
        if path.is_file() and not any(path.is_relative_to(one) for one in own)
        if word.encode() in path.read_bytes() or word in str(path.relative_to(home))
    ]


@pytest.mark.slow
def test_a_slide_that_a_dataset_names_is_taken_out_only_when_that_is_said(home: Path) -> None:
    a, _ = ids(home)
    before = artifacts(home)
    assert "is named by cohort@" in refused("forget", a, *CONSENT)
    assert artifacts(home) == before
    said = output("forget", a, *CONSENT, "--from-releases")
    assert said.startswith(f"{a}: taken out; 4 artifacts removed\n")
    assert f"left where it is: {home.parent}" not in said
    assert "names it still: cohort@" in said


def test_of_a_slide_that_was_taken_out_nothing_is_left_but_its_file(home: Path) -> None:
    a, b = ids(home)
    [slide] = status()["slides"][0]["paths"]
    output("report")
    pictures = home / "cache" / "page"
    n_kept = len([*pictures.iterdir()])
    begun = [
        home / "store" / ".partial" / f"features-colour-{one}-{'0' * 16}" for one in (a, f"x-{a}")
    ]
    for one in begun:
        (one / "files").mkdir(parents=True)
    said = take_out(home)
    assert [one.exists() for one in begun] == [False, True]
    shutil.rmtree(begun[1])
    assert f"left where it is: {slide}" in said
    assert Path(slide).is_file()
    assert len([*pictures.iterdir()]) == n_kept / 2
    (home / "cohort.html").unlink()  # a report that was written is a person's
    assert ids(home) == [b]
    assert not [path for path in artifacts(home) if a in path]
    left = [path for path in everywhere(home, a) if not path.startswith(".dagster")]
    assert {Path(path).parts[1] for path in left} == {"dataset"}
    with open_instance(read_settings()) as instance:
        assert slide_order(instance) == [b]
        for asset in ("slide", "features/colour", "annotations/tumour", "tissue_mask/otsu"):
            key = dg.AssetKey(asset.split("/"))
            assert a not in (instance.get_materialized_partitions(key))
    assert [s["slide_id"] for s in status()["slides"]] == [b]
    assert findings() == {}


def test_no_byte_of_the_databases_names_slide_or_patient_any_more(home: Path) -> None:
    a, _ = ids(home)
    output("cohort", "label", a, "label=stroma")
    output("run")  # what changed in the dataset is shown at its asset
    for word in (a, "Doe"):
        assert [path for path in everywhere(home, word) if path.startswith(".dagster/history")]
    take_out(home)
    for word in (a, "Doe"):
        left = [path for path in everywhere(home, word) if not path.startswith("store/dataset/")]
        assert left == ([".dagster/history/runs.db"] if word == a else [])  # tags of a run
    key = dg.AssetKey(["dataset", "cohort"])
    with open_instance(read_settings()) as instance:
        shown = instance.fetch_materializations(key, limit=9).records
        [seen] = instance.fetch_observations(key, limit=9).records
    changes = [one.asset_materialization.metadata.get("changes") for one in shown]  # type: ignore[union-attr]
    assert [one.records for one in changes if one is not None] == [[]]
    said = seen.asset_observation
    assert said is not None
    assert said.description.startswith("a member was withdrawn")
    assert said.metadata["named by"].value.count("cohort@") == 2


def test_a_slide_that_was_taken_out_is_not_taken_in_again_under_any_name(
    home: Path, tmp_path: Path
) -> None:
    [slide] = status()["slides"][0]["paths"]
    take_out(home)
    copy = Path(shutil.copy(slide, tmp_path / "other.svs"))
    said = output("ingest", copy, code=1)
    assert "its slide was taken out on " in said
    assert "by Ann" in said
    with opened(home) as catalog:
        [refusal] = catalog.rejected_files()
    assert refusal.reason == "slide_forgotten"
    assert len(ids(home)) == 1


def test_artifacts_are_kept_when_asked_and_no_doctor_or_clearing_takes_them(home: Path) -> None:
    a, _ = ids(home)
    before = artifacts(home)
    assert "4 artifacts kept" in take_out(home, "--keep-artifacts")
    assert artifacts(home) == before
    assert findings("--fix") == {}
    with open_instance(read_settings()) as instance:
        instance.add_dynamic_partitions("slides", [a])  # as from an older copy of Dagster's state
        [found] = findings("--fix")["partition_of_no_slide"]
        assert "its slide was taken out on " in found["evidence"]
        assert slide_order(instance) == [ids(home)[0]]
    with open_to_read(read_settings()) as platform:  # a run that was begun before
        assert said_unknown(platform, a).startswith(f"slide {a}: was taken out on ")
        assert said_unknown(platform, "x") == "x: not in the catalog. Ingest its file again"
    output("gc", "--yes", "--older-than", "0")
    assert {path for path in before if a in path} <= set(artifacts(home))


def test_an_unknown_slide_is_refused_and_a_removal_that_was_begun_is_found(home: Path) -> None:
    a, _ = ids(home)
    assert "not in the catalog" in refused("forget", "nobody", *CONSENT)
    assert "it says nothing" in invoke_error("forget", a, "--who", " ", "--why", "x")
    with opened(home) as catalog:
        catalog.begin_forgetting(a, who="Ann", why="consent")
    [found] = findings()["slide_half_forgotten"]
    assert found["subject"] == a
    assert f"pathassets forget {a} --who NAME --why … --from-releases; with" in found["remedy"]
    built = json.loads(output("dataset", "show", "cohort", "--json"))["version"]["name"]
    said = refused("dataset", "freeze", built, *CONSENT)
    assert f"End its removal: pathassets forget {a} " in said
    output("forget", a, *CONSENT, "--from-releases")
    assert "slide_half_forgotten" not in findings()


def invoke_error(*arguments: str) -> str:
    return invoke(*arguments).stderr
