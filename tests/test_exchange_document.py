"""docs/exchange.md: its commands, in their order, in a home with two slides."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pathassets.cli import main
from pathassets.defs.instance import open_instance
from pathassets.engine.settings import read_settings
from tests.defs.dagster_state import copy_state
from tests.defs.small_slides import RECIPE, write_slide
from tests.engine.workers_here import workers_here
from tests.test_docs import ROOT, blocks

pytestmark = pytest.mark.usefixtures("cheap_databases")

PAGE = ROOT / "docs" / "exchange.md"
COLOUR = "features: {colour: {patch_locations: grid, encoder: colour_stats}}"
BOTH = """features:
  colour: {patch_locations: grid, encoder: colour_stats}
  imported: {patch_locations: grid, encoder: colour_stats}"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, dagster_state: Path) -> Path:
    """Slides a and b with patients and labels, their features, and the dataset of them."""
    home = tmp_path_factory.mktemp("made")
    copy_state(dagster_state, home)
    (home / "recipe.yaml").write_text(RECIPE)
    (home / "cohort.csv").write_text("file,patient,label\na.svs,p,x\nb.svs,q,y\n")
    slides = [str(write_slide(home / f"{name}.svs", n)) for n, name in enumerate("ab")]
    with pytest.MonkeyPatch.context() as patched, workers_here():
        patched.setenv("PATHASSETS_HOME", str(home))
        typed("ingest", *slides, "--cohort", str(home / "cohort.csv"))
        typed("run")
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy that may be changed."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.svs"))
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with workers_here():
        yield tmp_path


def typed(*words: str, code: int = 0) -> str:
    result: Result = CliRunner().invoke(main, words)
    assert result.exit_code == code, result.output
    return result.stdout


def commands(number: int) -> list[list[str]]:
    return [shlex.split(line)[1:] for line in blocks(PAGE, "sh")[number].splitlines()]


def states() -> dict[str, list[str]]:
    slides = json.loads(typed("status", "--json"))["slides"]
    return {key: [s["assets"][key]["state"] for s in slides] for key in slides[0]["assets"]}


@pytest.mark.slow
def test_the_documented_commands_export_and_import_in_their_order(home: Path) -> None:
    for words in commands(0):
        said = typed(*words)
        assert "3 written; " in said if words[2].startswith("dataset/") else "2 written; " in said
    assert sorted(p.name for p in (home / "exports").iterdir()) == [
        "anndata", "clam", "qupath", "slideflow", "spatialdata", "stamp", "trident",
    ]  # fmt: skip
    (home / "recipe.yaml").write_text(RECIPE.replace(COLOUR, BOTH))
    dry, taken, run = commands(1)
    said = typed(*dry)
    assert said.count("would be adopted") == 3
    assert "would save" in said
    assert "assumed: --rate states another" in said
    assert states()["features/imported"] == ["missing", "missing"]
    assert "2 files: 2 adopted" in typed(*taken)
    assert states()["features/imported"] == ["current", "current"]
    assert is_current_in_dagster("imported")
    assert "ran 0 slides" in typed(*run) or "nothing" in typed(*run)
    (unimport,) = commands(2)
    assert typed(*unimport).count("counts no more") == 2
    assert states()["features/imported"] == ["stale", "stale"]
    typed("run", "--select", "features/imported")
    assert states()["features/imported"] == ["current", "current"]


def is_current_in_dagster(name: str) -> bool:
    """Whether Dagster was told of the features of both slides, and where they are from."""
    import dagster as dg  # noqa: PLC0415 - takes seconds

    with open_instance(read_settings()) as instance:
        found = instance.fetch_materializations(dg.AssetKey(["features", name]), limit=10).records
        events = [record.asset_materialization for record in found]
        assert {event.metadata["provenance"].value for event in events if event} == {"external"}
        return len({event.partition for event in events if event}) == 2


def test_what_is_refused_ends_with_code_1_and_the_others_are_done(home: Path) -> None:
    said = typed(
        "export", "trident", "dataset/cohort", "to", "--names", "slide_id", "--slides", "x", code=2
    )
    assert said == ""
    typed("export", "trident", "features/colour", "to")
    (path,) = (home / "to").glob("*/features_colour_stats/a.h5")
    whole = path.read_bytes()
    path.write_bytes(b"another's")
    said = typed("export", "trident", "features/colour", "to", code=1)
    assert "1 kept, 1 refused" in said
    assert "has other content" in said
    path.write_bytes(whole)
    (path,) = (home / "to").glob("*/features_colour_stats/a.h5")
    path.write_bytes(b"no HDF5\x1b[2J")
    (home / "recipe.yaml").write_text(RECIPE.replace(COLOUR, BOTH))
    said = typed("import", "trident", "to", "--features", "imported", code=1)
    assert "2 files: 1 adopted, 1 refused" in said
    assert "\x1b" not in said
