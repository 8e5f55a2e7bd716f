"""The files of a version, as those who get them read them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from importlib.util import find_spec

import pandas as pd
import pytest

from pathassets.catalog.records import CohortFacts, Verdict
from pathassets.engine.platform.datasets.build import build_dataset
from tests.engine.conftest import RECIPE

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def folder(platform, get_ready):
    """Files of a version of two slides."""
    planned = get_ready(platform, 2, is_run=True)
    platform.catalog.set_cohort_facts(
        [CohortFacts(slide_id=planned[0].slide_id, patient="@p", label="tumour | é")]
    )
    [entry] = platform.recipe.datasets
    built = build_dataset(platform, entry, run_id="run")
    return platform.store.path_of(built.artifact.address)


def test_the_manifest_in_json_is_the_one_in_parquet(folder):
    rows = json.loads((folder / "manifest.json").read_text())
    table = pd.read_parquet(folder / "manifest.parquet")
    assert rows == json.loads(table.to_json(orient="records"))
    assert rows[0]["label"] == "tumour | é"


def test_whose_verdicts_decided_stands_in_the_version_and_another_s_make_another(
    platform, reopen, get_ready
):
    first, second, third = (one.slide_id for one in get_ready(platform, 3, is_run=True))

    def say(slide_id, word, who):
        platform.catalog.set_verdict(Verdict(slide_id=slide_id, verdict=word, who=who, why="=fold"))

    def build(rule):
        recipe = RECIPE.replace("{features: stats}", f"{{features: stats{rule}}}")
        [entry] = (opened := reopen(recipe)).recipe.datasets
        return opened.store.path_of(build_dataset(opened, entry, run_id="run").artifact.address)

    any_one = build("")
    heeded = build(", verdict: not_rejected")
    say(first, "reject", "Ann")
    say(second, "accept", "Bob")
    assert build("") == any_one
    rejected, accepted = (build(f", verdict: {word}") for word in ("not_rejected", "accepted"))
    assert not any((of / "verdicts.parquet").exists() for of in (any_one, heeded))
    rows = pd.read_parquet(rejected / "verdicts.parquet")
    [row] = rows.to_dict("records")
    assert row == {"slide_id": first, "verdict": "reject", "who": "Ann", "why": "=fold"}
    assert pd.read_parquet(accepted / "verdicts.parquet")["slide_id"].tolist() == [first, second]
    said = json.loads((accepted / "report.json").read_text())["verdicts"]
    assert said == [
        {"verdict": "accept", "who": "Bob", "n_slides": 1},
        {"verdict": "reject", "who": "Ann", "n_slides": 1},
    ]
    assert "verdicts.parquet" in (rejected / "croissant.json").read_text()
    say(third, "review", "Ann")
    assert build(", verdict: not_rejected") == rejected
    say(first, "reject", "Ann")  # at another time
    assert build(", verdict: not_rejected") == rejected
    say(first, "reject", "Eve")
    assert build(", verdict: not_rejected") != rejected


def test_the_splits_are_a_table_in_which_no_cell_is_a_formula(folder):
    table = pd.read_csv(folder / "splits.csv", keep_default_na=False)
    assert list(table.columns) == ["slide_id", "patient", "label", "split"]
    assert table["patient"].tolist() == ["'@p", ""]


def test_the_recipe_names_what_each_entry_was_made_by_and_the_encoders_terms(folder):
    recipe = json.loads((folder / "recipe.json").read_text())
    assert list(recipe["entries"]) == [
        "dataset/cohort", "features/stats", "patch_locations/grid", "tissue_mask/otsu",
    ]  # fmt: skip
    assert recipe["entries"]["features/stats"]["made_from"] == ["patch_locations/grid"]
    assert recipe["licences"] == {"colour_stats": "none needed: no weights"}


def test_the_report_counts_by_part_and_label(folder):
    report = json.loads((folder / "report.json").read_text())
    assert (report["n_slides"], report["n_left_out"], report["accepted"]) == (2, 0, [])
    labels = [label for part in report["parts"].values() for label in part["slides_by_label"]]
    assert sorted(labels) == ["", "tumour | é"]


READ_CROISSANT = """
import json, sys
import mlcroissant
described = mlcroissant.Dataset(jsonld=sys.argv[1])
rows = list(described.records(record_set="slides"))
print(json.dumps({
    "errors": [*described.metadata.ctx.issues.errors],
    "slide_id": [row["slides/slide_id"].decode() for row in rows],
    "n_patches": [int(row["slides/n_patches"]) for row in rows],
}))
"""
"""In a process of its own: it brings absl, whose log closes this one's standard error."""


def test_the_description_is_croissant_and_loads_the_rows(folder):
    if find_spec("mlcroissant") is None:
        pytest.skip("mlcroissant is not installed")
    words = [sys.executable, "-c", READ_CROISSANT, str(folder / "croissant.json")]
    done = subprocess.run(words, check=True, capture_output=True, text=True)  # noqa: S603 - its own
    said = json.loads(done.stdout)
    table = pd.read_parquet(folder / "manifest.parquet")
    assert said == {
        "errors": [], "slide_id": table["slide_id"].tolist(),
        "n_patches": table["n_patches"].tolist(),
    }  # fmt: skip


def test_the_description_has_the_hash_of_each_file_that_it_names(folder):
    said = json.loads((folder / "croissant.json").read_text())
    for file in said["distribution"]:
        data = (folder / file["contentUrl"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == file["sha256"]
    fields = [field["name"] for field in said["recordSet"][0]["field"]]
    assert fields == list(pd.read_parquet(folder / "manifest.parquet").columns)
