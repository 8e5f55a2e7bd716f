"""A slide that loses a process that reads it is read once more, and no bytes differ for that."""

import numpy as np
import pytest

from pathassets.core.slides.bad_tiles import BadTiles
from pathassets.engine.features.works import EncodingStats, SlideEncoded
from pathassets.engine.stages import slide_task
from pathassets.engine.stages.slide_task import run_slide
from pathassets.errors import WorkerLost
from tests.engine.stages.chains import ALL_MADE, TWO_ENCODERS, by_name, group_of, states

N_WRITTEN = 100


@pytest.fixture
def task(reopen, register, make_task, slide):
    platform = reopen(TWO_ENCODERS)
    return make_task(platform, register(platform, slide)[0])


def lose_readers(monkeypatch, n_times, *, is_late=False):
    """Let the first readings end when some rows were written; returns the works asked for."""
    asked = []
    encode = slide_task.encode_slides

    def losing(works, how):
        [work] = works
        asked.append(work)
        if len(asked) > n_times:
            return encode([work], how)
        error = WorkerLost("worker process ended with code -9")
        error.is_late = is_late
        for target in work.targets:
            target.writer.leave_out([3])
            target.writer.write(np.ones((N_WRITTEN, *target.encoder.card.shape), np.float32))
        return [
            SlideEncoded(work=work, bad_tiles=BadTiles(), stats=EncodingStats(), error=error)
        ]  # fmt: skip

    monkeypatch.setattr(slide_task, "encode_slides", losing)
    return asked


def test_it_is_read_once_more_and_has_the_same_rows(task, monkeypatch, caplog):
    asked = lose_readers(monkeypatch, 1)
    outcome = run_slide(task)
    assert states(outcome) == ALL_MADE
    assert len(asked) == 3
    assert asked[0] is asked[1]
    assert "ended with code -9; it is read once more" in caplog.text
    one, fast = (group_of(task, by_name(outcome)[name])["features"][:] for name in ("one", "fast"))
    assert np.array_equal(one, fast)
    assert asked[0].source.path == asked[0].name


@pytest.mark.parametrize(("n_times", "is_late", "n_asked"), [(2, False, 3), (1, True, 2)])
def test_one_that_loses_it_again_or_hangs_is_lost(task, monkeypatch, n_times, is_late, n_asked):
    asked = lose_readers(monkeypatch, n_times, is_late=is_late)
    steps = by_name(run_slide(task))
    assert len(asked) == n_asked
    assert [(steps[name].state, steps[name].reason) for name in ("one", "two")] == [
        ("failed", WorkerLost.reason)
    ] * 2
    assert steps["fast"].state == "made"
