"""What lines tell, in numbers for a bar and in a line a minute."""

import pytest

from pathassets.engine.features.works import EncodingUsage
from pathassets.engine.platform.batches import throughput
from pathassets.engine.platform.batches.throughput import LineMeter, line_of, since
from pathassets.engine.workers.line import LineUsage


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only here."""
    now_s = [100.0]
    monkeypatch.setattr(throughput.time, "monotonic", lambda: now_s[0])
    return now_s


def usage(n_patches, wall_s, busy_s, **more):
    return EncodingUsage(n_patches=n_patches, wall_s=wall_s, computing_s=busy_s, **more)


def test_lines_are_counted_together_and_the_rate_is_of_the_last_seconds(clock):
    meter = LineMeter(4, lambda _: None)
    clock[0] += 10
    assert meter.hear(LineUsage(1, "cuda:0", usage(1000, 10, 9))).patches_per_s == 100
    both = meter.hear(LineUsage(2, "cuda:1", usage(500, 10, 5)))
    assert (both.n_patches, both.patches_per_s) == (1500, 150)
    for _ in range(6):
        clock[0] += 10
        last = meter.hear(LineUsage(1, "cuda:0", usage(1000, 10, 9)))
    assert (last.n_patches, last.patches_per_s) == (1500, 0)


def test_a_line_that_takes_the_place_of_another_counts_on():
    meter = LineMeter(1, lambda _: None)
    meter.hear(LineUsage(1, "cpu", usage(1000, 10, 9)))
    assert meter.hear(LineUsage(2, "cpu", usage(200, 2, 2))).n_patches == 1200


def test_what_is_expected_is_told_by_the_slides_whose_patches_are_known(clock):
    meter = LineMeter(4, lambda _: None)
    clock[0] += 10
    assert meter.hear(LineUsage(1, "cpu", usage(1000, 10, 9))).n_expected is None
    meter.expect(1500)
    meter.expect(500)
    said = meter.hear(LineUsage(1, "cpu", usage(1000, 10, 9)))
    assert said.n_expected == 4000
    assert (said.n_patches, said.patches_per_s) == (1000, 100)


def test_each_line_is_put_into_words_once_a_minute(clock):
    said = []
    meter = LineMeter(1, said.append)
    for second in range(1, 131):
        clock[0] += 1
        meter.hear(LineUsage(1, "cuda:0", usage(300 * second, second, 0.9 * second)))
    rate = "cuda:0: busy 90 %, waited for pixels 0 %, for the disk 0 %; 300 patches/s"
    assert said == [f"{rate}, 18,300 patches", f"{rate}, 18,000 patches"]


def test_what_was_done_between_two_looks_is_the_difference_of_all_that_is_counted():
    before = usage(10, 5, 1, n_slides=1, waiting_s=2, writing_s=0.5)
    now = usage(30, 9, 4, n_slides=2, waiting_s=2.5, writing_s=0.75)
    assert since(now, before) == usage(20, 4, 3, n_slides=1, waiting_s=0.5, writing_s=0.25)
    assert since(now, before).wall_s == 4


def test_a_line_that_has_not_begun_divides_by_nothing():
    assert line_of("cpu", EncodingUsage()).endswith("0 patches/s, 0 patches")
    assert EncodingUsage().busy_share == 0
