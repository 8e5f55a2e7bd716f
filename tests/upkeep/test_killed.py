"""What a kill at any step of upkeep leaves is true, and ended by the same command."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pathassets.catalog.catalog import Catalog
from pathassets.core.address import SLIDE_STAGE, Address
from pathassets.engine.platform.platform import Platform, open_platform
from pathassets.engine.platform.upkeep.clearing.garbage import remove_garbage
from pathassets.engine.platform.upkeep.doctor import examine, treat
from pathassets.engine.settings import read_settings
from tests.upkeep import kills
from tests.upkeep.home import (
    addresses,
    artifacts,
    features,
    ids,
    make_stale,
    opened,
    output,
    status,
)
from tests.upkeep.kills import killed_homes


def lies(platform: Platform) -> set[str]:
    """Kinds of what is wrong, but for what waits to be swept or taken over."""
    kinds = {found.kind for found in examine(platform)}
    return kinds - {"leftover", "artifact_unrecorded"}


def broken_lineages(catalog: Catalog) -> set[Address]:
    known = catalog.artifact_digests()
    parents = {parent for one in known for parent in catalog.parents_of(one)}
    return {parent for parent in parents - known if parent.stage != SLIDE_STAGE}


def at(home: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    monkeypatch.setenv("PATHASSETS_HOME", str(home))
    return open_platform(read_settings())


@pytest.mark.slow
def test_clearing_that_is_killed_at_any_step_leaves_no_row_without_files_and_no_broken_lineage(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = make_stale(home)
    with closing(sqlite3.connect(home / "store" / "catalog.sqlite")) as database:
        database.execute("DELETE FROM artifact_parent WHERE stage = 'dataset'")
        database.commit()
    homes = killed_homes(home, tmp_path / "killed", "clear")
    assert len(homes) > 2 * len(stale)
    for one in homes:
        with at(one, monkeypatch) as platform:
            assert lies(platform) == set()
            assert broken_lineages(platform.catalog) == set()
            assert all(t.is_mended for t in treat(examine(platform), is_fixing=True))
            remove_garbage(platform, older_than_days=0)
            assert lies(platform) == set()
        assert not stale & addresses(one)
        assert artifacts(one) == artifacts(homes[-1])


@pytest.mark.slow
def test_a_removal_that_is_killed_at_any_step_is_ended_by_the_same_command(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = ids(home)
    (home / "slide_id").write_text(a)
    homes = killed_homes(home, tmp_path / "killed", "forget")
    assert len(homes) > 6
    for one in homes:
        monkeypatch.setenv("PATHASSETS_HOME", str(one))
        with opened(one) as catalog:
            is_left = a in {slide.slide_id for slide in catalog.slide_files()}
        if is_left:
            kills.forget(one)
        assert ids(one) == [b]
        assert not [path for path in artifacts(one) if a in path]
        with at(one, monkeypatch) as platform:
            assert len(platform.catalog.forgotten()) == 1
            assert lies(platform) == set()


@pytest.mark.slow
def test_a_backup_that_is_killed_at_any_step_is_whole_or_not_there(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = killed_homes(home, tmp_path / "killed", "back_up")
    assert len(homes) > 1
    whole = (homes[-1] / "kept.backup").stat().st_size
    for n, one in enumerate(homes):
        backup = one / "kept.backup"
        assert not backup.exists() or backup.stat().st_size == whole
        if backup.exists():
            monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path / f"new{n}"))
            output("restore", backup)


@pytest.mark.slow
def test_a_restore_that_is_killed_at_any_step_is_ended_by_the_same_command(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = ids(home)
    output("backup", home / "kept.backup")
    output("forget", b, "--who", "Ann", "--why", "consent withdrawn", "--from-releases")
    before: dict[str, Any] = status()
    shutil.rmtree(home / "store" / "annotations")
    output("mpp", "set", a, "0.9", "--who", "Ann", "--why", "later")
    homes = killed_homes(home, tmp_path / "killed", "restore")
    assert len(homes) > 5
    for one in homes:
        monkeypatch.setenv("PATHASSETS_HOME", str(one))
        output("restore", one / "kept.backup", "--force")
        assert status() == before


@pytest.mark.slow
def test_mending_that_is_killed_at_any_step_is_ended_by_the_same_command(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "store" / "features" / "notes.txt").write_text("mine")
    broken = features(home, "a").with_name("f" * 16)
    broken.mkdir()
    (broken / "half").write_text("half")
    with opened(home) as catalog:
        for address in list(catalog.artifact_digests()):
            if address.stage != "annotations":
                catalog.drop_rows(address)
    homes = killed_homes(home, tmp_path / "killed", "mend")
    assert len(homes) > 6
    for one in homes:
        with at(one, monkeypatch) as platform:
            assert all(t.is_mended for t in treat(examine(platform), is_fixing=True))
            assert list(examine(platform)) == []
        assert addresses(one) == addresses(homes[-1])
        assert {path.name for path in (one / "store" / ".aside").rglob("*") if path.is_file()} == {
            "notes.txt",
            "half",
        }
