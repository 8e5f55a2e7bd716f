"""Slides, their locations -> features on disk, by encoders that share one decoding.

    works ─▶ SlideReading   ─▶ uint8 batches, filled across ─▶ encoders' batches ─▶ whole chunks
             (next slide         the ends of slides                (device)       (writing thread)
              opened ahead)

A reading thread goes through the works, opens slides and leads the threads or processes that
decode; the caller's thread drives the encoders. A pass of rows of one batch is encoded where they
were decoded; only where slides meet are rows copied, into one buffer for each encoder.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from contextlib import closing
from typing import NamedTuple

import numpy as np
import psutil

from pathassets.core.features.encoder import Encoder
from pathassets.core.features.features import require_finite
from pathassets.engine.features.batches import BatchFiller, Share
from pathassets.engine.features.reading import ReadMeans, SlideReading, read_part
from pathassets.engine.features.works import (
    EncodingHow,
    EncodingStats,
    EncodingUsage,
    SlideEncoded,
    SlideWork,
    busy_s_of,
)
from pathassets.engine.workers.buffers import Buffers
from pathassets.engine.workers.parts.processes import ReaderProcesses
from pathassets.engine.workers.prefetch import Exhausted, NothingReady, Prefetcher
from pathassets.engine.workers.writing import Act, WritingThread

PATIENCE_S = 0.2
"""How long a pass waits to be filled up, once the works themselves are waited for."""


def encode_slides(
    works: Iterable[SlideWork],
    how: EncodingHow | None = None,
    usage: EncodingUsage | None = None,
) -> Generator[SlideEncoded, None, None]:
    """Encode all patches of all slides; yields each slide as its last row was handed to its writer.

    One that fails stops no other. What a patch's features are depends on its pixels alone. Closing
    the generator ends its threads, once the work that they ask for has come. `works` are gone
    through in a thread of the pipeline, ahead of the encoders; what they raise is raised here.
    `usage` is kept up to date meanwhile.
    """
    pipeline = _Pipeline(works, how or EncodingHow(), usage or EncodingUsage())
    try:
        yield from pipeline.run()
    except GeneratorExit:
        pipeline.close()
        raise
    except BaseException:
        pipeline.stop()  # who gives the works may wait to hear of this, and give no more
        raise
    pipeline.close()


class _Pipeline:
    """The encoding thread's end: pieces of slides in, slides that are done out."""

    def __init__(self, works: Iterable[SlideWork], how: EncodingHow, usage: EncodingUsage) -> None:
        self._works = works
        self._how = how
        self._usage = usage
        self._readers: ReaderProcesses | None = None
        if how.n_processes:
            self._readers = ReaderProcesses(read_part, n_processes=how.n_processes)
        self._prefetcher = Prefetcher(
            self._read_all(), waiting_bytes=how.waiting_bytes,
            memory_threshold=how.memory_threshold,
        )  # fmt: skip
        self._fillers: dict[int, BatchFiller] = {}
        """By the identity of their encoder, as long as one of its slides is under way."""
        self._clocks: dict[int, tuple[Encoder, float]] = {}
        """Encoders that know how long their device has computed, and what it was."""
        self._open: list[_Run] = []
        self._writing = WritingThread()
        self._process = psutil.Process()

    def close(self) -> None:
        """End the threads, and the processes that read."""
        self._stop_readers()
        self._prefetcher.close()
        self._end()

    def stop(self) -> None:
        """Let the threads end, without a wait for the next work."""
        self._stop_readers()
        self._prefetcher.stop()
        if not self._prefetcher.is_idle:
            self._prefetcher.close()
        self._end()

    def _stop_readers(self) -> None:
        """End the processes' work: a thread that waits for one goes on then."""
        if self._readers is not None:
            self._readers.stop()

    def _end(self) -> None:
        if self._readers is not None:
            self._readers.end()
        self._writing.close()

    def _read_all(self) -> Generator[tuple[_PatchBatch, int], None, None]:
        """In the reading thread: read one slide after the other."""
        works = iter(self._works)
        means = ReadMeans(how=self._how, buffers=Buffers(), readers=self._readers)
        while True:
            self._prefetcher.is_idle = True
            work = next(works, None)
            self._prefetcher.is_idle = False
            if work is None:
                return
            run = _Run(work, self._usage, self._writing)
            try:
                with closing(run.reading.read(means)) as pieces:
                    for piece in pieces:
                        batch = _PatchBatch(run, *piece)
                        del piece
                        yield batch, batch.n_bytes
                        del batch  # or its slot would be held until the next one comes
                        if run.is_lost:
                            break
            except Exception as error:  # noqa: BLE001 - the slide boundary
                run.error = error
            yield _PatchBatch(run, _NO_PLACES, _NO_PIXELS, run.reading.late, is_last=True), 0

    def run(self) -> Generator[SlideEncoded, None, None]:
        """Yield each slide once all its rows were handed over."""
        while True:
            started_s = time.perf_counter()
            try:
                piece, n_bytes = self._prefetcher.take(PATIENCE_S if self._has_waiting else None)
            except NothingReady:
                self._flush(set())
            except Exhausted:
                break
            else:
                waited_s = time.perf_counter() - started_s
                piece.run.stats.waiting_s += waited_s
                self._usage.wait(waited_s)
                self._take(piece)
                self._prefetcher.give_back(n_bytes)
                del piece
            self._note_busy()
            yield from self._done()
        self._flush(set())
        self._note_busy()
        self._writing.join()
        yield from self._done()

    @property
    def _has_waiting(self) -> bool:
        """Whether something goes on, be nothing read meanwhile."""
        is_filling = any(not filler.is_empty for filler in self._fillers.values())
        return is_filling or any(run.is_read for run in self._open)

    def _take(self, piece: _PatchBatch) -> None:
        """Give the encoders what a piece has for them."""
        run = piece.run
        if run not in self._open:
            self._open.append(run)
            self._look_for_clocks(run.work)
            run.n_halved = run.count_halved()
            self._flush({id(target.encoder) for target in run.work.targets})
        run.sample_usage(self._process)
        run.is_read = piece.is_last
        if run.error is not None:
            return
        run.stats.n_patches += int((piece.places >= min(run.n_done, default=0)).sum())
        for number, target in enumerate(run.work.targets):
            own = run.owners[number]
            own.leave_out(piece.left_out)
            is_new = piece.places >= run.n_done[number]
            if number in run.target_errors or not is_new.any():
                continue
            first = int(np.argmax(is_new))
            filler = self._fillers.setdefault(id(target.encoder), BatchFiller(target.encoder))
            run.n_open += len(piece.places) - first
            self._usage.n_patches += len(piece.places) - first
            filler.add(Share(owner=own, places=piece.places[first:], pixels=piece.pixels[first:]))

    def _look_for_clocks(self, work: SlideWork) -> None:
        for target in work.targets:
            busy_s = busy_s_of(target.encoder)
            if busy_s is not None:
                self._clocks.setdefault(id(target.encoder), (target.encoder, busy_s))

    def _note_busy(self) -> None:
        """Ask those encoders that know how long their device has computed since it was asked."""
        for key, (encoder, before_s) in self._clocks.items():
            now_s = busy_s_of(encoder) or 0.0
            self._clocks[key] = encoder, now_s
            self._usage.computing_s += now_s - before_s

    def _flush(self, kept: set[int]) -> None:
        """Let all encoders finish but those that go on."""
        for key in [key for key in self._fillers if key not in kept]:
            self._fillers.pop(key).flush()

    def _done(self) -> Generator[SlideEncoded, None, None]:
        for run in [run for run in self._open if run.is_done]:
            self._open.remove(run)
            run.sample_usage(self._process)
            yield run.outcome()


