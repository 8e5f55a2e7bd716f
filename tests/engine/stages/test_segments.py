from dataclasses import replace

import pytest

from pathassets.engine.slides.source import SlidePath
from pathassets.engine.stages.outcomes import SlideOutcome, StepOutcome, blocked, failed
from pathassets.engine.stages.published import Published
from pathassets.engine.stages.segments import SlideInSegments
from pathassets.engine.stages.slide_task import failed_outcome, run_slide
from pathassets.errors import WorkerLost

RECIPE = """\
tissue_mask:
  otsu: {mpp: 8.0}
patch_locations:
  grid: {tissue_mask: otsu, patch_px: 64, mpp: 0.5}
  fine: {tissue_mask: otsu, patch_px: 32, mpp: 0.5}
patch_set:
  pngs: {patch_locations: grid}
features:
  plain: {patch_locations: grid, encoder: colour_stats}
  coarse: {patch_locations: grid, encoder: {name: FACTORY, version: "2"}}
  other: {patch_locations: fine, encoder: {name: FACTORY, version: "2"}}
slide_embedding:
  mean: {features: coarse}
  module: {features: coarse, method: FACTORY}
  max: {features: other, method: max}
""".replace("FACTORY", "'tests.engine.encoder_factories:make_encoder'")
WORKER = ["otsu", "grid", "fine", "pngs"]
LINE = ["plain", "coarse", "other"]
"""The first needs no device, and is read together with the second."""
REST = [(["mean"], False), (["module"], True), (["max"], False)]
LOST = WorkerLost("worker process ended with code -9")


@pytest.fixture
def task(reopen, get_ready, make_task):
    platform = reopen(RECIPE)
    return make_task(platform, get_ready(platform, 1)[0])


def names(steps):
    return [step.entry.name for step in steps]


def outcomes_of(steps, state):
    return tuple(StepOutcome(step=step, state=state) for step in steps)


def known(task, state, *wanted):
    chosen = [step for step in task.steps if step.entry.name in wanted]
    return {one.step.address: one for one in outcomes_of(chosen, state)}


def do(slide, state="made", **more):
    """Let what is next be done; what that was."""
    segment = slide.next()
    steps = outcomes_of(segment.task.steps, state)
    slide.take(SlideOutcome(slide_id=slide.slide_id, steps=steps, **more))
    return names(segment.task.steps), segment.needs_device


def states(slide):
    return {one.step.entry.name: one.state for one in slide.outcome().steps}


def test_steps_that_follow_each_other_in_one_place_are_a_segment(task):
    slide = SlideInSegments(task, {})
    assert [do(slide) for _ in range(5)] == [(WORKER, False), (LINE, True), *REST]
    assert slide.next() is None
    outcome = slide.outcome()
    assert outcome.slide_id == task.slide_id
    assert [one.step for one in outcome.steps] == list(task.steps)


def test_a_segment_is_the_slides_task_with_its_own_steps_and_those_before_behind_it(task):
    behind = task.steps[0]
    task = replace(task, steps=task.steps[1:], behind=(behind,))
    slide = SlideInSegments(task, {})
    do(slide)
    segment = slide.next().task
    assert names(segment.behind) == WORKER
    assert replace(segment, steps=task.steps, behind=task.behind) == task


def test_what_is_next_is_the_same_until_it_was_done(task):
    slide = SlideInSegments(task, {})
    assert slide.next() == slide.next()


def test_a_segment_in_which_all_is_current_is_skipped(task):
    slide = SlideInSegments(task, known(task, "current", *WORKER))
    assert do(slide) == (LINE, True)


def test_a_segment_with_something_to_make_is_given_what_is_current_in_it_too(task):
    slide = SlideInSegments(task, known(task, "current", *WORKER, "plain", "other"))
    assert do(slide) == (LINE, True)


def test_where_all_is_current_nothing_is_left(task):
    found = known(task, "current", *names(task.steps))
    slide = SlideInSegments(task, found)
    assert slide.next() is None
    assert slide.outcome() == SlideOutcome(
        slide_id=task.slide_id, steps=tuple(found[step.address] for step in task.steps)
    )


