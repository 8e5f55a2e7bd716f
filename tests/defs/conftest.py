"""A home of one's own for every test, with Dagster's state and the platform opened on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.defs.small_slides import RECIPE
from tests.engine.workers_here import workers_here

if TYPE_CHECKING:
    from tests.defs.workbench import Workbench


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a recipe of one entry a section."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    monkeypatch.setenv("PATHASSETS_WORKERS", "1")
    return tmp_path


@pytest.fixture(autouse=True)
def _workers_here() -> Iterator[None]:
    """Start no worker processes: what Dagster is told is the same, and each costs seconds.

    What a fixture of a whole module runs comes before this, and starts real ones.
    """
    with workers_here():
        yield


@pytest.fixture(scope="module", autouse=True)
def _cheap_databases(cheap_databases: None) -> None:
    """Every module here opens Dagster's."""


@pytest.fixture
def bench(home: Path, dagster_state: Path) -> Iterator[Workbench]:
    """The platform of the home, its Dagster instance and its definitions."""
    from tests.defs.dagster_state import copy_state  # noqa: PLC0415  (dagster takes seconds)
    from tests.defs.workbench import open_bench  # noqa: PLC0415  (the same)

    copy_state(dagster_state, home)
    with open_bench() as bench:
        yield bench
