from __future__ import annotations

import math
import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pathassets.catalog import human_inputs
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.database import connect
from pathassets.catalog.records import (
    ArtifactRecord,
    AttemptRecord,
    CohortFacts,
    Entered,
    FileRecord,
    PathRecord,
    RejectedFile,
    SlideRecord,
)
from pathassets.catalog.rows import slide_row
from pathassets.catalog.tables import THUMBNAIL_LIMIT_BYTES
from pathassets.catalog.tables import slide as slide_table
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.slides.slide import MppSource
from pathassets.errors import CatalogError

SLIDE = SlideRecord(
    slide_id="CMU-1-0123456789",
    fingerprint="0123456789" + "a" * 54,
    size_bytes=5_000_000_000,
    vendor="aperio",
    reader="openslide 4.0.0",
    width_px0=46_000,
    height_px0=32_914,
    n_levels=3,
    level_downsamples=(1.0, 4.000121, 16.00048),
    mpp=0.499,
    mpp_sources=(
        MppSource(source="openslide.mpp-x", value="0.499"),
        MppSource(source="tiff", value="inf"),
    ),
    objective_power=20.0,
    patient="P-7",
    label="tumour",
)
BARE = SlideRecord(
    slide_id="b-1111111111",
    fingerprint="1" * 64,
    size_bytes=10,
    vendor="generic-tiff",
    reader="tiff",
    width_px0=1,
    height_px0=1,
    n_levels=1,
    level_downsamples=(1.0,),
    mpp=None,
    mpp_sources=(),
    resolution_reason="resolution_missing",
    resolution_message="no micrometres per pixel in the file",
)
REGISTER_AT_ONCE = """
import os, sys
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.records import PathRecord, SlideRecord

ready, waiting = os.pipe()
gate, opened = os.pipe()
for i in range(6):
    if os.fork() == 0:
        os.close(opened)
        record = SlideRecord(
            slide_id=f"s{i}", fingerprint="a" * 64, size_bytes=1, vendor="v", reader="r",
            width_px0=1, height_px0=1, n_levels=1, level_downsamples=(1.0,), mpp=None,
            mpp_sources=(),
        )
        path = PathRecord(
            path=f"/scans/{i}.svs", slide_id=f"s{i}", size_bytes=1, mtime_ns=1, ctime_ns=1
        )
        with Catalog.open(sys.argv[1]) as catalog:
            catalog.find_path("/")  # connected
            os.write(waiting, b".")
            os.read(gate, 1)  # until the last of all is as far
            entered = catalog.register_slide(record, path)
        os.write(1, f"{entered.slide_id} {entered.is_new}\\n".encode())
        os._exit(0)
os.close(waiting)
for i in range(6):
    assert os.read(ready, 1)
os.close(opened)
for i in range(6):
    assert os.wait()[1] == 0
"""
"""Real processes, forked by one that has nothing open: to start six interpreters costs 4 s."""

MASK = Address("tissue_mask", "otsu", SLIDE.slide_id, "aaaa")
FEATURES = Address("features", "r18", SLIDE.slide_id, "bbbb")
DATASET = Address("dataset", "release", ALL_SLIDES, "cccc")


def path_of(slide: SlideRecord, path: str = "/scans/a.svs", mtime_ns: int = 2**60) -> PathRecord:
    return PathRecord(
        path=path,
        slide_id=slide.slide_id,
        size_bytes=slide.size_bytes,
        mtime_ns=mtime_ns,
        ctime_ns=2**61,
    )


def refusal_of(path: str) -> RejectedFile:
    return RejectedFile(
        path=path, reason="slide_unreadable", message="empty", remedy="", size_bytes=0, mtime_ns=1
    )


def artifact_at(address: Address, **changes: object) -> ArtifactRecord:
    record = ArtifactRecord(
        address=address,
        uri=str(address),
        spec={"mpp": 8.0, "shape": [1, 2]},
        code_version="1",
        facts={"n_patches": 3},
        files=(FileRecord(path="mask.png", size_bytes=9, sha256="f" * 64),),
        made_by="run-1",
    )
    return replace(record, **changes)


def attempt_at(address: Address, run_id: str = "run-1", state: str = "made") -> AttemptRecord:
    return AttemptRecord(run_id=run_id, address=address, state=state, seconds=1.5)


