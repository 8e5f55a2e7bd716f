"""Recorded files of slides + the folders they were in -> slides that are gone, moved or changed.

A file is looked at, and hashed only where it does not look as it did. Where a slide is gone, files
of its size are hashed: in a folder that somebody names, which is then believed, and in the folders
where other slides lie. Of a slide whose bucket does not answer nobody knows: all of that bucket are
told at once, and it is not asked again for each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pathassets.adapters.files import FileStamp, content_changed, fingerprint_of, stamp_of
from pathassets.adapters.objects.remote_file import RemoteFile, place_of
from pathassets.adapters.objects.remote_slides import answers, stamp_at
from pathassets.adapters.objects.urls import is_url
from pathassets.adapters.openslide.members import find_slides, members_of
from pathassets.catalog.records import PathRecord, RejectedFile
from pathassets.catalog.upkeep.reconciling import SlideFiles
from pathassets.core.text import counted
from pathassets.engine.platform.forgotten import forget_again
from pathassets.engine.platform.ingestion.replaced import is_same
from pathassets.engine.platform.plan import path_record
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.upkeep.finding import Finding
from pathassets.errors import ObjectMissing, SlideError, StorageUnavailable, StoreError
from pathassets.errors.wording import without_subject

_ELSEWHERE = "pathassets ingest URL"
_BACK = (
    "Put it back, mount its disk, or name where it may be: pathassets doctor --search FOLDER; of "
    f"one in a bucket: {_ELSEWHERE}"
)
_BACK_REMOTE = f"Put the object back, or ingest it where it is now: {_ELSEWHERE}"
"""Of a slide of which no file was ever on a disk."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A file that could hold a slide that is gone."""

    path: Path
    stamp: FileStamp
    is_named: bool
    """Whether it lies in a folder that somebody named."""


@dataclass(slots=True)
class _Unseen:
    """Slides at which nobody could look, by bucket and cause."""

    _away: dict[str, StoreError] = field(default_factory=dict)
    """Buckets that are not asked any more, and what was the matter with the first object."""
    _slides: dict[tuple[str, str], tuple[StoreError, list[str]]] = field(default_factory=dict)

    def is_held(self, one: PathRecord, fingerprint: str) -> bool:
        """Whether a file holds still what was registered.

        Raises:
            SlideError: it is not there, or cannot be read.
            StoreError: nobody knows.
        """
        place = place_of(one.path)
        if not isinstance(place, RemoteFile):
            return is_same(one, fingerprint)
        root = place.url.root
        if root in self._away:
            raise self._away[root].with_traceback(None)  # else it grows with each slide
        try:
            return is_same(one, fingerprint)
        except StoreError as error:
            is_away = isinstance(error, StorageUnavailable) and not answers(place)
            if is_away or (isinstance(error, ObjectMissing) and error.uri == root):
                self._away[root] = error
            raise

    def add(self, slide_id: str, one: PathRecord, error: StoreError) -> None:
        """Note a slide of which nobody knows, and why."""
        place = place_of(one.path)
        root = place.url.root if isinstance(place, RemoteFile) else one.path
        fact = without_subject(error.uri, error.message)
        self._slides.setdefault((root, fact), (error, []))[1].append(slide_id)

    def findings(self) -> Iterator[Finding]:
        """One for each bucket and cause."""
        for (root, fact), (error, slides) in self._slides.items():
            many = f"{counted(len(slides), 'slide')}, {slides[0]} the first"
            yield Finding(
                kind="slide_unknown",
                subject=root,
                evidence=f"{fact}; nobody could look at {many}",
                remedy=error.remedy,
            )


def check_slides(platform: Platform, search: Sequence[Path] = ()) -> Iterator[Finding]:
    """Look at every slide's files; `search` are folders in which slides are looked for."""
    begun = platform.catalog.begun_removals()
    refused = {one.path: one for one in platform.catalog.rejected_files()}
    gone: list[SlideFiles] = []
    roots: set[Path] = set()
    unseen = _Unseen()
    for slide in platform.catalog.slide_files():
        if slide.slide_id in begun:
            yield _half_forgotten(platform, slide.slide_id)
            continue
        roots.update(Path(one.path).parent for one in slide.paths if not is_url(one.path))
        changed, is_there = _look(slide, refused, unseen)
        yield from changed
        if not is_there and not changed:
            gone.append(slide)
    yield from unseen.findings()
    if gone:
        places = _places(_outermost({*roots, *_folders_of(platform)}), search)
        yield from (_gone(platform, slide, places) for slide in gone)


