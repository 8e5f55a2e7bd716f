"""What some slides took, and how large they are -> what others will take, with a range.

    (units, value) of each slide ─▶ Rate: so much a slide, so much a unit ─▶ Estimate of a sum
    when slides of runs were done ─▶ Pace: so much to start, so much a second of work ─▶ Estimate

A range holds four times out of five, where slides and runs differ as those that were measured did.
Variances are of sums, relative to Student's t of so few, and are added.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from heapq import heapreplace
from statistics import median

SHARE = 0.8
"""How often what comes of it lies in a range."""
_Z = 1.2816
"""Normal quantile of the upper end of such a range."""
_FEW_T = {1: 3.0777, 2: 1.8856, 3: 1.6377, 4: 1.5332}
"""The same of Student's t, by degrees of freedom: the approximation begins at five."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number that is not known yet."""

    value: float = 0.0
    variance: float = 0.0
    """As of a normal distribution that has the same range."""

    def __add__(self, other: Estimate) -> Estimate:
        """Sum of two that have nothing to do with each other."""
        return Estimate(
            value=self.value + other.value, variance=self.variance + other.variance
        )  # fmt: skip

    @property
    def relative_variance(self) -> float:
        """Variance by the value's square; 0 of nothing."""
        return self.variance / self.value**2 if self.value else 0.0

    def times(self, factor: float, *, relative_variance: float = 0.0) -> Estimate:
        """Product with a number that is itself uncertain by so much."""
        value = self.value * factor
        both = self.variance * factor**2 + relative_variance * value**2
        return Estimate(value=value, variance=both)

    @property
    def low(self) -> float:
        """Lower end of the range; never below nothing."""
        return self.value / self._ratio

    @property
    def high(self) -> float:
        """Upper end of the range."""
        return self.value * self._ratio

    @property
    def _ratio(self) -> float:
        return math.exp(_Z * math.sqrt(math.log1p(self.relative_variance)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One slide that was measured."""

    units: float
    """How large it is: patches, or square millimetres."""
    value: float
    """What it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What a slide takes, by its units: `a_slide + a_unit * units`, each by chance more or less."""

    n_slides: int
    a_slide: float
    a_unit: float
    noise: float
    """Variance of a slide's value for each of its units, `mean_units` added to them."""
    mean_units: float
    covariance: tuple[float, float, float]
    """Of what is known of the two numbers: of the first, of both together, of the second."""

    def value(self, units: float) -> float:
        """What one slide takes."""
        return self.a_slide + self.a_unit * units

    def sum_of(self, n_slides: int, units: float) -> Estimate:
        """What so many slides take that have so many units together."""
        own, both, of_unit = self.covariance
        known = own * n_slides**2 + 2 * both * n_slides * units + of_unit * units**2
        by_chance = self.noise * (units + n_slides * self.mean_units)
        value = self.a_slide * n_slides + self.a_unit * units
        return Estimate(value=value, variance=known + by_chance)


def fit_rate(seen: Collection[Seen]) -> Rate:
    """Fit a line through what was seen, by weighted least squares; neither number is negative.

    The variance of a slide grows with its units. Where all have as many units, or one of the
    numbers would be negative, the value is in proportion to the units, or the same for all.
    """
    mean = sum(one.units for one in seen) / len(seen)
    if mean <= 0:
        return _constant(seen, 1.0)
    if len(seen) > 2 and len({one.units for one in seen}) > 1:  # noqa: PLR2004 - a line has two
        line = _line(seen, mean)
        if line.a_slide >= 0 and line.a_unit >= 0:
            return line
        if line.a_unit < 0:
            return _constant(seen, mean)
    return _proportion(seen, mean)


def _line(seen: Collection[Seen], mean: float) -> Rate:
    weights = [1 / (one.units + mean) for one in seen]
    s0 = sum(weights)
    s1 = sum(w * one.units for w, one in zip(weights, seen, strict=True))
    s2 = sum(w * one.units**2 for w, one in zip(weights, seen, strict=True))
    t0 = sum(w * one.value for w, one in zip(weights, seen, strict=True))
    t1 = sum(w * one.units * one.value for w, one in zip(weights, seen, strict=True))
    whole = s0 * s2 - s1 * s1
    a_slide, a_unit = (s2 * t0 - s1 * t1) / whole, (s0 * t1 - s1 * t0) / whole
    noise = _noise(seen, a_slide, a_unit, mean, n_fitted=2)
    covariance = (noise * s2 / whole, -noise * s1 / whole, noise * s0 / whole)
    return Rate(
        n_slides=len(seen), a_slide=a_slide, a_unit=a_unit, noise=noise, mean_units=mean,
        covariance=covariance,
    )  # fmt: skip


def _proportion(seen: Collection[Seen], mean: float) -> Rate:
    units = sum(one.units for one in seen)
    a_unit = sum(one.value for one in seen) / units
    noise = _noise(seen, 0.0, a_unit, mean, n_fitted=1)
    of_unit = noise * (units + len(seen) * mean) / units**2
    return Rate(
        n_slides=len(seen), a_slide=0.0, a_unit=a_unit, noise=noise, mean_units=mean,
        covariance=(0.0, 0.0, of_unit),
    )  # fmt: skip


def _constant(seen: Collection[Seen], mean: float) -> Rate:
    n = len(seen)
    a_slide = sum(one.value for one in seen) / n
    noise = _noise(seen, a_slide, 0.0, mean, n_fitted=1)
    own = noise * sum(one.units + mean for one in seen) / n**2
    return Rate(
        n_slides=n, a_slide=a_slide, a_unit=0.0, noise=noise, mean_units=mean,
        covariance=(own, 0.0, 0.0),
    )  # fmt: skip


def _noise(
    seen: Collection[Seen], a_slide: float, a_unit: float, mean: float, *, n_fitted: int
) -> float:
    """Variance a unit about a line; 0 of so few that all lie on it."""
    n_free = len(seen) - n_fitted
    if n_free < 1:
        return 0.0
    total = sum(
        (one.value - a_slide - a_unit * one.units) ** 2 / (one.units + mean) for one in seen
    )
    return total / n_free * widening(n_free)


def widening(n_free: int) -> float:
    """How much larger a variance that was found with so many degrees of freedom is to be taken.

    Source: Abramowitz and Stegun 1964, 26.7.5, to its second term.

    >>> [round(widening(n), 2) for n in (1, 2, 5, 1000)]
    [5.77, 2.16, 1.32, 1.0]
    """
    t = _FEW_T.get(n_free)
    if t is None:
        z, n = _Z, n_free
        t = z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
    return (t / _Z) ** 2


def stretch(works_s: Iterable[float], n_side_by_side: int) -> float:
    """How much longer than an even share slides take that are taken one after the other.

    None is cut: the last one may be worked on alone.

    >>> stretch([3, 3, 3], 1), stretch([3, 3, 3], 2), stretch([1] * 100, 2)
    (1.0, 1.3333333333333333, 1.0)
    """
    until_s = [0.0] * n_side_by_side
    for work_s in works_s:
        heapreplace(until_s, until_s[0] + work_s)
    even_s = sum(until_s) / n_side_by_side
    return max(until_s) / even_s if even_s else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSeen:
    """One run that was measured: until its first slide was done, and from then to its end."""

    first_s: float
    first_work_s: float
    """Work on the slide that was done first, as rates have it."""
    rest_s: float
    rest_work_s: float
    """Work on all others."""

    @property
    def wall_s(self) -> float:
        """From beginning to end."""
        return self.first_s + self.rest_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long runs take by the work in them: processes start, then work on slides together."""

    n_runs: int
    start_s: float
    """Of each run, whatever is in it."""
    a_second: float
    """Of a run, for each second of work on a slide: half of one where two are worked on."""
    relative_variance: float
    """Of a run's whole time about what was expected of it; 0 where only one was seen."""

    def wall(self, work_s: Estimate, n_runs: int) -> Estimate:
        """How long so many runs take in a row with so much work."""
        started = Estimate(value=self.start_s * n_runs)
        worked = work_s.times(self.a_second)
        return (started + worked).times(1.0, relative_variance=self.relative_variance)


def fit_pace(runs: Iterable[RunSeen]) -> Pace | None:
    """Tell the time to start from that of work; None where no run had two slides."""
    seen = list(runs)
    with_rest = [one for one in seen if one.rest_work_s > 0]
    if not with_rest:
        return None
    a_second = sum(r.rest_s for r in with_rest) / sum(r.rest_work_s for r in with_rest)
    start_s = median(one.first_s - a_second * one.first_work_s for one in seen)
    start_s = max(0.0, start_s)
    return Pace(
        n_runs=len(seen), start_s=start_s, a_second=a_second,
        relative_variance=_between(with_rest, start_s, a_second),
    )  # fmt: skip


def _between(runs: Sequence[RunSeen], start_s: float, a_second: float) -> float:
    """Variance between runs, with that of their mean, of the logarithm of actual to expected."""
    expected = [start_s + a_second * (one.first_work_s + one.rest_work_s) for one in runs]
    ratios = [math.log(one.wall_s / of) for one, of in zip(runs, expected, strict=True) if of > 0]
    n = len(ratios)
    if n < 2:  # noqa: PLR2004 - one does not differ
        return 0.0
    mean = sum(ratios) / n
    variance = sum((one - mean) ** 2 for one in ratios) / (n - 1)
    return variance * widening(n - 1) * (1 + 1 / n)
