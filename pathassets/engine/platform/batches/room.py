"""Slides that find no room for their copies beside others -> tried again once those are done.

    no room ─▶ others of this batch under way? ─yes─▶ put off; each that is done lets two try again
                         │no
                         ▼
               another batch has it: a look each second, for as long as a slide may take

Nothing waits within a worker: its time would run, and a line would stand still. As long as slides
are put off no others are begun, so that one that needs much room gets it.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator

from pathassets.engine.platform.batches.again import with_made
from pathassets.engine.stages.outcomes import SlideOutcome
from pathassets.engine.stages.segments import SlideInSegments

logger = logging.getLogger(__name__)

N_TRIED = 2
"""Put-off slides that try again when one is done: in its place, and beside it if there is room."""
LOOK_S = 1.0
"""Between two looks for room that another batch has."""


class PutOff:
    """The slides of a batch that wait for room, in turn.

    `patience_s` is how long they wait for others than those of the batch.
    """

    def __init__(
        self,
        *,
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._patience_s = patience_s
        self._clock = clock
        self._sleep = sleep
        self._waiting: deque[SlideInSegments] = deque()
        self._before: dict[str, SlideOutcome] = {}
        """What the tries of a segment made, by slide."""
        self._n_done = 0
        self._done_s = clock()
        """When the last was done."""
        self._is_told = False
        self._tried: dict[str, int] = {}
        """How many were done when a slide was last let try again."""

    def __bool__(self) -> bool:
        """Whether any waits."""
        return bool(self._waiting)

    def put(self, slide: SlideInSegments, outcome: SlideOutcome) -> None:
        """Let a slide wait behind the others; what its segment came to is not lost."""
        self._before[slide.slide_id] = with_made(outcome, self._before.get(slide.slide_id))
        self._waiting.append(slide)

    def whole(self, outcome: SlideOutcome) -> SlideOutcome:
        """What a segment came to, with what was made of it before it was put off."""
        return with_made(outcome, self._before.pop(outcome.slide_id, None))

    def note_done(self) -> None:
        """Hear that something was done: a copy was given back."""
        self._n_done += 1
        self._done_s = self._clock()

    def may_wait(self, slide_id: str) -> bool:
        """Whether a slide beside which none is under way may try again: once more, or for long.

        Once more where one was done while it tried; else another batch has the room, which is
        looked at again after a moment.
        """
        if self._tried.get(slide_id) != self._n_done:
            return True
        if self._clock() - self._done_s >= self._patience_s:
            return False
        if not self._is_told:
            logger.warning(
                "%s waits for room for its copy, maybe others too: other batches have it", slide_id
            )
            self._is_told = True
        self._sleep(LOOK_S)
        return True

    def next(self) -> Iterator[SlideInSegments]:
        """Those that try again now; no more than some, each of which costs a look for room."""
        for _ in range(min(N_TRIED, len(self._waiting))):
            slide = self._waiting.popleft()
            self._tried[slide.slide_id] = self._n_done
            yield slide
