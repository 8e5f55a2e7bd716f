"""`pathassets plan` before a run and after it; shards at once on one home, by real processes."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pathassets.catalog.catalog import Catalog
from pathassets.cli import main
from pathassets.engine.settings import read_settings
from tests.defs.daemon import COMMAND, environment, pathassets
from tests.defs.dagster_state import copy_state
from tests.defs.small_slides import RECIPE, write_slide, write_slow_recipe
from tests.engine.workers_here import workers_here

pytestmark = pytest.mark.usefixtures("cheap_databases")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dagster_state: Path) -> Path:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    copy_state(dagster_state, tmp_path)
    return tmp_path


def output(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.stdout


def planned(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output("plan", "--json", *arguments))
    return found


def test_a_plan_knows_nothing_then_what_a_run_took_then_that_nothing_is_left(home: Path) -> None:
    (home / "scans").mkdir()
    for number in range(4):
        write_slide(home / "scans" / f"s{number}.svs", number)
    with workers_here():
        output("ingest", str(home / "scans"))
        first = planned()
        assert (first["n_to_do"], first["wall_s"], first["is_whole"]) == (4, None, False)
        assert {one["work_s"] for one in first["entries"]} == {None}
        said = output("plan")
        assert "no run was measured" in said
        assert "First: pathassets run --slides s" in said
        shares = [planned("--shard", f"{k}/2")["n_to_do"] for k in (1, 2)]
        assert sum(shares) == 4
        output("run")
        assert planned()["n_to_do"] == 0
        for number in range(4, 7):
            write_slide(home / "scans" / f"s{number}.svs", number)
        output("ingest", str(home / "scans"))
        second = planned()
        assert (second["n_to_do"], second["n_current"], second["is_whole"]) == (3, 4, True)
        [features] = [one for one in second["entries"] if one["asset"] == "features/colour"]
        assert features["patches"]["value"] == pytest.approx(24)  # all are alike
        assert second["wall_s"]["low"] <= second["wall_s"]["value"] <= second["wall_s"]["high"]
        assert "80 % sure) in 1 run on " in output("plan")
        shutil.rmtree(next((home / "store" / "features" / "colour").iterdir()))
        unseen = planned("--no-look")
        assert (unseen["has_looked"], unseen["n_current"]) == (False, 4)
        assert "not looked at the store: 12 artifacts, seen whole" in output("plan", "--no-look")
        seen = planned()
        assert (seen["has_looked"], seen["n_current"], seen["n_to_do"]) == (True, 3, 4)
        nobody = output("run", "--slides", "s5-*", "--shard", "99999/100000")
        assert "no slide is meant by this selection and shard" in nobody
        assert "--shard '3/2'" in CliRunner().invoke(main, ["plan", "--shard", "3/2"]).stderr


@pytest.mark.slow
def test_two_shards_at_once_make_all_slides_once_and_lose_nothing(home: Path) -> None:
    write_slow_recipe(home, 0.2)
    (home / "scans").mkdir()
    for number in range(8):
        write_slide(home / "scans" / f"s{number}.svs", number)
    pathassets(home, "ingest", home / "scans")
    more = {"PATHASSETS_WORKERS": "1", "PYTHONPATH": str(home)}
    both = [
        subprocess.Popen(  # noqa: S603  (our own command)
            [COMMAND, "run", "--shard", f"{k}/2"],
            env=environment(home, **more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )
        for k in (1, 2)
    ]  # fmt: skip
    said = [process.communicate(timeout=600)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    with Catalog.open(read_settings().catalog_url) as catalog:
        first, second = catalog.batches()
        assert first.ended_at is not None
        assert second.ended_at is not None
        assert max(first.began_at, second.began_at) < min(first.ended_at, second.ended_at)
        attempts = catalog.attempts()
    assert {one.state for one in attempts} == {"made"}
    places = Counter((*one.address.key, one.address.partition_key) for one in attempts)
    assert (len(places), set(places.values())) == (24, {1})
    assert "dataset" not in {one.address.stage for one in attempts}
    done = pathassets(home, "run", **more)  # builds the dataset, and runs nothing again
    assert "ran 0 slides, built 1 dataset; 0 slides failed" in done.stdout
    pathassets(home, "doctor", **more)
