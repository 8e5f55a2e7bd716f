"""On the demo cohort: where a feature row is from and where it goes, and what a change makes stale.

Each is asked of the command, of SQL and of Dagster's page, which must say the same.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from click.testing import CliRunner
from safetensors.torch import save_file

from pathassets.adapters.files import fingerprint_of
from pathassets.cli import main
from pathassets.defs.instance import open_instance
from pathassets.engine.platform.ingestion.demo import write_sample_cohort
from pathassets.engine.platform.provenance.causes import Cause
from pathassets.engine.settings import read_settings
from tests.defs.checks_shown import Ask, webserver_here
from tests.defs.dagster_state import copy_state
from tests.engine.annotations import write_boxes
from tests.engine.encoder_factories import make_means
from tests.engine.workers_here import workers_here

pytestmark = pytest.mark.slow  # to write and run the demo cohort takes ten seconds

RECIPE = """
annotations: {mended: {about: tissue by hand}}
tissue_mask: {otsu: {mpp: 8.0, annotations: mended}}
patch_locations: {grid: {tissue_mask: otsu, patch_px: 256, mpp: 0.5}}
features:
  colour: {patch_locations: grid, encoder: colour_stats}
  means:
    patch_locations: grid
    encoder: {name: "tests.engine.encoder_factories:make_means", weights: means.safetensors}
dataset: {cohort: {features: colour}}
"""
MASK, GRID, COLOUR, MEANS = (
    "tissue_mask/otsu", "patch_locations/grid", "features/colour", "features/means",
)  # fmt: skip
PER_SLIDE = [{"path": asset.split("/")} for asset in (MASK, GRID, COLOUR, MEANS)]
COHORT = "dataset/cohort"
Cells = set[tuple[str, str]]
"""Assets and slides."""

STALE = """
query ($assets: [AssetKeyInput!], $partition: String) {
  assetNodes(assetKeys: $assets) { assetKey { path } staleStatus(partition: $partition) } }
"""


@dataclass(frozen=True)
class Demo:
    home: Path
    slides: dict[str, str]
    """Slide id by the name of its file."""

    def path_of(self, entry: str, slide_id: str) -> Path:
        [folder] = (self.home / "store" / entry / slide_id).iterdir()
        return folder

    def sql(self, query: str, *values: object) -> list[Any]:
        with closing(sqlite3.connect(self.home / "store" / "catalog.sqlite")) as connection:
            return connection.execute(query, values).fetchall()


def typed(*words: str | Path) -> str:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code in {0, 1}, result.output
    return result.stdout


@pytest.fixture(scope="module")
def finished(dagster_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo cohort, registered and run."""
    home = tmp_path_factory.mktemp("demo")
    (home / "recipe.yaml").write_text(RECIPE)
    write_weights(home, 1)
    copy_state(dagster_state, home)
    with pytest.MonkeyPatch.context() as patch, workers_here():
        patch.setenv("PATHASSETS_HOME", str(home))
        patch.setenv("PATHASSETS_WORKERS", "1")
        write_sample_cohort(home / "demo")
        typed("ingest", home / "demo", "--cohort", home / "demo" / "cohort.csv")
        typed("run")
        typed("dataset", "freeze", "cohort", "--who", "Ann", "--why", "the paper")
        found = json.loads(typed("status", "--json"))["slides"]
        return Demo(home, {Path(one["paths"][0]).stem: one["slide_id"] for one in found})


@pytest.fixture
def demo(finished: Demo, monkeypatch: pytest.MonkeyPatch) -> Demo:
    """The same; a test leaves it as it found it."""
    monkeypatch.setenv("PATHASSETS_HOME", str(finished.home))
    monkeypatch.setenv("PATHASSETS_WORKERS", "1")
    return finished


def write_weights(home: Path, seed: int) -> None:
    torch.manual_seed(seed)
    save_file(make_means().state_dict(), home / "means.safetensors")


# One row, back and forth


@pytest.fixture
def feature_row(demo: Demo) -> tuple[str, Path, int]:
    """A slide, a copy of its features somewhere else, and the number of a row."""
    slide_id = demo.slides["demo-03"]
    return slide_id, demo.path_of(COLOUR, slide_id) / "features.zarr", 5


