"""Rates and paces, by arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from pathassets.core.rates import Estimate, RunSeen, Seen, fit_pace, fit_rate, widening


def seen(*pairs: tuple[float, float]) -> list[Seen]:
    return [Seen(units=units, value=value) for units, value in pairs]


def test_a_line_without_noise_is_found_and_its_sum_is_certain() -> None:
    rate = fit_rate(seen((10, 7), (100, 52), (40, 22)))
    assert (rate.a_slide, rate.a_unit) == pytest.approx((2.0, 0.5))
    total = rate.sum_of(4, 1000)
    assert total.value == pytest.approx(508)
    assert (total.low, total.high) == pytest.approx((508, 508))


def test_a_line_that_would_be_negative_somewhere_is_in_proportion_or_level() -> None:
    below = fit_rate(seen((1, 0.0), (2, 2.0), (3, 4.0)))  # 2 u - 2
    assert (below.a_slide, below.a_unit) == (0, pytest.approx(1.0))
    falling = fit_rate(seen((1, 4.0), (2, 3.0), (3, 2.0)))
    assert (falling.a_slide, falling.a_unit) == (pytest.approx(3.0), 0)
    alike = fit_rate(seen((4, 8.0), (4, 12.0), (4, 10.0)))
    assert (alike.a_slide, alike.a_unit) == (0, pytest.approx(2.5))
    assert fit_rate(seen((0, 1.0), (0, 3.0))).sum_of(10, 0).value == pytest.approx(20)


def test_what_was_measured_is_predicted_on_the_whole() -> None:
    rng = np.random.default_rng(0)
    units = rng.uniform(1, 300, 60)
    values = 3 + 0.2 * units + rng.normal(0, 0.1, 60) * np.sqrt(units)
    rate = fit_rate([Seen(units=u, value=v) for u, v in zip(units, values, strict=True)])
    total = rate.sum_of(60, float(units.sum()))
    assert total.value == pytest.approx(values.sum(), rel=0.01)
    assert total.low < values.sum() < total.high


def test_a_range_holds_four_times_in_five() -> None:
    """Of cohorts that no rate saw: 8 slides measured, 20 predicted, a thousand times."""
    rng = np.random.default_rng(1)
    n_held = 0
    for _ in range(1000):
        units = rng.uniform(20, 200, 28)
        values = 5 + 0.3 * units + rng.normal(0, 1.0, 28) * np.sqrt(units + 110) * 0.5
        rate = fit_rate(
            [Seen(units=u, value=v) for u, v in zip(units[:8], values[:8], strict=True)]
        )
        total = rate.sum_of(20, float(units[8:].sum()))
        n_held += total.low <= values[8:].sum() <= total.high
    assert n_held == pytest.approx(800, abs=40)


def test_estimates_add_by_variance_and_multiply_by_relative_variance() -> None:
    both = Estimate(value=30, variance=9) + Estimate(value=10, variance=16)
    assert both == Estimate(value=40, variance=25)
    assert both.times(2).variance == 100
    assert both.times(2, relative_variance=0.01).variance == pytest.approx(100 + 0.01 * 80**2)
    sure = Estimate(value=5)
    assert (sure.low, sure.high, Estimate().high) == (5, 5, 0)
    wide = Estimate(value=1, variance=100)
    assert wide.low > 0
    assert wide.low * wide.high == pytest.approx(1)


def test_few_are_widened_as_students_t_is() -> None:
    for n_free, t in ((5, 1.4759), (10, 1.3722), (30, 1.3104)):
        assert math.sqrt(widening(n_free)) * 1.2816 == pytest.approx(t, rel=2e-3)
    noise = [fit_rate(seen((1, 1), (1, 2))).noise, fit_rate(seen((1, 1), (1, 2), (1, 1.5))).noise]
    assert noise[0] > noise[1]


def run(start_s: float, works_s: list[float], a_second: float) -> RunSeen:
    first, *rest = works_s
    return RunSeen(
        first_s=start_s + a_second * first, first_work_s=first,
        rest_s=a_second * sum(rest), rest_work_s=sum(rest),
    )  # fmt: skip


def test_the_start_of_a_run_is_told_from_its_work() -> None:
    pace = fit_pace([run(12, [4, 6, 10], 0.5), run(12, [2, 2], 0.5), run(12, [30], 0.5)])
    assert pace is not None
    assert (pace.start_s, pace.a_second) == pytest.approx((12, 0.5))
    assert pace.relative_variance == pytest.approx(0)
    wall = pace.wall(Estimate(value=1000, variance=100), 3)
    assert wall.value == pytest.approx(536)
    assert wall.variance == pytest.approx(25)


def test_runs_that_differ_widen_the_range_and_one_alone_says_nothing_of_it() -> None:
    one, slow = run(10, [5, 40], 1.0), run(10, [5, 40], 1.5)
    alone, both = fit_pace([one]), fit_pace([one, slow])
    assert alone is not None
    assert both is not None
    assert alone.relative_variance == 0
    assert both.a_second == pytest.approx(1.25)
    assert both.relative_variance > 0.1
    assert fit_pace([run(10, [5], 1.0)]) is None
    early = fit_pace([replace(one, first_s=1.0)])
    assert early is not None
    assert early.start_s == 0
