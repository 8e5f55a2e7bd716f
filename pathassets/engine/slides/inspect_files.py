"""Files -> what each is: opened, audited, pictured and hashed, by worker processes.

A file that nobody has seen before may crash its decoder, or hang it: then it costs a worker, and
its own registration, and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from pathassets.adapters.files import FileStamp, fingerprint_of, stamp_of
from pathassets.adapters.objects.remote_file import FilePlace, RemoteFile
from pathassets.adapters.objects.remote_slides import RemoteSlide, look_at
from pathassets.adapters.opencv import preview_jpeg
from pathassets.adapters.openslide.members import members_of
from pathassets.core.locations.overlay import PREVIEW_PX, shrink_to
from pathassets.core.slides.regions import read_overview
from pathassets.core.slides.slide import SlideInfo
from pathassets.engine.slides.open import OpenedSlide, open_slide
from pathassets.engine.slides.remote.arriving import index_of, lacking_of
from pathassets.engine.slides.remote.copying import require_unchanged
from pathassets.engine.slides.remote.whole import copy_of_slide
from pathassets.engine.slides.scratch import Scratch
from pathassets.engine.workers.pool import Workers
from pathassets.errors import (
    PathAssetsError,
    ResourcesShort,
    SlideChanged,
    SlideError,
    StorageUnavailable,
    StoreError,
    TileUnreadable,
    WorkerLost,
)

logger = logging.getLogger(__name__)

AHEAD = 1_024
"""Looks that may wait for an earlier one to finish: at 16 KB a thumbnail, 16 MB."""

A = TypeVar("A")


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionTask:
    """A file to look at."""

    place: int
    """Where it stands in the order given."""
    path: FilePlace
    scratch: Scratch | None = None
    """Where an object is copied to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInspection:
    """A slide, as it was found."""

    stamp: FileStamp
    fingerprint: str
    info: SlideInfo
    thumbnail: bytes | None
    """JPEG; None where its pixels cannot be decoded, which a run will report."""
    thumbnail_problem: str = ""
    """Why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSlide:
    """A file that is no slide; the error is a value, for nothing went wrong in the worker."""

    error: PathAssetsError


def inspect_file(task: InspectionTask) -> FileInspection | NoSlide:
    """Look at a file: what it is, or why it is no slide. Reads all of it."""
    try:
        if isinstance(task.path, RemoteFile):
            return _inspect_object(task.path, task.scratch)
        return _inspect_local(task.path)
    except (SlideError, StoreError, ResourcesShort) as error:
        return NoSlide(error=error)


def _inspect_local(path: Path) -> FileInspection:
    members = members_of(path)
    stamp = stamp_of(members)
    seen = _open_and_look(path, path)
    fingerprint = fingerprint_of(members)
    if stamp_of(members) != stamp:
        raise SlideChanged(path, "changed while it was read", remedy="Ingest it once it is whole")
    return replace(seen, stamp=stamp, fingerprint=fingerprint)


def _inspect_object(file: RemoteFile, scratch: Scratch | None) -> FileInspection:
    """An object, looked at as its copy; what it is called by is where it is."""
    slide = look_at(file)
    _require_arrived(slide)
    with closing(copy_of_slide(slide, scratch, waits=True)) as copy:
        try:
            seen = _open_and_look(copy.path, file)
        except SlideError as error:
            raise error.about(file) from error
        return replace(seen, stamp=slide.stamp, fingerprint=copy.fingerprint)


def _require_arrived(slide: RemoteSlide) -> None:
    """Refuse a slide of which objects are still to come; without its index opening it says so."""
    index = index_of(slide)
    if index is None:
        return
    try:
        lacking = lacking_of(slide, index)
    except StorageUnavailable:
        raise
    except StoreError as error:
        require_unchanged(slide, error)
        raise
    if lacking:
        raise SlideChanged(slide.file, lacking, remedy="Ingest it once it is whole")


def _open_and_look(path: Path, named: FilePlace) -> FileInspection:
    """What a file is, be it the copy of what is named."""
    with open_slide(path) as slide:
        thumbnail, problem = _thumbnail(slide, named)
        return FileInspection(
            stamp=_UNSEEN, fingerprint="", info=slide.info,
            thumbnail=thumbnail, thumbnail_problem=problem,
        )  # fmt: skip


_UNSEEN = FileStamp(size_bytes=0, mtime_ns=0, ctime_ns=0)


def _thumbnail(slide: OpenedSlide, named: FilePlace) -> tuple[bytes | None, str]:
    """JPEG from the pyramid, or why there is none."""
    downsample = max(slide.info.width_px0, slide.info.height_px0) / PREVIEW_PX
    try:
        overview, _ = read_overview(slide, downsample=max(1.0, downsample))
    except TileUnreadable as error:
        return None, str(error.about(named))
    return preview_jpeg(shrink_to(overview)), ""


def inspect_files(
    workers: Workers,
    files: Sequence[FilePlace],
    answer: Callable[[FilePlace], A | None],
    *,
    look: Callable[[InspectionTask], FileInspection | NoSlide] = inspect_file,
    scratch: Scratch | None = None,
) -> Generator[tuple[FilePlace, A | FileInspection | PathAssetsError], None, None]:
    """Yield each file and what it is, in the order given; close it to stop.

    `answer` is asked first, here: what it knows is not looked at, and where it knows all, no worker
    starts. A slow file holds back none of the next `AHEAD`. Errors come as values: a file that is
    no slide, and `WorkerLost` where the look ended its worker or took too long.
    """
    answers: _Reorder[A | FileInspection | PathAssetsError] = _Reorder(len(files))
    while not answers.is_done:
        unknown = (replace(task, scratch=scratch) for task in _unknown(files, answer, answers))
        with closing(workers.imap(look, unknown)) as results:
            for task, result in results:
                answers.put(task.place, _said(task.path, result))
                yield from ((files[place], found) for place, found in answers.ready())
        yield from ((files[place], found) for place, found in answers.ready())


class _Reorder(Generic[A]):
    """Where answers wait for those before them: a reorder buffer."""

    def __init__(self, n_places: int) -> None:
        self.places = iter(range(n_places))
        """Those not asked for yet."""
        self._n_places = n_places
        self._n_gone = 0
        self._waiting: dict[int, A] = {}

    @property
    def is_done(self) -> bool:
        return self._n_gone == self._n_places

    @property
    def is_full(self) -> bool:
        return len(self._waiting) >= AHEAD

    def put(self, place: int, found: A) -> None:
        self._waiting[place] = found

    def ready(self) -> Iterator[tuple[int, A]]:
        """Take out those that wait for none."""
        while self._n_gone in self._waiting:
            self._n_gone += 1
            yield self._n_gone - 1, self._waiting.pop(self._n_gone - 1)


def _unknown(
    files: Sequence[FilePlace],
    answer: Callable[[FilePlace], A | None],
    answers: _Reorder[A | FileInspection | PathAssetsError],
) -> Iterator[InspectionTask]:
    """The next files that nobody knows, until too many answers wait."""
    while not answers.is_full:
        place = next(answers.places, None)
        if place is None:
            return
        known = answer(files[place])
        if known is None:
            yield InspectionTask(place=place, path=files[place])
        else:
            answers.put(place, known)


def _said(
    path: FilePlace, result: FileInspection | NoSlide | Exception
) -> FileInspection | PathAssetsError:
    """What a worker said of a file, or what its silence says."""
    if isinstance(result, FileInspection):
        return result
    if isinstance(result, NoSlide):
        return result.error
    if isinstance(result, WorkerLost):
        return result.named(path)
    if isinstance(result, ResourcesShort):
        return result
    logger.error("%s: a look at it raised", path, exc_info=result)
    error = PathAssetsError(
        f"{path}: {type(result).__name__}: {result}",
        remedy="This is a fault of pathassets: report it with the log's traceback",
    )
    error.reason = "unexpected"
    return error
