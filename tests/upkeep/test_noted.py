"""What is noted and does not follow is found and noted anew; releases that changed are named."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pathassets import report
from pathassets.catalog.records import AttemptRecord
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.engine.platform.upkeep.finding import Finding, Tally, Treated
from tests.upkeep.home import features, findings, flip, ids, opened, output, status

STATED = ("--who", "Ann", "--why", "paper")


def write_by_hand(home: Path, *statements: str) -> None:
    with closing(sqlite3.connect(home / "store" / "catalog.sqlite")) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def state_of(slide_id: str, asset: str = "features/colour") -> str:
    [slide] = [one for one in status()["slides"] if one["slide_id"] == slide_id]
    state: str = slide["assets"][asset]["state"]
    return state


def counts(home: Path) -> dict[str, int]:
    with closing(sqlite3.connect(home / "store" / "catalog.sqlite")) as database:
        return dict(
            database.execute("SELECT state, count(*) FROM wanted GROUP BY state").fetchall()
        )


def test_states_that_do_not_follow_are_found_and_mended(home: Path) -> None:
    a, b = ids(home)
    before = counts(home)
    write_by_hand(
        home,
        "UPDATE wanted SET state = 'missing' WHERE stage = 'features' AND slide_id LIKE 'a%'",
        "UPDATE wanted SET reason = 'oom' WHERE stage = 'tissue_mask' AND slide_id LIKE 'b%'",
    )
    found = {one["subject"]: one for one in findings()["state_wrong"]}
    assert found.keys() == {a, b}
    assert found[a]["evidence"] == "features/colour is noted as missing, not current"
    assert "tissue_mask/otsu is current for another reason" in found[b]["evidence"]
    assert all(one["done"] for one in findings("--fix")["state_wrong"])
    assert findings() == {}
    assert counts(home) == before


def test_newest_attempts_that_point_at_nothing_or_are_not_noted_are_mended(home: Path) -> None:
    a, b = ids(home)
    [one] = [path.name for path in [features(home, "a")]]
    with opened(home) as catalog:
        address = Address("features", "colour", a, one)
        failed = AttemptRecord(run_id="r", address=address, state="failed", reason="oom")
        catalog.record_attempts([failed])
    assert state_of(a) == "failed"
    write_by_hand(
        home,
        "DELETE FROM attempt WHERE reason = 'oom'",
        "DELETE FROM latest_attempt WHERE partition_key LIKE 'b-%'",
        "INSERT INTO latest_attempt VALUES ('nobody', 'features', 'colour', 99)",
    )
    found = findings("--fix")
    named = {one["subject"] for one in found["attempt_unnoted"]}
    assert named == {f"latest_attempt {key}" for key in (a, b, "nobody")}
    assert findings() == {}
    assert state_of(a) == "current"


@pytest.mark.slow
def test_status_is_right_at_once_after_a_row_was_dropped(home: Path) -> None:
    a, b = ids(home)
    [digest] = [features(home, "a").name]
    stray = Address("features", "colour", "nobody", "9")
    with opened(home) as catalog:
        failed = AttemptRecord(run_id="r", address=stray, state="failed", reason="oom")
        catalog.record_attempts([failed])
        address = Address("features", "colour", a, digest)
        catalog.record_attempts(
            [AttemptRecord(run_id="r", address=address, state="failed", reason="oom")]
        )
        catalog.drop_attempts(address)
    assert "attempt_unnoted" not in findings("--fix")  # nothing of either is left behind
    assert findings() == {}
    assert [state_of(one) for one in (a, b)] == ["current", "current"]
    with opened(home) as catalog:
        catalog.drop_rows(address)
    assert state_of(a) == "missing"
    findings("--fix")
    assert state_of(a) == "current"


@pytest.mark.slow
def test_a_release_whose_artifact_is_gone_or_changed_is_named(home: Path) -> None:
    output("dataset", "freeze", "cohort", *STATED)
    assert findings() == {}
    [folder] = (home / "store" / "dataset" / "cohort").glob(f"{ALL_SLIDES}/*")
    kept = home / "kept"
    shutil.copytree(folder, kept)

    flip(folder / "splits.csv")
    assert findings("--bytes")["release_changed"][0]["subject"] == "cohort@1"
    shutil.rmtree(folder)
    [gone] = findings()["release_gone"]
    assert gone["subject"] == "cohort@1"
    assert "dataset/cohort: was made on " in gone["evidence"]
    assert "and is gone from the store" in gone["evidence"]
    shutil.copytree(kept, folder)
    assert findings("--bytes") == {}

    with opened(home) as catalog:
        catalog.drop_rows(Address("dataset", "cohort", ALL_SLIDES, folder.name))
    found = findings()
    [unknown], [_] = found["release_gone"], found["artifact_unrecorded"]
    assert "is whole in the store, and the catalog does not know it" in unknown["evidence"]
    assert output("doctor", code=1).endswith("pathassets doctor --fix mends all of them\n")
    assert [*findings("--fix")] == ["artifact_unrecorded"]
    assert findings() == {}

    write_by_hand(home, "UPDATE release SET content_sha256 = 'x'")
    [changed] = findings()["release_changed"]
    assert "not those that were released" in changed["evidence"]
    assert not changed["can_fix"]

    with opened(home) as catalog:
        catalog.drop_rows(Address("dataset", "cohort", ALL_SLIDES, folder.name))
    shutil.rmtree(folder)
    [gone] = findings()["release_gone"]
    assert "was made, since it is release cohort@1, and the catalog" in gone["evidence"]
    assert json.loads(output("dataset", "show", "cohort@1", "--json"))["version"]["version"] == 1


def test_what_is_left_to_a_person_is_told_in_the_number_that_it_has() -> None:
    by_run = Finding(kind="artifact_gone", subject="a", evidence="gone", remedy="pathassets run")
    other = Finding(kind="slide_gone", subject="b", evidence="gone", remedy="Find it")
    for findings_, said in (
        ([by_run, other],
         "pathassets run mends 1; what helps against the other stands in its line"),
        ([by_run, other, other],
         "pathassets run mends 1; what helps against the other 2 stands in their lines"),
        ([other], "what helps against it stands in its line"),
        ([other, other], "what helps against them stands in their lines"),
    ):  # fmt: skip
        tally = Tally()
        for one in findings_:
            tally.add(Treated(finding=one))
        assert report.findings_end(tally, is_whole=False).splitlines()[-1] == said
