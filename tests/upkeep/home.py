"""A home after a run, with something drawn, and what the tests of upkeep ask of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pathassets.catalog.catalog import Catalog
from pathassets.cli import main
from pathassets.core.address import Address
from tests.defs.dagster_state import copy_state
from tests.defs.small_slides import RECIPE, write_slide
from tests.engine.annotations import write_boxes
from tests.engine.workers_here import workers_here

CHUNK = "features.zarr/features/c/0/0"
ANNOTATED = f"{RECIPE}annotations: {{tumour: {{}}}}\n"


def invoke(*arguments: str | Path) -> Result:
    """Run the command in this process, where Dagster is imported once."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def output(*arguments: str | Path, code: int = 0) -> str:
    result = invoke(*arguments)
    assert result.exit_code == code, result.output
    return result.stdout


def refused(*arguments: str | Path) -> str:
    """What a command says that cannot do what it was asked."""
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    return line


def make_home(home: Path, dagster_state: Path) -> Path:
    """Slides a and b after a run, something drawn on a, a resolution stated of b, a dataset."""
    (home / "recipe.yaml").write_text(ANNOTATED)
    (home / "scans").mkdir()
    copy_state(dagster_state, home)
    with pytest.MonkeyPatch.context() as patched, workers_here():
        patched.setenv("PATHASSETS_HOME", str(home))
        slides = [write_slide(home / "scans" / f"{n}.svs", i) for i, n in enumerate("ab")]
        (home / "cohort.csv").write_text("file,patient,label\na.svs,Doe,tumour\nb.svs,Roe,normal\n")
        output("ingest", *slides, "--cohort", home / "cohort.csv")
        a, b = ids(home)
        write_boxes(home / "a.geojson", (128, 128, 896, 640))
        stated = ("--who", "Ann", "--why", "review of 3 May")
        output("annotations", "set", a, home / "a.geojson", "--name", "tumour", *stated)
        output("mpp", "set", b, "0.55", *stated)
        output("run")
        output("backup", home.with_suffix(".backup"))
    return home


def ids(home: Path) -> list[str]:
    with opened(home) as catalog:
        return [one.slide_id for one in catalog.slides()]


def opened(home: Path) -> Catalog:
    return Catalog.open(f"sqlite:///{home / 'store' / 'catalog.sqlite'}")


def features(home: Path, name: str) -> Path:
    [folder] = (home / "store" / "features" / "colour").glob(f"{name}-*/*")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def artifacts(home: Path) -> dict[str, bytes]:
    """All files of all artifacts."""
    found = contents(home / "store")
    return {path: data for path, data in found.items() if path.count("/") > 3 and path[0] != "."}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def status() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output("status", "--json"))
    return found


def findings(*options: str | Path) -> dict[str, list[dict[str, Any]]]:
    """What the doctor finds, by kind."""
    result = invoke("doctor", "--json", *options)
    assert result.exit_code in {0, 1}, result.output
    found: dict[str, list[dict[str, Any]]] = {}
    for one in json.loads(result.stdout):
        found.setdefault(one["kind"], []).append(one)
    every = [one for some in found.values() for one in some]
    is_left = any(not one["done"] and not one["is_note"] for one in every)
    assert result.exit_code == int(is_left)
    return found


def addresses(home: Path) -> set[Address]:
    with opened(home) as catalog:
        return catalog.artifact_digests()


def make_stale(home: Path) -> set[Address]:
    """Let everything of slide b, and a mask of another entry, be in force no more."""
    _, b = ids(home)
    before = {one for one in addresses(home) if one.partition_key == b}
    output("mpp", "set", b, "0.5", "--who", "Ann", "--why", "measured")
    return {one for one in before if one.stage != "annotations"}