def _folders_of(platform: Platform) -> Iterator[Path]:
    """Those of the inbox that are folders of this machine."""
    return (one for one in platform.settings.inboxes if isinstance(one, Path))


def _look(
    slide: SlideFiles, refused: Mapping[str, RejectedFile], unseen: _Unseen
) -> tuple[list[Finding], bool]:
    """What of a slide's files has other content now, and whether one holds it still, or may."""
    changed, is_there = [], False
    unknown: list[tuple[PathRecord, StoreError]] = []
    for one in slide.paths:
        try:
            is_held = unseen.is_held(one, slide.fingerprint)
        except SlideError:
            continue
        except StoreError as error:  # a bucket that does not answer has lost nothing
            unknown.append((one, error))
            continue
        if is_held:
            is_there = True
        else:
            changed.append(one.path)
    if unknown and not is_there:
        unseen.add(slide.slide_id, *unknown[0])
        is_there = True
    known = {} if is_there else refused  # else ingestion takes the path from the slide
    return [_changed(slide.slide_id, one, known.get(one)) for one in changed], is_there


def _changed(slide_id: str, path: str, refused: RejectedFile | None) -> Finding:
    remedy = content_changed(path).remedy
    if refused is not None and _is_as_refused(refused):
        fact = refused.message.removeprefix(f"{path}: ")
        remedy = f"Put the old file back: the one that is there was refused: {fact}"
    return Finding(
        kind="slide_changed",
        subject=slide_id,
        evidence=f"{path}: its content is not the registered one",
        remedy=remedy,
    )


def _is_as_refused(refused: RejectedFile) -> bool:
    """Whether a file looks as it did when it was refused."""
    try:
        stamp = stamp_at(place_of(refused.path))
    except (SlideError, StoreError):
        return False
    return stamp == FileStamp(
        size_bytes=refused.size_bytes,
        mtime_ns=refused.mtime_ns,
        ctime_ns=refused.ctime_ns,
        etag=refused.etag,
    )


def _half_forgotten(platform: Platform, slide_id: str) -> Finding:
    return Finding(
        kind="slide_half_forgotten",
        subject=slide_id,
        evidence="its removal was begun, and did not come to its end",
        remedy=f"The same again: {forget_again(platform.catalog, slide_id)}; with "
        "--keep-artifacts, if that was said",
    )


def _outermost(folders: Iterable[Path]) -> list[Path]:
    """Folders without those that lie in others of them."""
    chosen: list[Path] = []
    for folder in sorted(folders, key=lambda one: one.parts):
        if not chosen or not folder.is_relative_to(chosen[-1]):
            chosen.append(folder)
    return chosen


def _places(roots: Iterable[Path], search: Sequence[Path]) -> dict[int, list[_Place]]:
    """Slides in folders by their size, those in named folders first."""
    places: dict[int, list[_Place]] = defaultdict(list)
    for folders, is_named in ((search, True), (roots, False)):
        for path in (path for folder in folders for path in _slides_in(folder)):
            try:
                stamp = stamp_of(members_of(path))
            except SlideError:
                continue
            places[stamp.size_bytes].append(_Place(path, stamp, is_named))
    return places


def _slides_in(folder: Path) -> list[Path]:
    return find_slides(folder.absolute()) if folder.is_dir() else []


def _gone(platform: Platform, slide: SlideFiles, places: dict[int, list[_Place]]) -> Finding:
    last = slide.paths[0].path if slide.paths else "no file of it is known"
    place = next((p for p in places.get(slide.size_bytes, ()) if _holds(p, slide)), None)
    if place is None:
        return Finding(
            kind="slide_gone",
            subject=slide.slide_id,
            evidence=f"{last}: no such file" if slide.paths else last,
            remedy=_BACK_REMOTE if _is_remote(slide) else _BACK,
        )
    folder = place.path.parent
    return Finding(
        kind="slide_moved",
        subject=slide.slide_id,
        evidence=f"{last}: no such file; {place.path} has its content",
        remedy=f"pathassets doctor --fix --search {folder} enters where it is now",
        mend=partial(_enter, platform, slide.slide_id, place) if place.is_named else None,
    )


def _is_remote(slide: SlideFiles) -> bool:
    return bool(slide.paths) and all(is_url(one.path) for one in slide.paths)


def _holds(place: _Place, slide: SlideFiles) -> bool:
    try:
        return fingerprint_of(members_of(place.path)) == slide.fingerprint
    except SlideError:
        return False


def _enter(platform: Platform, slide_id: str, place: _Place) -> str:
    record = platform.catalog.slide(slide_id)
    platform.catalog.register_slide(record, path_record(place.path, slide_id, place.stamp))
    return f"entered {place.path}"