def test_a_row_leads_back_to_its_slide_and_forth_to_the_dataset_by_the_command(
    demo: Demo, feature_row: tuple[str, Path, int]
) -> None:
    slide_id, path, row = feature_row
    traced = json.loads(typed("lineage", path, "--row", str(row), "--json"))
    boxes = zarr.open_array(store=str(path / "coordinates"), mode="r")[:]
    assert [*traced["facts"]["patch_px0"].values()] == np.asarray(boxes)[row].tolist()
    one = traced
    while one["address"]["stage"] != "slide":
        one = one["parents"][0]
    scan = demo.home / "demo" / "demo-03.svs"
    assert one["facts"]["sha256"] == fingerprint_of([scan])
    assert one["facts"]["paths"] == [str(scan)]
    assert one["address"]["partition_key"] == slide_id
    [patient] = one["parents"]
    assert patient["address"]["partition_key"] == "patient-b"
    [dataset] = [one for one in traced["children"] if one["address"]["stage"] == "dataset"]
    [release] = dataset["children"]
    address = release["address"]
    assert (address["stage"], address["name"], address["partition_key"]) == (
        "release", "cohort", "1",
    )  # fmt: skip


BACK = """
WITH RECURSIVE back(stage, name, partition_key, digest) AS (
  SELECT stage, name, partition_key, digest FROM artifact WHERE stage = 'features' AND uri = ?
  UNION
  SELECT p.parent_stage, p.parent_name, p.parent_partition_key, p.parent_digest
  FROM artifact_parent p JOIN back USING (stage, name, partition_key, digest)
)
SELECT s.fingerprint FROM back JOIN slide s ON s.slide_id = back.partition_key
WHERE back.stage = 'slide'
"""
FORTH = """
SELECT p.stage, p.digest FROM artifact_parent p JOIN artifact a
ON (p.parent_stage, p.parent_name, p.parent_partition_key, p.parent_digest)
 = (a.stage, a.name, a.partition_key, a.digest) WHERE a.uri = ?
"""


def test_a_row_leads_back_to_its_slide_and_forth_to_the_dataset_by_sql(
    demo: Demo, feature_row: tuple[str, Path, int]
) -> None:
    _, path, row = feature_row
    uri = path.parent.relative_to(demo.home / "store").as_posix()
    assert demo.sql(BACK, uri) == [(fingerprint_of([demo.home / "demo" / "demo-03.svs"]),)]
    [(stage, digest)] = demo.sql(FORTH, uri)
    assert stage == "dataset"
    assert (demo.home / "store" / COHORT / "all" / digest / "manifest.parquet").is_file()
    assert row < zarr.open_array(store=str(path / "features"), mode="r").shape[0]


def test_a_row_leads_forth_to_the_release_by_the_views_and_by_dagster(
    demo: Demo, feature_row: tuple[str, Path, int]
) -> None:
    slide_id, path, _ = feature_row
    member = "SELECT release_name, slide_sha256 FROM v_release_members WHERE slide_id = ? "
    sha256 = fingerprint_of([demo.home / "demo" / "demo-03.svs"])
    found = demo.sql(f"{member} AND features_digest = ?", slide_id, path.parent.name)
    assert found == [("cohort@1", sha256)]
    [(digest,)] = demo.sql("SELECT digest FROM v_releases WHERE release_name = 'cohort@1'")
    with asking(demo) as ask:
        node = ask(DATASET)
    tags = {tag["key"]: tag["value"] for tag in node["assetMaterializations"][0]["tags"]}
    assert tags["dagster/data_version"] == digest


DATASET = """
query { assetNodeOrError(assetKey: {path: ["dataset", "cohort"]}) { ... on AssetNode {
  assetMaterializations(limit: 1) { tags { key value } } } } }
"""
MADE = """
query ($partition: String!) { assetNodes { assetKey { path }
  assetMaterializations(partitions: [$partition], limit: 1) { tags { key value } } } }
"""
SLIDE = """
query ($partition: String!) { assetNodeOrError(assetKey: {path: ["slide"]}) { ... on AssetNode {
  assetMaterializations(partitions: [$partition], limit: 1) {
    tags { key value } metadataEntries { label ... on TextMetadataEntry { text } } } } } }
"""


def test_a_row_leads_back_to_its_slide_by_what_dagster_was_told(
    demo: Demo, feature_row: tuple[str, Path, int]
) -> None:
    slide_id, path, _ = feature_row
    with asking(demo) as ask:
        nodes = ask(MADE, partition=slide_id)
        slide = ask(SLIDE, partition=slide_id)["assetMaterializations"][0]
    made = {"/".join(n["assetKey"]["path"]): n["assetMaterializations"] for n in nodes}
    tags = {tag["key"]: tag["value"] for tag in made[COLOUR][0]["tags"]}
    assert tags["dagster/data_version"] == path.parent.name
    of_slide = {tag["key"]: tag["value"] for tag in slide["tags"]}
    version = of_slide["dagster/data_version"]
    assert tags["dagster/input_data_version/slide"] == version
    shown = {entry["label"]: entry.get("text") for entry in slide["metadataEntries"]}
    sha256 = fingerprint_of([demo.home / "demo" / "demo-03.svs"])
    assert sha256 in shown.values()


