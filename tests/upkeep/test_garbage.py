"""What no recipe, dataset or person needs is counted, then removed; nothing else is."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from pathassets.adapters.store.folder_store import FolderStore
from pathassets.catalog.human_inputs import now
from pathassets.core.address import Address
from tests.unprivileged import read_only
from tests.upkeep.home import (
    addresses,
    artifacts,
    findings,
    make_stale,
    output,
    refused,
    status,
)


def test_clearing_counts_first_and_removes_nothing_that_was_made_lately(home: Path) -> None:
    stale = make_stale(home)
    before = artifacts(home)
    assert "0 artifacts" not in output("gc")
    assert artifacts(home) == before
    with closing(sqlite3.connect(home / "store" / "catalog.sqlite")) as database:
        database.execute("DELETE FROM artifact_parent WHERE stage = 'dataset'")
        database.commit()
    output("gc", "--yes")
    assert artifacts(home) == before
    found = json.loads(output("gc", "--older-than", "0", "--json"))
    assert found["by_cause"]["old_digest"]["n_artifacts"] == len(stale)
    assert not found["is_removed"]
    assert "nothing was removed" in output("gc", "--older-than", "0", "--dry-run")
    assert "Give one of them" in refused("gc", "--yes", "--dry-run")
    assert artifacts(home) == before
    assert re.search(
        r"3 artifacts, [\d.]+ kB: made from", output("gc", "--yes", "--older-than", "0")
    )
    assert "there was nothing to remove" in output("gc", "--yes", "--older-than", "0")
    assert not stale & addresses(home)
    assert all(not (home / "store" / str(one)).exists() for one in stale)
    assert findings() == {}


def test_what_a_dataset_was_made_from_stays_and_so_does_what_that_was_made_from(
    home: Path,
) -> None:
    stale = make_stale(home)
    output("gc", "--yes", "--older-than", "0")
    assert stale <= addresses(home)


def test_what_a_younger_artifact_was_made_from_stays(home: Path) -> None:
    stale = make_stale(home)
    [young] = [one for one in stale if one.stage == "patch_locations"]
    month_ago = (now() - timedelta(days=30)).isoformat(timespec="microseconds")
    with closing(sqlite3.connect(home / "store" / "catalog.sqlite")) as database:
        database.execute("DELETE FROM artifact_parent WHERE stage = 'dataset'")
        database.execute(
            "UPDATE artifact SET made_at = ? WHERE stage != 'patch_locations'", (month_ago,)
        )
        database.commit()
    output("gc", "--yes")
    left = {one.stage for one in stale & addresses(home)}
    assert left == {"tissue_mask", "patch_locations"}
    assert young in addresses(home)


def test_artifacts_of_an_entry_that_is_gone_from_the_recipe_go_and_drawings_stay(
    home: Path,
) -> None:
    with closing(sqlite3.connect(home / "store" / "catalog.sqlite")) as database:
        database.execute("DELETE FROM artifact_parent WHERE stage = 'dataset'")
        database.commit()
    (home / "recipe.yaml").write_text("tissue_mask: {otsu: {method: otsu, mpp: 8.0}}\n")
    found = json.loads(output("gc", "--yes", "--older-than", "0", "--json"))
    assert found["by_cause"]["entry_gone"]["n_artifacts"] == 4
    assert {one.stage for one in addresses(home)} == {"annotations", "tissue_mask", "dataset"}


def test_nothing_is_cleared_while_a_run_works(home: Path) -> None:
    make_stale(home)
    before = artifacts(home)
    with FolderStore(home / "store").staging("batch"):
        assert "run batch is working in it" in refused("gc", "--yes", "--older-than", "0")
        output("gc", "--older-than", "0")
    with read_only(home / "store"):
        output("gc")
        assert "not writable" in refused("gc", "--yes", "--older-than", "0")
    assert artifacts(home) == before


def test_what_a_release_names_stays_though_the_row_of_its_dataset_is_gone(home: Path) -> None:
    output("dataset", "freeze", "cohort", "--who", "Ann", "--why", "paper")
    stale = make_stale(home)
    with closing(sqlite3.connect(home / "store" / "catalog.sqlite")) as database:
        database.execute("DELETE FROM artifact_parent WHERE stage = 'dataset'")
        database.execute("DELETE FROM artifact WHERE stage = 'dataset'")
        database.commit()
    output("gc", "--yes", "--older-than", "0")
    assert stale <= addresses(home)


def test_a_row_without_files_that_is_not_in_force_goes_at_once_as_the_doctor_says(
    home: Path,
) -> None:
    stale = make_stale(home)
    output("run")
    for folder in {home / "store" / str(one) for one in stale}:
        shutil.rmtree(folder)
    [old] = [
        one
        for one in addresses(home)
        if one.stage == "dataset" and not is_in_force(one)
    ]  # fmt: skip
    assert all(one["is_note"] for one in findings()["artifact_gone"])  # a version has them still
    assert output("doctor", code=0)
    shutil.rmtree(home / "store" / str(old))
    gone = findings()["artifact_gone"]
    assert {one["subject"] for one in gone} == {str(one) for one in stale | {old}}
    assert {one["remedy"] for one in gone} == {"pathassets gc --yes drops it"}
    assert output("doctor", code=1).endswith("pathassets gc --yes mends all of them\n")
    assert "only rows are left of them; nothing was removed" not in output("gc")
    assert f"{len(gone)} artifacts, 0 bytes: their files are gone" in output("gc", "--yes")
    assert findings() == {}
    assert "nothing to do" in output("run")


def is_in_force(version: Address) -> bool:
    [cell] = status()["datasets"].values()
    return bool(cell["digest"] == version.digest)


def test_a_restored_home_is_in_order_after_what_the_doctor_says(home: Path) -> None:
    make_stale(home)
    output("run")
    output("backup", home / "kept")
    shutil.move(home / "kept", home.with_suffix(".kept"))
    shutil.rmtree(home / "store")
    output("restore", home.with_suffix(".kept"), "--force")
    assert "pathassets run makes it anew" in {
        one["remedy"] for one in findings()["artifact_gone"]
    }  # fmt: skip
    output("run")
    assert output("doctor", code=1).endswith("pathassets gc --yes mends all of them\n")
    output("gc", "--yes")
    assert findings() == {}
    output("doctor")


def test_a_damaged_version_that_is_not_in_force_goes_as_the_doctor_says(home: Path) -> None:
    make_stale(home)
    output("run")
    [old] = [one for one in addresses(home) if one.stage == "dataset" and not is_in_force(one)]
    folder = home / "store" / str(old)
    (folder / "splits.csv").unlink()
    [found] = findings()["artifact_damaged"]
    assert found["remedy"].startswith("Move its folder out of the store, then pathassets gc --yes")
    shutil.move(folder, home / "elsewhere")
    output("gc", "--yes")
    assert findings() == {}


def test_what_a_release_names_is_a_note_where_its_files_are_gone(home: Path) -> None:
    output("dataset", "freeze", "cohort", "--who", "Ann", "--why", "paper")
    stale = make_stale(home)
    output("run")
    for one in stale:
        shutil.rmtree(home / "store" / str(one))
    assert all(one["is_note"] for one in findings()["artifact_gone"])
    output("gc", "--yes", "--older-than", "0")
    assert stale <= addresses(home)
