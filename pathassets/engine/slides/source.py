"""Places where a slide was seen -> the file to read it from, which holds what was registered.

known place ─▶ looks as registered? ─no─▶ SHA-256 ─▶ SlideChanged, or verified
                      │yes                               │
                      └───────────────┬──────────────────┘
                                      ▼
              on a slow disk, and there is a scratch folder? ─yes─▶ its copy
              an object of a bucket?                         ─yes─▶ its copy, always; a tiled TIFF
                                                                    in a file with holes (remote/)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pathassets.adapters.files import FileStamp, content_changed, fingerprint_of, stamp_of
from pathassets.adapters.objects.remote_file import FilePlace, RemoteFile, place_of
from pathassets.adapters.objects.remote_slides import RemoteSlide, look_at
from pathassets.adapters.openslide.members import members_of
from pathassets.engine.slides.open import OpenedSlide
from pathassets.engine.slides.remote.copying import RemoteOriginal
from pathassets.engine.slides.remote.holes import HoledSource
from pathassets.engine.slides.remote.ranged import can_be_ranged, hold_holes
from pathassets.engine.slides.remote.reopening import SlideSource
from pathassets.engine.slides.remote.whole import copy_of_slide
from pathassets.engine.slides.scratch import NoRoom, Scratch, is_elsewhere
from pathassets.engine.slides.scratch_copy import Borrowed, LocalOriginal
from pathassets.errors import (
    ResourcesShort,
    SlideChanged,
    SlideError,
    SlideUnreadable,
    StorageUnavailable,
    StoreError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlidePath:
    """A place where a slide's file was seen, and how it looked then."""

    path: str
    """Absolute, or the URL of an object."""
    stamp: FileStamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a slide is read in one task."""

    registered: FilePlace
    """The place that is known."""
    path: Path
    """The file to open: that one, or its copy."""
    stamp: FileStamp
    """How it looked when its content was known to be the registered one."""
    look: Callable[[], FileStamp]
    """How it looks now."""
    verified: SlidePath | None
    """New look of the registered file, where it was another and the file was hashed."""
    copy: Borrowed | NoRoom | None
    """None where the slide needs none."""
    holes: HoledSource | None = None
    """Where only what is read of it is fetched."""

    @property
    def no_scratch(self) -> str:
        """Why a slide that should be copied is read where it is; empty where it is not."""
        return self.copy.why if isinstance(self.copy, NoRoom) else ""

    def open(self, mpp: float | None) -> OpenedSlide:
        """Open it, with the resolution that somebody stated.

        Raises:
            SlideUnreadable: it is damaged, or no slide.
            StoreError: its storage does not give it.
        """
        return SlideSource(str(self.path), mpp, self.holes).open()

    def named(self, error: Exception) -> Exception:
        """Say of the registered file what was found out about its copy."""
        if isinstance(error, SlideError) and error.path == str(self.path) != str(self.registered):
            return error.about(self.registered)
        return error

    def close(self) -> None:
        """Give the copy back."""
        if isinstance(self.copy, Borrowed):
            self.copy.close()


def find_source(
    slide_id: str, fingerprint: str, places: Iterable[SlidePath], scratch: Scratch | None, *,
    waits: bool = False,
) -> Source:  # fmt: skip
    """The first place where the slide's content is still what was registered.

    `waits` is for who may wait for room that others give back (`Scratch.borrow_in_time`).

    Raises:
        SlideUnreadable: no file is left.
        SlideChanged: there is a file, with other content.
        StoreError: the scratch folder cannot be read or written, or a bucket not be asked.
        ResourcesShort: there is no room for the copy of an object.
    """
    problems: list[SlideError | StoreError | ResourcesShort] = []
    for place in places:
        try:
            return _source_at(place, fingerprint, scratch, waits=waits)
        except (SlideError, StoreError, ResourcesShort) as error:
            problems.append(error)
    if not problems:
        raise SlideUnreadable(
            slide_id, "no file of it is known any more",
            remedy="Ingest its file again", reason="file_missing",
        )  # fmt: skip
    graver = (one for kind in _GRAVER for one in problems if isinstance(one, kind))
    raise next(graver, problems[0])


_GRAVER = (SlideChanged, StorageUnavailable, ResourcesShort)
"""What is told first of several places: what a person must see to, then what may pass."""


def _source_at(
    place: SlidePath, fingerprint: str, scratch: Scratch | None, *, waits: bool
) -> Source:
    """The slide at a place where it was seen: hashed if it looks otherwise than it did.

    Raises:
        SlideUnreadable: it is not there.
        SlideChanged: its content is another.
    """
    where = place_of(place.path)
    if isinstance(where, RemoteFile):
        return _source_of_object(where, place, fingerprint, scratch, waits=waits)
    return _source_of_file(where, place, fingerprint, scratch)


def _source_of_file(
    path: Path, place: SlidePath, fingerprint: str, scratch: Scratch | None
) -> Source:
    members = members_of(path)
    stamp = stamp_of(members)
    if stamp.size_bytes != place.stamp.size_bytes:
        raise content_changed(path)
    copy = _copy_of(path, members, fingerprint, scratch)
    here = copy if isinstance(copy, Borrowed) else None
    read = members if here is None else here.members
    source = Source(
        registered=path,
        path=path if here is None else here.path,
        stamp=stamp if here is None else stamp_of(here.members),
        look=lambda: stamp_of(read),
        verified=SlidePath(path=place.path, stamp=stamp) if stamp != place.stamp else None,
        copy=copy,
    )
    is_hashed = here is not None and here.is_new
    if source.verified is not None and not is_hashed:
        try:
            _verify(path, members, fingerprint)
        except SlideError:
            source.close()
            raise
    return source


def _source_of_object(
    file: RemoteFile, place: SlidePath, fingerprint: str, scratch: Scratch | None, *, waits: bool
) -> Source:
    """An object: looked at, and read from its copy, which is hashed as it comes in.

    One that looks otherwise than it did is read to its end even where a copy of the registered
    content lies there: whether the bucket still holds that is what is asked.
    """
    slide = look_at(file)
    if slide.size_bytes != place.stamp.size_bytes:
        raise content_changed(file)
    is_same = slide.stamp == place.stamp
    if is_same and scratch is not None and can_be_ranged(slide):
        held = hold_holes(slide, fingerprint, scratch.here())
        if not isinstance(held, NoRoom):
            return _source_with_holes(slide, *held)
    copy = copy_of_slide(slide, scratch, fingerprint, waits=waits)
    try:
        if not is_same and not copy.is_new:
            _verify_object(slide, fingerprint)
        return Source(
            registered=file, path=copy.path, stamp=stamp_of(copy.members),
            look=lambda: stamp_of(copy.members), copy=copy,
            verified=None if is_same else SlidePath(path=place.path, stamp=slide.stamp),
        )  # fmt: skip
    except BaseException:
        copy.close()
        raise


def _source_with_holes(slide: RemoteSlide, holes: HoledSource, held: Borrowed) -> Source:
    return Source(
        registered=slide.file, path=holes.file, stamp=slide.stamp,
        look=lambda: look_at(slide.file).stamp, verified=None, copy=held, holes=holes,
    )  # fmt: skip


def _verify_object(slide: RemoteSlide, fingerprint: str) -> None:
    if RemoteOriginal(slide).fingerprint() != fingerprint:
        raise content_changed(slide.file)


def _copy_of(
    path: Path, members: list[Path], fingerprint: str, scratch: Scratch | None
) -> Borrowed | NoRoom | None:
    """The slide's copy, if it is to be read from one."""
    if scratch is None or not scratch.for_files:
        return None
    if not any(is_elsewhere(member, scratch.root) for member in members):
        return None
    return scratch.borrow(LocalOriginal(path, members), fingerprint)


def _verify(path: Path, members: list[Path], fingerprint: str) -> None:
    if fingerprint_of(members) != fingerprint:
        raise content_changed(path)
