"""`pathassets dataset`, as it is typed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pathassets.catalog.releases.records import FindingRecord
from pathassets.cli import main
from pathassets.engine.platform.datasets.build import build_dataset
from pathassets.engine.platform.platform import Platform, open_platform
from pathassets.engine.settings import read_settings
from tests.defs.small_slides import RECIPE, write_slide
from tests.engine.conftest import register_files
from tests.engine.workers_here import workers_here

HOSTILE = "\x1b]0;owned\x07 [red]x[/] ![x](y)"
Type = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """A home with a version of one slide without features."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "300")
    with workers_here(), open_platform(read_settings()) as platform:
        register_files(platform, write_slide(tmp_path / "a.svs", 1))
        build_dataset(platform, platform.recipe.datasets[0], run_id="run")
        yield platform


@pytest.fixture
def typed() -> Type:
    def run(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(main, ["dataset", *words])
        assert result.exit_code == code, result.output
        return result

    return run


STATED = ("--who", "Ann", "--why", HOSTILE)


@pytest.mark.usefixtures("home")
def test_a_version_is_frozen_listed_shown_compared_and_verified(typed: Type) -> None:
    assert "cohort@1: 0 slides, digest " in typed("freeze", "cohort", *STATED).output
    listed = typed("list").output
    assert "\x1b" not in listed
    assert "[red]x[/]" in listed
    shown = typed("show", "cohort@1").output
    assert "released by Ann" in shown
    assert "not computed" in shown
    assert typed("diff", "cohort@1", "cohort").output == "nothing changed\n"
    assert "cohort@1: 0 slides, 0 files of features, 0 bytes; 0 faults" in typed(
        "verify", "cohort@1"
    ).output  # fmt: skip


@pytest.mark.usefixtures("home")
def test_the_same_for_machines(typed: Type) -> None:
    typed("freeze", "cohort", *STATED)
    (version,) = json.loads(typed("list", "--json").output)
    assert (version["name"], version["version"], version["why"]) == ("cohort@1", 1, HOSTILE)
    shown = json.loads(typed("show", "cohort", "--json").output)
    assert [row["why"] for row in shown["left_out"]] == ["not computed"]
    changes = json.loads(typed("diff", "cohort@1", "cohort", "--json").output)
    assert {len(rows) for rows in changes.values()} == {0}
    assert json.loads(typed("verify", "cohort", "--own", "--json").output)["faults"] == []


def test_what_is_not_whole_is_named_and_the_exit_code_is_1(typed: Type, home: Platform) -> None:
    typed("freeze", "cohort", *STATED)
    shutil.rmtree(home.store.root / "dataset")
    output = typed("verify", "cohort@1", code=1).output
    assert "artifact_missing cohort@1" in output
    assert "1 fault" in output


def test_a_finding_is_shown_and_accepted_with_who_and_why(typed: Type, home: Platform) -> None:
    finding = FindingRecord(
        finding="0123456789abcdef", kind="same_slide", one="a", other="b", message=HOSTILE,
        remedy="mend it", evidence={"slides": ["a", "b"]},
    )  # fmt: skip
    home.catalog.set_findings("cohort", "d", [finding])
    shown = typed("show", "cohort").output
    assert "blocked 0123456789abcdef" in shown
    assert "\x1b" not in shown
    said = typed("accept", "cohort", finding.finding, *STATED).output
    assert said.startswith("0123456789abcdef by Ann")
    assert "\x1b" not in said
    assert "accepted 0123456789abcdef by Ann" in typed("show", "cohort").output
    typed("freeze", "cohort", *STATED)
    assert "0123456789abcdef by Ann" not in typed("show", "cohort@1").output  # about neither slide


@pytest.mark.usefixtures("home")
def test_what_cannot_be_is_refused_with_exit_code_2(typed: Type) -> None:
    for words, said in (
        (["show", "cohort@9"], "release cohort@9: there is none"),
        (["show", "../x"], "no name of a version"),
        (["diff", "cohort", "cohrt"], "Did you mean 'cohort'"),
        (["accept", "cohort", "f", *STATED], "does not block it"),
        (["freeze", "cohort", "--who", " ", "--why", "x"], "it says nothing"),
    ):
        assert said in typed(*words, code=2).output
