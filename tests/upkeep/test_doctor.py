"""What the doctor finds and names, and what it mends without removing anything of worth."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from pathassets.adapters.store.folder_store import FolderStore
from pathassets.catalog.records import AttemptRecord
from pathassets.core.address import Address
from pathassets.defs.instance import open_instance
from pathassets.defs.partitions import SLIDES, slide_order
from pathassets.engine.settings import read_settings
from pathassets.errors import StorageUnavailable
from tests.unprivileged import read_only
from tests.upkeep.home import (
    CHUNK,
    artifacts,
    features,
    findings,
    flip,
    ids,
    invoke,
    opened,
    output,
    status,
)


def test_a_home_in_order_has_no_finding_even_where_every_byte_is_read(home: Path) -> None:
    before = artifacts(home)
    assert output("doctor", "--bytes") == "nothing contradicts anything\n"
    assert findings() == {}
    assert artifacts(home) == before


def test_a_changed_byte_is_named_where_bytes_are_read(home: Path) -> None:
    folder = features(home, "a")
    flip(folder / CHUNK)
    assert findings() == {}
    [found] = findings("--bytes")["artifact_damaged"]
    assert found["subject"] == folder.relative_to(home / "store").as_posix()
    assert found["evidence"] == f"{CHUNK} has other bytes than were published"
    assert not found["can_fix"]


def test_a_deleted_artifact_is_named_which_is_a_row_without_a_file(home: Path) -> None:
    folder = features(home, "a")
    shutil.rmtree(folder)
    (features(home, "b") / CHUNK).unlink()
    found = findings()
    [gone] = found["artifact_gone"]
    assert gone["subject"] == folder.relative_to(home / "store").as_posix()
    assert "pathassets run makes it anew" in gone["remedy"]
    [damaged] = found["artifact_damaged"]
    assert damaged["evidence"] == f"{CHUNK} is gone"
    output("run")
    assert findings() == {}


def test_a_file_without_a_row_is_taken_over_once_its_bytes_prove_what_it_is(home: Path) -> None:
    before = status()
    with opened(home) as catalog:
        for one in list(catalog.artifacts()):
            if one.address.stage in {"patch_locations", "features"}:
                catalog.drop_rows(one.address)
    found = findings()
    assert len(found["artifact_unrecorded"]) == 4
    assert all(one["can_fix"] for one in found["artifact_unrecorded"])
    first, whole = (output("doctor", *some, code=1).splitlines() for some in ([], ["--all"]))
    told = [line for line in whole if line.startswith("artifact_unrecorded ")]
    assert len(told) == 4
    assert [line for line in first if line.startswith("artifact_unrecorded ")] == told[:3]
    assert "4 artifact_unrecorded: 3 are shown" in first
    assert "4 artifact_unrecorded" in whole
    assert first[-1] == whole[-1] == "pathassets doctor --fix mends all of them"
    assert {one["evidence"] for one in findings("--fix")["artifact_unrecorded"]} == {
        "it is whole by its sizes, and the catalog does not know it"
    }
    assert findings() == {}
    assert status() == before
    assert output("run").startswith("nothing to do")


def test_a_file_without_a_row_whose_bytes_are_others_is_not_taken_over(home: Path) -> None:
    folder = features(home, "a")
    with opened(home) as catalog:
        for one in [a for a in catalog.artifacts("features") if a.address.digest == folder.name]:
            catalog.drop_rows(one.address)
    flip(folder / CHUNK)
    [found] = findings("--fix")["artifact_unrecorded"]
    assert "has other bytes than were published" in found["failed"]
    assert not found["done"]


def test_what_does_not_fit_its_place_or_has_no_slide_is_told_and_never_taken_over(
    home: Path,
) -> None:
    folder = features(home, "a")
    for place in (folder.with_name("0" * 16), folder.parent.with_name("nobody-0") / folder.name):
        shutil.copytree(folder, place)
        said = json.loads((place / "artifact.json").read_text())
        said["address"] |= {"partition_key": place.parent.name, "digest": place.name}
        text = json.dumps(said, indent=1, sort_keys=True) + "\n"
        (place / "artifact.json").write_text(text)
    before = artifacts(home)
    found = findings("--fix")
    [misplaced], [homeless] = found["artifact_misplaced"], found["artifact_of_no_slide"]
    assert misplaced["subject"].endswith("0" * 16)
    assert "nobody-0" in homeless["evidence"]
    assert not misplaced["can_fix"] | homeless["can_fix"]
    assert artifacts(home) == before


def test_what_was_made_from_what_can_never_be_known_is_told_so_and_nobody_promises_to_mend_it(
    home: Path,
) -> None:
    a, b = ids(home)
    stated = ("--who", "Ann", "--why", "consent withdrawn")
    [drawn] = (home / "store" / "annotations" / "tumour").glob("a-*/*/original/*")
    [mask] = (home / "store" / "tissue_mask" / "otsu").glob(f"{b}/*")
    with opened(home) as catalog:
        for one in [*catalog.artifacts("annotations"), *catalog.artifacts("dataset")]:
            catalog.drop_rows(one.address)
        for one in [x for x in catalog.artifacts() if x.address.partition_key == b]:
            catalog.drop_rows(one.address)
    with closing(sqlite3.connect(home / "store" / "catalog.sqlite")) as database, database:
        database.execute("DELETE FROM annotation")
    (mask / "artifact.json").write_text("cut sho")
    found = findings()
    [unstated] = found["annotation_unstated"]
    assert f"pathassets annotations set {a} {drawn} --name tumour --who NAME" in unstated["remedy"]
    unknown = {one["subject"].split("/")[0]: one for one in found["artifact_unrecorded"]}
    assert [one["can_fix"] for one in unknown.values()] == [False] * 3
    assert unknown["patch_locations"]["evidence"].endswith(
        f"made from {mask.relative_to(home / 'store')}, which cannot be taken over either"
    )

    output("annotations", "set", a, drawn, "--name", "tumour", *stated)
    output("forget", a, *stated)
    [gone] = [x for x in findings()["artifact_unrecorded"] if x["subject"].startswith("dataset/")]
    assert re.search(rf"made from features/colour/{a}/\w+, whose slide was taken out on .* by Ann$",
                     gone["evidence"])  # fmt: skip
    assert not gone["can_fix"]
    assert gone["remedy"].startswith("Nothing takes it over: ")


def test_a_broken_folder_without_a_row_is_put_aside_and_kept(home: Path) -> None:
    broken = features(home, "a").with_name("f" * 16)
    broken.mkdir()
    (broken / "half").write_text("half of something")
    [found] = findings("--fix")["artifact_broken"]
    assert "put aside" in found["done"]
    assert not broken.exists()
    [kept] = (home / "store" / ".aside").rglob("half")
    assert kept.read_text() == "half of something"
    assert findings() == {}


def test_what_a_store_that_does_not_answer_has_is_neither_broken_nor_put_aside(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output("dataset", "freeze", "cohort", "--who", "Ann", "--why", "paper")
    unknown = features(home, "a").with_name("f" * 16)
    shutil.copytree(features(home, "a"), unknown)

    def silent(self: FolderStore, address: Address) -> None:
        raise StorageUnavailable(self.uri_of(address), "does not answer", remedy="Wait")

    monkeypatch.setattr(FolderStore, "read_whole", silent)
    said = invoke("doctor", "--fix")
    assert said.exit_code == 2
    assert "does not answer. Wait" in said.stderr
    shutil.rmtree(unknown)
    said = invoke("doctor")  # comes to the release
    assert (said.exit_code, "release_" in said.stdout) == (2, False)


def test_strays_and_links_in_the_store_are_put_aside_and_links_not_followed(home: Path) -> None:
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("kept")
    (home / "store" / "features" / "notes.txt").write_text("mine")
    (home / "store" / "features" / "link").symlink_to(elsewhere)
    (features(home, "a") / "extra").write_text("extra")
    assert {Path(one["subject"]).name for one in findings()["stray"]} == {"notes.txt", "link"}
    findings("--fix", "--bytes")
    assert findings("--bytes") == {}
    aside = home / "store" / ".aside"
    assert {path.name for path in aside.rglob("*")} >= {"notes.txt", "link", "extra"}
    assert [path.name for path in elsewhere.iterdir()] == ["kept"]


def test_what_somebody_has_beside_the_stages_is_noted_and_left_where_it_is(home: Path) -> None:
    store = home / "store"
    (store / "scans").mkdir()
    shutil.copy(home / "scans" / "a.svs", store / "scans" / "a.svs")
    shutil.copy(home / "scans" / "b.svs", store / "features" / "b.svs")
    (store / "report.pdf").write_text("a patient's")
    deep = store / "features" / "uni" / "patient" / "0123456789abcdef"  # as an artifact lies
    deep.mkdir(parents=True)
    shutil.copy(home / "scans" / "a.svs", deep)
    output("ingest", store / "scans", store / "features" / "b.svs", deep)
    told = findings("--fix")["stray"]
    assert {one["subject"] for one in told} == {
        str(store / name)
        for name in ("scans", "report.pdf", "features/b.svs", deep.relative_to(store))
    }
    assert (deep / "a.svs").is_file()
    assert {one["is_note"] for one in told} == {True}
    assert (store / "scans" / "a.svs").is_file()
    assert (store / "features" / "b.svs").is_file()
    assert (store / "report.pdf").is_file()
    assert "nothing contradicts anything; 4 notes" in output("doctor")


def test_what_a_killed_run_left_is_found_and_what_a_live_one_holds_is_not(home: Path) -> None:
    staging = home / "store" / ".staging"
    (staging / "dead" / "token").mkdir(parents=True)
    (staging / "dead.lock").touch()
    with FolderStore(home / "store").staging("alive") as alive:
        (alive / "work").write_text("work")
        [found] = findings("--fix")["leftover"]
        assert found["subject"] == str(staging / "dead")
        assert (alive / "work").read_text() == "work"
    assert not (staging / "dead").exists()
    assert findings() == {}


def test_what_a_run_at_work_has_made_and_not_entered_yet_is_no_finding(home: Path) -> None:
    folder = features(home, "a")
    with opened(home) as catalog:
        [one] = [a for a in catalog.artifact_digests() if a.digest == folder.name]
        catalog.drop_rows(one)
    with FolderStore(home / "store").staging("alive"):
        assert "artifact_unrecorded" in findings()
        folder.rename(folder.with_name("made"))
        folder.with_name("made").rename(folder)  # made now, as far as the disk knows
        assert "artifact_unrecorded" not in findings()
    assert "artifact_unrecorded" in findings()


def test_a_moved_slide_is_told_and_entered_where_somebody_says_to_look(home: Path) -> None:
    a, _ = ids(home)
    copies = [shutil.copy(path, home / path.name) for path in (home / "scans").iterdir()]
    shutil.rmtree(home / "scans")
    with opened(home) as catalog:
        for one, copy in zip(catalog.slides(), sorted(copies), strict=True):
            with closing(sqlite3.connect(home / "store" / "catalog.sqlite")) as database:
                database.execute(
                    "UPDATE slide_path SET path = ? WHERE slide_id = ?",
                    (str(home / "scans" / Path(copy).name), one.slide_id),
                )
                database.commit()
    (home / "new").mkdir()
    moved = (home / "a.svs").rename(home / "new" / "renamed.svs")
    (home / "b.svs").unlink()
    found = findings("--fix")
    assert len(found["slide_gone"]) == 2
    found = findings("--search", home / "new")
    [gone], [told] = found["slide_gone"], found["slide_moved"]
    assert told["subject"] == a
    assert f"{moved} has its content" in told["evidence"]
    [entered] = findings("--fix", "--search", home / "new")["slide_moved"]
    assert entered["done"] == f"entered {moved}"
    assert [one["subject"] for one in findings()["slide_gone"]] == [gone["subject"]]


def test_a_slide_that_moved_beside_another_is_told_but_not_entered_by_itself(
    home: Path, tmp_path: Path
) -> None:
    a, _ = ids(home)
    scans = tmp_path / "scans"
    shutil.copytree(home / "scans", scans)
    output("ingest", *sorted(scans.iterdir()))
    shutil.rmtree(home / "scans")
    with closing(sqlite3.connect(home / "store" / "catalog.sqlite")) as database:
        database.execute("DELETE FROM slide_path WHERE path NOT LIKE ?", (f"{scans}%",))
        database.commit()
    moved = (scans / "a.svs").rename(scans / "z.svs")
    [found] = findings("--fix")["slide_moved"]
    assert (found["subject"], found["can_fix"], found["done"]) == (a, False, "")
    assert str(moved) in found["evidence"]


def test_a_slide_whose_content_changed_is_named(home: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(home / "scans" / "a.svs", tmp_path / "a.svs"))
    output("ingest", copy)
    copy.write_bytes(copy.read_bytes() + b"\0")
    [found] = findings()["slide_changed"]
    assert found["evidence"] == f"{copy}: its content is not the registered one"


def test_partitions_and_slides_that_the_other_does_not_have_are_found_and_mended(
    home: Path,
) -> None:
    a, b = ids(home)
    with open_instance(read_settings()) as instance:
        instance.delete_dynamic_partition(str(SLIDES.name), a)
        instance.add_dynamic_partitions(str(SLIDES.name), ["stranger"])
    found = findings("--fix")
    assert [one["subject"] for one in found["partition_missing"]] == [a]
    assert [one["subject"] for one in found["partition_of_no_slide"]] == ["stranger"]
    with open_instance(read_settings()) as instance:
        assert sorted(slide_order(instance)) == [a, b]
    assert findings() == {}


def test_what_dagster_does_not_show_is_reported_again_and_what_only_it_shows_is_told(
    home: Path, dagster_state: Path
) -> None:
    a, _ = ids(home)
    shutil.rmtree(home / ".dagster")
    shutil.copytree(dagster_state, home / ".dagster")
    found = findings("--fix")
    assert len(found["event_missing"]) == 6 + 1
    left = findings()
    assert [one["subject"] for one in left["event_missing"]] == ["dataset/cohort"]
    output("run")
    assert findings() == {}
    with opened(home) as catalog:
        [record] = [r for r in catalog.artifacts("features") if r.address.partition_key == a]
        catalog.drop_rows(record.address)
    shutil.rmtree(home / "store" / str(record.address))
    [told] = findings("--fix")["event_of_nothing"]
    assert (told["subject"], told["can_fix"]) == (str(record.address), False)


def test_rows_that_point_at_no_slide_go_and_their_files_are_put_aside(home: Path) -> None:
    _, b = ids(home)
    with closing(sqlite3.connect(home / "store" / "catalog.sqlite")) as database:
        for table in ("wanted", "mpp_override", "slide_path", "slide"):
            database.execute(f"DELETE FROM {table} WHERE slide_id = ?", (b,))  # noqa: S608
        database.commit()
    found = findings("--fix")
    assert {one["subject"].split("/")[2] for one in found["row_of_no_slide"]} == {b}
    assert [one["subject"] for one in found["partition_of_no_slide"]] == [b]
    assert [*(home / "store" / ".aside").rglob("features.zarr")]
    assert "row_of_no_slide" not in findings()
    with opened(home) as catalog:
        tried = Address("features", "colour", "nobody", "0" * 16)
        catalog.record_attempts([AttemptRecord(run_id="r", address=tried, state="failed")])
    [found_attempt] = findings("--fix")["row_of_no_slide"]
    assert found_attempt["subject"] == f"attempt {tried}"
    assert "row_of_no_slide" not in findings()


def test_a_damaged_catalog_is_named_before_it_is_opened(home: Path) -> None:
    with closing(sqlite3.connect(home / "store" / "catalog.sqlite")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.execute("DELETE FROM slide WHERE slide_id = ?", (ids(home)[0],))
        database.execute("DROP TABLE rejected_file")
        database.execute("CREATE TABLE _alembic_tmp_slide (x)")
        database.commit()
    said = {one["evidence"] for one in findings()["catalog_damaged"]}
    assert any("points at no row of slide" in one for one in said)
    assert "its table rejected_file is gone" in said
    assert "_alembic_tmp_slide is left of a migration that did not end" in said
    with closing(sqlite3.connect(home / "store" / "catalog.sqlite")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray((home / "store" / "catalog.sqlite").read_bytes())
    data[4096 * 3 : 4096 * 5] = os.urandom(8192)
    (home / "store" / "catalog.sqlite").write_bytes(data)
    assert findings("--fix")["catalog_damaged"]


def test_folders_that_others_may_enter_are_closed(home: Path) -> None:
    (home / "store").chmod(0o755)
    (home / "store" / "catalog.sqlite").chmod(0o644)
    (home / ".dagster").chmod(0o750)
    home.chmod(0o755)
    found = {one["subject"]: one for one in findings("--fix")["open_to_others"]}
    assert [found[str(home)][name] for name in ("done", "is_note")] == ["", True]
    assert stat.S_IMODE((home / "store").stat().st_mode) == 0o700
    assert stat.S_IMODE((home / ".dagster").stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "store" / "catalog.sqlite").stat().st_mode) == 0o600
    note, end = output("doctor").splitlines()  # a scanner may deliver into the home: no fault
    assert note.startswith(f"note: open_to_others {home}: others may enter it (mode 0755)")
    assert note.endswith(f"else chmod o-rwx {home}")
    assert end == "nothing contradicts anything; 1 note"


def test_a_store_that_is_read_only_is_examined_and_nothing_is_written(home: Path) -> None:
    folder = features(home, "a")
    (folder / CHUNK).unlink()
    (home / "store" / "features" / "notes.txt").write_text("mine")
    with read_only(home / "store"):
        found = findings("--fix")
    assert [one["subject"] for one in found["artifact_damaged"]]
    [stray] = found["stray"]
    assert "not writable" in stray["failed"]
    assert (home / "store" / "features" / "notes.txt").is_file()


def test_a_home_that_is_read_only_is_examined_and_that_dagster_cannot_say_anything_is_found(
    home: Path,
) -> None:
    folder = features(home, "a")
    (folder / CHUNK).unlink()
    with read_only(home):
        found = findings()
    assert [one["subject"] for one in found["artifact_damaged"]]
    [one] = found["dagster_unreadable"]
    assert one["evidence"]
    assert one["remedy"]


def test_a_recipe_that_is_none_is_a_finding_and_stops_no_backup(home: Path) -> None:
    (home / "recipe.yaml").write_text("tissue_mask: [\n")
    [one] = findings()["recipe_unreadable"]
    assert one["subject"] == str(home / "recipe.yaml")
    assert "not YAML" in one["evidence"]
    assert "2 slides" in output("backup", home / "b.bak")
    assert "2" in output("sql", "SELECT COUNT(*) FROM v_slides")


def test_a_name_that_gives_orders_to_the_terminal_is_written_out(home: Path) -> None:
    (home / "store" / "features" / "\x1b[2Jgone").write_text("x")
    said = output("doctor", code=1)
    assert "\x1b" not in said
    assert "\\x1b[2Jgone" in said
