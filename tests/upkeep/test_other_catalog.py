"""Two catalogs over one store: neither clears what only the other needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.defs.small_slides import RECIPE
from tests.upkeep.home import contents, findings, ids, invoke, output, refused

CONSENT = ("--who", "Ann", "--why", "consent", "--from-releases")


@pytest.fixture
def beside(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another home, in force, with slide a, its own catalog, and the store of `home`."""
    output("run", "--select", "tissue_mask")  # it was moved, and its mark says so
    other = tmp_path / "other"
    other.mkdir()
    (other / "recipe.yaml").write_text(RECIPE)
    monkeypatch.setenv("PATHASSETS_HOME", str(other))
    monkeypatch.setenv("PATHASSETS_STORE", str(home / "store"))
    monkeypatch.setenv("PATHASSETS_CATALOG", f"sqlite:///{other / 'catalog.sqlite'}")
    output("ingest", home / "scans" / "a.svs")
    output("run", "--select", "features/colour")
    return other


def test_what_another_catalog_needs_is_not_cleared_and_the_doctor_notes_it(
    home: Path, beside: Path
) -> None:
    before = contents(home / "store" / "features")
    recipe = beside / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("patch_px: 256", "patch_px: 128"))
    for command in ("gc", "--yes", "--older-than", "0"), ("gc", "--older-than", "0"):
        said = refused(*command)
        assert f"is also the store of 'catalog {home / 'store' / 'catalog.sqlite'}' (on '" in said
        assert "nobody here knows what that one needs. Let both be one (PATHASSETS_CATALOG)" in said
    assert contents(home / "store" / "features") == before
    [found] = findings()["store_shared"]
    assert (found["subject"], found["is_note"]) == (str(home / "store"), True)


def test_once_nobody_uses_the_other_catalog_its_mark_is_removed_and_all_is_as_ever(
    home: Path, beside: Path
) -> None:
    own = f"catalog {beside / 'catalog.sqlite'}"
    marks = {
        json.loads(mark.read_text())["catalog"]: mark
        for mark in (home / "store" / ".catalogs").iterdir()
    }
    [other] = marks.keys() - {own}
    assert f"remove {marks[other]}" in refused("gc")
    marks[other].unlink()
    assert "nothing to remove" in output("gc", "--yes", "--older-than", "0")
    assert "store_shared" not in findings()


def test_who_forgets_a_slide_is_told_of_the_other_catalog(home: Path, beside: Path) -> None:
    assert beside
    [slide_id] = (found.name for found in (home / "store" / "features" / "colour").glob("a-*"))
    said = output("forget", slide_id, *CONSENT)
    assert f"'catalog {home / 'store' / 'catalog.sqlite'}'" in said
    assert "uses the store, too, and knows nothing of this: forget it there, unless" in said


def test_what_a_stranger_put_among_the_marks_is_another_catalog_and_no_more(home: Path) -> None:
    output("run")
    folder = home / "store" / ".catalogs"
    for n, said in enumerate((b"", b"[", b'{"catalog": "a\\nb", "host": 1, "since": null}')):
        (folder / f"{n}.json").write_bytes(said)
    assert {one["kind"] for one in findings()["store_shared"]} == {"store_shared"}
    assert len(findings()["store_shared"]) == 3
    assert "another catalog" in refused("gc")
    assert ids(home)
    assert invoke("status").exit_code == 0


def test_what_was_in_the_place_of_this_catalog_before_is_no_other(home: Path) -> None:
    output("run")  # it was moved, and its mark says so
    for end in "", "-wal", "-shm":
        (home / "store" / f"catalog.sqlite{end}").unlink(missing_ok=True)
    output("ingest", home / "scans")
    assert len([*(home / "store" / ".catalogs").iterdir()]) > 1
    assert "nothing to remove" in output("gc")
    assert "store_shared" not in findings()


def test_a_mark_that_is_lost_is_left_again(home: Path) -> None:
    output("run")
    marks = home / "store" / ".catalogs"
    before = {mark.name for mark in marks.iterdir()}
    for mark in marks.iterdir():
        mark.unlink()
    output("run")
    [mark] = marks.iterdir()
    assert mark.name in before


def test_a_catalog_that_a_restored_one_takes_the_place_of_leaves_no_mark(
    home: Path, beside: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "of beside"
    output("backup", bundle)
    for end in "", "-wal", "-shm":
        (beside / f"catalog.sqlite{end}").unlink(missing_ok=True)
    output("ingest", home / "scans" / "a.svs")  # as another catalog
    output("restore", bundle, "--force")
    output("run", "--select", "features/colour")
    marks = [json.loads(m.read_text()) for m in (home / "store" / ".catalogs").iterdir()]
    own = f"catalog {beside / 'catalog.sqlite'}"
    assert [one["catalog"] for one in marks].count(own) == 1