class _PatchBatch(NamedTuple):
    """A batch of a slide's patches."""

    run: _Run
    places: np.ndarray
    """int64 (m,), ascending: which of the slide's locations."""
    pixels: np.ndarray
    left_out: list[int]
    """Locations before the last of them that could not be read; not told before."""
    is_last: bool = False

    @property
    def n_bytes(self) -> int:
        """What it keeps in memory: all of the array that its pixels are a part of."""
        held = self.pixels.base
        return held.nbytes if isinstance(held, np.ndarray) else self.pixels.nbytes


_NO_PLACES = np.empty(0, np.int64)
_NO_PIXELS = np.empty((0, 1, 1, 3), np.uint8)


class _TargetRun:
    """A target of a slide under way."""

    def __init__(self, run: _Run, number: int) -> None:
        self._run, self._number = run, number
        self._target = run.work.targets[number]

    def leave_out(self, places: list[int]) -> None:
        """Tell the writer, but for what it dealt with before: it may have rows of these."""
        start = self._run.n_done[self._number]
        left_out = [place for place in places if place >= start]
        if left_out:
            self._put(lambda: self._target.writer.leave_out(left_out))

    def deliver(self, places: np.ndarray, rows: np.ndarray) -> None:
        """Hand rows to the writer, if all of them are sound."""
        run, target = self._run, self._target
        run.n_open -= len(places)
        if self._number in run.target_errors or run.error is not None:
            return
        try:
            require_finite(rows, places, run.work.locations, target.encoder.card.name)
        except Exception as error:  # noqa: BLE001 - one target of one slide, and no other
            run.target_errors[self._number] = error
            return
        self._put(lambda: self._write(rows))

    def _write(self, rows: np.ndarray) -> None:
        self._target.writer.write(rows)
        if self._target.on_rows is not None:
            self._target.on_rows(len(rows))

    def _put(self, act: Act) -> None:
        """Let something be done to the writer, behind what is to be done already."""
        run = self._run
        run.n_put += 1
        waited_s = run.writing.put(lambda: self._do(act))
        run.stats.writing_s += waited_s
        run.usage.writing_s += waited_s

    def _do(self, act: Act) -> None:
        """In the writing thread."""
        try:
            if self._number not in self._run.target_errors:
                act()
        except Exception as error:  # noqa: BLE001 - one target of one slide, and no other
            self._run.target_errors[self._number] = error
        self._run.n_acts_done += 1

    def fail(self, places: np.ndarray, error: Exception) -> None:
        """Note why there are no rows."""
        self._run.target_errors.setdefault(self._number, error)
        self._run.n_open -= len(places)

    def spend(self, seconds: float) -> None:
        """Note what encoding took."""
        run, number = self._run, self._number
        run.stats.computing_s += seconds
        run.computing_s[number] = run.computing_s.get(number, 0.0) + seconds
        if busy_s_of(self._target.encoder) is None:
            run.usage.computing_s += seconds


