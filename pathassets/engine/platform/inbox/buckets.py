"""Prefixes of buckets that are watched -> the slides below them, from one listing each.

An object is there as a whole or not at all, so stillness waits only for the other objects of a
slide of several; it is asked of all the same: who overwrites one is not done, maybe. That a bucket
doesn't answer says nothing of what is in it, and what was seen before stays as it was.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from pathassets.adapters.objects.remote_file import FilePlace, RemoteFile
from pathassets.adapters.objects.remote_slides import FoundObjects, RemoteSlide, objects_in
from pathassets.engine.platform.inbox.walk import TABLE_SUFFIXES, Seen, suffix_of
from pathassets.errors import PathAssetsError

logger = logging.getLogger(__name__)

_TOLD: dict[RemoteFile, str] = {}
"""Why a prefix is not looked into, as it was said last: it is said once, not at every look."""
NO_TABLE = "cohort tables are taken from folders: copy it, and say pathassets cohort import FILE"


def listed(folders: Iterable[FilePlace]) -> tuple[list[Seen], list[RemoteFile]]:
    """Slides and tables below the URLs among folders, and those of which all could be listed."""
    seen: list[Seen] = []
    answered = []
    for folder in _outermost(folder for folder in folders if isinstance(folder, RemoteFile)):
        try:
            found = objects_in(folder, TABLE_SUFFIXES)
            seen += _seen_of(found)
        except PathAssetsError as error:
            if _TOLD.get(folder) != str(error):
                logger.warning("the inbox %s is not looked into: %s", folder, error)
                _TOLD[folder] = str(error)
        else:
            _TOLD.pop(folder, None)
            if found.is_whole:
                answered.append(folder)
    return seen, answered


def _seen_of(found: FoundObjects) -> Iterator[Seen]:
    for slide in found.slides:
        stamp = slide.stamp
        yield Seen(
            str(slide.file), stamp.size_bytes, stamp.mtime_ns, 0, etag=stamp.etag,
            lacks=_lacks(slide),
        )  # fmt: skip
    for file, stamp in found.others:
        yield Seen(str(file), stamp.size_bytes, stamp.mtime_ns, 0, etag=stamp.etag, lacks=NO_TABLE)


def _lacks(slide: RemoteSlide) -> str:
    """What is known to lack of a slide of several objects, in words."""
    if suffix_of(slide.file.name) == ".mrxs":
        index = f"{slide.file.stem}/slidedat.ini"
        if not any(one.key.lower() == index.lower() for one in slide.members):
            return f"{slide.file.stem}/Slidedat.ini is not there yet"
    return ""


def _outermost(folders: Iterable[RemoteFile]) -> list[RemoteFile]:
    """URLs of which none is below another."""
    kept: list[RemoteFile] = []
    for folder in sorted(set(folders), key=str):
        if not any(f"{folder}/".startswith(f"{one}/") for one in kept):
            kept.append(folder)
    return kept