def test_no_two_parts_answer_to_one_name() -> None:
    told = [name for part in Catalog.__mro__ if part.__module__.startswith("pathassets")
            for name in vars(part) if not name.startswith("__")]  # fmt: skip
    assert [name for name, n in Counter(told).items() if n > 1] == []


def test_a_slide_comes_back_as_it_went_in(catalog) -> None:
    catalog.register_slide(SLIDE, path_of(SLIDE))
    catalog.register_slide(BARE, path_of(BARE, "/scans/b.tif"))
    assert catalog.slide(SLIDE.slide_id) == SLIDE
    assert catalog.slide(BARE.slide_id) == BARE


def test_slides_are_listed_in_order_of_registration(catalog) -> None:
    slides = [
        replace(BARE, slide_id=f"{i * 7 % 10}-slide", fingerprint=f"{i:064}") for i in range(10)
    ]
    for slide in slides:
        catalog.register_slide(slide, path_of(slide, f"/scans/{slide.slide_id}"))
    catalog.register_slide(slides[0], path_of(slides[0], "/scans/again"))
    assert catalog.slides() == slides


def test_registering_again_keeps_the_time_and_takes_the_new_facts(catalog) -> None:
    catalog.register_slide(SLIDE, path_of(SLIDE))
    first = catalog.slide(SLIDE.slide_id).registered_at
    assert timedelta(0) <= datetime.now(UTC) - first < timedelta(minutes=1)
    catalog.register_slide(replace(SLIDE, reader="tiff"), path_of(SLIDE))
    assert catalog.slide(SLIDE.slide_id) == replace(SLIDE, reader="tiff")
    assert catalog.slide(SLIDE.slide_id).registered_at == first


def test_what_is_known_of_the_cohort_is_not_erased_by_a_registration_that_does_not_know(
    catalog,
) -> None:
    catalog.register_slide(SLIDE, path_of(SLIDE), thumbnail=b"jpeg")
    catalog.register_slide(replace(SLIDE, patient=None, label=None), path_of(SLIDE))
    assert catalog.slide(SLIDE.slide_id) == SLIDE
    assert catalog.find_thumbnail(SLIDE.slide_id) == b"jpeg"
    catalog.register_slide(replace(SLIDE, label="normal"), path_of(SLIDE), thumbnail=b"new")
    assert catalog.slide(SLIDE.slide_id).label == "normal"
    assert catalog.find_thumbnail(SLIDE.slide_id) == b"new"


def test_content_that_is_known_is_the_slide_it_was_whatever_it_is_called(catalog) -> None:
    other = replace(SLIDE, slide_id="a", reader="tiff", patient=None)
    first = catalog.register_slide(SLIDE, path_of(SLIDE, "/1"))
    second = catalog.register_slide(other, path_of(other, "/2"))
    assert first == Entered(slide_id=SLIDE.slide_id, is_new=True)
    assert second == Entered(slide_id=SLIDE.slide_id, is_new=False)
    assert catalog.slides() == [replace(SLIDE, reader="tiff")]
    assert {p.path for p in catalog.paths(SLIDE.slide_id)} == {"/1", "/2"}
    assert catalog.find_slide_id(SLIDE.fingerprint) == SLIDE.slide_id
    assert catalog.find_slide_id("f" * 64) is None


def test_six_processes_that_enter_one_content_at_once_enter_one_slide(
    made_url, catalog, start_python
) -> None:
    said, errors = start_python(REGISTER_AT_ONCE, made_url).communicate(timeout=120)
    assert errors == ""
    (slide,) = catalog.slides()
    assert sorted(said.split()) == sorted([slide.slide_id] * 6 + ["False"] * 5 + ["True"])
    paths = {p.path for p in catalog.paths(slide.slide_id)}
    assert paths == {f"/scans/{i}.svs" for i in range(6)}


def test_the_database_itself_refuses_a_second_slide_of_one_content(catalog) -> None:
    catalog.register_slide(SLIDE, path_of(SLIDE))
    row = slide_row(replace(SLIDE, slide_id="a")) | {"registered_at": datetime.now(UTC)}
    with (
        pytest.raises(CatalogError, match=r"(?i)unique"),
        connect.writing(catalog._engine) as connection,
    ):
        connection.execute(slide_table.insert(), row)


