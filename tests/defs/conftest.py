"""A home of one's own for every test, with Dagster's state and the platform opened on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.defs.small_slides import RECIPE
from tests.engine.workers_here import workers_here

DATABASES = ("history", "schedules")
"""Of an instance; its configuration says where they are, so each home has its own."""

if TYPE_CHECKING:
    from tests.defs.workbench import Workbench


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a recipe of one entry a section."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    monkeypatch.setenv("PATHASSETS_WORKERS", "1")
    return tmp_path


@pytest.fixture
def real_workers() -> None:
    """Let a test start worker processes."""


@pytest.fixture(autouse=True)
def _workers_here(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the others start none: what Dagster is told is the same, and each costs seconds."""
    with nullcontext() if "real_workers" in request.fixturenames else workers_here():
        yield


@pytest.fixture(scope="session")
def dagster_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dagster's databases without a row, which it takes half a second to make table by table."""
    from tests.defs.workbench import open_bench  # noqa: PLC0415  (dagster takes seconds)

    home = tmp_path_factory.mktemp("dagster")
    (home / "recipe.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATHASSETS_HOME", str(home))
        with open_bench():
            return home / ".dagster"


@pytest.fixture
def bench(home: Path, dagster_state: Path) -> Iterator[Workbench]:
    """The platform of the home, its Dagster instance and its definitions."""
    from tests.defs.workbench import open_bench  # noqa: PLC0415  (dagster takes seconds)

    own = home / ".dagster"
    if not own.exists():
        own.mkdir(mode=0o700)
        for name in DATABASES:
            shutil.copytree(dagster_state / name, own / name)
    with open_bench() as bench:
        yield bench
