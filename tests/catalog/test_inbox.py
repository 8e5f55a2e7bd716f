from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.inbox import InboxClock, Sighting, TakenTable
from pathassets.catalog.records import AttemptRecord, RejectedFile
from pathassets.core.address import Address
from tests.catalog.hostile_words import HOSTILE, path_of, slide_of

SEEN = Sighting(path="/in/a.svs", size_bytes=2**40, mtime_ns=2**60, since_s=0.25)
TABLE = TakenTable(
    path="/in/t.csv", sha256="0" * 64, size_bytes=1, mtime_ns=2, n_lines=3, n_changes=1,
    open_lines=(2, 4),
)  # fmt: skip


def refused(path: str, reason: str) -> RejectedFile:
    return RejectedFile(
        path=path, reason=reason, message="", remedy="", size_bytes=3, mtime_ns=4, ctime_ns=5
    )


def test_sightings_and_the_clock_are_kept_as_they_were_noted(catalog: Catalog) -> None:
    assert (catalog.sightings(), catalog.inbox_clock()) == ({}, InboxClock())
    odd = replace(SEEN, path=HOSTILE["unicode"], asked="inbox:1:x", lacks=HOSTILE["sql"])
    clock = InboxClock(now_s=0.5, wall_s=1e9, monotonic_s=7.125)
    catalog.note_sightings(clock, [SEEN, odd], [])
    assert catalog.sightings() == {SEEN.path: SEEN, odd.path: odd}
    assert catalog.inbox_clock() == clock
    changed = replace(SEEN, since_s=9.0, n_retries=2**31 - 1)
    catalog.note_sightings(replace(clock, now_s=9.0), [changed], [odd.path])
    assert catalog.sightings() == {SEEN.path: changed}
    assert catalog.inbox_clock().now_s == 9.0


def test_what_is_known_of_files_is_asked_for_at_once(catalog: Catalog) -> None:
    catalog.register_slide(slide_of("a"), path_of("a", "/in/a.svs"))
    catalog.refuse(refused("/in/b.svs", "truncated"))
    catalog.refuse(refused("/in/c.svs", "no_permission"))
    catalog.enter_taken(TABLE)
    paths = [f"/in/{number}.svs" for number in range(2_000)]
    looks = [(path, 1, 1, "", 1) for path in paths]
    looks += [("/in/a.svs", 1, 1, "", 9), ("/in/b.svs", 3, 4, "", 9), ("/in/c.svs", 3, 4, "", 5)]
    looks += [(TABLE.path, 1, 2, "", 9)]
    named = {"/in/a.svs", "/in/b.svs", "/in/c.svs", TABLE.path}
    assert catalog.known_among(looks) == named
    others = [("/in/a.svs", 2, 1, "", 9), ("/in/b.svs", 3, 5, "", 9), ("/in/c.svs", 3, 4, "", 9)]
    assert catalog.known_among(others) == set()  # a chmod counts where that was what was wrong
    catalog.refuse(refused("/in/a.svs", "slide_forgotten"))
    assert catalog.known_among([("/in/a.svs", 3, 4, "", 9)]) == {"/in/a.svs"}


def test_the_path_of_a_slide_is_known_however_it_looks_and_no_other_is(catalog: Catalog) -> None:
    catalog.register_slide(slide_of("a"), path_of("a", "/in/a.svs"))
    catalog.refuse(refused("/in/b.svs", "dangling_link"))
    paths = [f"/in/{number}.svs" for number in range(2_000)]
    assert catalog.registered_among([*paths, "/in/b.svs", "/in/a.svs"]) == {"/in/a.svs"}


def test_an_object_is_known_by_its_etag_too(catalog: Catalog) -> None:
    a, b = "s3://bucket/a.svs", "s3://bucket/b.svs"
    catalog.register_slide(slide_of("a"), replace(path_of("a", a), etag='"v1"'))
    catalog.refuse(replace(refused(b, "truncated"), etag='"v1"'))
    seen = Sighting(path=b, size_bytes=3, mtime_ns=4, since_s=1.0, etag='"v2"')
    catalog.note_sightings(InboxClock(now_s=2.0), [seen], [])
    assert catalog.find_path(a) == replace(path_of("a", a), etag='"v1"')
    assert [one.etag for one in catalog.rejected_files()] == ['"v1"']
    assert catalog.sightings() == {b: seen}
    looks = [(a, 1, 1, '"v1"', 0), (b, 3, 4, '"v1"', 0)]
    assert catalog.known_among(looks) == {a, b}
    assert catalog.known_among([(path, n, t, '"v2"', 0) for path, n, t, *_ in looks]) == set()


def test_what_is_below_folders_is_told_by_the_very_names(catalog: Catalog) -> None:
    places = {"a": "/in/deep/a.svs", "b": "/IN/b.svs", "c": "/in2/c.svs", "d": "/i_/d.svs"}
    for slide_id, path in places.items():
        catalog.register_slide(slide_of(slide_id), path_of(slide_id, path))
        catalog.refuse(refused(path, "truncated"))
    assert [*catalog.untried_below(["/in", "/i_/"])] == ["a", "d"]
    assert catalog.paths_below(["/in"]) == ["/in/deep/a.svs"]
    assert [one.path for one in catalog.refused_below(["/in", "/in2"])] == [
        places["a"],
        "/in2/c.svs",
    ]
    assert [row[:2] for row in catalog.newest_below(["/in", "/in2"], 1)] == [("/in2/c.svs", "c")]
    assert catalog.untried_below([]) == {}
    address = Address("features", "r18", "a", "f1")
    catalog.record_attempts([AttemptRecord(run_id="run", address=address, state="made")])
    assert [*catalog.untried_below(["/in", "/i_"])] == ["d"]


def test_a_taken_table_is_found_by_its_content_and_takes_its_refusal_along(
    catalog: Catalog,
) -> None:
    catalog.refuse(refused(TABLE.path, "table_refused"))
    catalog.enter_taken(TABLE)
    assert catalog.find_refusal(TABLE.path) is None
    copy = replace(TABLE, path="/in/copy.csv", taken_at=datetime(2026, 1, 1, tzinfo=UTC))
    catalog.enter_taken(copy)
    assert catalog.taken_tables() == {copy.path: copy, TABLE.path: TABLE}
    assert catalog.taken_tables([copy.path])[copy.path].taken_at == copy.taken_at
    assert catalog.find_taken(TABLE.sha256, TABLE.path) == TABLE
    assert catalog.find_taken(TABLE.sha256, "/elsewhere") == copy
    assert catalog.find_taken("1" * 64, TABLE.path) is None
    catalog.forget_taken(TABLE.path)
    assert [*catalog.taken_tables()] == [copy.path]
    told = replace(copy, overtaken_lines=(2, 5))
    catalog.enter_taken(told)
    assert catalog.taken_tables() == {copy.path: told}


def test_a_slide_that_is_taken_out_leaves_no_sighting_of_its_file(catalog: Catalog) -> None:
    catalog.register_slide(slide_of("a"), path_of("a", SEEN.path))
    catalog.note_sightings(InboxClock(), [SEEN], [])
    catalog.erase_slide(["a"], keep_artifacts=False)
    assert catalog.sightings() == {}
