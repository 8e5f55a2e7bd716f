"""A home that is lost, in part or whole, is made again of one file; files that are no backup."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import sqlite3
import stat
import tarfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pathassets.adapters.store.folder_store import FolderStore
from pathassets.catalog.catalog import Catalog
from pathassets.engine.platform.upkeep.backup import write_settings
from pathassets.engine.settings import read_settings
from tests.unprivileged import read_only
from tests.upkeep.home import (
    artifacts,
    features,
    findings,
    flip,
    ids,
    output,
    refused,
    status,
)


@pytest.fixture
def backup(made: Path, home: Path) -> Path:
    """A backup of it, beside it."""
    return Path(shutil.copy(made.with_suffix(".backup"), home.with_suffix(".backup")))


def lose(home: Path, *, also_store: bool) -> None:
    """Delete catalog, Dagster's state and recipe, or all."""
    shutil.rmtree(home / ".dagster")
    (home / "recipe.yaml").unlink()
    for file in (home / "store").glob("catalog.sqlite*"):
        file.unlink()
    if also_store:
        shutil.rmtree(home / "store")


def drawn() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(output("annotations", "show", "--json"))
    return found


@pytest.mark.slow
def test_a_backup_is_for_its_owner_alone_and_replaces_no_file(home: Path, backup: Path) -> None:
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    output("backup", home / "again")
    assert (home / "again").read_bytes() != b""
    assert "again: is there already" in refused("backup", home / "again")
    assert "cannot be written" in refused("backup", home / "no" / "folder")
    assert [path.name for path in home.glob(".again*")] == []


def test_the_same_home_gives_the_same_file(home: Path) -> None:
    output("backup", home / "one")
    output("backup", home / "other")
    assert (home / "one").read_bytes() == (home / "other").read_bytes()


def test_a_backup_says_which_catalog_it_was_and_not_with_which_password(tmp_path: Path) -> None:
    url = "postgresql+psycopg2://ann:hidden@host/db?sslpassword=hidden"
    write_settings(replace(read_settings(), catalog_url=url), tmp_path)
    said = (tmp_path / "settings.json").read_text()
    assert "host/db" in said
    assert "hidden" not in said


def test_a_home_that_lost_its_catalog_and_recipe_is_as_before_and_nothing_is_made_again(
    home: Path, backup: Path
) -> None:
    before, shown, files = status(), drawn(), artifacts(home)
    stamps = {path: path.stat().st_mtime_ns for path in features(home, "a").rglob("*")}
    lose(home, also_store=False)
    assert "the catalog knows no slide" in refused("status")
    for file in (home / "store").glob("catalog.sqlite*"):
        file.unlink()  # what asking made; it has no row
    said = output("restore", backup)
    restored, unknown = said.splitlines()
    assert restored == "restored 2 slides, 1 annotation; pathassets run takes over what is whole"
    assert "is not known: no catalog was here that could tell; take those out again" in unknown
    assert (status(), drawn()) == (before, shown)
    output("run")
    assert status() == before
    assert artifacts(home) == files
    assert {path: path.stat().st_mtime_ns for path in features(home, "a").rglob("*")} == stamps
    assert findings() == {}


def test_a_catalog_without_a_row_is_not_in_the_way(home: Path, backup: Path) -> None:
    before = status()
    lose(home, also_store=False)
    refused("status")
    shutil.rmtree(home / ".dagster", ignore_errors=True)
    output("restore", backup)
    assert status() == before


@pytest.mark.slow
def test_a_home_that_lost_all_has_its_statements_and_a_run_makes_the_same_bytes(
    home: Path, backup: Path
) -> None:
    shown, files, before = drawn(), artifacts(home), status()
    lose(home, also_store=True)
    output("restore", backup)
    assert drawn() == shown
    kept = {path: data for path, data in files.items() if path.startswith("annotations/")}
    assert kept
    assert artifacts(home) == kept
    assert [s["mpp"] for s in status()["slides"]] == [s["mpp"] for s in before["slides"]]
    output("run")
    assert artifacts(home) == files
    assert status() == before
    assert findings() == {}


