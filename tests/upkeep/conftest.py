"""A home after a run, made once, and a copy of it for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.workers_here import workers_here


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, dagster_state: Path) -> Path:
    """Two slides after a run, an annotation, a resolution; beside it a backup; to stay as it is."""
    from tests.defs.dagster_state import cheap_databases  # noqa: PLC0415  (dagster takes seconds)
    from tests.upkeep.home import make_home  # noqa: PLC0415  (the same)

    with cheap_databases():
        return make_home(tmp_path_factory.mktemp("made"), dagster_state)


@pytest.fixture
def home(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cheap_databases: None
) -> Iterator[Path]:
    """A copy of it, to be changed but for the slides."""
    del cheap_databases
    home = tmp_path / "home"
    shutil.copytree(made, home)
    home.chmod(0o700)
    monkeypatch.setenv("PATHASSETS_HOME", str(home))
    with workers_here():
        yield home
