"""Prefixes of buckets that are watched -> the slides below them, from one listing each.

An object is there as a whole or not at all, so stillness waits only for the other objects of a
slide of several; it is asked of all the same: who overwrites one is not done, maybe. What the index
of such a slide names is waited for, too. That a bucket doesn't answer says nothing of what is in
it, and what was seen before stays as it was.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from functools import partial

from pathassets.adapters.files import FileStamp
from pathassets.adapters.objects.place import StoredObject
from pathassets.adapters.objects.remote_file import FilePlace, RemoteFile
from pathassets.adapters.objects.remote_slides import FoundObjects, RemoteSlide, objects_in
from pathassets.adapters.openslide.completeness import INDEX
from pathassets.engine.platform.inbox.walk import TABLE_SUFFIXES, Seen
from pathassets.engine.slides.remote.arriving import index_of, lacking_of
from pathassets.errors import (
    ObjectChanged,
    ObjectMissing,
    PathAssetsError,
    StorageUnavailable,
    StoreError,
)

logger = logging.getLogger(__name__)

_TOLD: dict[RemoteFile, str] = {}
"""Why a prefix is not looked into, as it was said last: it is said once, not at every look."""
_N_INDEXES = 100
"""Requests for indexes in one look, one after the other; what else is new waits for the next."""
_N_SAID = 10_000
_SAID: dict[RemoteFile, tuple[FileStamp, str]] = {}
"""What was found to lack of slides, as they looked then."""
UNREAD = "its index was not read yet"
NO_TABLE = "cohort tables are taken from folders: copy it, and say pathassets cohort import FILE"


def listed(folders: Iterable[FilePlace]) -> tuple[list[Seen], list[RemoteFile]]:
    """Slides and tables below the URLs among folders, and those of which all could be listed."""
    seen: list[Seen] = []
    answered = []
    indexes = _Indexes()
    for folder in _outermost(folder for folder in folders if isinstance(folder, RemoteFile)):
        try:
            found = objects_in(folder, TABLE_SUFFIXES)
            seen += _seen_of(found, indexes)
        except PathAssetsError as error:
            if _TOLD.get(folder) != str(error):
                logger.warning("the inbox %s is not looked into: %s", folder, error)
                _TOLD[folder] = str(error)
        else:
            _TOLD.pop(folder, None)
            if found.is_whole:
                answered.append(folder)
    return seen, answered


def _seen_of(found: FoundObjects, indexes: _Indexes) -> Iterator[Seen]:
    for slide in found.slides:
        stamp = slide.stamp
        yield Seen(
            str(slide.file), stamp.size_bytes, stamp.mtime_ns, 0, etag=stamp.etag,
            find_lacking=partial(indexes.lacking, slide, stamp),
        )  # fmt: skip
    for file, stamp in found.others:
        yield Seen(str(file), stamp.size_bytes, stamp.mtime_ns, 0, etag=stamp.etag, lacks=NO_TABLE)


class _Indexes:
    """Indexes of slides of several objects, of which one look reads so many."""

    def __init__(self) -> None:
        self._n_left = _N_INDEXES

    def lacking(self, slide: RemoteSlide, stamp: FileStamp) -> str:
        """What is known to lack of a slide, in words."""
        index = index_of(slide)
        if index is None:
            is_early = slide.file.suffix.lower() == ".mrxs"
            return f"{slide.file.stem}/{INDEX} is not there yet" if is_early else ""
        known = _SAID.get(slide.file)
        if known is None or known[0] != stamp:
            said = self._read(slide, index)
            if said is None:
                return UNREAD
            if len(_SAID) >= _N_SAID:
                _SAID.clear()
            known = _SAID[slide.file] = stamp, said
        return known[1]

    def _read(self, slide: RemoteSlide, index: StoredObject) -> str | None:
        """What lacks by an index; None where it is not to be had now."""
        if not self._n_left:
            return None
        self._n_left -= 1
        try:
            return lacking_of(slide, index)
        except StorageUnavailable:
            self._n_left = 0  # each further one would be waited for as long
        except (ObjectMissing, ObjectChanged):
            pass
        except StoreError:  # registering it will say why
            return ""
        return None


def _outermost(folders: Iterable[RemoteFile]) -> list[RemoteFile]:
    """URLs of which none is below another."""
    kept: list[RemoteFile] = []
    for folder in sorted(set(folders), key=str):
        if not any(f"{folder}/".startswith(f"{one}/") for one in kept):
            kept.append(folder)
    return kept
