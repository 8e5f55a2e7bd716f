"""A slide's locations -> their patches in order, by threads of this process or by other processes.

    slide, what any  ─┬─▶ read_patches, by threads ──────────────────────────────────┬─▶ pieces
    target lacks      └─▶ parts ─▶ processes: read_patches, by threads ══ ring ══▶ in ┘
                                   order, with what each could not read

Both give the same rows, leave out the same places, and judge bad tiles by what the whole slide
needs. A process notes what it cannot read; here it is entered, in the order of the locations.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches.read_plan import ReadSpec
from pathassets.core.slides.bad_tiles import BadTiles
from pathassets.core.slides.slide import Slide
from pathassets.core.slides.tiles import TileFault
from pathassets.engine.features.batches import handed_rows
from pathassets.engine.features.works import EncodingHow, SlideWork
from pathassets.engine.slides import read_patches as reading_module
from pathassets.engine.slides.bad_tiles import BadTilesOfAll
from pathassets.engine.slides.read_patches import BUDGET_BYTES, read_patches, tell_of
from pathassets.engine.slides.remote.reopening import SlideSource
from pathassets.engine.slides.timed_slide import TimedSlide
from pathassets.engine.workers.buffers import Buffers
from pathassets.engine.workers.parts.job import Note, PartHow, ReadSet
from pathassets.engine.workers.parts.processes import ReaderProcesses
from pathassets.engine.workers.parts.schedule import Part
from pathassets.engine.workers.parts.stream import PartStream, StreamSpec
from pathassets.errors import PathAssetsError, TileUnreadable

logger = logging.getLogger(__name__)


class Piece(NamedTuple):
    """Some patches of a slide."""

    places: np.ndarray
    """int64 (m,), ascending: which of the slide's locations."""
    pixels: np.ndarray
    """RGB uint8 (m, y, x, 3)."""
    left_out: list[int]
    """Locations before the last of them that could not be read; not told before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadMeans:
    """What a pipeline has to read by, for all its slides."""

    how: EncodingHow
    buffers: Buffers
    """What threads of this process decode into."""
    readers: ReaderProcesses | None
    """None where threads of this process read."""


class SlideReading:
    """The reading of one slide, once, and what it found out."""

    def __init__(self, work: SlideWork, n_done: list[int]) -> None:
        self._work = work
        self._n_done = n_done
        """Where each target goes on."""
        self.bad_tiles = BadTilesOfAll()
        self.late: list[int] = []
        """Locations after the last piece that could not be read."""
        self.reading_s = 0.0
        """Of all threads that read, decoding."""
        self._n_reported = 0

    def read(self, means: ReadMeans) -> Generator[Piece, None, None]:
        """Open the slide and read what any target lacks."""
        work, locations = self._work, self._work.locations
        if not len(locations) or not work.targets:
            return
        with work.open() as opened:
            slide = TimedSlide(opened)
            order = self._order()
            self.bad_tiles.plan(slide, locations, work.spec)
            wanted = replace(
                locations, x_px0=locations.x_px0[order], y_px0=locations.y_px0[order],
                tissue_share=locations.tissue_share[order], labels=("",), label_codes=None,
            )  # fmt: skip
            try:
                with closing(self._batches(slide, wanted, means)) as batches:
                    for indices, pixels in batches:
                        self.reading_s = slide.reading_s
                        cropped = _cropped(pixels, work.crop_px)
                        yield Piece(order[indices], cropped, self._newly_skipped(order))
                self.late = self._newly_skipped(order)
            finally:
                self.reading_s = slide.reading_s
                self.bad_tiles.n_tiles = self.bad_tiles.n_whole
                self.bad_tiles.skipped = order[self.bad_tiles.skipped].tolist()

    def _batches(
        self, slide: TimedSlide, wanted: PatchLocations, means: ReadMeans
    ) -> Generator[tuple[np.ndarray, np.ndarray], None, None]:
        if means.readers is None or self._work.source is None or not len(wanted):
            return self._by_threads(slide, wanted, means)
        return self._by_processes(slide, wanted, means, self._work.source, means.readers)

    def _by_threads(
        self, slide: TimedSlide, wanted: PatchLocations, means: ReadMeans
    ) -> Generator[tuple[np.ndarray, np.ndarray], None, None]:
        how = means.how
        n_batch = min(self._n_rows, len(wanted))
        fits = how.waiting_bytes // (4 * 3 * wanted.patch_px**2)
        reading = read_patches(
            slide, wanted, spec=self._work.spec, n_batch=max(1, min(n_batch, fits)),
            n_threads=how.n_threads, bad_tiles=self.bad_tiles, allocate=means.buffers.take,
            budget_bytes=max(1, min(BUDGET_BYTES, how.waiting_bytes)),
        )  # fmt: skip
        with closing(reading) as batches:
            yield from batches

    def _by_processes(
        self, slide: TimedSlide, wanted: PatchLocations, means: ReadMeans, source: SlideSource,
        readers: ReaderProcesses,
    ) -> Generator[tuple[np.ndarray, np.ndarray], None, None]:  # fmt: skip
        spec, how = self._work.spec, means.how
        job = SlideJob(name=self._work.name, source=source, wanted=wanted, spec=spec)
        if not _is_ready(readers, job):
            yield from self._by_threads(slide, wanted, means)
            return
        tell_of(slide, wanted, spec)
        stream_spec = StreamSpec(
            n_processes=how.n_processes, n_threads=how.n_threads, is_ordered=True,
            on_error="raise", timeout_s=how.silence_s, n_rows=self._n_rows,
        )  # fmt: skip
        stream = PartStream([job], stream_spec, readers, partial(self._enter, slide))
        with closing(stream.run()) as events:
            for _, sets in events:
                yield sets.places, sets.pixels[0]
                del sets  # or its slot would be held until the next one comes

    def _enter(self, slide: TimedSlide, part: Part, said: PartNews) -> None:
        """Hear what a part could not read; it is as if it had been read here."""
        slide.add(said.reading_s)
        for fault in said.faults:
            self.bad_tiles.enter(fault, self._work.spec, slide.path)
        self.bad_tiles.skipped += [part.squares.start + place for place in said.skipped]

    @property
    def _n_rows(self) -> int:
        return max(handed_rows(target.encoder) for target in self._work.targets)

    def _newly_skipped(self, order: np.ndarray) -> list[int]:
        """Locations that could not be read, without those told before."""
        n_before, self._n_reported = self._n_reported, len(self.bad_tiles.skipped)
        places: list[int] = order[self.bad_tiles.skipped[n_before:]].tolist()
        return places

    def _order(self) -> np.ndarray:
        """Places to read: what any target lacks, and what is left out: it tells the bad tiles."""
        start = min(self._n_done)
        rest = np.arange(start, len(self._work.locations))
        if not start:
            return rest
        left_out = self._work.targets[self._n_done.index(start)].writer.left_out
        return np.concatenate([[i for i in left_out if i < start], rest]).astype(np.int64)


def _is_ready(readers: ReaderProcesses, job: SlideJob) -> bool:
    """Whether a process is there to read; where none can be had, threads can."""
    try:
        readers.fit(job.patch_bytes)
        if not readers.workers:
            readers.add(job.source)
    except PathAssetsError as short:
        logger.warning("%s: read by threads of this process: %s", job.name, short)
        return False
    return True


def _cropped(pixels: np.ndarray, crop_px: tuple[int, int] | None) -> np.ndarray:
    return pixels if crop_px is None else pixels[:, : crop_px[0], : crop_px[1]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideJob:
    """What processes read of a slide. Picklable."""

    name: str
    """What errors call it."""
    source: SlideSource
    wanted: PatchLocations
    spec: ReadSpec

    def __len__(self) -> int:
        return len(self.wanted)

    @property
    def n_resolutions(self) -> int:
        """Patches of a set."""
        return 1

    @property
    def patch_bytes(self) -> int:
        """Of the pixels of one patch."""
        return 3 * self.wanted.patch_px**2

    def cut(self, squares: slice) -> SlideJob:
        """Consecutive patches of it, as a job."""
        wanted = replace(
            self.wanted, x_px0=self.wanted.x_px0[squares], y_px0=self.wanted.y_px0[squares],
            tissue_share=self.wanted.tissue_share[squares],
        )  # fmt: skip
        return replace(self, wanted=wanted)


class PartNews(NamedTuple):
    """What a part could not read, as far as it was not told before."""

    faults: list[TileFault]
    """In the order in which they were found; another part may have found one of them, too."""
    skipped: list[int]
    """Places in the part."""
    reading_s: float


def read_part(slide: Slide, job: SlideJob, how: PartHow) -> Generator[ReadSet | Note, None, None]:
    """Read a part of a slide, and tell what cannot be read; what a reading process does.

    How many bad tiles are too many is the parent's to judge, who knows of all parts.
    """
    # What is said of the slide its parent says, once.
    logging.getLogger(reading_module.__name__).setLevel(logging.ERROR)
    timed, found = TimedSlide(slide), BadTiles()
    spec = job.spec if job.spec.bad_tiles == "fail" else replace(job.spec, max_bad_tile_share=1.0)
    corners_px0 = np.stack([job.wanted.x_px0, job.wanted.y_px0], axis=1)
    reading = read_patches(
        timed, job.wanted, spec=spec, n_batch=how.n_batch, n_threads=how.n_threads,
        bad_tiles=found, allocate=how.allocate, budget_bytes=how.budget_bytes,
    )  # fmt: skip
    news = _News(found)
    try:
        with closing(reading) as batches:
            for places, pixels in batches:
                yield from news.of_tiles()
                yield ReadSet(places, (corners_px0[places],), (pixels,))
    except TileUnreadable:
        if job.spec.bad_tiles != "fail" or not found.faults:
            raise
    yield news.last(timed.reading_s)


class _News:
    """What was not told yet of the bad tiles of a part."""

    def __init__(self, found: BadTiles) -> None:
        self._found = found
        self._n_faults = self._n_skipped = 0

    def of_tiles(self) -> Iterator[Note]:
        """Something, where there is something."""
        news = self._next(0.0)
        if news.faults or news.skipped:
            yield Note(news)

    def last(self, reading_s: float) -> Note:
        """The last, with the time that all took."""
        return Note(self._next(reading_s))

    def _next(self, reading_s: float) -> PartNews:
        faults = list(self._found.faults.values())[self._n_faults :]
        skipped = self._found.skipped[self._n_skipped :]
        self._n_faults += len(faults)
        self._n_skipped += len(skipped)
        return PartNews(faults, skipped, reading_s)
