"""Runs and sizes, as plans read them from a catalog."""

from __future__ import annotations

from dataclasses import replace

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.part import now
from pathassets.catalog.planning.records import OpenStep, SlideSize
from pathassets.catalog.planning.sizes import MANY
from pathassets.catalog.records import ArtifactRecord, AttemptRecord, FileRecord
from pathassets.catalog.standing.standing import Wanted
from pathassets.core.address import Address
from tests.catalog import hostile_words

GRID = ("patch_locations", "grid")


def register(catalog: Catalog, slide_id: str, **facts: object) -> None:
    record = hostile_words.slide_of(slide_id)
    catalog.register_slide(replace(record, **facts), hostile_words.path_of(slide_id))


def make(catalog: Catalog, run_id: str, slide_id: str, seconds: float, n_patches: int) -> Address:
    address = Address(*GRID, slide_id, f"digest {slide_id}")
    artifact = ArtifactRecord(
        address=address, uri=str(address), spec={"mpp": 0.5}, code_version="1",
        facts={"n_patches": n_patches}, made_by=run_id,
        files=(
            FileRecord(path="a", size_bytes=30, sha256=""),
            FileRecord(path="b", size_bytes=12, sha256=""),
        ),
    )  # fmt: skip
    catalog.record_artifact(artifact, [])
    catalog.record_attempts(
        [AttemptRecord(run_id=run_id, address=address, state="made", seconds=seconds)]
    )
    return address


def test_runs_that_ended_tell_what_they_made_where_and_when(catalog: Catalog) -> None:
    register(catalog, "a", codec="jpeg", mpp=0.5, width_px0=2000, height_px0=1000)
    register(catalog, "b", codec=None, vendor="mirax", mpp=0.5)
    catalog.override_mpp("b", 0.25, who="Ann", why="the scanner says so")
    for run_id in ("killed", "whole"):
        catalog.begin_batch(run_id, machine="M", device="cpu", n_workers=2)
    make(catalog, "whole", "b", 2.5, 70)
    make(catalog, "whole", "a", 1.5, 30)
    make(catalog, "before batches were known", "a", 9.0, 30)
    encoding = now()
    catalog.note_encoding("whole", encoding)
    catalog.end_batch("whole")
    [batch] = catalog.batches()
    assert (batch.run_id, batch.machine, batch.n_workers) == ("whole", "M", 2)
    assert batch.encoding_at == encoding
    assert catalog.n_made_by_batch([GRID, ("features", "x")]) == {
        GRID: {"whole": 2}, ("features", "x"): {},
    }  # fmt: skip
    first, second = catalog.measured_steps(["whole"])
    assert (first.slide.slide_id, second.slide.slide_id) == ("b", "a")  # as they were done
    assert (first.seconds, first.facts["n_patches"], first.size_bytes) == (2.5, 70, 42)
    assert batch.ended_at is not None
    assert batch.began_at < first.at < second.at < batch.ended_at
    assert (first.slide.codec, first.slide.mpp) == ("mirax", 0.25)
    assert second.slide == SlideSize(
        slide_id="a", codec="jpeg", area_px0=2_000_000, mpp=0.5,
        size_bytes=hostile_words.slide_of("a").size_bytes,
    )  # fmt: skip


def test_what_is_open_is_listed_with_why_and_what_is_current_with_its_facts(
    catalog: Catalog, count_queries
) -> None:
    ids = ["a", "b", "c"]
    for slide_id in ids:
        register(catalog, slide_id)
    made = make(catalog, "run", "a", 1.0, 30)
    plan_id = catalog.open_plan("recipe")
    wanted = Wanted(stage=GRID[0], name=GRID[1], digest=made.digest, lacks="")
    lacking = replace(wanted, digest="other", lacks="tumour")
    catalog.plan_some(plan_id, ["a"], lambda _: [wanted])
    catalog.plan_some(plan_id, ["b", "c"], lambda _: [lacking])
    failed = AttemptRecord(
        run_id="run", address=Address(*GRID, "c", "other"), state="failed", reason="bad",
        is_final=True,
    )  # fmt: skip
    catalog.record_attempts([failed])
    with count_queries() as seen:
        found = sorted(catalog.open_steps(plan_id, [GRID]), key=lambda one: one.slide_id)
        facts = catalog.current_facts(plan_id, GRID, "n_patches")
        sizes = catalog.slide_sizes(ids[:2])
    assert len(seen) == 3
    assert found == [
        OpenStep("b", GRID, "missing", "", False, "tumour"),  # noqa: FBT003 - a row
        OpenStep("c", GRID, "failed", "bad", True, "tumour"),  # noqa: FBT003 - the same
    ]
    assert facts == {"a": 30.0}
    assert {*sizes} == {"a", "b"}
    many = {*ids, *(f"gone {n}" for n in range(MANY))}
    assert {*catalog.slide_sizes(many)} == {*ids}
