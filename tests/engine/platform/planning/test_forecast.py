"""A plan from what runs took, with rates that are known: 4 s a slide and 0.5 s a patch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from pathassets.catalog.database.connect import writing
from pathassets.catalog.records import ArtifactRecord, AttemptRecord, FileRecord
from pathassets.catalog.tables import attempt, batch
from pathassets.core.recipe import Key
from pathassets.core.shards import Shard
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.planning import machine
from pathassets.engine.platform.planning.forecast import Forecast, forecast
from pathassets.engine.platform.planning.rates import Place, measure, place_here
from pathassets.engine.platform.planning.work import Skipped, find_work
from pathassets.engine.platform.platform import Platform, open_platform
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.settings import Settings
from tests.catalog import hostile_words

MASK, GRID, STATS = ("tissue_mask", "otsu"), ("patch_locations", "grid"), ("features", "stats")
KEYS = (MASK, GRID, STATS)


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    """With one worker: its slides are done one after the other, whatever their size."""
    with open_platform(replace(settings, n_workers=1)) as opened:
        yield opened


def register(platform: Platform, *slide_ids: str, side_px: int = 2000, **facts: object) -> None:
    """Slides of side_px x 1000 px, of JPEG tiles at 0.5 um per pixel unless other facts say."""
    given = {"width_px0": side_px, "height_px0": 1000, "size_bytes": 10**6, "codec": "jpeg"}
    for slide_id in slide_ids:
        record = replace(hostile_words.slide_of(slide_id), **{**given, **facts})
        platform.catalog.register_slide(record, hostile_words.path_of(slide_id))


def n_patches_of(side_px: int) -> int:
    return side_px // 100


def make(platform: Platform, run_id: str, slide_id: str, keys: tuple[Key, ...] = KEYS) -> float:
    """Enter what a run would have made of a slide; seconds that it took."""
    [planned] = plan_slides(platform, [slide_id])
    n = n_patches_of(planned.record.width_px0)
    seconds = {MASK: 1.0, GRID: 0.0, STATS: 4 + 0.5 * n}
    attempts = []
    for key in keys:
        step = planned.steps[key]
        facts = {"n_patches": n, "patch_mpp": 0.5, "tissue_mm2": n / 200}
        record = ArtifactRecord(
            address=step.address, uri=str(step.address), spec=step.entry.parameters, facts=facts,
            code_version="1", made_by=run_id,
            files=(FileRecord(path="x", size_bytes=1000 * n, sha256=""),),
        )  # fmt: skip
        platform.catalog.record_artifact(record, step.parents)
        done = AttemptRecord(
            run_id=run_id, address=step.address, state="made", seconds=seconds[key]
        )
        attempts.append(done)
    platform.catalog.record_attempts(attempts)
    return sum(seconds[key] for key in keys)


def run(
    platform: Platform, run_id: str, slide_ids: list[str], *, place: Place | None = None,
    pace: float = 0.5,
) -> None:  # fmt: skip
    """Enter a run that took 30 s to start, and then `pace` seconds for each second of work."""
    at = place or place_here(platform)
    catalog = platform.catalog
    catalog.begin_batch(
        run_id, machine=at.machine, device=at.device, n_workers=at.n_workers
    )  # fmt: skip
    works_s = [make(platform, run_id, slide_id) for slide_id in slide_ids]
    catalog.end_batch(run_id)
    [record] = [one for one in catalog.batches() if one.run_id == run_id]
    gone_s = 30.0
    with writing(catalog._engine) as connection:
        for slide_id, work_s in zip(slide_ids, works_s, strict=True):
            gone_s += pace * work_s
            done = record.began_at + timedelta(seconds=gone_s)
            of_it = (attempt.c.run_id == run_id) & (attempt.c.partition_key == slide_id)
            connection.execute(update(attempt).where(of_it).values(at=done))
        ended = update(batch).where(batch.c.run_id == run_id).values(ended_at=done)
        connection.execute(ended)


def plan(
    platform: Platform, *, ids: list[str] | None = None, shard: Shard | None = None,
    most_slides: int = 500,
) -> Forecast:  # fmt: skip
    entries = platform.recipe.per_slide
    plan_id = refresh_wanted(platform)
    is_in = (lambda _: True) if shard is None else shard.holds
    work = find_work(platform, plan_id, entries, ids, is_in)
    measured = measure(platform, entries, place_here(platform))
    return forecast(platform, plan_id, work, measured, most_slides=most_slides)


def measured_home(platform: Platform) -> None:
    """Two runs of slides of other sizes, which are alike in all rates."""
    for part, sides in (("a", (1000, 2000, 3000, 4000)), ("b", (1500, 2500, 3500, 6000))):
        ids = [f"{part}{side}" for side in sides]
        for slide_id, side in zip(ids, sides, strict=True):
            register(platform, slide_id, side_px=side)
        run(platform, part, ids)


def test_what_slides_took_is_what_others_will_take(platform: Platform) -> None:
    measured_home(platform)
    register(platform, *(f"new{n}" for n in range(10)), side_px=5000)
    found = plan(platform)
    assert (found.work.n_slides, found.work.n_current, found.n_to_do) == (18, 8, 10)
    patches = {entry.key: entry.patches for entry in found.entries}
    assert patches[MASK] is None
    assert patches[STATS] is not None
    assert patches[STATS].value == pytest.approx(500)  # 50 a slide, by their area
    by_key = {entry.key: entry for entry in found.entries}
    assert by_key[STATS].work_s is not None
    assert by_key[STATS].work_s.value == pytest.approx(10 * (4 + 0.5 * 50))
    assert by_key[STATS].written_bytes is not None
    assert by_key[STATS].written_bytes.value == pytest.approx(500 * 1000)
    assert found.read_bytes == 10 * 10**6
    assert found.wall_s is not None
    assert found.wall_s.value == pytest.approx(30 + 0.5 * (10 * 1 + 10 * 29))
    assert found.wall_s.high == pytest.approx(found.wall_s.value, rel=0.01)  # all went alike
    in_two = plan(platform, most_slides=5).wall_s
    assert in_two is not None
    assert in_two.value == pytest.approx(found.wall_s.value + 30)


def test_shards_share_the_work_out(platform: Platform) -> None:
    measured_home(platform)
    register(platform, *(f"new{n}" for n in range(10)))
    shards = [plan(platform, shard=Shard(number=k, n_shards=3)) for k in (1, 2, 3)]
    assert sum(one.n_to_do for one in shards) == 10
    assert {one.n_to_do for one in shards} != {10, 0}


def test_patches_that_were_counted_are_not_guessed_and_those_of_a_mask_go_by_its_tissue(
    platform: Platform,
) -> None:
    measured_home(platform)
    register(platform, "counted", "masked", side_px=2000)
    make(platform, "by hand", "counted", (MASK, GRID))
    make(platform, "by hand", "masked", (MASK,))
    by_key = {entry.key: entry for entry in plan(platform).entries}
    assert (by_key[MASK].n_slides, by_key[GRID].n_slides, by_key[STATS].n_slides) == (0, 1, 2)
    assert by_key[STATS].patches is not None
    assert by_key[STATS].patches.value == pytest.approx(20 + 20)


def test_what_was_never_measured_is_told_with_slides_that_would_tell(platform: Platform) -> None:
    register(platform, "a", "b")
    nothing = plan(platform)
    assert nothing.wall_s is None
    assert [one.key for one in nothing.unknown] == [*KEYS]
    assert {one.work_s for one in nothing.entries} == {None}
    measured_home(platform)
    register(platform, *(f"j{n}" for n in range(5)), codec="jpeg2000")
    register(platform, "fine", mpp=0.26)
    found = plan(platform)
    alone = plan(platform, ids=["fine"])
    told = {(one.key, one.kind): (one.n_slides, one.first) for one in found.unknown}
    assert told == {
        (key, kind): (n, first)
        for key in KEYS
        for kind, n, first in (
            (("jpeg2000", -1), 5, ("j0", "j1", "j2")),
            (("jpeg", -2), 1, ("fine",)),
        )
    }
    assert found.wall_s is not None
    assert found.wall_s.value == pytest.approx(30 + 0.5 * 2 * (1 + 4 + 10))  # of a and b alone
    assert (alone.wall_s, {one.work_s for one in alone.entries}) == (None, {None})


def test_rates_are_of_this_device_and_of_the_parameters_in_force(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = place_here(platform)
    ids = [f"a{side}" for side in (1000, 2000, 3000, 4000)]
    for slide_id in ids:
        register(platform, slide_id, side_px=int(slide_id[1:]))
    run(platform, "there", ids, place=replace(here, device="NVIDIA H200"))
    register(platform, "new")
    [of_mask, *_] = plan(platform).unknown
    assert of_mask.elsewhere == (f"NVIDIA H200 of {here.machine}",)
    monkeypatch.setattr(machine, "device_here", lambda _: "NVIDIA H200")
    monkeypatch.setattr(
        "pathassets.engine.platform.planning.rates.device_here", lambda _: "NVIDIA H200"
    )
    assert plan(platform).unknown == ()
    few = replace(place_here(platform), n_workers=7)
    assert measure(platform, platform.recipe.per_slide, few).place.n_workers == here.n_workers
    text = platform.settings.recipe.read_text().replace("patch_px: 64", "patch_px: 32")
    platform.settings.recipe.write_text(text)
    with open_platform(platform.settings) as other:
        unknown = {one.key for one in plan(other).unknown}
    assert unknown == {GRID, STATS}


def test_runs_that_differ_make_the_range_wide(platform: Platform) -> None:
    for run_id, pace in (("one", 0.4), ("two", 0.6), ("three", 0.5)):
        ids = [f"{run_id}{side}" for side in (1000, 2000, 3000, 4000)]
        for slide_id, side in zip(ids, (1000, 2000, 3000, 4000), strict=True):
            register(platform, slide_id, side_px=side)
        run(platform, run_id, ids, pace=pace)
    register(platform, *(f"new{n}x" for n in range(40)))
    wall_s = plan(platform).wall_s
    assert wall_s is not None
    assert wall_s.value == pytest.approx(30 + 0.5 * 40 * 15)
    assert wall_s.low < 30 + 0.4 * 40 * 15
    assert wall_s.high > 30 + 0.6 * 40 * 15


def test_what_would_be_skipped_is_told_with_the_reason_and_what_helps(platform: Platform) -> None:
    measured_home(platform)
    register(platform, "no_mpp", mpp=None)
    register(platform, "bad", "new")
    [bad] = plan_slides(platform, ["bad"])
    refresh_wanted(platform)
    failed = AttemptRecord(
        run_id="r", address=bad.steps[MASK].address, state="failed", reason="tile_unreadable",
        is_final=True,
    )  # fmt: skip
    platform.catalog.record_attempts([failed])
    found = plan(platform)
    assert found.n_to_do == 1
    assert found.work.skipped == (
        Skipped(
            reason="resolution_missing", n_slides=1, first=("no_mpp",),
            remedy="pathassets mpp set SLIDE MPP --who NAME --why 'where the value is from'",
        ),
        Skipped(
            reason="tile_unreadable", n_slides=1, first=("bad",),
            remedy="It failed by the slide's content alone: --retry tries it again",
        ),
    )  # fmt: skip
    entries, plan_id = platform.recipe.per_slide, refresh_wanted(platform)
    again = find_work(platform, plan_id, entries, ["bad"], retry=True)
    assert again.to_do == {key: ["bad"] for key in KEYS}
    features = [platform.recipe.entry(STATS)]
    alone = find_work(platform, plan_id, features, ["new"])
    assert [one.reason for one in alone.skipped] == ["parent_not_selected"]

    [also] = plan_slides(platform, ["new"])
    platform.catalog.record_attempts([replace(failed, address=also.steps[MASK].address)])
    _, both = plan(platform).work.skipped
    assert both.remedy == "They failed by the slides' content alone: --retry tries them again"


def test_a_machine_and_its_gpu_are_called_as_the_system_does(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t:  Some CPU\n")
    monkeypatch.setattr(machine, "_CPU_INFO", tmp_path / "cpuinfo")
    assert machine.machine_here().startswith("Some CPU, ")
    assert machine.device_here(platform.settings) == "cpu"
    on_gpu = replace(platform.settings, device="cuda")
    monkeypatch.setattr(machine, "_GPUS", tmp_path / "gpus")
    assert machine.device_here(on_gpu) == "cuda"
    (tmp_path / "gpus" / "0").mkdir(parents=True)
    (tmp_path / "gpus" / "0" / "information").write_text("Model: \t\t NVIDIA H200\nIRQ: 1\n")
    assert machine.device_here(on_gpu) == "NVIDIA H200"
