"""`pathassets run` over a dataset whose parts are not apart says so, and ends with exit code 1."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from click.testing import CliRunner

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.records import CohortFacts
from pathassets.cli import main
from pathassets.core.datasets.spec import DatasetSpec
from pathassets.core.datasets.splits import Group, place
from pathassets.engine.settings import read_settings
from tests.defs.dagster_state import copy_state
from tests.defs.small_slides import RECIPE, write_slide
from tests.engine.workers_here import workers_here

pytestmark = pytest.mark.usefixtures("cheap_databases")

SPLIT = {"train": 0.5, "test": 0.5}
RECIPE_OF_TWO = (
    RECIPE.split("dataset:", maxsplit=1)[0]
    + """dataset:
  cohort: {features: colour, split: {train: 0.5, test: 0.5}, seed: 0}
  whole: {features: colour, split: {train: 1.0}, seed: 0}
"""
)


def spelt_in_two_ways(other_than: str = "") -> tuple[str, str]:
    """A patient whose two spellings are drawn into different parts."""
    spec = DatasetSpec(split=SPLIT, seed=0)
    for number in count():
        names = f"Doe{number}", f"DOE{number}"
        parts = {*place([Group(name=name) for name in names], spec, {}).values()}
        if len(parts) == len(names) and other_than not in names:
            return names
    raise AssertionError  # there is always one


@pytest.fixture
def home(tmp_path: Path, dagster_state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two slides of one patient, spelt in two ways, that one of two datasets parts."""
    copy_state(dagster_state, tmp_path)
    (tmp_path / "recipe.yaml").write_text(RECIPE_OF_TWO)
    one, other = spelt_in_two_ways()
    table = f"file,patient,label\na.svs,{one},x\nb.svs,{other},y\n"
    (tmp_path / "cohort.csv").write_text(table)
    slides = [str(write_slide(tmp_path / f"{name}.svs", n)) for n, name in enumerate("ab")]
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "1000")
    with workers_here():
        typed("ingest", *slides, "--cohort", str(tmp_path / "cohort.csv"))
        yield tmp_path


def typed(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == code, result.output
    return result.stdout


def typed_all(*words: str, code: int = 0) -> str:
    """The same with what is said of errors."""
    result = CliRunner().invoke(main, words)
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.usefixtures("home")
def test_what_the_gate_kept_back_is_not_counted_as_built_and_the_exit_code_is_1() -> None:
    said = typed("run", code=1)
    assert "ran 2 slides, built 1 dataset; 0 slides failed, 1 dataset not built" in said
    assert "not built dataset/cohort: " in said
    assert "one name in two spellings" in said
    assert "pathassets dataset accept cohort " in said

    datasets = json.loads(typed("status", "--json"))["datasets"]
    blocked = datasets["dataset/cohort"]
    assert (blocked["state"], blocked["reason"]) == ("failed", "leakage")
    assert datasets["dataset/whole"]["state"] == "current"
    assert "dataset/cohort" in typed("status")

    again = typed("run", code=1)
    assert "built 0 datasets; 0 slides failed, 1 dataset not built" in again

    stated = ("--who", "Ann", "--why", "paper")
    refused = typed_all("dataset", "freeze", "cohort", *stated, code=2)
    assert "; so no version was built. " in refused
    assert "one name in two spellings" in refused
    assert "pathassets dataset accept cohort " in refused

    (finding,) = json.loads(typed("dataset", "show", "cohort", "--json"))["findings"]
    typed("dataset", "show", "cohort@9", code=2)  # what is blocked is another
    typed("dataset", "accept", "cohort", finding["finding"], "--who", "Ann", "--why", "twins")
    assert "built 1 dataset; 0 slides failed\n" in typed("run")
    assert typed("run").startswith("nothing to do")
    (built,) = (one for one in json.loads(typed("dataset", "list", "--json"))
                if one["name"].startswith("cohort"))  # fmt: skip

    with Catalog.open(read_settings().catalog_url) as catalog:
        slides = [one.slide_id for one in catalog.slides()]
        other = spelt_in_two_ways(other_than=spelt_in_two_ways()[0])
        catalog.set_cohort_facts(
            CohortFacts(slide_id=slide_id, patient=patient, label="x")
            for slide_id, patient in zip(slides, other, strict=True)
        )
    typed("run", code=1)
    refused = typed_all("dataset", "freeze", "cohort", *stated, code=2)
    assert "; so no version of its slides of now was built. " in refused
    assert other[0] in refused
    assert f"pathassets dataset freeze {built['name']} --who NAME --why …" in refused


@pytest.mark.slow
@pytest.mark.usefixtures("home")
def test_a_run_that_was_not_asked_for_it_does_not_tell_of_it() -> None:
    typed("run", code=1)
    assert "not built" not in typed("run", "--select", "features,dataset/whole")