def test_what_is_made_from_what_failed_is_blocked_and_not_tried(task):
    slide = SlideInSegments(task, {})
    do(slide)
    steps = slide.next().task.steps
    bad = failed(steps[1], WorkerLost("gone", remedy="look"))
    good = outcomes_of([steps[0], steps[2]], "made")
    slide.take(SlideOutcome(slide_id=task.slide_id, steps=(good[0], bad, good[1])))
    assert do(slide) == (["max"], False)
    assert slide.next() is None
    assert states(slide) == dict.fromkeys([*WORKER, "plain", "other", "max"], "made") | {
        "coarse": "failed",
        "mean": "blocked",
        "module": "blocked",
    }
    mean = next(one for one in slide.outcome().steps if one.step.entry.name == "mean")
    assert mean == blocked(mean.step, bad)
    assert (mean.reason, mean.remedy) == ("worker_lost", "look")


def test_what_is_blocked_blocks_what_is_made_from_it(task):
    slide = SlideInSegments(task, {})
    assert do(slide, "failed") == (WORKER, False)
    assert slide.next() is None
    assert set(states(slide).values()) == {"failed", "blocked"}
    assert {one.message for one in slide.outcome().steps if one.state == "blocked"} >= {
        f"{task.slide_id}: not tried, patch_locations/grid failed"
    }


def test_what_is_current_is_told_though_its_parent_failed(task):
    slide = SlideInSegments(task, known(task, "current", "coarse", "mean"))
    assert do(slide, "failed") == (WORKER, False)
    assert do(slide) == (["module"], True)
    assert slide.next() is None
    found = states(slide)
    assert (found["coarse"], found["mean"], found["module"]) == ("current", "current", "made")
    assert {found[name] for name in ("plain", "other", "max")} == {"blocked"}


def test_a_segment_without_an_outcome_fails_with_its_error_and_the_others_go_on(task):
    slide = SlideInSegments(task, {})
    do(slide)
    slide.take(failed_outcome(slide.next().task, LOST))
    assert slide.next() is None
    found = states(slide)
    assert all(found[name] == "made" for name in WORKER)
    assert found["plain"] == "failed"
    assert slide.outcome().failure.reason == "worker_lost"
    assert set(found.values()) == {"made", "failed", "blocked"}


def test_an_outcome_has_what_any_segment_told_of_the_slide(task):
    old, new = task.steps[0], SlidePath(path="a", stamp=task.paths[0].stamp)
    task = replace(task, steps=task.steps[1:], behind=(old,))
    slide = SlideInSegments(task, {})
    do(slide, verified=new, mended=outcomes_of([old], "made"))
    do(slide, no_scratch="no room")
    do(slide, no_scratch="no room at all", verified=replace(new, path="b"))
    for _ in REST[1:]:
        do(slide)
    outcome = slide.outcome()
    assert outcome.verified == new
    assert outcome.no_scratch == "no room"
    assert outcome.mended == outcomes_of([old], "made")


def test_a_step_that_a_later_segment_had_to_mend_is_told_once_as_it_is_now(task):
    slide = SlideInSegments(task, known(task, "current", *WORKER))
    grid = [step for step in task.steps if step.entry.name == "grid"]
    do(slide, mended=outcomes_of(grid, "made"))
    for _ in REST:
        do(slide)
    assert states(slide)["grid"] == "made"
    assert slide.outcome().mended == ()


def test_what_two_segments_mended_is_told_once(task):
    old = task.steps[0]
    task = replace(task, steps=task.steps[1:], behind=(old,))
    slide = SlideInSegments(task, {})
    do(slide, mended=outcomes_of([old], "failed"))
    do(slide, mended=outcomes_of([old], "made"))
    for _ in REST:
        do(slide)
    assert slide.outcome().mended == outcomes_of([old], "made")


def test_a_file_that_was_hashed_is_not_hashed_for_the_next_segment(task):
    looks = replace(task.paths[0], stamp=replace(task.paths[0].stamp, ctime_ns=7))
    slide = SlideInSegments(task, {})
    do(slide, verified=looks)
    assert slide.next().task.paths == (looks, *task.paths[1:])


def test_a_damaged_parent_is_made_again_by_the_segment_that_reads_it(reopen, get_ready, make_task):
    platform = reopen()
    task = make_task(platform, get_ready(platform, 1)[0])
    run_slide(replace(task, steps=task.steps[:2]))
    file = platform.store.path_of(task.steps[1].address) / "locations.parquet"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    found = Published(platform.store, frozenset()).find_all(task.steps)
    slide = SlideInSegments(task, found)
    assert names(slide.next().task.steps) == ["otsu", "grid", "stats"]
    slide.take(run_slide(slide.next().task))
    assert list(states(slide).values()) == ["current", "made", "made"]
    assert slide.outcome().mended == ()
