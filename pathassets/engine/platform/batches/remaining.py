"""Slides that were done, and when -> how long the others will take, in words, once it can be told.

    slide done ─▶ seconds since the last one, by the size of its file ─▶ Rate ─▶ those that are left

Until the first is done processes start and encoders are loaded: that says nothing of the others.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping

from pathassets.core.display import span
from pathassets.core.rates import Estimate, Seen, fit_rate

MIN_SEEN = 5
"""Slides after the first from which on it is told."""
MAX_SEEN = 200
"""The last ones, by which it is told: it is worked out with each slide, of however many."""
MIN_SEEN_S = 20.0
"""For which they must have been worked on: slides that come in a bunch say nothing."""


class Remaining:
    """What is left of a batch."""

    def __init__(
        self, sizes: Mapping[str, float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`sizes`: of the file of each slide, in any unit."""
        self._left = dict(sizes)
        self._n_slides = len(sizes)
        self._clock = clock
        self._first_s: float | None = None
        self._last_s = 0.0
        self._seen: deque[Seen] = deque(maxlen=MAX_SEEN)

    def done(self, slide_id: str) -> None:
        """Hear that a slide is done."""
        now_s, size = self._clock(), self._left.pop(slide_id, None)
        if size is None:
            return
        if self._first_s is None:
            self._first_s = now_s
        else:
            self._seen.append(Seen(units=size, value=now_s - self._last_s))
        self._last_s = now_s

    def said(self) -> str:
        """Such as `about 2 h 10 min left (1 h 50 min to 2 h 40 min)`; empty where nobody knows."""
        left = self._estimate()
        if left is None:
            return ""
        return f"about {span(left.value)} left ({span(left.low)} to {span(left.high)})"

    def line(self) -> str:
        """The same with how many are done, for a log."""
        left = self.said()
        n_done = self._n_slides - len(self._left)
        return f"{n_done} of {self._n_slides} slides; {left}" if left else ""

    def _estimate(self) -> Estimate | None:
        """Time that is left, of which what has gone since the last slide was done is no part."""
        is_enough = self._first_s is not None and self._last_s - self._first_s >= MIN_SEEN_S
        if not self._left or not is_enough or len(self._seen) < MIN_SEEN:
            return None
        n_left = len(self._left)
        whole = fit_rate(self._seen).sum_of(n_left, sum(self._left.values()))
        gone_s = self._clock() - self._last_s
        left_s = max(whole.value - gone_s, whole.value * (n_left - 1) / n_left)
        return Estimate(value=left_s, variance=whole.variance)
