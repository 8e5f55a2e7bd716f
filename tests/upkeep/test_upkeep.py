"""What is read again, cleared and forgotten, and what a kill at any step of it leaves."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import dagster as dg
import pytest

from pathassets.adapters.store.store import Store
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.human_inputs import now
from pathassets.core.address import SLIDE_STAGE, Address
from pathassets.defs.instance import open_instance
from pathassets.defs.partitions import slide_order
from pathassets.engine.platform.platform import Platform, open_platform
from pathassets.engine.platform.upkeep.doctor import examine, treat
from pathassets.engine.platform.upkeep.finding import FindingKind
from pathassets.engine.platform.upkeep.garbage import remove_garbage
from pathassets.engine.settings import read_settings
from tests.defs.workbench import open_bench
from tests.unprivileged import read_only
from tests.upkeep import kills
from tests.upkeep.home import (
    CHUNK,
    artifacts,
    contents,
    features,
    findings,
    flip,
    ids,
    invoke,
    opened,
    output,
    refused,
    status,
)
from tests.upkeep.kills import killed_homes

WHO = ("--who", "Ann", "--why", "consent withdrawn")


def addresses(home: Path) -> set[Address]:
    with opened(home) as catalog:
        return catalog.artifact_digests()


# Reading again


def test_scrub_reads_first_what_nobody_read_for_longest_and_says_how_long(home: Path) -> None:
    with opened(home) as catalog:
        n, began_at = catalog.hash_age().n_artifacts, now()
    assert output("scrub", "--share", "0.5").startswith(f"read {(n + 1) // 2} artifacts, ")
    with opened(home) as catalog:
        left = catalog.longest_unhashed(n, before=began_at)
        assert len(left) == n // 2
        assert catalog.hash_age().oldest_at is not None
    output("scrub", "--share", "0.5")
    with opened(home) as catalog:
        oldest_at = catalog.hash_age().oldest_at
        assert oldest_at is not None
        assert oldest_at > began_at
        assert catalog.longest_unhashed(n, before=began_at) == []


def test_a_flipped_bit_that_scrub_finds_is_shown_by_status_and_made_anew_by_run(
    home: Path,
) -> None:
    a = features(home, "a")
    before = contents(a)
    flip(a / CHUNK)
    assert {c["state"] for s in status()["slides"] for c in s["assets"].values()} == {"current"}
    said = output("scrub", "--share", "1", code=1)
    assert f"{a.relative_to(home / 'store')}: {CHUNK} has other bytes than were published" in said
    cell = status()["slides"][0]["assets"]["features/colour"]
    assert (cell["state"], cell["reason"]) == ("failed", "artifact_corrupt")
    output("run")
    assert contents(a) == before
    assert "0 damaged" in output("scrub", "--share", "1")


def test_a_drawing_that_is_damaged_is_named_by_scrub_with_how_to_record_it(home: Path) -> None:
    [file] = (home / "store" / "annotations").rglob("annotations.geojson")
    flip(file)
    assert "annotations/tumour" in output("scrub", "--share", "1", code=1)
    with opened(home) as catalog:
        [last] = [t for t in catalog.attempts() if t.address.stage == "annotations"]
    assert "pathassets annotations set" in last.remedy


def test_scrub_ends_after_its_minutes_and_what_it_read_counts(home: Path) -> None:
    assert output("scrub", "--share", "1", "--minutes", "0.000001").startswith("read 0 artifacts")
    assert home.is_dir()


def test_the_job_on_dagsters_page_fails_where_something_is_damaged_and_names_it(
    home: Path,
) -> None:
    whole = {"run_config": {"ops": {"read_oldest": {"config": {"share": 1.0}}}}}
    with open_bench() as bench:
        assert bench.run("scrub", **whole).success
        flip(features(home, "a") / CHUNK)
        [failed] = bench.run("scrub", **whole).get_step_failure_events()
        said = failed.step_failure_data.user_failure_data
        assert said is not None
        assert said.description is not None
        assert f"{features(home, 'a').parent.name}/" in said.description
    assert "artifact_corrupt" in output("status")


# Clearing


def make_stale(home: Path) -> set[Address]:
    """Let everything of slide b, and a mask of another entry, be in force no more."""
    _, b = ids(home)
    before = {one for one in addresses(home) if one.partition_key == b}
    output("mpp", "set", b, "0.5", "--who", "Ann", "--why", "measured")
    return {one for one in before if one.stage != "annotations"}


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
    assert "nothing was removed" in output("gc", "--older-than", "0")
    assert artifacts(home) == before
    assert "3 artifacts, 0.00 GB: made from or with" in output("gc", "--yes", "--older-than", "0")
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
    with Store(home / "store").staging("batch"):
        assert "run batch is working in it" in refused("gc", "--yes", "--older-than", "0")
        output("gc", "--older-than", "0")
    with read_only(home / "store"):
        output("gc")
        assert "not writable" in refused("gc", "--yes", "--older-than", "0")
    assert artifacts(home) == before


# Forgetting


def forget(home: Path, *options: str) -> str:
    a, _ = ids(home)
    return output("forget", a, *WHO, "--from-releases", *options)


def everywhere(home: Path, word: str) -> list[str]:
    """Files of a home, but the slides and tables that people hold, that have a word in them."""
    own = (home / "scans", home / "cohort.csv", home / "a.geojson")
    return [
        path.relative_to(home).as_posix()
        for path in sorted(home.rglob("*"))
        if path.is_file() and not any(path.is_relative_to(one) for one in own)
        if word.encode() in path.read_bytes() or word in str(path.relative_to(home))
    ]


def test_a_slide_that_a_dataset_names_is_taken_out_only_when_that_is_said(home: Path) -> None:
    a, _ = ids(home)
    before = artifacts(home)
    assert "is named by dataset/cohort/" in refused("forget", a, *WHO)
    assert artifacts(home) == before
    said = output("forget", a, *WHO, "--from-releases")
    assert said.startswith(f"{a}: taken out; 4 artifacts removed\n")
    assert f"left where it is: {home.parent}" not in said
    assert "names it still: dataset/cohort/" in said


def test_of_a_slide_that_was_taken_out_nothing_is_left_but_its_file(home: Path) -> None:
    a, b = ids(home)
    [slide] = status()["slides"][0]["paths"]
    said = forget(home)
    assert f"left where it is: {slide}" in said
    assert Path(slide).is_file()
    assert ids(home) == [b]
    assert not [path for path in artifacts(home) if a in path]
    left = [path for path in everywhere(home, a) if not path.startswith(".dagster")]
    assert {Path(path).parts[1] for path in left} == {"dataset"}
    with open_instance(read_settings()) as instance:
        assert slide_order(instance) == [b]
        for asset in ("slide", "features/colour", "annotations/tumour", "tissue_mask/otsu"):
            key = dg.AssetKey(asset.split("/"))
            assert a not in (instance.get_materialized_partitions(key))
    assert [s["slide_id"] for s in status()["slides"]] == [b]
    assert findings() == {}


def test_no_byte_of_the_databases_names_the_patient_any_more(home: Path) -> None:
    assert everywhere(home, "Doe") != []
    forget(home)
    left = everywhere(home, "Doe")
    assert [path for path in left if not path.startswith("store/dataset/")] == []


def test_a_slide_that_was_taken_out_is_not_taken_in_again_under_any_name(
    home: Path, tmp_path: Path
) -> None:
    [slide] = status()["slides"][0]["paths"]
    forget(home)
    copy = Path(shutil.copy(slide, tmp_path / "other.svs"))
    said = output("ingest", copy, code=1)
    assert "its slide was taken out on " in said
    assert "by Ann" in said
    with opened(home) as catalog:
        [refusal] = catalog.rejected_files()
    assert refusal.reason == "slide_forgotten"
    assert len(ids(home)) == 1


def test_artifacts_are_kept_when_asked_and_no_doctor_or_clearing_takes_them(home: Path) -> None:
    a, _ = ids(home)
    before = artifacts(home)
    assert "4 artifacts kept" in forget(home, "--keep-artifacts")
    assert artifacts(home) == before
    assert findings("--fix") == {}
    output("gc", "--yes", "--older-than", "0")
    assert {path for path in before if a in path} <= set(artifacts(home))


def test_an_unknown_slide_is_refused_and_a_removal_that_was_begun_is_found(home: Path) -> None:
    a, _ = ids(home)
    assert "not in the catalog" in refused("forget", "nobody", *WHO)
    assert "it says nothing" in invoke_error("forget", a, "--who", " ", "--why", "x")
    with opened(home) as catalog:
        catalog.begin_forgetting(a, who="Ann", why="consent")
    [found] = findings()["slide_half_forgotten"]
    assert found["subject"] == a
    forget(home)
    assert "slide_half_forgotten" not in findings()


def test_a_slide_that_was_forgotten_and_comes_back_with_an_older_backup_is_found(
    home: Path,
) -> None:
    a, b = ids(home)
    output("backup", home / "older")
    forget(home)
    output("restore", home / "older", "--force")
    assert ids(home) == [a, b]
    [found] = findings()["slide_half_forgotten"]
    assert found["subject"] == a


def invoke_error(*arguments: str) -> str:
    return invoke(*arguments).stderr


# Killed at any step


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
        if a in ids(one):
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
    before: dict[str, Any] = status()
    output("backup", home / "kept.backup")
    shutil.rmtree(home / "store" / "annotations")
    output("mpp", "set", ids(home)[0], "0.9", "--who", "Ann", "--why", "later")
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
    (home / "store" / "notes.txt").write_text("mine")
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


# What the page says

PAGE = Path(__file__).parents[2] / "docs" / "upkeep.md"


def test_the_page_names_every_kind_of_finding_and_no_other() -> None:
    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    named = [kind for cell in rows for kind in re.findall(r"`([a-z_]+)`", cell)]
    assert sorted(named) == sorted(get_args(FindingKind))


def test_what_the_page_tells_to_type_ends_well(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    [block] = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = block.splitlines()
    assert [line.split()[1] for line in lines] == ["doctor", "scrub", "gc", "backup"]
    for line in lines:
        output(*line.split()[1:])
