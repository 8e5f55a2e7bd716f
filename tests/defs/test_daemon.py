"""The platform as its users run it: webserver, daemon and code server, over GraphQL and the page.

One home lives through all of it, so the tests of this module build on each other, in order.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import Any

import pandas as pd
import pytest

from tests.defs.browser import Page, browsing
from tests.defs.daemon import LOCATION, POLL_S, Daemon, pathassets, running, wait_for
from tests.defs.small_slides import RECIPE, write_corrupt_slide, write_slide

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

N_SLIDES = 20
ASSETS = ["features/colour", "patch_locations/grid", "tissue_mask/otsu"]
STABLE_S = 5
TICK_S = 10


@dataclass(frozen=True)
class Cohort:
    """Twenty slides: one without mpp, one whose file is gone, eighteen good ones."""

    folder: Path
    slide_ids: list[str]

    def id_of(self, stem: str) -> str:
        (found,) = (one for one in self.slide_ids if one.startswith(f"{stem}-"))
        return found

    @property
    def no_mpp(self) -> str:
        return self.id_of("s03")

    @property
    def lost(self) -> str:
        return self.id_of("s07")

    @property
    def lost_file(self) -> Path:
        return self.folder / "s07.svs"

    @property
    def aside(self) -> Path:
        return self.folder / "s07.away"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / "recipe.yaml").write_text(RECIPE)
    (home / "inbox").mkdir()
    return home


@pytest.fixture(scope="module")
def cohort(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("slides")
    for i in range(N_SLIDES):
        write_slide(folder / f"s{i:02d}.svs", i, mpp=None if i == 3 else 0.5)
    pathassets(home, "ingest", folder)
    rows = json.loads(pathassets(home, "status", "--json").stdout)["slides"]
    cohort = Cohort(folder, [row["slide_id"] for row in rows])
    cohort.lost_file.rename(cohort.aside)
    return cohort


@pytest.fixture(scope="module")
def daemon(
    home: Path, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    assert len(cohort.slide_ids) == N_SLIDES
    log = tmp_path_factory.mktemp("log") / "ui.log"
    with running(home, log, PATHASSETS_INBOX_STABLE_S=str(STABLE_S)) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def page(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browsing(daemon.url, tmp_path_factory.mktemp("chromium")) as page:
        yield page


def states(home: Path) -> dict[str, dict[str, dict[str, str]]]:
    rows = json.loads(pathassets(home, "status", "--json").stdout)["slides"]
    return {row["slide_id"]: row["assets"] for row in rows}


def contents(home: Path) -> dict[str, str]:
    """SHA-256 of the content of every artifact of a slide, by its place in the store."""
    manifests = sorted((home / "store").glob("*/*/s*/*/artifact.json"))
    return {
        str(manifest.parent.relative_to(home)): json.loads(manifest.read_text())["content_sha256"]
        for manifest in manifests
    }


def test_a_backfill_is_one_run_with_an_outcome_for_every_slide(
    daemon: Daemon, cohort: Cohort, home: Path
) -> None:
    assert daemon.slide_assets() == ASSETS
    assert daemon.partitions() == cohort.slide_ids

    (run,) = daemon.end_of_backfill(daemon.backfill(cohort.slide_ids))

    assert run["status"] == "FAILURE"
    assert [one["jobName"] for one in daemon.runs() if one["jobName"] != "build_datasets"] == [
        run["jobName"]
    ]
    bad = [cohort.no_mpp, cohort.lost]
    assert daemon.health() == {
        "slide": (N_SLIDES, []),
        **dict.fromkeys(ASSETS, (N_SLIDES - 2, bad)),
    }
    known = states(home)
    assert known[cohort.no_mpp]["tissue_mask/otsu"]["reason"] == "resolution_missing"
    assert known[cohort.lost]["tissue_mask/otsu"]["reason"] == "file_missing"
    for slide_id in bad:
        assert known[slide_id]["features/colour"]["state"] == "blocked"


def test_the_page_shows_health_picture_and_reason(
    daemon: Daemon, page: Page, cohort: Cohort
) -> None:
    assert daemon.runs()
    page.open("assets/tissue_mask/otsu?view=partitions")
    page.wait_for_text("Failed (2)", "Materialized (18)", cohort.slide_ids[0])
    page.click(cohort.slide_ids[0])
    page.wait_for_text("tissue_mm2")
    assert wait_for(page.pictures, "an inline picture", within_s=180)
    page.shot("partition_materialized")

    page.click(cohort.no_mpp)
    page.wait_for_text("failed, and did not materialize this asset")
    page.shot("partition_failed")

    page.open("assets/tissue_mask/otsu?view=events")
    page.wait_for_text(cohort.no_mpp)
    page.click(cohort.no_mpp)
    page.wait_for_text(
        f"{cohort.no_mpp}: no micrometres per pixel in the file",
        f"pathassets mpp set {cohort.no_mpp} MPP --who NAME",
    )
    page.shot("reason_in_words")


def test_the_failed_ones_turn_green_once_their_causes_are_mended(
    daemon: Daemon, cohort: Cohort, home: Path
) -> None:
    pathassets(home, "mpp", "set", cohort.no_mpp, "0.5", "--who", "a test", "--why", "I made it")
    cohort.aside.rename(cohort.lost_file)
    assert daemon.launch("make_current") == "SUCCESS"  # one run, and these two are no neighbours
    assert daemon.health() == dict.fromkeys(["slide", *ASSETS], (N_SLIDES, []))
    assert json.loads(pathassets(home, "doctor", "--json").stdout) == []
    seen = {daemon.staleness(asset, one) for asset in ASSETS for one in cohort.slide_ids[:8]}
    assert seen == {"FRESH"}


def test_a_backfill_and_the_command_make_the_same_bytes(
    daemon: Daemon, cohort: Cohort, home: Path, tmp_path: Path
) -> None:
    assert daemon.runs()
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    pathassets(tmp_path, "ingest", cohort.folder)
    pathassets(tmp_path, "mpp", "set", cohort.no_mpp, "0.5", "--who", "a test", "--why", "again")
    pathassets(
        tmp_path, "run", "--select", "tissue_mask,patch_locations,features", PATHASSETS_WORKERS="1"
    )
    here, there = contents(home), contents(tmp_path)
    assert len(here) == 3 * N_SLIDES
    assert here == there


def test_failed_and_missing_are_run_from_the_page(
    daemon: Daemon, page: Page, cohort: Cohort, home: Path
) -> None:
    before = daemon.backfills()
    write_corrupt_slide(cohort.folder / "s20.svs", 20)
    write_slide(cohort.folder / "s21.svs", 21)
    pathassets(home, "ingest", cohort.folder)

    page.open(f"locations/{LOCATION}/jobs/process_slides")
    page.press("Materialize all…")
    page.press("Failed and missing")
    page.wait_for_text("2 partitions")
    page.shot("launch_failed_and_missing")
    page.press("Launch backfill")
    (backfill,) = wait_for(
        lambda: [b for b in daemon.backfills() if b not in before], "the backfill", within_s=180
    )
    (run,) = daemon.end_of_runs(backfill)

    assert run["status"] == "FAILURE"
    (bad,) = (one for one in daemon.partitions() if one.startswith("s20-"))
    n_slides = N_SLIDES + 2
    assert daemon.health() == {
        "slide": (n_slides, []),
        "tissue_mask/otsu": (n_slides, []),
        "patch_locations/grid": (n_slides, []),
        "features/colour": (n_slides - 1, [bad]),
    }
    assert states(home)[bad]["features/colour"]["reason"] == "tile_unreadable"
    page.open("assets/features/colour?view=partitions")
    page.wait_for_text("Failed (1)", f"Materialized ({n_slides - 1})")
    page.shot("features_partitions")


def copy_slowly(source: Path, target: Path, *, seconds: int) -> None:
    """Copy in a chunk a second."""
    data = source.read_bytes()
    step = -(-len(data) // seconds)
    with target.open("wb") as file:
        for start in range(0, len(data), step):
            file.write(data[start : start + step])
            file.flush()
            time.sleep(1)


def test_a_scan_in_the_inbox_becomes_features_once_it_is_whole(
    daemon: Daemon, home: Path, tmp_path: Path
) -> None:
    before = daemon.partitions()
    daemon.start_sensor("inbox")
    source = write_slide(tmp_path / "scan.svs", 99)
    target, duration_s = home / "inbox" / "scan.svs", TICK_S + 2 * STABLE_S
    # In a thread: a page that is slow to answer must not make the file look whole.
    copying = Thread(target=copy_slowly, args=(source, target), kwargs={"seconds": duration_s})
    copying.start()
    while copying.is_alive():
        assert daemon.partitions() == before
        time.sleep(POLL_S)

    def new() -> list[str]:
        return [one for one in daemon.partitions() if one not in before]

    (slide_id,) = wait_for(new, "a partition of the scan", within_s=180)
    assert slide_id.startswith("scan-")
    wait_for(
        lambda: states(home)[slide_id]["features/colour"]["state"] == "current",
        "features of the scan",
        within_s=180,
    )
    by_sensor = {"key": "dagster/sensor_name", "value": "inbox"}
    wait_for(
        lambda: all(run["status"] == "SUCCESS" for run in daemon.runs(by_sensor)),
        "its runs",
        within_s=180,
    )
    jobs = [run["jobName"] for run in daemon.runs(by_sensor)]
    assert sorted(jobs) == ["ingest_files", "process_new_slides"]
    assert new() == [slide_id]


def test_lineage_leads_from_the_dataset_to_the_scan(daemon: Daemon, home: Path) -> None:
    (slide_id,) = (one for one in daemon.partitions() if one.startswith("scan-"))
    assert daemon.materialize("dataset/cohort") == "SUCCESS"
    # Not the newest file: a build of less, which began before the scan had features, may end last.
    current = json.loads(pathassets(home, "status", "--json").stdout)["datasets"]["dataset/cohort"]
    (manifest,) = (home / "store" / "dataset" / "cohort").rglob(
        f"{current['digest']}/manifest.parquet"
    )
    rows = pd.read_parquet(manifest).set_index("slide_id")
    made = {
        s for s, assets in states(home).items() if assets["features/colour"]["state"] == "current"
    }
    assert slide_id in made
    assert set(rows.index) == made

    traced = json.loads(pathassets(home, "lineage", manifest, "--all", "--json").stdout)
    features = next(p for p in traced["parents"] if p["address"]["partition_key"] == slide_id)
    roots = [one for one in ancestors(features) if one["address"]["stage"] == "slide"]
    scan = home / "inbox" / "scan.svs"
    fingerprint = sha256(scan.read_bytes()).hexdigest()
    assert rows.loc[slide_id, "slide_sha256"] == fingerprint
    assert {root["facts"]["sha256"] for root in roots} == {fingerprint}
    assert {path for root in roots for path in root["facts"]["paths"]} == {str(scan)}


def ancestors(one: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for parent in one["parents"]:
        yield parent
        yield from ancestors(parent)