# What a change makes stale


@contextmanager
def asking(demo: Demo) -> Iterator[Ask]:
    """GraphQL as the page asks it, over the recipe as it is now."""
    sys.modules.pop("definitions_here", None)  # else those of the recipe before
    with open_instance(read_settings()) as instance, webserver_here(instance, demo.home) as ask:
        yield ask


def stale_on_the_page(demo: Demo) -> Cells:
    with asking(demo) as ask:
        return {
            ("/".join(node["assetKey"]["path"]), slide_id)
            for slide_id in demo.slides.values()
            for node in ask(STALE, assets=PER_SLIDE, partition=slide_id)
            if node["staleStatus"] == "STALE"
        }


def stale_by_the_command() -> dict[tuple[str, str], Any]:
    return {
        (f"{one['stage']}/{one['name']}", one["partition_key"]): one
        for one in json.loads(typed("stale", "--json"))
    }


def change_a_parameter(demo: Demo) -> Callable[[], object]:
    recipe = demo.home / "recipe.yaml"
    recipe.write_text(RECIPE.replace("patch_px: 256", "patch_px: 128"))
    return lambda: recipe.write_text(RECIPE)


def change_an_mpp(demo: Demo) -> Callable[[], object]:
    words = ("mpp", "set", demo.slides["demo-01"])
    typed(*words, "0.25", "--who", "Ada", "--why", "the scanner's log")
    return lambda: typed(*words, "0.5", "--who", "Ada", "--why", "a slip")


def change_an_annotation(demo: Demo) -> Callable[[], object]:
    file = write_boxes(demo.home / "drawn.geojson", (0.0, 0.0, 700.0, 700.0))
    said = (demo.slides["demo-02"], "--name", "mended", "--who", "Ann", "--why", "by hand")
    typed("annotations", "set", said[0], file, *said[1:])
    return lambda: typed("annotations", "withdraw", *said)


def change_the_weights(demo: Demo) -> Callable[[], object]:
    write_weights(demo.home, 2)
    return lambda: write_weights(demo.home, 1)


@dataclass(frozen=True)
class Expected:
    """What a change makes stale."""

    change: Callable[[Demo], Callable[[], object]]
    """Makes it, and gives what takes it back."""
    own: str
    """The asset that it is a change of."""
    inherited: frozenset[str] = frozenset({GRID, COLOUR, MEANS})
    slide: str = ""
    """Of one slide alone, where it is; else of all."""

    def cells(self, demo: Demo) -> Cells:
        slides = [demo.slides[self.slide]] if self.slide else demo.slides.values()
        found = {(a, s) for a in (self.own, *self.inherited) for s in slides}
        return {(a, s) for a, s in found if (demo.home / "store" / a / s).is_dir()}

    @property
    def datasets(self) -> Cells:
        """Dagster calls one stale once its features are made, and `datasets_follow` builds it."""
        return {(COHORT, "all")} if COLOUR in self.inherited else set()


CHANGES = {
    "recipe patch_px: 256 → 128": Expected(
        change_a_parameter, GRID, inherited=frozenset({COLOUR, MEANS})
    ),
    "mpp: 0.5 → 0.25, by Ada": Expected(change_an_mpp, MASK, slide="demo-01"),
    "weights sha256: * → *": Expected(change_the_weights, MEANS, inherited=frozenset()),
    "annotation mended: none → *, by Ann": Expected(change_an_annotation, MASK, slide="demo-02"),
}


@pytest.mark.parametrize("cause", CHANGES)
def test_exactly_what_a_change_concerns_is_stale_and_the_change_is_named(
    demo: Demo, cause: str
) -> None:
    expected = CHANGES[cause]
    assert stale_by_the_command() == {}
    take_back = expected.change(demo)
    try:
        found, shown = stale_by_the_command(), stale_on_the_page(demo)
    finally:
        take_back()
    assert shown == expected.cells(demo)
    assert set(found) == shown | expected.datasets
    for (asset, _), one in found.items():
        if asset != COHORT:
            assert fnmatchcase(cause_said(one), cause)
            assert one["inherited_from"] == (None if asset == expected.own else expected.own)
    assert stale_by_the_command() == {}
    assert stale_on_the_page(demo) == set()


def cause_said(one: dict[str, Any]) -> str:
    return str(Cause(**one["cause"]))