def test_an_id_is_not_given_to_other_content_at_another_place(catalog) -> None:
    catalog.register_slide(SLIDE, path_of(SLIDE))
    other = replace(BARE, slide_id=SLIDE.slide_id)
    with pytest.raises(CatalogError, match=r"^/b: /scans/a\.svs has its id CMU-1-0123456789, and"):
        catalog.register_slide(other, path_of(other, "/b"))
    assert catalog.slides() == [SLIDE]
    assert catalog.register_slide(other, path_of(other)).is_new  # the file itself was replaced
    assert catalog.slide(SLIDE.slide_id).fingerprint == BARE.fingerprint


def test_a_slide_without_thumbnail_has_none_and_a_big_one_is_refused(catalog) -> None:
    with pytest.raises(CatalogError, match="Make it smaller than 16384"):
        catalog.register_slide(SLIDE, path_of(SLIDE), thumbnail=b"x" * THUMBNAIL_LIMIT_BYTES)
    assert catalog.slides() == []
    catalog.register_slide(SLIDE, path_of(SLIDE))
    assert catalog.find_thumbnail(SLIDE.slide_id) is None


def test_a_path_moves_to_the_slide_it_holds_now(catalog) -> None:
    catalog.register_slide(SLIDE, path_of(SLIDE))
    catalog.register_slide(BARE, path_of(BARE, "/scans/a.svs", mtime_ns=7))
    assert catalog.paths(SLIDE.slide_id) == []
    assert catalog.find_path("/scans/a.svs") == path_of(BARE, "/scans/a.svs", mtime_ns=7)
    assert catalog.find_path("/scans/unknown.svs") is None


def test_a_file_that_was_verified_takes_its_new_look_and_is_seen_now(catalog) -> None:
    for path in ("/1", "/2"):
        catalog.register_slide(SLIDE, path_of(SLIDE, path))
    looks = replace(path_of(SLIDE, "/1"), size_bytes=7, mtime_ns=8, ctime_ns=9)
    catalog.confirm_path(looks)
    assert catalog.paths(SLIDE.slide_id) == [looks, path_of(SLIDE, "/2")]


def test_a_file_that_is_another_slides_by_now_keeps_its_look(catalog) -> None:
    catalog.register_slide(SLIDE, path_of(SLIDE))
    catalog.register_slide(BARE, path_of(BARE))
    catalog.confirm_path(replace(path_of(SLIDE), ctime_ns=9))
    catalog.confirm_path(path_of(SLIDE, "/unknown"))
    assert catalog.all_paths() == {BARE.slide_id: [path_of(BARE)]}


def test_a_slide_has_all_its_paths_last_seen_first(catalog) -> None:
    for path in ("/1", "/2", "/3", "/1"):
        catalog.register_slide(SLIDE, path_of(SLIDE, path))
    catalog.register_slide(BARE, path_of(BARE, "/b"))
    assert [p.path for p in catalog.paths(SLIDE.slide_id)] == ["/1", "/3", "/2"]
    assert catalog.all_paths() == {
        SLIDE.slide_id: catalog.paths(SLIDE.slide_id),
        BARE.slide_id: [path_of(BARE, "/b")],
    }
    places = catalog.places()
    assert {slide_id: sorted(some) for slide_id, some in places.items()} == {
        SLIDE.slide_id: ["/1", "/2", "/3"],
        BARE.slide_id: ["/b"],
    }


def test_a_path_of_another_slide_is_refused(catalog) -> None:
    with pytest.raises(CatalogError, match=f"is of slide {BARE.slide_id}"):
        catalog.register_slide(SLIDE, path_of(BARE))


def test_a_refusal_stays_until_the_file_can_be_registered(catalog) -> None:
    catalog.refuse(refusal_of("/scans/b.svs"))
    catalog.refuse(refusal_of("/scans/a.svs"))
    catalog.refuse(replace(refusal_of("/scans/a.svs"), message="truncated"))
    assert catalog.rejected_files() == [
        replace(refusal_of("/scans/a.svs"), message="truncated"),
        refusal_of("/scans/b.svs"),
    ]
    catalog.register_slide(SLIDE, path_of(SLIDE, "/scans/a.svs"))
    assert [r.path for r in catalog.rejected_files()] == ["/scans/b.svs"]


def test_an_unknown_slide_is_answered_with_ids_like_it(catalog) -> None:
    with pytest.raises(CatalogError, match=r"slide CMU-1: not in the catalog\. pathassets status"):
        catalog.slide("CMU-1")
    catalog.register_slide(SLIDE, path_of(SLIDE))
    with pytest.raises(CatalogError, match=r"Did you mean CMU-1-0123456789\?"):
        catalog.slide("CMU-1-012345678")


