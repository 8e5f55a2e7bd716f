"""'Materialize all' as people click it, with bad slides among the good, and a machine that dies.

One home lives through all of it, so the tests of this module build on each other, in order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pathassets.adapters.tifffile import PyramidSpec, write_pyramid
from tests.defs.browser import browsing
from tests.defs.checks_shown import newest_of, verdicts
from tests.defs.daemon import Daemon, pathassets, running, wait_for
from tests.defs.small_slides import MPP, RECIPE, write_corrupt_slide, write_slide

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

N_GOOD, N_LARGE = 10, 6
COLOUR, CHECK = "features/colour", "features_are_finite"
WITHIN_S = 240


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("slides")


@pytest.fixture(scope="module")
def home(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve slides: one without mpp, one with a tile that cannot be decoded."""
    home = tmp_path_factory.mktemp("home")
    (home / "recipe.yaml").write_text(RECIPE)
    for i in range(N_GOOD):
        write_slide(folder / f"a{i}.svs", i)
    write_slide(folder / "b0.svs", 20, mpp=None)
    write_corrupt_slide(folder / "b1.svs", 21)
    pathassets(home, "ingest", folder)
    return home


@pytest.fixture
def daemon(home: Path, tmp_path: Path) -> Iterator[Daemon]:
    with running(home, tmp_path / "ui.log", PATHASSETS_WORKERS="1") as daemon:
        yield daemon


def slides_of(home: Path) -> set[str]:
    """Slides of the dataset that was built last."""
    built = (home / "store" / "dataset" / "cohort").rglob("manifest.parquet")
    return set(pd.read_parquet(max(built, key=lambda p: p.stat().st_mtime_ns))["slide_id"])


def test_with_two_bad_slides_all_checks_of_the_good_are_green_and_the_dataset_is_built(
    daemon: Daemon, home: Path, tmp_path: Path
) -> None:
    good = sorted(one for one in daemon.partitions() if one.startswith("a"))
    no_mpp, corrupt = sorted(set(daemon.partitions()) - set(good))
    with browsing(daemon.url, tmp_path / "chromium") as page:
        page.open("asset-groups")
        page.press("Materialize all (4)…")
        page.press("All")
        page.wait_for_text("12 partitions")
        page.press("Launch backfill")
        (backfill,) = wait_for(daemon.backfills, "the backfill", within_s=WITHIN_S)
        (run,) = daemon.end_of_runs(backfill)
        assert run["status"] == "FAILURE"
        assert verdicts(daemon.ask) == {
            "tissue_mask/otsu has_tissue": {"succeeded": [*good, corrupt]},
            "patch_locations/grid has_patches": {"succeeded": [*good, corrupt]},
            f"{COLOUR} {CHECK}": {"succeeded": good},
        }
        assert newest_of(daemon.ask, COLOUR, CHECK, no_mpp) is None

        wait_for(lambda: daemon.version_of("dataset/cohort"), "the dataset", within_s=WITHIN_S)
        assert slides_of(home) == set(good)
        (built,) = daemon.runs({"key": "dagster/sensor_name", "value": "datasets_follow"})
        assert built["jobName"] == "build_datasets"

        page.open(f"assets/{COLOUR}?view=checks")
        page.wait_for_text(CHECK)
        page.click("Partitions")  # of the check, below those of the asset
        page.wait_for_text("Passed (10)", "Missing (2)", "Failed (0)", "Execution Failed (0)")
        page.click(good[0])
        page.wait_for_text("Target materialization")
        page.shot("all_assets_checks")
        page.open("assets/dataset/cohort?view=overview")
        page.wait_for_text("n_left_out")
        page.shot("all_assets_dataset")
        page.open("runs")
        page.wait_for_text("datasets_follow")
        page.shot("all_assets_runs")
        assert page.foreign_requests() == []


def write_large_slide(path: Path, seed: int) -> None:
    """Write a slide that takes long enough to be killed over."""
    rng = np.random.default_rng(seed)
    stain = np.array([150, 60, 120], np.uint8)
    rgb = np.full((4096, 4096, 3), 244, np.uint8)
    rgb[256:3840, 256:3840] = stain + rng.integers(0, 60, (3584, 3584, 3), np.uint8)
    write_pyramid(path, rgb, PyramidSpec(mpp=MPP))


def test_what_was_asked_for_is_done_after_all_processes_were_killed(
    daemon: Daemon, home: Path, folder: Path, tmp_path: Path
) -> None:
    before = set(daemon.partitions())
    features = home / "store" / "features" / "colour"
    made = set(features.iterdir())
    for i in range(N_LARGE):
        write_large_slide(folder / f"c{i}.svs", i)
    pathassets(home, "ingest", folder)
    new = sorted(set(daemon.partitions()) - before)
    backfill = daemon.backfill(new)
    wait_for(lambda: set(features.iterdir()) - made, "the first of the slides", within_s=WITHIN_S)
    daemon.kill()
    assert len(set(features.iterdir()) - made) < N_LARGE

    with running(home, tmp_path / "again.log", PATHASSETS_WORKERS="1") as again:

        def left() -> set[str]:
            shown = verdicts(again.ask)[f"{COLOUR} {CHECK}"]
            return set(new) - set(shown.get("succeeded", ()))

        wait_for(lambda: not left(), "all of them", within_s=WITHIN_S)
        runs = again.end_of_runs(backfill)
        assert [run["status"] for run in runs] == ["SUCCESS", "FAILURE"]
        n_green, red = again.health()[COLOUR]
        assert (n_green, len(red)) == (N_GOOD + N_LARGE, 2)
        wait_for(lambda: slides_of(home) >= set(new), "a dataset with them", within_s=WITHIN_S)
        assert json.loads(pathassets(home, "status", "--json").stdout)["datasets"]
