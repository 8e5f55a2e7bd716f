"""Bytes that nobody read for longest are read again, and what is damaged is told."""

from __future__ import annotations

from pathlib import Path

from pathassets.catalog.human_inputs import now
from tests.defs.workbench import open_bench
from tests.upkeep.home import (
    CHUNK,
    contents,
    features,
    flip,
    opened,
    output,
    status,
)


def test_scrub_reads_first_what_nobody_read_for_longest_and_says_how_long(home: Path) -> None:
    with opened(home) as catalog:
        n, began_at = catalog.hash_age().n_artifacts, now()
    half = (n + 1) // 2
    foretold = output("scrub", "--share", "0.5", "--dry-run")
    assert foretold.startswith(f"{half} of {n} artifacts would be read; the oldest hash is of ")
    assert output("scrub", "--share", "0.5").startswith(f"read {half} artifacts, ")
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
