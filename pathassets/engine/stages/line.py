"""Slides -> their features, on one device: what the process of a device line does.

    tasks ─▶ prepare: find, open, begin ─▶ encode_slides: read ahead, fill batches ─▶ finish: draw
             (one ahead)        ▲                      (device)                       and publish
                                └────────── a slide that has more to encode ◀──────────┘

Three threads beside those that decode, so that the device waits for none of it. Whoever drives
the steps of one slide by itself is in `slide_task`; here many are under way at once.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from queue import SimpleQueue
from typing import NamedTuple

from pathassets.engine.features.encoding import encode_slides
from pathassets.engine.features.works import EncodingHow, EncodingUsage, SlideEncoded, SlideWork
from pathassets.engine.settings import processes_of_line
from pathassets.engine.stages.context import MachineShare
from pathassets.engine.stages.job import Asking
from pathassets.engine.stages.outcomes import SlideOutcome, SlideTask
from pathassets.engine.stages.slide_task import work_through
from pathassets.engine.workers.line_process import LineEnd


class _Slide(NamedTuple):
    """A slide that is under way."""

    number: int
    asking: Asking[SlideOutcome]


class _Prepared(NamedTuple):
    """What is to be encoded next of a slide."""

    slide: _Slide
    work: SlideWork
    is_first: bool
    """Of its slide: the thread that prepares waits until it is taken."""


def encode_tasks(end: LineEnd) -> None:
    """Work through the tasks of a line until there are none."""
    _Line(end).run()


def how_to_read(n_threads: int, timeout_s: float) -> EncodingHow:
    """By threads of this process, or beyond some by processes, with as many threads together.

    A process that hangs is given up in half the time in which the line would be: it costs its
    slide, and not the line.
    """
    n_processes = processes_of_line(n_threads)
    return EncodingHow(
        n_threads=math.ceil(n_threads / max(1, n_processes)), n_processes=n_processes,
        silence_s=timeout_s / 2,
    )  # fmt: skip


class _Line:
    """The slides of a line, from thread to thread."""

    def __init__(self, end: LineEnd) -> None:
        self._end = end
        self._share = MachineShare(device=end.device, n_threads=end.n_threads)
        self._usage = EncodingUsage()
        end.usage = self._usage.copy
        self._prepared: SimpleQueue[_Prepared | None] = SimpleQueue()
        """None after the last."""
        self._may_prepare = threading.Semaphore(0)
        self._encoded: SimpleQueue[tuple[_Slide, SlideEncoded] | None] = SimpleQueue()
        """None after the last."""
        self._is_done = threading.Semaphore(0)
        """Released for each slide."""
        self._under_way: dict[int, _Slide] = {}
        """By the identity of their works."""
        self._error: BaseException | None = None

    def run(self) -> None:
        """Encode in this thread; prepare and finish in two others."""
        self._start("prepare", self._prepare_all)
        finish = self._start("finish", self._finish_all)
        how = how_to_read(self._share.n_threads, self._end.timeout_s)
        with closing(encode_slides(self._works(), how, self._usage)) as all_encoded:
            for encoded in all_encoded:
                self._encoded.put((self._under_way.pop(id(encoded.work)), encoded))
        self._encoded.put(None)
        finish.join()
        if self._error is not None:
            raise self._error

    def _start(self, name: str, target: Callable[[], None]) -> threading.Thread:
        """Start a thread; what it raises ends the line, and is raised by it."""

        def run() -> None:
            try:
                target()
            except BaseException as error:  # noqa: BLE001 - raised again by the line's own thread
                self._error = error
                self._prepared.put(None)

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread

    def _prepare_all(self) -> None:
        """Begin one slide after the other, the next once the pipeline has taken the last."""
        items: Iterator[tuple[int, SlideTask]] = self._end.items()
        n_slides = 0
        for n_slides, (number, task) in enumerate(items, 1):  # noqa: B007 - it is counted
            self._go_on(_Slide(number, work_through(task, self._share)), None)
            self._may_prepare.acquire()
        for _ in range(n_slides):  # any of them may have more to encode
            self._is_done.acquire()
        self._prepared.put(None)

    def _works(self) -> Iterator[SlideWork]:
        """What is prepared, as the pipeline takes it."""
        while (prepared := self._prepared.get()) is not None:
            if prepared.is_first:
                self._may_prepare.release()
            self._under_way[id(prepared.work)] = prepared.slide
            yield prepared.work

    def _finish_all(self) -> None:
        """Go on with each slide that was encoded: to its end, or to what it has encoded next."""
        while (entry := self._encoded.get()) is not None:
            slide, encoded = entry
            self._go_on(slide, encoded)

    def _go_on(self, slide: _Slide, encoded: SlideEncoded | None) -> None:
        """Let a slide work until it is done, or asks for something."""
        try:
            work = next(slide.asking) if encoded is None else slide.asking.send(encoded)
        except StopIteration as end:
            self._end.done(slide.number, end.value)
        except BaseException as error:  # noqa: BLE001 - the slide boundary: even an exit
            self._end.failed(slide.number, error)
        else:
            self._prepared.put(_Prepared(slide, work, is_first=encoded is None))
            return
        self._usage.n_slides += 1
        self._is_done.release()
        if encoded is None:
            self._may_prepare.release()
