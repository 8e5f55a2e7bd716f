"""How long a batch will still take."""

from __future__ import annotations

import logging

import pytest

from pathassets.engine.platform.batches import under_way
from pathassets.engine.platform.batches.remaining import MAX_SEEN, Remaining


class Clock:
    """A clock that stands until it is moved."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def remaining_of(sizes: list[float]) -> tuple[Remaining, Clock]:
    clock = Clock()
    return Remaining({str(n): size for n, size in enumerate(sizes)}, clock), clock


def test_it_is_told_once_enough_was_seen_and_goes_by_the_size_of_what_is_left() -> None:
    sizes = [10, 20, 10, 30, 10, 20, 40, 40, 10]
    remaining, clock = remaining_of(sizes)
    said = []
    for number, size in enumerate(sizes):
        clock.now_s += 500 if number == 0 else 6 * size  # it starts, then goes by size
        remaining.done(str(number))
        said.append(remaining.said())
    assert said[:5] == [""] * 5
    assert said[5:] == [
        "about 9 min left (9 min to 9 min)",
        "about 5 min left (5 min to 5 min)",
        "about 1 min left (1 min to 1 min)",
        "",
    ]
    assert remaining.line() == ""


def test_slides_that_take_what_they_like_give_a_wide_range_and_time_goes_on() -> None:
    remaining, clock = remaining_of([10.0] * 20)
    for number, seconds in enumerate((300, 20, 90, 10, 60, 120, 30)):
        clock.now_s += seconds
        remaining.done(str(number))
    before = remaining.line()
    assert before.startswith("7 of 20 slides; about 12 min left (")
    clock.now_s += 30
    assert remaining.line().startswith("7 of 20 slides; about 11 min left (")
    clock.now_s += 900  # it is late: the others take as long as they do
    assert remaining.line().startswith("7 of 20 slides; about 11 min left (")


def test_it_goes_by_the_last_slides_however_many_there_were() -> None:
    remaining, clock = remaining_of([10.0] * 1_000)
    for number in range(900):
        clock.now_s += 60 if number < 900 - MAX_SEEN else 6
        remaining.done(str(number))
    assert remaining.said() == "about 10 min left (10 min to 10 min)"


def test_what_was_not_counted_and_a_bunch_at_once_say_nothing() -> None:
    remaining, _ = remaining_of([10.0] * 20)
    for number in range(12):
        remaining.done("a stranger")
        remaining.done(str(number))
    assert remaining.said() == ""


def test_a_log_hears_of_it_each_minute_and_with_what_lines_tell(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, under_way.logger.name)
    clock, told = Clock(), []
    monkeypatch.setattr(under_way.time, "monotonic", clock)
    left = under_way._Left(Remaining({str(n): 1.0 for n in range(50)}, clock), told.append)
    left.tell_with("cpu: busy")
    for number in range(12):
        clock.now_s += 12
        left.done(str(number))
    left.tell_with("cpu: busy")
    assert told == [
        "cpu: busy",
        "6 of 50 slides; about 8 min 50 s left (8 min 50 s to 8 min 50 s)",
        "11 of 50 slides; about 7 min 50 s left (7 min 50 s to 7 min 50 s)",
        "cpu: busy; 12 of 50 slides; about 7 min 40 s left (7 min 40 s to 7 min 40 s)",
    ]
    assert vars(caplog.records[-1])["left"] == "about 7 min 40 s left (7 min 40 s to 7 min 40 s)"