class _Run:
    """A slide that is under way; begun by the reading thread, counted by the encoding one."""

    def __init__(self, work: SlideWork, usage: EncodingUsage, writing: WritingThread) -> None:
        self.work = work
        self.usage = usage
        """Of the pipeline."""
        self.writing = writing
        self.began_s = time.perf_counter()
        self.stats = EncodingStats()
        self.error: Exception | None = None
        self.target_errors: dict[int, Exception] = {}
        self.computing_s: dict[int, float] = {}
        self.n_done = [target.writer.n_done for target in work.targets]
        """Where each target goes on."""
        self.reading = SlideReading(work, self.n_done)
        self.owners = [_TargetRun(self, number) for number in range(len(work.targets))]
        self.n_open = 0
        """Rows that encoders have, or wait for."""
        self.n_put = self.n_acts_done = 0
        """What is to be done to its writers: counted by this thread, and by the one that writes."""
        self.is_read = False
        self.n_halved = 0
        """Of its encoders, before its first patch."""

    @property
    def is_lost(self) -> bool:
        """Whether nothing more of it is wanted."""
        return len(self.target_errors) == len(self.work.targets)

    @property
    def is_done(self) -> bool:
        """Whether nothing more becomes of it."""
        is_encoded = self.is_read and (not self.n_open or self.error is not None)
        return is_encoded and self.n_put == self.n_acts_done

    def sample_usage(self, process: psutil.Process) -> None:
        """See how much memory there is in use."""
        self.stats.peak_bytes = max(self.stats.peak_bytes, process.memory_info().rss)

    def count_halved(self) -> int:
        """How often its encoders have halved their batches, ever."""
        return sum(getattr(target.encoder, "n_halved", 0) for target in self.work.targets)

    def outcome(self) -> SlideEncoded:
        """What became of it."""
        self.stats.n_halved = self.count_halved() - self.n_halved
        self.stats.reading_s = self.reading.reading_s
        self.stats.wall_s = time.perf_counter() - self.began_s
        self.stats.busy_share = self.usage.copy().busy_share
        return SlideEncoded(
            work=self.work, bad_tiles=self.reading.bad_tiles.plain(), stats=self.stats,
            error=self.error, target_errors=self.target_errors, computing_s=self.computing_s,
        )  # fmt: skip