def test_of_many_slides_an_unknown_id_is_compared_with_its_neighbours(catalog, monkeypatch) -> None:
    for i, name in enumerate(["aaa", "kidney-01", "kidney-02", "zzz"]):
        slide = replace(BARE, slide_id=name, fingerprint=f"{i:064}")
        catalog.register_slide(slide, path_of(slide, f"/{i}"))
    monkeypatch.setattr(human_inputs, "MAX_COMPARED", 2)
    with pytest.raises(CatalogError) as caught:
        catalog.slide("kidney-011")
    assert caught.value.remedy == "Did you mean kidney-01 or kidney-02?"


def test_cohort_facts_are_set_for_all_or_for_none(catalog) -> None:
    catalog.register_slide(SLIDE, path_of(SLIDE))
    catalog.register_slide(BARE, path_of(BARE, "/b"))
    both = [
        CohortFacts(slide_id=SLIDE.slide_id, patient="P-8", label=None),
        CohortFacts(slide_id=BARE.slide_id, patient="P-9", label="normal"),
    ]
    unknown = CohortFacts(slide_id="b-111111111", patient="P-0", label=None)
    with pytest.raises(CatalogError, match="Did you mean b-1111111111"):
        catalog.set_cohort_facts([*both, unknown])
    assert catalog.slides() == [SLIDE, BARE]
    catalog.set_cohort_facts(both)
    stated = [("P-8", SLIDE.label), ("P-9", "normal")]
    assert [(s.patient, s.label) for s in catalog.slides()] == stated
    catalog.set_cohort_facts([])


def test_an_artifact_comes_back_with_its_lineage(catalog) -> None:
    scan = Address.of_slide(SLIDE.slide_id, "v1")
    catalog.record_artifact(artifact_at(MASK), [scan])
    catalog.record_artifact(artifact_at(FEATURES), [MASK, scan, MASK])
    catalog.record_artifact(artifact_at(DATASET), [FEATURES])
    assert catalog.find_artifact(FEATURES) == artifact_at(FEATURES)
    assert catalog.parents_of(FEATURES) == [scan, MASK]
    assert catalog.children_of(scan) == [FEATURES, MASK]
    assert catalog.children_of(MASK) == [FEATURES]
    assert catalog.parents_of(scan) == []
    assert catalog.artifact_digests() == {MASK, FEATURES, DATASET}


def test_an_artifact_that_was_never_made_is_not_found(catalog) -> None:
    catalog.record_artifact(artifact_at(MASK), [])
    assert catalog.find_artifact(replace(MASK, digest="other")) is None
    assert catalog.find_artifact_at("tissue_mask/otsu") is None


def test_a_place_in_the_store_tells_the_artifact_it_lies_in(catalog) -> None:
    catalog.record_artifact(artifact_at(MASK), [])
    assert catalog.find_artifact_at(str(MASK)) == artifact_at(MASK)
    assert catalog.find_artifact_at(f"{MASK}/a/mask.png") == artifact_at(MASK)
    assert catalog.find_artifact_at(f"{MASK}x") is None


def test_artifacts_are_listed_all_by_section_or_by_entry(catalog) -> None:
    other = replace(MASK, name="hed")
    for address in (MASK, FEATURES, other):
        catalog.record_artifact(artifact_at(address), [])
    assert [a.address for a in catalog.artifacts()] == [FEATURES, other, MASK]
    assert [a.address for a in catalog.artifacts("tissue_mask")] == [other, MASK]
    assert list(catalog.artifacts("tissue_mask", "hed")) == [artifact_at(other)]
    assert list(catalog.artifacts("patch_set")) == []


def test_recording_an_artifact_again_changes_nothing(catalog) -> None:
    catalog.record_artifact(artifact_at(MASK), [FEATURES])
    first = catalog.find_artifact(MASK)
    catalog.record_artifact(artifact_at(MASK, made_by="run-2"), [FEATURES])
    again = catalog.find_artifact(MASK)
    assert (again.made_at, again.made_by) == (first.made_at, "run-1")
    assert catalog.parents_of(MASK) == [FEATURES]


