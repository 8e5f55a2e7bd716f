"""`pathassets select`, `stale` and `lineage`, and selections where other commands take slides."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from pathassets.cli import main
from tests.defs.dagster_state import copy_state
from tests.defs.small_slides import RECIPE, write_slide
from tests.engine.workers_here import workers_here

pytestmark = pytest.mark.usefixtures("cheap_databases")


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def output(*arguments: str | Path, code: int = 0) -> str:
    result = invoke(*arguments)
    assert result.exit_code == code, result.output
    assert result.stderr == ""
    return result.stdout


@pytest.fixture
def ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dagster_state: Path) -> list[str]:
    """Two registered slides of a home."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    copy_state(dagster_state, tmp_path)
    for number, name in enumerate("ab", 1):
        write_slide(tmp_path / f"{name}.svs", number)
    (tmp_path / "c.csv").write_text('file,patient,label\na.svs,"P;1",x\nb.svs,"[P] 2",y\n')
    with workers_here():
        output("ingest", tmp_path, "--cohort", tmp_path / "c.csv")
    return [one["slide_id"] for one in json.loads(output("status", "--json"))["slides"]]


def test_a_selection_is_saved_shown_and_run(ids: list[str]) -> None:
    a, b = ids
    assert output("select", "show", "patient:P*") == f"{a}\n1 slide\n"
    said = json.loads(output("select", "show", "(b-* | a-*) & !label:x", "--json"))
    assert said == {"selection": "!label:x & id:a-*,b-*", "n_slides": 1, "slides": [b]}
    assert output("select", "list").startswith("none is saved yet")
    assert (
        output("select", "save", "second", "label:y", "--who", "Ann [1]")
        == "@second: 1 slide now\n"
    )
    assert "Ann [1]" in output("select", "list")
    [saved] = json.loads(output("select", "list", "--json"))
    assert (saved["name"], saved["selection"], saved["who"]) == ("second", "label:y", "Ann [1]")
    with workers_here():
        foretold = output("run", "--dry-run", "--slides", "@second & b-*").splitlines()
        assert [line.split(": ")[1] for line in foretold[:4]] == [
            *["1 to compute (1 missing), 0 current"] * 3, "to build"
        ]  # fmt: skip
        alone = output("run", "--dry-run", "--select", "features", "--slides", "b-*")
        assert "features/colour: 0 to compute, 0 current, 1 not tried (1 missing)" in alone
        said = output("run", "--slides", "@second & b-*")
        assert "ran 1 slide, built 1 dataset" in said
        lacking = "mind dataset/cohort: 1 of 2 slides; 1 left out, whose features are not computed"
        assert lacking in said
        assert lacking in output("run", "--slides", "b-*")
        foretold = output("run", "--dry-run", "--slides", "b-*").splitlines()
        assert [line.split(": ")[1] for line in foretold[:4]] == [
            *["0 to compute, 1 current"] * 3, "current"
        ]  # fmt: skip
        assert lacking in output("status")
        assert "not computed" in output("dataset", "show", "cohort")
        states = {
            one["slide_id"]: {asset["state"] for asset in one["assets"].values()}
            for one in json.loads(output("status", "--json"))["slides"]
        }
        assert states == {a: {"missing"}, b: {"current"}}
        none = output("run", "--slides", "label:x & b-*")
    assert none == "nothing to do: no slide is meant by this selection\n"


def test_an_error_is_shown_with_its_place(ids: list[str]) -> None:
    assert ids
    result = invoke("run", "--slides", "label:x & cohrot:luad")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "error: selection: unknown field 'cohrot'",
        "      label:x & cohrot:luad",
        "                ^^^^^^",
        "    Did you mean 'cohort'?",
    ]


def test_what_a_dataset_selects_by_wrongly_is_shown_with_its_place_before_a_run(
    ids: list[str], tmp_path: Path
) -> None:
    assert ids
    wrong = "dataset: {cohort: {features: colour, seed: 0, slides: 'cohort:('}}"
    recipe = re.sub(r"dataset: .*", wrong, (tmp_path / "recipe.yaml").read_text())
    (tmp_path / "recipe.yaml").write_text(recipe)
    lines = output("run", "--dry-run").splitlines()
    n = next(n for n, line in enumerate(lines) if line.startswith("dataset/cohort: not built"))
    assert lines[n + 1 : n + 3] == ["      cohort:(", "             ^"]
    assert lines[n + 3].startswith("    Expected ")


def test_a_slide_is_checked_by_a_selection(ids: list[str]) -> None:
    assert len(json.loads(output("check", "a-*", ids[1], "--json"))) == 2


def test_stale_names_the_change_and_lineage_draws_what_it_concerns(
    ids: list[str], tmp_path: Path
) -> None:
    a, b = ids
    with workers_here():
        output("run")
    assert output("stale") == "nothing is stale\n"
    output("mpp", "set", a, "0.25", "--who", "Ada", "--why", "log")
    said = output("stale")
    assert "stale tissue_mask/otsu mpp: 0.5 → 0.25, by Ada\n" in said
    assert "stale features/colour since tissue_mask/otsu is: mpp: 0.5 → 0.25, by Ada\n" in said
    assert "    1 artifact: all\n" in said
    assert output("stale", "--slides", b) == "nothing is stale\n"
    shown = output("status", "--slides", "patient:P*", "--json")
    assert [one["slide_id"] for one in json.loads(shown)["slides"]] == [a]
    assert output("status", "--slides", b).count("current") == 3
    assert output("status", "--slides", f"{a} & {b}") == "no slide is meant by this selection\n"
    assert output("select", "values", "patient") == "P;1  1 slide\n[P] 2  1 slide\n"
    said = json.loads(output("select", "values", "label", "--json"))
    assert said == [{"value": "x", "n_slides": 1}, {"value": "y", "n_slides": 1}]
    [first, *_] = json.loads(output("stale", "--slides", a, "--json"))
    assert first["cause"] == {
        "change": "mpp",
        "what": "",
        "old": "0.5",
        "new": "0.25",
        "who": "Ada",
    }

    [mask] = (tmp_path / "store" / "tissue_mask" / "otsu" / a).iterdir()
    shown = output("lineage", mask)
    assert "made from it" in shown
    assert f"patch_locations/grid/{a}" in shown
    for name in re.findall(r"(?:slide:|patient:|patch_locations/)\S+", shown):
        assert output("lineage", name).startswith(name)
    assert output("lineage", f"slide//{a}").startswith(f"slide:{a}\n")
    assert json.loads(output("lineage", a, "--json"))["called"] == f"slide:{a}"
    dot = output("lineage", "patient:[P] 2", "--dot")
    assert dot.startswith("digraph lineage {\n")
    assert 'label="patient\\n[P] 2"' in dot
    svg = ET.fromstring(output("lineage", b, "--svg"))  # noqa: S314 - our own
    texts = [one.text for one in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert "features/colour" in texts
    assert "[P] 2" in texts
