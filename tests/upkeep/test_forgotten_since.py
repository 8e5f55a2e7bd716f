"""What was forgotten outlives a restore of an older backup, and every command says that it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import dagster as dg
import pytest

from pathassets.defs.instance import open_instance
from pathassets.defs.partitions import slide_order
from pathassets.engine.platform.upkeep import restore
from pathassets.engine.settings import read_settings
from tests.upkeep.home import artifacts, features, findings, ids, invoke, output, refused, status

CONSENT = ("--who", "Ann", "--why", "consent withdrawn")
STATED = ("--who", "Bob", "--why", "paper")


@pytest.fixture
def older(made: Path, home: Path) -> Path:
    """A backup of before anything was forgotten."""
    return Path(shutil.copy(made.with_suffix(".backup"), home.with_suffix(".backup")))


def test_a_slide_that_was_forgotten_stays_out_when_an_older_backup_is_restored(
    home: Path,
) -> None:
    a, b = ids(home)
    [scan] = [s["paths"][0] for s in status()["slides"] if s["slide_id"] == a]
    address = features(home, "a").relative_to(home / "store")
    copy = Path(shutil.copytree(home / "store" / address, home.parent / "copy"))
    output("export", "trident", "features/colour", home.parent / "theirs")
    output("dataset", "freeze", "cohort", *STATED)
    output("backup", home / "newer")
    output("forget", a, *CONSENT, "--from-releases")
    left = artifacts(home)
    shutil.copytree(copy, home / "store" / address)  # as from an older copy of the store
    [found] = findings()["artifact_of_no_slide"]
    assert "its slide was taken out on " in found["evidence"]

    said = output("restore", home / "newer", "--force")
    assert "restored 1 slide, 0 annotations; " in said
    assert "1 slide of the backup stays out, taken out on " in said
    assert "by Ann: consent withdrawn\n" in said
    assert a not in said
    assert "not known" not in said
    assert (ids(home), artifacts(home)) == ([b], left)
    stored = home / "store" / address
    is_told_wherever_it_is_named(home, a, [str(address), stored, copy, scan])

    output("run")
    assert {path for path in artifacts(home) if f"/{a}/" in path} == set()
    assert findings() == {}
    is_not_named_by_dagster(home, a, b)
    is_told_of_versions(a)


@pytest.mark.slow
def test_a_release_of_after_a_backup_keeps_its_number_when_that_is_restored(older: Path) -> None:
    output("dataset", "freeze", "cohort", *STATED)
    before = json.loads(output("dataset", "show", "cohort@1", "--json"))
    said = output("restore", older, "--force")
    assert "cohort@1 was not in the backup, and stays\n" in said
    assert json.loads(output("dataset", "show", "cohort@1", "--json")) == before
    again = output("dataset", "freeze", "cohort", "--who", "Eve", "--why", "again")
    assert "cohort@1: " in again
    assert "by Bob on " in again
    assert "0 faults" in output("dataset", "verify", "cohort@1")
    assert set(findings()) <= {"partition_missing", "event_missing"}


def is_told_wherever_it_is_named(home: Path, a: str, places: list[str | Path]) -> None:
    table = home.parent / "table.csv"
    table.write_text(f"slide,label\n{a},x\n")
    drawn = home.parent / "drawn"
    drawn.mkdir()
    shutil.copy(home / "a.geojson", drawn / f"{a}.geojson")
    for words in (
        *(("lineage", one) for one in (a, *places)),
        ("run", "--slides", a),
        ("mpp", "show", a),
        ("forget", a, *CONSENT),
        ("cohort", "import", table),
        ("cohort", "history", a),
        ("import", "trident", home.parent / "theirs", "--features", "colour", "--dry-run"),
        ("annotations", "add", drawn, "--name", "tumour", *STATED),
    ):
        told = invoke(*words)
        assert told.exit_code in {1, 2}, words
        assert "was taken out on " in told.output, told.output
        assert "Did you mean" not in told.output
    assert f"{a} was forgotten on " in output("lineage", "cohort@1")
    told = output("stale")
    assert "members 1 taken out on " in told
    assert "2 slides → 1 slides, by Ann" in told.replace("\n", " ")


def is_not_named_by_dagster(home: Path, a: str, b: str) -> None:
    with open_instance(read_settings()) as instance:
        assert slide_order(instance) == [b]
        assert instance.get_materialized_partitions(dg.AssetKey(["features", "colour"])) == {b}
        [built] = instance.fetch_materializations(dg.AssetKey(["dataset", "cohort"]), 9).records
    assert built.asset_materialization is not None
    [change] = built.asset_materialization.metadata["changes"].records  # type: ignore[union-attr]
    assert (change.data["slide"], change.data["what"][:12]) == ("", "1 taken out ")
    files = (path for path in (home / ".dagster").rglob("*") if path.is_file())
    assert [path for path in files if a.encode() in path.read_bytes()] == []


def is_told_of_versions(a: str) -> None:
    released, other = (one["name"] for one in json.loads(output("dataset", "list", "--json")))
    [row] = json.loads(output("dataset", "diff", released, other, "--json"))["removed"]
    assert row["slide_id"] == a
    assert row["why"].endswith(" by Ann: consent withdrawn")
    again = output("dataset", "freeze", released, "--who", "Eve", "--why", "again")
    assert "by Bob on " in again
    assert "released already, and stays as it was: --who and --why of now were not" in again
    assert "cohort@2: 1 slide, " in output("dataset", "freeze", "cohort", *STATED)
    for named in (released, other, f"dataset/cohort/{other.partition('@')[2]}"):
        output("lineage", named)


@pytest.mark.slow
def test_what_nobody_can_know_is_said_and_a_restore_that_was_killed_knows(
    home: Path, older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = ids(home)
    output("forget", a, *CONSENT, "--from-releases", "--keep-artifacts")
    kept = artifacts(home)
    catalog = home / "store" / "catalog.sqlite"
    before = shutil.copy(catalog, home.parent / "before.sqlite")

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(restore, "load_catalog", end)
        invoke("restore", older, "--force")
    assert not catalog.exists()
    said = output("restore", older)
    assert "1 slide of the backup stays out, taken out on " in said
    assert "what was made of it was kept then, and stays" in said
    assert "is not known: no catalog was here, and " in said
    assert (ids(home), artifacts(home)) == ([b], kept)
    assert f"slide {a}: was taken out on" in output("lineage", features(home, "a"))

    catalog.write_bytes(b"no database at all, but long enough to be taken for one" * 99)
    said = output("restore", older, "--force")
    assert "since the backup was written, and which releases made, is not known: " in said
    assert "is not an SQLite database" in said
    assert ids(home) == [a, b]
    output("restore", older, "--force", "--instead-of", f"sqlite:///{before}")
    assert ids(home) == [b]
    missing = refused("restore", older, "--force", "--instead-of", f"sqlite:///{home}/none.sqlite")
    assert "cannot be opened" in missing
    assert ids(home) == [b]