@pytest.mark.slow
def test_what_was_made_after_the_backup_is_taken_over_where_it_is_whole(
    home: Path, backup: Path
) -> None:
    a, _ = ids(home)
    output("mpp", "set", a, "0.6", "--who", "Ann", "--why", "measured")
    output("run")
    files = artifacts(home)
    lose(home, also_store=False)
    output("restore", backup)
    assert "0.6" not in output("mpp", "show", a)
    output("mpp", "set", a, "0.6", "--who", "Ann", "--why", "measured")
    output("run")
    assert artifacts(home) == files
    assert findings() == {}


def test_a_home_that_is_not_empty_is_refused_and_put_aside_when_asked(
    home: Path, backup: Path
) -> None:
    a, b = ids(home)
    before = status()
    output("mpp", "set", a, "0.7", "--who", "Ann", "--why", "measured")
    said = refused("restore", backup)
    assert "is not empty" in said
    assert str(home / "store" / "catalog.sqlite") in said
    assert "0.7" in output("mpp", "show", a)
    assert "what was there is in " in output("restore", backup, "--force")
    assert status() == before
    [aside] = home.glob(".before-restore-*")
    with Catalog.open(f"sqlite:///{aside / 'catalog.sqlite'}") as catalog:
        assert catalog.overrides()[a].mpp == 0.7
    assert (aside / ".dagster").is_dir()
    assert ids(home) == [a, b]


def test_a_catalog_that_is_damaged_is_put_aside_and_restored(home: Path, backup: Path) -> None:
    before = status()
    file = home / "store" / "catalog.sqlite"
    file.write_bytes(b"no database at all, but long enough to be taken for one" * 99)
    assert "is not empty" in refused("restore", backup)
    output("restore", backup, "--force")
    assert status() == before
    [aside] = home.glob(".before-restore-*")
    assert (aside / "catalog.sqlite").read_bytes().startswith(b"no database")


def test_a_home_that_cannot_be_made_is_refused(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path / "file" / "home"))
    assert "cannot be made" in refused("restore", backup)


def test_an_annotation_that_is_damaged_is_told_and_the_rest_is_kept(
    home: Path, backup: Path
) -> None:
    [file] = (home / "store" / "annotations").rglob("annotations.geojson")
    flip(file)
    said = output("backup", home / "again", code=1)
    assert "2 slides, 0 annotations" in said
    assert "not in the backup: " in said
    lose(home, also_store=True)
    assert "not in the backup: " in output("restore", home / "again", code=1)
    assert "record it again" in output("status").lower()
    assert backup.is_file()


