"""What `pathassets cohort`, `qc`, `sql` and `check` say and do, from a terminal."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from pathassets.adapters.tifffile import corrupt_tile
from pathassets.cli import main
from pathassets.core.selection.nodes import Field, Value, both, match
from pathassets.defs.assets.slide import reported_versions
from pathassets.defs.instance import open_instance
from pathassets.engine.settings import read_settings
from tests.catalog.conftest import make_schema, postgres_server
from tests.catalog.hostile_words import HOSTILE
from tests.defs.dagster_state import copy_state
from tests.defs.small_slides import RECIPE, write_slide
from tests.engine.workers_here import workers_here

pytestmark = pytest.mark.usefixtures("cheap_databases")

__all__ = ["make_schema", "postgres_server"]  # fixtures

WHO = ("--who", "Ann", "--why", "the slide's label")
CONTROLS = {"\x1b", "\x07", "\u202e"}
"""What a terminal obeys, or that turns a line around."""


@pytest.fixture
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the catalog on PostgreSQL, where a test asks for it."""
    if getattr(request, "param", "sqlite") == "postgresql":
        monkeypatch.setenv("PATHASSETS_CATALOG", request.getfixturevalue("make_schema")())


@pytest.fixture
def home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dagster_state: Path, database: None
) -> Iterator[Path]:
    """A home with two slides, a and b."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)
    copy_state(dagster_state, tmp_path)
    assert database is None
    with workers_here():
        output("ingest", *(write_slide(tmp_path / f"{n}.svs", i) for i, n in enumerate("ab")))
        yield tmp_path


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def output(*arguments: str | Path, code: int = 0) -> str:
    result = invoke(*arguments)
    assert result.exit_code == code, result.output
    return result.stdout


def ids() -> list[str]:
    return [row["slide_id"] for row in asked("SELECT slide_id FROM v_slides ORDER BY 1")]


def asked(query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(output("sql", query, "--json"))
    return found


def metadata(slide_id: str) -> dict[str, Any]:
    """What Dagster shows of a slide."""
    with open_instance(read_settings()) as instance:
        found = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey("slide"), asset_partitions=[slide_id]),
            limit=1,
        )
    [record] = found.records
    assert record.asset_materialization is not None
    return {name: one.value for name, one in record.asset_materialization.metadata.items()}


def write_table(home: Path, text: str) -> Path:
    path = home / "cohort.csv"
    path.write_text(text)
    return path


def test_a_table_is_shown_taken_listed_and_told_to_dagster(home: Path) -> None:
    a, b = ids()
    table = write_table(
        home,
        "file,patient,site,label,label.grade,mpp,stain\na.svs,P1,Lyon,x,2,0.4,HE\nb.svs,P1,,y,,,\n",
    )
    shown = output("cohort", "import", table, "--dry-run", "--name", "luad")
    assert f"slide {a}: patient not stated → 'P1', stain not stated → 'HE', mpp '0.5'" in shown
    assert "10 changes of 2 slides and 1 patient, 1 resolution" in shown
    assert output("cohort", "list").startswith("no cohorts")
    taken = output("cohort", "import", table, "--name", "luad", "--who", "Ann")
    assert shown == taken.replace("\ntaken\n", "\ndry run: nothing was changed\n")
    assert "luad" in output("cohort", "list")
    rows = json.loads(output("cohort", "show", "luad", "--json"))
    assert rows[0] == {
        "slide_id": a, "patient": "P1", "site": "Lyon", "label": "x", "labels": {"grade": "2"},
        "stain": "HE", "tags": [],
    }  # fmt: skip
    assert "P1" in output("cohort", "show", "luad")
    told = metadata(a)
    expected = {"patient": "P1", "site": "Lyon", "label": "x", "labels": "grade: 2", "stain": "HE"}
    assert {name: told[name] for name in expected} == expected
    assert (told["mpp"], metadata(b)["site"]) == ("0.4", "Lyon")
    *_, last = output("cohort", "import", table, "--name", "luad").splitlines()
    assert last == "nothing to change: the catalog says so already"
    assert output("cohort", "label", a, "grade=2") == f"{last}\n"
    history = json.loads(output("cohort", "history", a, "--json"))
    assert {(row["who"], row["file"]) for row in history} == {("Ann", str(table))}
    assert len({row["sha256"] for row in history}) == 1


def test_new_words_on_the_page_make_nothing_stale(home: Path) -> None:
    a, b = ids()
    with open_instance(read_settings()) as instance:
        before = reported_versions(instance, [a, b])
    output("cohort", "label", a, "grade=3", "label=x")
    assert metadata(a)["labels"] == "grade: 3"
    with open_instance(read_settings()) as instance:
        assert reported_versions(instance, [a, b]) == before
    assert home.is_dir()


def test_conflicts_come_first_and_nothing_is_changed(home: Path) -> None:
    table = write_table(home, "file,label\na.svs,x\nc.svs,x\na.svs,y\n")
    said = output("cohort", "import", table, code=2).splitlines()
    assert "cohort.csv:3: slide 'c.svs' is not in the catalog. Did you mean" in said[1]
    assert "cohort.csv:4: label of slide" in said[2]
    assert said[-1].endswith("nothing is changed: 2 conflicts")
    assert asked("SELECT label FROM v_slides WHERE label IS NOT NULL") == []
    shown = json.loads(output("cohort", "import", table, "--json", "--dry-run", code=2))
    assert [one["line"] for one in shown["conflicts"]] == [3, 4]


@pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)
def test_words_of_strangers_are_shown_as_they_are_and_obeyed_by_nothing(home: Path) -> None:
    a, _ = ids()
    words = {f"label.{word}": [word] for word in HOSTILE.values()}
    pd.DataFrame({"file": ["a.svs"], "patient": [HOSTILE["terminal"]], **words}).to_parquet(
        home / "t.parquet"
    )
    said = output("cohort", "import", home / "t.parquet", "--who", HOSTILE["terminal"])
    said += output("cohort", "history", a) + output("sql", "SELECT * FROM v_labels")
    output("cohort", "import", home / "t.parquet", "--name", "all")
    said += output("cohort", "show", "all")
    assert not CONTROLS & {*said}
    for word in ('O\'Brien "x" `y`', "x'; DROP TABLE slide; --", "<img src=x>", r"\x1b[31mred"):
        assert word in said
    found = {row["name"]: row["value"] for row in asked("SELECT name, value FROM v_labels")}
    assert found == {word: word for word in HOSTILE.values()}
    field = "v_changes WHERE field LIKE 'label.%'"
    assert {row["field"] for row in asked(f"SELECT field FROM {field}")} == {*words}  # noqa: S608
    is_said = (match(Field(name="label", of=word), [Value.of(word)]) for word in found)
    assert output("select", "show", str(both(is_said))).startswith(f"{a}\n1 slide")
    labels = json.loads(output("select", "values", "labels", "--json"))
    assert {one["value"] for one in labels} == {*found}
    [shown] = json.loads(output("cohort", "show", "all", "--json"))
    assert shown["labels"] == found
    preview = json.loads(output("cohort", "import", home / "t.parquet", "--dry-run", "--json"))
    assert [one["name"] for one in preview["labels"]] == [*HOSTILE.values()]
    output("cohort", "kind", HOSTILE["markdown"], "text")
    told = metadata(a)
    assert told["patient"] == r"\x1b[31mred\x1b]0;owned\x07"
    assert HOSTILE["markdown"] in told["labels"]
    assert len(told["labels"].splitlines()) == len(HOSTILE)


def test_labels_tags_and_cohorts_are_changed_by_hand(home: Path) -> None:
    a, b = ids()
    assert "label.grade not stated → '2'" in output("cohort", "label", a, "grade=2")
    assert "label.grade '2' → not stated" in output("cohort", "label", a, "grade=")
    assert "label.\"T = 1\" not stated → 'x'" in output("cohort", "label", a, '"T = 1"=x')
    assert output("select", "show", "label.'T = 1':x & a.svs").startswith(a)
    assert "label.\"T = 1\" 'x' → 'y'" in output("cohort", "label", a, '"T = 1"= y ')
    said = invoke("cohort", "label", b, "T = 1=yes").stderr
    assert "'T = 1=yes' may be of a label 'T' or 'T = 1'" in said
    commands = re.findall(r"pathassets (cohort label \S+ '[^']+')", said.replace("\n", " "))
    assert [shlex.split(one)[-1] for one in commands] == ['"T"=1=yes', '"T = 1"=yes']
    assert "label.\"T = 1\" not stated → 'yes'" in output(*shlex.split(commands[1]))
    shown = output("cohort", "label", a, r'"new\nline"= l3')
    assert r"""label."new\nline" not stated → 'l3'""" in shown
    assert output("select", "show", r'label."new\nline":l3').startswith(a)
    assert "text" in output("cohort", "kind", r'"new\nline"', "text")
    said = invoke("cohort", "kind", r'"new\nlime"', "text").stderr
    assert r"""Did you mean "new\nline"?""" in said
    said = invoke("select", "show", r'label."new\tline":l3').stderr
    assert r"""Did you mean label."new\nline"?""" in said
    assert (
        r"'\q' stands for no character, at character 3"
        in invoke("cohort", "label", a, r'"a\q"=x').stderr
    )
    found = output("sql", "SELECT name AS \"Größe\" FROM v_labels WHERE value = 'l3'", "--json")
    assert found == '[\n{"Größe": "new\\nline"}\n]\n'
    assert "tag +x, tag +y" in output("cohort", "tag", a, "x", "y")
    assert "tag -y" in output("cohort", "tag", a, "y", "--remove")
    output("cohort", "slides", "pilot", a, b)
    output("cohort", "slides", "pilot", b, "--remove")
    assert asked("SELECT slide_id, tags FROM v_slides WHERE cohorts = 'pilot'") == [
        {"slide_id": a, "tags": "x"}
    ]
    assert "is not NAME=VALUE" in invoke("cohort", "label", a, "grade").stderr
    assert "there is none of this name" in invoke("cohort", "show", "x").stderr
    assert "nothing was ever changed" in output("cohort", "history", "nobody")
    assert home.is_dir()


def test_a_slide_goes_by_every_name_that_is_its_alone(home: Path) -> None:
    a, b = ids()
    assert output("mpp", "set", "a.svs", "0.4", *WHO).startswith(f"{a}: 0.4 um per pixel")
    assert "0.4" in output("mpp", "show", "a")
    assert f"slide {b}: tag +x" in output("cohort", "tag", home / "b.svs", "x")
    output("cohort", "slides", "pilot", "a", "b.svs")
    assert asked("SELECT count(*) AS n FROM v_slides WHERE cohorts = 'pilot'") == [{"n": 2}]
    assert f"{b}: review" in output("qc", "set", "b", "review", *WHO)
    assert json.loads(output("qc", "show", "b.svs", "--json"))[0]["slide_id"] == b
    assert output("cohort", "history", "a", "--json") == output("cohort", "history", a, "--json")
    assert f"slide {a}" in output("lineage", "slide:a.svs").replace("slide:", "slide ")
    assert output("annotations", "show", "a.svs", "--json").strip() == "[]"
    assert b in output("forget", "b.svs", *WHO)
    assert ids() == [a]
    assert "slide nobody: not in the catalog" in invoke("mpp", "set", "nobody", "1", *WHO).stderr


def test_a_verdict_is_stated_and_shown(home: Path) -> None:
    a, _ = ids()
    assert output("qc", "show").startswith("no verdicts: pathassets qc set SLIDE ")
    output("qc", "set", a, "reject", "--who", "Ann", "--why", "out of focus")
    output("qc", "set", a, "accept", "--who", "Bob", "--why", "rescanned")
    assert "rescanned" in output("qc", "show")
    history = json.loads(output("qc", "show", a, "--json"))
    assert [one["verdict"] for one in history] == ["accept", "reject"]
    table = home / "verdicts.csv"
    table.write_text(f"slide,verdict,why\n{a},review,folds\n")
    assert "dry run" in output("qc", "import", table, "--who", "Eve", "--dry-run")
    assert output("qc", "queue").startswith("no slide waits")
    assert output("qc", "import", table, "--who", "Eve").endswith("taken\n")
    assert json.loads(output("qc", "import", table, "--who", "Eve", "--json"))["n_same"] == 1
    [waiting] = json.loads(output("qc", "queue", "--json"))
    assert (waiting["slide_id"], waiting["verdict"]["why"]) == (a, "folds")
    table.write_text(f"slide,verdict,why\n{a},good,folds\n")
    assert "is no verdict" in output("qc", "import", table, "--who", "Eve", code=2)
    assert asked("SELECT verdict, verdict_by FROM v_slides WHERE verdict IS NOT NULL") == [
        {"verdict": "review", "verdict_by": "Eve"}
    ]


def test_a_query_is_printed_with_what_was_left_out(home: Path) -> None:
    said = output("sql", "SELECT slide_id FROM v_slides", "--limit", "1")
    assert "1 row; there are more: --limit N, or --to FILE.csv for all" in said
    assert output("sql", "SELECT 1 AS x WHERE 0", "--json") == "[]\n"
    assert "bytes)" in output("sql", "SELECT thumbnail FROM slide")
    error = invoke("sql", "DELETE FROM slide")
    assert error.exit_code == 2
    assert "error: query: " in error.stderr
    assert len(ids()) == 2
    assert home.is_dir()


def test_a_query_is_written_as_csv_and_parquet_which_others_read(home: Path) -> None:
    a, _ = ids()
    output("cohort", "label", a, "formula=" + HOSTILE["formula"], "grade=2")
    query = "SELECT slide_id, name, value, number FROM v_labels ORDER BY name"
    said = output("sql", query, "--to", home / "labels.csv")
    assert "mind: 1 cell would be run by a spreadsheet" in said
    assert pd.read_csv(home / "labels.csv")["value"].tolist() == [HOSTILE["formula"], "2"]
    refused = invoke("sql", query, "--to", home / "labels.csv", "--escape-formulas")
    assert refused.exit_code == 2
    assert f"{home / 'labels.csv'}: is there already" in refused.stderr
    assert "--overwrite" in refused.stderr
    assert pd.read_csv(home / "labels.csv")["value"][0] == HOSTILE["formula"]
    said = output("sql", query, "--to", home / "labels.csv", "--escape-formulas", "--overwrite")
    assert pd.read_csv(home / "labels.csv")["value"][0] == "'" + HOSTILE["formula"]
    output("sql", query, "--to", home / "labels.parquet")
    found = duckdb.sql(f"SELECT name, number FROM '{home}/labels.parquet'").fetchall()  # noqa: S608
    assert found == [("formula", None), ("grade", 2.0)]
    for way in (["--json"], ["--to", home / "x.parquet"], ["--to", home / "x.csv"]):
        assert "two columns are called 'x'" in invoke("sql", "SELECT 1 AS x, 2 AS x", *way).stderr
    assert "neither .csv nor .parquet" in invoke("sql", query, "--to", home / "x.txt").stderr
    assert not {*home.glob("x.*")}


def test_the_encoders_of_the_recipe_are_in_the_catalog(home: Path) -> None:
    assert asked("SELECT name, dim, weights, is_gated FROM v_encoders") == [
        {"name": "colour_stats", "dim": 25, "weights": "none", "is_gated": 0}
    ]
    assert home.is_dir()


@pytest.mark.slow  # a worker process reads the tiles
def test_what_check_finds_is_in_the_catalog(home: Path) -> None:
    corrupt_tile(home / "b.svs", level=0, tile_index=5)
    output("ingest", home / "b.svs")
    output("check", home / "b.svs", code=1)
    [found] = asked("SELECT tile, reason, found_by FROM v_bad_tiles")
    assert found == {"tile": 5, "reason": "undecodable", "found_by": "check"}
