"""Places where a slide was seen -> the file to read it from, which holds what was registered.

known place ─▶ looks as registered? ─no─▶ SHA-256 ─▶ SlideChanged, or verified
                      │yes                               │
                      └───────────────┬──────────────────┘
                                      ▼
                   on a slow disk, and there is a scratch folder? ─yes─▶ its copy
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pathassets.adapters.files import FileStamp, content_changed, fingerprint_of, stamp_of
from pathassets.adapters.openslide.members import members_of
from pathassets.engine.slides.scratch import NoRoom, Scratch, is_elsewhere
from pathassets.engine.slides.scratch_copy import Borrowed
from pathassets.errors import SlideChanged, SlideError, SlideUnreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class SlidePath:
    """A place where a slide's file was seen, and how it looked then."""

    path: str
    stamp: FileStamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a slide is read in one task."""

    registered: Path
    """The place that is known."""
    path: Path
    """The file to open: that one, or its copy."""
    members: list[Path]
    """All files of the slide there."""
    stamp: FileStamp
    """How they looked when their content was known to be the registered one."""
    verified: SlidePath | None
    """New look of the registered file, where it was another and the file was hashed."""
    copy: Borrowed | NoRoom | None
    """None where the slide needs none."""

    @property
    def no_scratch(self) -> str:
        """Why a slide that should be copied is read where it is; empty where it is not."""
        return self.copy.why if isinstance(self.copy, NoRoom) else ""

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
    slide_id: str, fingerprint: str, places: Iterable[SlidePath], scratch: Scratch | None
) -> Source:
    """The first place where the slide's content is still what was registered.

    Raises:
        SlideUnreadable: no file is left.
        SlideChanged: there is a file, with other content.
        StoreError: the scratch folder cannot be read or written.
    """
    problems: list[SlideError] = []
    for place in places:
        try:
            return _source_at(place, fingerprint, scratch)
        except SlideError as error:
            problems.append(error)
    if not problems:
        raise SlideUnreadable(
            slide_id, "no file of it is known any more",
            remedy="Ingest its file again", reason="file_missing",
        )  # fmt: skip
    raise next((p for p in problems if isinstance(p, SlideChanged)), problems[0])


def _source_at(place: SlidePath, fingerprint: str, scratch: Scratch | None) -> Source:
    """The slide at a place where it was seen: hashed if it looks otherwise than it did.

    Raises:
        SlideUnreadable: it is not there.
        SlideChanged: its content is another.
    """
    path = Path(place.path)
    members = members_of(path)
    stamp = stamp_of(members)
    if stamp.size_bytes != place.stamp.size_bytes:
        raise content_changed(path)
    copy = _copy_of(path, members, fingerprint, scratch)
    here = copy if isinstance(copy, Borrowed) else None
    source = Source(
        registered=path,
        path=path if here is None else here.path,
        members=members if here is None else here.members,
        stamp=stamp if here is None else stamp_of(here.members),
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


def _copy_of(
    path: Path, members: list[Path], fingerprint: str, scratch: Scratch | None
) -> Borrowed | NoRoom | None:
    """The slide's copy, if it is to be read from one."""
    if scratch is None or not any(is_elsewhere(member, scratch.root) for member in members):
        return None
    return scratch.borrow(path, members, fingerprint)


def _verify(path: Path, members: list[Path], fingerprint: str) -> None:
    if fingerprint_of(members) != fingerprint:
        raise content_changed(path)
