"""A platform in a temporary folder, and small slides: 600 x 500 px, patches of 64 px."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from pathassets.adapters.tifffile import PyramidSpec, write_pyramid
from pathassets.engine.ingest import find_files, ingest
from pathassets.engine.plan import PlannedSlide, plan_slides, task_for
from pathassets.engine.platform import Platform, open_platform
from pathassets.engine.settings import Settings
from pathassets.engine.slide_task import SlideTask

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


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home whose recipe has one entry of each section."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "recipe.yaml").write_text(RECIPE)
    return Settings(
        home=home,
        store=home / "store",
        catalog_url=f"sqlite:///{home / 'store' / 'catalog.sqlite'}",
        recipe=home / "recipe.yaml",
        inbox=home / "inbox",
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


@pytest.fixture
def make_slide(tmp_path: Path) -> Callable[..., Path]:
    """Write a slide with a stained rectangle, other pixels for every seed; blank has none."""

    def make(
        name: str = "a.svs", *, seed: int = 0, blank: bool = False, spec: PyramidSpec = PYRAMID
    ) -> Path:
        pixels = np.full((500, 600, 3), 245, np.uint8)
        if not blank:
            noise = np.random.default_rng(seed).integers(0, 40, (380, 480, 3), np.uint8)
            pixels[60:440, 60:540] = np.array([150, 60, 140], np.uint8) + noise
        path = tmp_path / "scans" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_pyramid(path, pixels, spec)
        return path

    return make


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

    def register(platform: Platform, *paths: Path) -> list[PlannedSlide]:
        assert {one.state for one in ingest(platform, find_files(paths))} <= {"new", "known"}
        return plan_slides(platform)

    return register


@pytest.fixture
def make_task(tmp_path: Path) -> Callable[..., SlideTask]:
    """Give the task of all entries of one planned slide, or of some sections of them."""

    def make(platform: Platform, planned: PlannedSlide, *sections: str) -> SlideTask:
        wanted = [
            entry
            for entry in platform.recipe.per_slide
            if not sections or entry.section.name in sections
        ]
        return task_for(platform, planned, wanted, tmp_path / "staging")

    return make
