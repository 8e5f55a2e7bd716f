"""Of steps that are made together: what each is said to have taken."""

import time
from types import SimpleNamespace

import pytest

from pathassets.engine.features.works import EncodingStats
from pathassets.engine.stages import step_group
from pathassets.engine.stages.outcomes import StepOutcome


def test_while_a_slide_waits_for_its_patches_only_what_the_line_gave_to_it_counts(monkeypatch):
    made = StepOutcome(step=None, state="made")
    current = StepOutcome(step=None, state="current")

    def make(*_):
        time.sleep(0.02)
        yield "the first encoder's"
        yield "the second one's"
        return [made, made, current]

    monkeypatch.setattr(step_group, "_make_missing", make)
    asking = step_group.make_steps([], None, None, None)
    next(asking)
    time.sleep(0.3)  # others' patches are encoded
    asking.send(encoded(waiting_s=0.1, computing_s=0.2, writing_s=0.05))
    with pytest.raises(StopIteration) as end:
        asking.send(encoded(computing_s=0.04))

    first, second, third = end.value.value
    assert first.seconds == second.seconds
    assert 0.02 + 0.39 <= first.seconds + second.seconds < 0.02 + 0.39 + 0.25
    assert third.seconds is None


def test_each_step_has_what_it_took_and_an_equal_share_of_what_all_took(monkeypatch):
    states = [("made", 0.1), ("made", 0.4), ("failed", 0.0), ("current", 0.0)]

    def make(*_):
        yield "three encoders'"
        return [StepOutcome(step=None, state=state, own_s=own_s) for state, own_s in states]

    monkeypatch.setattr(step_group, "_make_missing", make)
    asking = step_group.make_steps([], None, None, None)
    next(asking)
    with pytest.raises(StopIteration) as end:
        asking.send(encoded(computing_s=0.5, waiting_s=0.3))
    *worked_on, current = [one.seconds for one in end.value.value]
    assert worked_on == pytest.approx([0.2, 0.5, 0.1], abs=0.05)
    assert sum(worked_on) >= 0.8
    assert current is None


def test_work_that_is_given_up_is_closed(monkeypatch):
    closed = []

    def make(*_):
        try:
            yield "what is never encoded"
        finally:
            closed.append(True)

    monkeypatch.setattr(step_group, "_make_missing", make)
    asking = step_group.make_steps([], None, None, None)
    next(asking)
    asking.close()
    assert closed


def encoded(**seconds):
    return SimpleNamespace(stats=EncodingStats(wall_s=60.0, **seconds))
