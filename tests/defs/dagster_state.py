"""Dagster's databases as tests take them: made once, and cheaper than where they are to last."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, event

from pathassets.defs.instance import DATABASES, open_instance
from pathassets.engine.settings import read_settings


def make_state(home: Path) -> Path:
    """Make them without a row, which takes half a second, table by table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATHASSETS_HOME", str(home))
        open_instance(read_settings()).dispose()
    return home / ".dagster"


def copy_state(state: Path, home: Path) -> None:
    """Give a home those that were made. Its configuration says where they are: that is its own."""
    own = home / ".dagster"
    if own.exists():
        return
    own.mkdir(mode=0o700)
    for name in DATABASES:
        shutil.copytree(state / name, own / name)


@contextmanager
def cheap_databases() -> Iterator[None]:
    """Wait for no disk at a commit, and read once what revisions there are.

    A machine that loses its power is in no test. Dagster looks for the newest revision of its
    tables whenever it opens a database or begins a run, and reads some 50 files for it.
    """
    event.listen(Engine, "connect", _wait_for_no_disk)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", _known_scripts)
        yield
    event.remove(Engine, "connect", _wait_for_no_disk)


def _wait_for_no_disk(connection: Any, _record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


_read_scripts = ScriptDirectory.from_config
_scripts: dict[str | None, ScriptDirectory] = {}


def _known_scripts(config: Config) -> ScriptDirectory:
    place = config.get_main_option("script_location")
    if place not in _scripts:
        _scripts[place] = _read_scripts(config)
    return _scripts[place]