def test_an_artifact_made_anew_replaces_the_old(catalog) -> None:
    catalog.record_artifact(artifact_at(MASK), [FEATURES])
    first = catalog.find_artifact(MASK)
    anew = artifact_at(MASK, facts={"n_patches": 4}, made_by="run-2")
    catalog.record_artifact(anew, [DATASET])
    assert catalog.find_artifact(MASK) == anew
    assert catalog.find_artifact(MASK).made_at > first.made_at
    assert catalog.parents_of(MASK) == [DATASET]


def test_artifacts_can_be_recorded_while_they_are_listed(catalog) -> None:
    catalog.record_artifact(artifact_at(MASK), [])
    listed = []
    for artifact in catalog.artifacts():
        catalog.record_artifact(artifact_at(replace(MASK, digest="dddd")), [])
        listed.append(artifact.address)
    assert listed == [MASK]


def test_facts_that_are_not_json_are_refused_and_nothing_is_written(catalog) -> None:
    for facts in ({"x": math.nan}, {"x": object()}):
        with pytest.raises(CatalogError, match=r"^catalog .*: "):
            catalog.record_artifact(artifact_at(MASK, facts=facts), [])
    assert catalog.artifact_digests() == set()


def test_a_name_that_no_database_can_hold_is_a_catalog_error(catalog) -> None:
    with pytest.raises(CatalogError, match=r"^'/scans/.udcff\.svs' has bytes that are no text"):
        catalog.refuse(refusal_of("/scans/\udcff.svs"))


def test_the_latest_attempt_of_each_station_is_found(catalog) -> None:
    failed = replace(
        attempt_at(FEATURES, "run-1", "failed"),
        reason="tile_unreadable",
        message="a tile",
        remedy="Scan again.",
        is_final=True,
        seconds=None,
    )
    newer = attempt_at(replace(FEATURES, digest="new"), "run-2")
    catalog.record_attempts([attempt_at(MASK), failed])
    assert catalog.latest_attempts() == {
        ("tissue_mask", "otsu", SLIDE.slide_id): attempt_at(MASK),
        ("features", "r18", SLIDE.slide_id): failed,
    }
    catalog.record_attempts([newer])
    catalog.record_attempts([])
    assert catalog.latest_attempts()["features", "r18", SLIDE.slide_id] == newer


def test_the_newest_attempt_is_told_by_a_number_that_grows(catalog) -> None:
    assert catalog.newest_attempt_id(besides="dataset") == 0
    catalog.record_attempts([attempt_at(MASK)])
    first = catalog.newest_attempt_id(besides="dataset")
    catalog.record_attempts([attempt_at(FEATURES)])
    second = catalog.newest_attempt_id(besides="dataset")
    assert 0 < first < second
    assert catalog.newest_attempt_id(besides="features") == first


def test_attempts_are_found_by_run_and_by_subject(catalog) -> None:
    one, two, three = (
        attempt_at(MASK, "run-1"),
        attempt_at(replace(MASK, partition_key="other"), "run-1"),
        attempt_at(MASK, "run-2", "current"),
    )
    catalog.record_attempts([one, two, three])
    assert catalog.attempts(run_id="run-1") == [one, two]
    assert catalog.attempts(partition_key=MASK.partition_key) == [one, three]
    assert catalog.attempts(run_id="run-2", partition_key="other") == []


def test_many_threads_may_write_through_one_catalog(catalog) -> None:
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for i in range(10):
                address = replace(MASK, partition_key=f"{thread}-{i}")
                catalog.record_artifact(artifact_at(address), [FEATURES])
                catalog.record_attempts([attempt_at(address)])
        except CatalogError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(catalog.children_of(FEATURES)) == len(catalog.attempts()) == 80


def test_listing_costs_the_same_number_of_queries_for_any_number_of_slides(
    sqlite_url, count_queries
) -> None:
    with Catalog.open(sqlite_url) as catalog:
        for i in range(20):
            slide = replace(BARE, slide_id=f"s{i}", fingerprint=f"{i:064}")
            catalog.register_slide(slide, path_of(slide, f"/{i}"))
            catalog.override_mpp(slide.slide_id, 0.5, who="Ann", why="ruler")
            catalog.record_attempts([attempt_at(replace(MASK, partition_key=slide.slide_id))])
        for listing in (
            catalog.slides,
            catalog.all_paths,
            catalog.places,
            catalog.overrides,
            catalog.latest_attempts,
            catalog.artifact_digests,
        ):
            with count_queries() as queries:
                listing()
            assert len(queries) == 1, queries
