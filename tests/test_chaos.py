"""`pathassets demo`, killed at any moment and run again, ends where it would have ended.

The whole process group is killed with SIGKILL: at ten seeded moments spread over the time that an
undisturbed demo takes, and at points where two things have to follow each other (written and
published, published and reported, reported and recorded). An audit hook inside the processes finds
those points: `open`, `os.rename` and `sqlite3.connect` are announced before they happen.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from pathassets.engine.settings import DEFAULT_RECIPE
from tests.chaos import (
    RUN,
    Home,
    Steps,
    assert_healed,
    kill_group,
    left_behind,
    shared_memory_of,
    state_of,
    wait_until,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

N_MOMENTS = 10
WITH_TORCH = {3, 6, 8}
"""Moments at which a demo with all of the package's encoders is killed; the others do without
torch, for time."""
GONE_S = 10.0
"""Time that processes may take to end."""
STARTED_S = 180.0
"""Time that a demo may take to come to its first slide: five seconds where it has a core."""

POINTS: dict[str, Steps] = {
    "a sample slide is whole but has no name": [("os.rename", r"demo/demo-03\.svs")],
    "the sample cohort lacks its last file": [("os.rename", r"demo/truth\.json")],
    "the catalog is being made": [("open", r"migrations/versions/\w+")],
    "what the catalog says of itself is not in place": [("os.rename", r"store/\.catalogs/")],
    "Dagster's runs are being made": [("sqlite3.connect", r"making/.*/history/runs\.db")] * 8,
    "Dagster's events are being made": [("sqlite3.connect", r"making/.*/index\.db")] * 3,
    "some of Dagster's databases are in place": [("os.rename", r"\.dagster/schedules")],
    "Dagster's configuration is being written": [("os.rename", r"\.dagster/dagster\.yaml")],
    "a slide is being registered": [("open", r"demo/demo-04\.svs r$")],
    "the first slides are reported, others not": [("sqlite3.connect", r"history/runs/\.db")] * 6,
    "a run has a row and no event": [("sqlite3.connect", rf"history/runs/{RUN}\.db")],
    "a run is planned in part": [("sqlite3.connect", rf"history/runs/{RUN}\.db")] * 9,
    "a run is about to be recovered": [("sqlite3.connect", rf"history/runs/{RUN}\.db")] * 2,
    "staging is locked, without a folder": [("os.mkdir", rf"store/\.staging/{RUN} ")],
    "the first worker begins": [("os.mkdir", rf"store/\.staging/{RUN}/\w")],
    "a mask is whole but not published": [("os.rename", r"store/tissue_mask/")],
    "a mask was just published": [("os.rename", r"store/tissue_mask/"), ("open", r"")],
    "a feature chunk is being written": [("open", r"features\.zarr/features/c/0/\S+ w")],
    "features were published and not reported": [
        ("os.rename", r"store/features/"),
        ("os.mkdir", rf"store/\.staging/{RUN}/\w"),
    ],
    "an event is in its run and not in the index": [
        ("subprocess.Popen", r"worker\.py"),
        ("sqlite3.connect", rf"history/runs/{RUN}\.db"),
        ("sqlite3.connect", r"history/runs/index\.db"),
    ],
    "a dataset is whole but not published": [("os.rename", r"store/dataset/")],
    "a dataset was just published": [("os.rename", r"store/dataset/"), ("os.remove", r"\.staging")],
    "a dataset is there and Dagster is about to be asked": [
        ("open", r"store/dataset/\S+/artifact\.json r$"),
        ("sqlite3.connect", r"history/runs/index\.db"),
    ],
}
"""In the order in which a demo comes past them; each run gets a little further than the last."""


# Undisturbed


@dataclass(frozen=True)
class Reference:
    recipe: Path
    seconds: float
    state: dict[str, Any]


def undisturbed(folder: Path, recipe: Path) -> Reference:
    home = Home(folder / "home", recipe)
    home.path.mkdir(parents=True)
    seconds = home.finish()
    assert left_behind(home) == []
    return Reference(recipe, seconds, state_of(home))


@pytest.fixture(scope="module")
def with_torch(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Undisturbed, by the package's recipe at half the resolution: a quarter of the patches."""
    folder = tmp_path_factory.mktemp("with_torch")
    recipe = yaml.safe_load(DEFAULT_RECIPE.read_text())
    for locations in recipe["patch_locations"].values():
        locations["mpp"] *= 2
    return undisturbed(folder, written(recipe, folder))


def written(recipe: dict[str, Any], folder: Path) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Undisturbed, by the package's recipe with patch sets and without its torch encoder."""
    folder = tmp_path_factory.mktemp("quick")
    recipe = yaml.safe_load(DEFAULT_RECIPE.read_text())
    recipe["features"] = {"colour_stats": recipe["features"]["colour_stats"]}
    (grid,) = recipe["patch_locations"]
    recipe["patch_set"] = {
        store: {"patch_locations": grid, "store": store, "image_type": "jpg"}
        for store in ("files", "webdataset")
    }
    return undisturbed(folder, written(recipe, folder))


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[Reference], Home]:
    def make(reference: Reference) -> Home:
        home = Home(tmp_path / "home", reference.recipe)
        home.path.mkdir()
        return home

    return make