def test_a_disk_without_hard_links_takes_a_backup(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    assert "2 slides, 1 annotation" in output("backup", home / "again")
    assert [path.name for path in home.glob(".again*")] == []


def test_a_store_that_is_read_only_is_backed_up(home: Path) -> None:
    with read_only(home / "store"):
        assert "2 slides, 1 annotation" in output("backup", home / "again")


def rewritten(backup: Path, change: Callable[[dict[str, bytes], dict[str, Any]], None]) -> Path:
    """The same backup with other members, or another manifest."""
    members: dict[str, bytes] = {}
    with tarfile.open(backup) as tar:
        for member in tar:
            file = tar.extractfile(member)
            members[member.name] = file.read() if file else b""
    manifest = json.loads(members.pop("manifest.json"))
    change(members, manifest)
    other = backup.with_name("other.backup")
    with tarfile.open(other, "w") as tar:
        for name, data in {"manifest.json": json.dumps(manifest).encode(), **members}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return other


def list_file(manifest: dict[str, Any], path: str, data: bytes) -> None:
    sha256 = hashlib.sha256(data).hexdigest()
    manifest["files"].append({"path": path, "size_bytes": len(data), "sha256": sha256})


def outside(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    members["../evil"] = b"evil"
    list_file(manifest, "../evil", b"evil")


def absolute(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    members["/evil"] = b"evil"
    list_file(manifest, "/evil", b"evil")


def unnamed(members: dict[str, bytes], _: dict[str, Any]) -> None:
    members["tables/more.jsonl"] = b"{}"


def changed(members: dict[str, bytes], _: dict[str, Any]) -> None:
    members["recipe.yaml"] = members["recipe.yaml"].replace(b"8.0", b"9.0")


def missing(members: dict[str, bytes], _: dict[str, Any]) -> None:
    del members["tables/slide.jsonl"]


def newer(_: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["about"]["revision"] = "9999"


def silent(_: dict[str, bytes], manifest: dict[str, Any]) -> None:
    del manifest["about"]["revision"]


def twice(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    members["tables/slide.jsonl/x"] = b"{}"
    list_file(manifest, "tables/slide.jsonl/x", b"{}")


def other_kind(_: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["what"] = "something else"


def of_no_table(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
    members["tables/stranger.jsonl"] = b"{}\n"
    list_file(manifest, "tables/stranger.jsonl", b"{}\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (outside, "holds '../evil', which is no plain file"),
        (absolute, "holds '/evil', which is no plain file"),
        (unnamed, "holds 'tables/more.jsonl', which is no plain file that its manifest names"),
        (changed, "recipe.yaml has other bytes than its manifest says"),
        (missing, "lacks tables/slide.jsonl"),
        (newer, "revision 9999 is of a newer pathassets"),
        (silent, "does not say its revision"),
        (twice, "cannot be unpacked"),
        (other_kind, "is a 'something else', not a 'pathassets backup'"),
        (of_no_table, "stranger"),
    ],
)
def test_a_file_that_is_no_whole_backup_makes_no_catalog(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, said: str
) -> None:
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path / "new"))
    assert said in refused("restore", rewritten(backup, change))
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "new" / "store" / "catalog.sqlite").exists()
    assert not (tmp_path / "new" / ".restoring").exists()


def test_a_link_in_a_backup_is_refused(backup: Path, tmp_path: Path) -> None:
    other = tmp_path / "linked.backup"
    with tarfile.open(backup) as source, tarfile.open(other, "w") as tar:
        for member in source:
            if member.name == "recipe.yaml":
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(member, source.extractfile(member) if member.isreg() else None)
    assert "holds 'recipe.yaml', which is no plain file" in refused("restore", other, "--force")


@pytest.mark.parametrize("n_bytes", [0, 100, 5000])
def test_a_file_that_is_cut_short_is_refused(backup: Path, tmp_path: Path, n_bytes: int) -> None:
    cut = tmp_path / "cut.backup"
    cut.write_bytes(backup.read_bytes()[:n_bytes])
    refused("restore", cut)
    refused("restore", tmp_path / "nowhere")


def test_a_home_in_which_a_run_works_is_not_restored_into(home: Path, backup: Path) -> None:
    with FolderStore(home / "store").staging("alive"):
        assert "run alive is working" in refused("restore", backup, "--force")


def test_rows_of_a_restored_catalog_are_those_of_the_other(home: Path, backup: Path) -> None:
    def rows() -> dict[str, list[Any]]:
        with closing(sqlite3.connect(home / "store" / "catalog.sqlite")) as database:
            names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return {
                name: sorted(database.execute(f"SELECT * FROM {name}").fetchall(), key=repr)  # noqa: S608
                for (name,) in names.fetchall()
            }

    before = rows()
    output("restore", backup, "--force")
    assert rows() == before


@pytest.mark.slow
def test_what_people_said_and_released_since_comes_back_and_no_doctor_finds_a_fault(
    home: Path,
) -> None:
    a, b = ids(home)
    stated = ("--who", "Ann", "--why", "review")
    output("qc", "set", a, "review", *stated)
    output("cohort", "label", b, "grade=2", *stated[:2])
    output("cohort", "tag", b, "biopsy", *stated[:2])
    output("select", "save", "mine", "label:tumour", "--who", "Ann")
    output("dataset", "freeze", "cohort", *stated)
    asked = (
        ("dataset", "show", "cohort@1", "--json"),
        ("qc", "show", a),
        ("select", "list"),
        ("cohort", "history", b),
    )
    before = [output(*words) for words in asked]
    output("backup", home / "newer")
    lose(home, also_store=False)
    output("restore", home / "newer")
    assert [output(*words) for words in asked] == before
    output("run")
    assert findings() == {}
