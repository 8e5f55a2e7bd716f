"""A platform in a temporary folder, and small slides: 600 x 500 px, patches of 64 px."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, event

from pathassets.adapters.tifffile import PyramidSpec, write_pyramid
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.ingestion.ingest import find_files, ingest
from pathassets.engine.platform.plan import PlannedSlide, plan_slides, task_for
from pathassets.engine.platform.platform import Platform, open_platform
from pathassets.engine.settings import Settings
from pathassets.engine.stages.outcomes import SlideTask
from tests.engine.workers_here import workers_here

RECIPE = """\
tissue_mask:
  otsu: {mpp: 8.0}
patch_locations:
  grid: {tissue_mask: otsu, patch_px: 64, mpp: 0.5}
features:
  stats: {patch_locations: grid, encoder: colour_stats}
dataset:
  cohort: {features: stats}
"""
PYRAMID = PyramidSpec(tile_px=64)


def settings_in(home: Path) -> Settings:
    """Make a home whose recipe has one entry of each section."""
    home.mkdir()
    (home / "recipe.yaml").write_text(RECIPE)
    return settings_of(home)


def settings_of(home: Path) -> Settings:
    """Settings of a home that is there."""
    return Settings(
        home=home,
        store=home / "store",
        catalog_url=f"sqlite:///{home / 'store' / 'catalog.sqlite'}",
        recipe=home / "recipe.yaml",
        inboxes=(home / "inbox",),
        inbox_stable_s=60.0,
        n_workers=2,
        read_threads=1,
        slide_timeout_s=120.0,
        device="cpu",
        verify="stamp",
        scratch=None,
        scratch_bytes=10**9,
        dagster_home=home / ".dagster",
    )


def register_files(platform: Platform, *paths: Path) -> list[PlannedSlide]:
    """Register files and give the plan of every slide, in order of registration."""
    with workers_here():
        assert {one.state for one in ingest(platform, find_files(paths))} <= {"new", "known"}
    return plan_slides(platform)


@pytest.fixture
def here() -> Iterator[None]:
    """Run batches and ingestion in this process: for tests of what comes out of them."""
    with workers_here():
        yield


@pytest.fixture(scope="session")
def empty_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog that knows nothing: to make its tables is most of what a new platform costs."""
    settings = settings_in(tmp_path_factory.mktemp("empty") / "home")
    open_platform(settings).close()
    return settings.store / "catalog.sqlite"


@pytest.fixture
def settings(tmp_path: Path, empty_catalog: Path) -> Settings:
    """A home whose recipe has one entry of each section, and whose catalog knows nothing."""
    settings = settings_in(tmp_path / "home")
    settings.store.mkdir()
    shutil.copyfile(empty_catalog, settings.store / "catalog.sqlite")
    return settings


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    with open_platform(settings) as opened:
        yield opened


@pytest.fixture
def reopen(settings: Settings) -> Iterator[Callable[..., Platform]]:
    """Open the platform again: with another recipe, or other settings."""
    opened: list[Platform] = []

    def reopen(recipe: str | None = None, **changes: object) -> Platform:
        if recipe is not None:
            settings.recipe.write_text(recipe)
        opened.append(open_platform(replace(settings, **changes)))
        return opened[-1]

    yield reopen
    for one in opened:
        one.close()


def write_slide(
    path: Path, *, seed: int = 0, blank: bool = False, spec: PyramidSpec = PYRAMID
) -> Path:
    """Write a slide with a stained rectangle, other pixels for every seed; blank has none."""
    pixels = np.full((500, 600, 3), 245, np.uint8)
    if not blank:
        noise = np.random.default_rng(seed).integers(0, 40, (380, 480, 3), np.uint8)
        pixels[60:440, 60:540] = np.array([150, 60, 140], np.uint8) + noise
    path.parent.mkdir(parents=True, exist_ok=True)
    write_pyramid(path, pixels, spec)
    return path


@pytest.fixture
def make_slide(tmp_path: Path) -> Callable[..., Path]:
    """Write a slide into the test's own folder."""

    def make(name: str = "a.svs", **drawn: Any) -> Path:
        return write_slide(tmp_path / "scans" / name, **drawn)

    return make


@pytest.fixture(scope="session")
def ready_home(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Settings]:
    """Give a home with slides a.svs, b.svs ... registered, and run; each is made once a session.

    To start the workers that do so takes seconds. Nothing in it is to be changed.
    """
    made: dict[tuple[int, bool], Settings] = {}

    def give(n_slides: int, *, is_run: bool = False) -> Settings:
        if (n_slides, is_run) not in made:
            folder = tmp_path_factory.mktemp("ready")
            settings = settings_in(folder / "home")
            with open_platform(settings) as platform:
                files = [
                    write_slide(folder / "scans" / f"{name}.svs", seed=seed)
                    for seed, name in enumerate("abc"[:n_slides])
                ]
                planned = register_files(platform, *files)
                if is_run:
                    entries = platform.recipe.per_slide
                    outcomes = list(run_batch(platform, planned, entries, run_id="run-1"))
                    assert [one.failure for one in outcomes] == [None] * n_slides
            made[n_slides, is_run] = settings
        return made[n_slides, is_run]

    return give


@pytest.fixture
def get_ready(
    ready_home: Callable[..., Settings], settings: Settings
) -> Callable[..., list[PlannedSlide]]:
    """Make an open, empty platform a copy of a ready home; the slides' files are shared."""

    def get(platform: Platform, n_slides: int, *, is_run: bool = False) -> list[PlannedSlide]:
        ready = ready_home(n_slides, is_run=is_run)
        catalog = "catalog.sqlite"
        ignored = shutil.ignore_patterns(f"{catalog}*")
        shutil.copytree(ready.store, settings.store, dirs_exist_ok=True, ignore=ignored)
        with (
            closing(sqlite3.connect(ready.store / catalog)) as theirs,
            closing(sqlite3.connect(settings.store / catalog)) as ours,
        ):
            theirs.backup(ours)
        planned = plan_slides(platform)
        assert len(planned) == n_slides
        return planned

    return get


@pytest.fixture
def count_writes() -> Callable[[], AbstractContextManager[list[str]]]:
    """Give the statements that change a catalog inside a with block."""

    @contextmanager
    def counting() -> Iterator[list[str]]:
        seen: list[str] = []

        def note(*args: object) -> None:
            if str(args[2]).startswith(("INSERT", "UPDATE", "DELETE")):
                seen.append(str(args[2]))

        event.listen(Engine, "before_cursor_execute", note)
        yield seen
        event.remove(Engine, "before_cursor_execute", note)

    return counting


@pytest.fixture
def far_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than `tmp_path`."""
    memory = Path("/dev/shm")  # noqa: S108 - where Linux has one
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system")
    with TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def register() -> Callable[..., list[PlannedSlide]]:
    """Register files and give the plan of every slide, in order of registration."""
    return register_files


@pytest.fixture
def make_task(tmp_path: Path) -> Callable[..., SlideTask]:
    """Give the task of all entries of one planned slide, or of some sections of them."""

    def make(platform: Platform, planned: PlannedSlide, *stages: str) -> SlideTask:
        wanted = [
            entry for entry in platform.recipe.per_slide if not stages or entry.stage.name in stages
        ]
        return task_for(platform, planned, wanted, tmp_path / "staging")

    return make
