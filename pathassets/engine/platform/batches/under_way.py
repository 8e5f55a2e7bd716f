"""Slides that lack something -> their outcomes: from workers to device lines and back.

    segments of a slide: worker ─▶ line ─▶ worker ─▶ outcome
                                     │ beat
                                     ▼
                           how fast it goes, how long it takes: a line a minute, a bar

So many slides are under way at a time, and no more, however many a batch has. One that finds no
room for its copy beside those that are being read is put off until they are done (`room.py`).
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import closing

from pathassets.adapters.store.store import Store
from pathassets.core.stages import FEATURES
from pathassets.engine.platform.batches.remaining import Remaining
from pathassets.engine.platform.batches.room import PutOff
from pathassets.engine.platform.batches.throughput import TELL_S, LineMeter
from pathassets.engine.platform.platform import Platform
from pathassets.engine.stages.line import encode_tasks
from pathassets.engine.stages.outcomes import SlideOutcome, SlideTask
from pathassets.engine.stages.segments import SlideInSegments
from pathassets.engine.stages.slide_task import failed_outcome, run_slide
from pathassets.engine.workers.line import LineSpec, LineUsage
from pathassets.engine.workers.pool import OpenWorkers
from pathassets.errors import StoreError

logger = logging.getLogger("pathassets.engine.platform.batch.lines")
"""Below the batch's, so that whoever shows a batch hears of its lines, and of nothing else."""

OnFirst = Callable[[float], None]
"""Hears for how many seconds the first device line has had patches, once it is heard of."""

SLIDES_AHEAD = 16
"""That may be under way beyond those that all workers and lines have in hand."""


def work_off(
    platform: Platform,
    slides: list[SlideInSegments],
    tell: Callable[[str], None],
    on_first: OnFirst,
) -> Generator[SlideOutcome, None, None]:
    """Yield what became of each slide as it is done; `tell` hears how far the lines are."""

    def say(text: str) -> None:
        logger.info("%s", text)
        tell(text)

    remaining = Remaining({slide.slide_id: slide.size_bytes for slide in slides})
    left = _Left(remaining, say)
    meter = LineMeter(sum(slide.needs_device for slide in slides), left.tell_with)

    has_begun = False

    def hear(line: LineUsage) -> None:
        nonlocal has_begun
        if line.usage.wall_s and not has_begun:
            has_begun = True
            on_first(line.usage.wall_s)
        logger.debug("lines", extra={"throughput": meter.hear(line)})

    line = LineSpec(work=encode_tasks, device=platform.settings.device)
    with platform.workers.open(run_slide, line, hear) as workers:
        most = SLIDES_AHEAD + 3 * workers.n_workers
        room = PutOff(patience_s=platform.settings.slide_timeout_s)
        under_way = _SlidesUnderWay(slides, workers, meter, platform.store, room, most=most)
        with closing(under_way.outcomes()) as outcomes:
            for outcome in outcomes:
                left.done(outcome.slide_id)
                yield outcome


class _Left:
    """Tells how long a batch will still take: a bar with each slide, a log each minute."""

    def __init__(self, remaining: Remaining, tell: Callable[[str], None]) -> None:
        self._remaining = remaining
        self._tell = tell
        self._told_s = time.monotonic()

    def done(self, slide_id: str) -> None:
        """Hear that a slide is done."""
        self._remaining.done(slide_id)
        logger.debug("left", extra={"left": self._remaining.said()})
        is_due = time.monotonic() - self._told_s >= TELL_S
        if is_due and (line := self._remaining.line()):
            self._told_s = time.monotonic()
            self._tell(line)

    def tell_with(self, text: str) -> None:
        """Tell what a line does, and with it how long all will take."""
        line = self._remaining.line()
        if line:
            self._told_s = time.monotonic()
        self._tell(f"{text}; {line}" if line else text)


class _SlidesUnderWay:
    """Slides that go from workers to lines and back, segment by segment; `most` at once.

    No more, so that they are done in their order, more or less, and a slide's copy on a fast disk
    is still there when a line wants it.
    """

    def __init__(  # noqa: PLR0913 - where they are worked on, and what hears of it
        self, slides: Iterable[SlideInSegments], workers: OpenWorkers, meter: LineMeter,
        store: Store, put_off: PutOff, *, most: int,
    ) -> None:  # fmt: skip
        self._left = deque(slides)
        self._workers = workers
        self._meter = meter
        self._store = store
        self._put_off = put_off
        self._most = most
        self._under_way: dict[str, SlideInSegments] = {}

    def outcomes(self) -> Generator[SlideOutcome, None, None]:
        """Yield what became of each slide as it is done."""
        self._begin()
        for task, result in self._workers.results():
            slide = self._under_way[task.slide_id]
            is_error = isinstance(result, Exception)
            outcome = failed_outcome(task, result) if is_error else result
            if self._is_put_off(slide, outcome):
                continue
            slide.take(self._put_off.whole(outcome))
            goes_on = self._go_on(slide, is_first=False)
            if not goes_on:
                del self._under_way[slide.slide_id]
            if not outcome.waits_for_room:
                self._put_off.note_done()
            self._try_again()
            if not goes_on:
                self._begin()
                yield slide.outcome()

    def _is_put_off(self, slide: SlideInSegments, outcome: SlideOutcome) -> bool:
        """Put a slide off that waits for room, where there is anybody to wait for."""
        is_alone = len(self._under_way) == 1
        if not outcome.waits_for_room or (is_alone and not self._put_off.may_wait(slide.slide_id)):
            return False
        del self._under_way[slide.slide_id]
        self._put_off.put(slide, outcome)
        if is_alone:
            self._try_again()
        return True

    def _try_again(self) -> None:
        for slide in self._put_off.next():
            self._under_way[slide.slide_id] = slide
            self._go_on(slide, is_first=False, is_again=True)

    def _begin(self) -> None:
        """Begin others, unless there is no room for those that were begun."""
        while self._left and not self._put_off and len(self._under_way) < self._most:
            slide = self._left.popleft()
            self._under_way[slide.slide_id] = slide
            self._go_on(slide, is_first=True)

    def _go_on(self, slide: SlideInSegments, *, is_first: bool, is_again: bool = False) -> bool:
        """Let the next segment of a slide be made; whether there is one.

        Slides that are under way go before those that are begun.
        """
        segment = slide.next()
        if segment is None:
            return False
        if segment.needs_device:
            if not is_again:
                self._meter.expect(n_patches_of(segment.task, self._store))
            self._workers.feed(segment.task)
        else:
            self._workers.call(segment.task, first=not is_first)
        return True


def n_patches_of(task: SlideTask, store: Store) -> int:
    """Patches that a task has encoded, each once for every encoder; none where nobody knows yet."""
    places = [
        address
        for step in task.steps
        if step.entry.stage.name == FEATURES
        for address in step.parents
        if address.stage == "patch_locations"
    ]
    try:
        return sum(int(store.read(address).facts["n_patches"]) for address in places)
    except StoreError:  # gone since: the line will tell
        return 0
