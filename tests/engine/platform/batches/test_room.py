"""Slides that find no room for their copies beside others wait for those, and fail for nobody."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from pathassets.adapters.objects.place import open_place
from pathassets.adapters.objects.remote_file import place_of
from pathassets.core.address import Address
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.batches import under_way
from pathassets.engine.platform.batches.room import N_TRIED, PutOff
from pathassets.engine.platform.ingestion.ingest import find_files, ingest
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.platform import Platform
from pathassets.engine.slides.scratch import Scratch, open_scratch
from pathassets.engine.slides.scratch_copy import LocalOriginal
from pathassets.engine.stages.outcomes import SlideOutcome, SlideTask, Step, StepOutcome, failed
from pathassets.engine.stages.segments import SlideInSegments
from pathassets.errors import ResourcesShort, WorkerLost

N_SLIDES = 5


@pytest.fixture
def slides(platform: Platform, bucket: str, make_slide: Callable[..., Path]) -> int:
    """Slides in a bucket, registered; the bytes of the largest."""
    files = [make_slide(f"{i}.svs", seed=i) for i in range(N_SLIDES)]
    for file in files:
        open_place(bucket).put_file(file.name, file)
    found = list(ingest(platform, find_files([place_of(bucket)])))
    assert [one.state for one in found] == ["new"] * N_SLIDES
    return max(file.stat().st_size for file in files)


def with_room(platform: Platform, n_bytes: int) -> Platform:
    settings = replace(platform.settings, n_workers=2, scratch_bytes=n_bytes, retry_pauses_s=())
    return replace(platform, settings=settings)


def failures(platform: Platform) -> list[str]:
    planned = plan_slides(platform)
    outcomes = list(run_batch(platform, planned, platform.recipe.per_slide, run_id="run"))
    assert len(outcomes) == N_SLIDES
    return [str(one.failure) for one in outcomes if one.failure is not None]


def test_slides_of_which_one_fits_at_a_time_wait_for_each_other(platform, slides):
    assert failures(with_room(platform, slides + slides // 2)) == []


def test_slides_that_are_registered_wait_for_each_other_too(platform, bucket, make_slide):
    files = [make_slide(f"{i}.svs", seed=i) for i in range(N_SLIDES)]
    for file in files:
        open_place(bucket).put_file(file.name, file)
    small = with_room(platform, max(file.stat().st_size for file in files))
    found = list(ingest(small, find_files([place_of(bucket)])))
    assert [one.state for one in found] == ["new"] * N_SLIDES


def test_a_slide_that_is_larger_than_all_room_is_refused_at_once(platform, slides):
    began_s = time.monotonic()
    said = failures(with_room(platform, slides // 100))
    assert len(said) == N_SLIDES
    assert all("PATHASSETS_SCRATCH_GB" in one for one in said)
    assert time.monotonic() - began_s < 60


def test_slides_wait_for_another_batch_so_long_and_then_fail_until_it_has_ended(
    platform, slides, make_slide, monkeypatch
):
    monkeypatch.setattr(under_way, "PutOff", lambda **_: PutOff(patience_s=2))
    root = platform.settings.home / "scratch"
    small = with_room(platform, slides + slides // 2)
    file = make_slide("other.svs", seed=99)
    with open_scratch(root, 10**9) as other, held(other, file):
        began_s = time.monotonic()
        said = failures(small)
        assert time.monotonic() - began_s > 2
    assert len(said) == N_SLIDES
    assert all("the slides that are being read fill" in one for one in said)
    assert failures(small) == []


def held(scratch: Scratch, file: Path):
    return closing(scratch.borrow(LocalOriginal(file, [file])))


# The rules alone


@pytest.fixture(name="step")
def make_step(platform: Platform) -> Step:
    entry = platform.recipe.per_slide[0]
    return Step(entry=entry, address=Address(*entry.key, "slide", "0" * 16), parents=())


def short(step: Step, *, is_for_now: bool = True) -> StepOutcome:
    return failed(step, ResourcesShort.of_scratch("a.svs", "full", is_for_now=is_for_now))


def test_only_what_others_give_back_is_waited_for(step):
    def waits(*steps: StepOutcome) -> bool:
        return SlideOutcome(slide_id="slide", steps=steps).waits_for_room

    assert waits(short(step))
    assert not waits(short(step, is_for_now=False))
    assert not waits(short(step), failed(step, WorkerLost("it died")))
    assert not waits(StepOutcome(step=step, state="made"))


def slide_named(slide_id: str) -> SlideInSegments:
    task = SlideTask(
        slide_id=slide_id, fingerprint="", paths=(), slide_mpp=None, resolution_reason="",
        resolution_fact="", steps=(), store_root="", staging="",
    )  # fmt: skip
    return SlideInSegments(task, {})


class Clock:
    """Stands still, but for sleep."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def ids(slides: Iterator[SlideInSegments]) -> list[str]:
    return [one.slide_id for one in slides]


def test_those_put_off_try_again_in_turn_some_at_a_time(step):
    clock = Clock()
    room = PutOff(patience_s=5, clock=clock, sleep=clock.sleep)
    assert not room
    for name in "abc":
        outcome = SlideOutcome(slide_id=name, steps=(short(step),))
        room.put(slide_named(name), outcome)
    room.note_done()
    assert ids(room.next()) == ["a", "b"]
    assert N_TRIED == 2
    room.put(slide_named("b"), SlideOutcome(slide_id="b", steps=(short(step),)))
    room.note_done()
    assert ids(room.next()) == ["c", "b"]
    assert not room


def test_a_slide_alone_waits_for_others_so_long_and_no_longer_which_is_said_once(step, caplog):
    clock = Clock()
    room = PutOff(patience_s=5, clock=clock, sleep=clock.sleep)
    n_tries = 0
    while room.may_wait("a"):
        n_tries += 1
        room.put(slide_named("a"), SlideOutcome(slide_id="a", steps=(short(step),)))
        assert ids(room.next()) == ["a"]
    assert (n_tries, clock.now_s) == (6, 5)
    assert [one.partition(" waits")[0] for one in caplog.messages] == ["a"]
    room.note_done()
    assert room.may_wait("a")


def test_what_was_made_before_a_slide_was_put_off_is_told_as_made(step):
    other = replace(step, address=Address("tissue_mask", "other", "slide", "1" * 16))
    room = PutOff(patience_s=5)
    made = StepOutcome(step=other, state="made", seconds=2.0)
    room.put(slide_named("slide"), SlideOutcome(slide_id="slide", steps=(short(step), made)))
    found = StepOutcome(step=other, state="current")
    now = StepOutcome(step=step, state="made")
    whole = room.whole(SlideOutcome(slide_id="slide", steps=(now, found)))
    assert whole.steps == (now, made)
    again = SlideOutcome(slide_id="slide", steps=(now, found))
    assert room.whole(again) == again