# Killed


def test_an_undisturbed_demo_is_what_the_others_are_compared_with(quick: Reference) -> None:
    state = quick.state
    dagster = state["dagster"]
    assert [slide["slide_id"] for slide in state["status"]["slides"]] == dagster["partitions"]
    assert dagster["unfinished runs"] == []
    assert dagster["places taken in the pool"] == [0, 0]
    assert set(dagster["assets"]["slide"]["versions"]) == set(dagster["partitions"])
    assert [len(asset["red"]) for asset in dagster["assets"].values()] == [0, 0, 0, 1, 1, 1]
    assert [len(asset["green"]) for asset in dagster["assets"].values()] == [6, 6, 6, 5, 5, 5]
    assert all(dagster["datasets"].values())
    assert len(dagster["assets"]["tissue_mask/otsu_8um"]["checks"]) == 6


def under_way(fresh: Callable[[], Home], seconds: float) -> tuple[Home, subprocess.Popen[bytes]]:
    """A demo so many seconds old; fewer, where this one is quicker than the undisturbed one was."""
    for haste in (1.0, 0.8, 0.6, 0.4, 0.2):
        home = fresh()
        process = home.start()
        try:
            process.wait(haste * seconds)
        except subprocess.TimeoutExpired:
            return home, process
        shutil.rmtree(home.path)
    raise AssertionError(f"it is always over within {haste * seconds:.1f} s")


@pytest.mark.parametrize("moment", range(N_MOMENTS))
def test_a_demo_killed_at_any_moment_heals_when_it_is_run_again(
    moment: int, request: pytest.FixtureRequest, fresh: Callable[[Reference], Home]
) -> None:
    reference = request.getfixturevalue("with_torch" if moment in WITH_TORCH else "quick")
    share = (moment + random.Random(moment).random()) / N_MOMENTS  # noqa: S311 - not for secrets
    home, process = under_way(lambda: fresh(reference), share * reference.seconds)
    os.killpg(process.pid, signal.SIGSTOP)
    named = shared_memory_of(home.processes())
    kill_group(process)
    wait_until(lambda: not home.processes(), limit_s=GONE_S, what="all processes are gone")

    home.finish()

    assert_healed(home, reference.state)
    assert not {name for name in named if Path(name).exists()}


def test_a_demo_killed_between_any_two_acts_heals_when_it_is_run_again(
    quick: Reference, fresh: Callable[[Reference], Home]
) -> None:
    home = fresh(quick)
    for point, steps in POINTS.items():
        process = home.start(steps=steps)
        code = process.wait(timeout=120)
        assert code == -signal.SIGKILL, f"never came to: {point}\n{home.said()}"
        wait_until(lambda: not home.processes(), limit_s=GONE_S, what="all processes are gone")

    home.finish()

    assert_healed(home, quick.state)


def test_a_killed_parent_takes_its_workers_along_and_a_killed_worker_costs_its_slide_alone(
    with_torch: Reference, fresh: Callable[[Reference], Home]
) -> None:
    home = fresh(with_torch)
    process = home.start()
    wait_until(lambda: busy_worker(home), limit_s=STARTED_S, what="a worker reads a slide")
    process.kill()
    process.wait()
    wait_until(lambda: not home.processes(), limit_s=GONE_S, what="all processes are gone")

    process = home.start()  # what is left, which is nearly all
    wait_until(lambda: busy_worker(home), limit_s=STARTED_S, what="a worker reads a slide").kill()
    assert process.wait(timeout=180) == 0, home.said()

    slides = {slide["slide_id"]: slide for slide in state_of(home)["status"]["slides"]}
    whole = {slide["slide_id"]: slide for slide in with_torch.state["status"]["slides"]}
    hit = [s for s, slide in slides.items() if "worker_lost" in str(slide["assets"])]
    assert len(hit) == 1
    del slides[hit[0]], whole[hit[0]]
    assert without_paths(slides) == without_paths(whole)

    home.finish()

    state = state_of(home)
    for part in ("status", "dagster"):
        assert state[part] == with_torch.state[part]
    assert state["catalog"]["slides"] == with_torch.state["catalog"]["slides"]
    # Beside what an undisturbed demo makes: a version of the dataset without the slide.
    for made, wanted in (
        (state["files"], with_torch.state["files"]),
        (state["catalog"]["artifacts"], with_torch.state["catalog"]["artifacts"]),
    ):
        assert wanted.items() <= made.items()
        assert all("dataset/" in name for name in made.keys() - wanted.keys())
    assert left_behind(home) == []
    assert home.processes() == []


def busy_worker(home: Home) -> psutil.Process | None:
    """A worker process that holds a slide open to make something of it, None while there is none.

    Ingestion has workers, too, that read slides; what a run makes stands in the staging folder.
    """
    if not any((home.path / "store" / ".staging").glob("*/*")):
        return None
    for process in home.processes():
        with suppress(psutil.Error):
            is_worker = "engine/workers/worker.py" in " ".join(process.cmdline())
            if is_worker and any(f.path.endswith(".svs") for f in process.open_files()):
                return process
    return None


def without_paths(slides: dict[str, Any]) -> dict[str, Any]:
    return {name: slide["assets"] for name, slide in slides.items()}
