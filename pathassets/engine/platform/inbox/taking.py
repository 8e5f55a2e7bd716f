"""Files that are whole -> slides and tables; what was moved, or written on, meanwhile is let be.

Only what speaks against a file itself is kept as its refusal: a file that changed while it was read
is looked at again once it is still, and so is one for which the machine had no memory left.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pathassets.adapters.objects.remote_file import FilePlace, RemoteFile
from pathassets.adapters.objects.remote_slides import look_at
from pathassets.adapters.objects.urls import is_url, parse_url
from pathassets.engine.platform.inbox.look import is_table
from pathassets.engine.platform.inbox.tables import TableOutcome, take_open_lines, take_tables
from pathassets.engine.platform.ingestion.ingest import IdScheme, Registration, ingest, printable
from pathassets.engine.platform.platform import Platform
from pathassets.errors import SlideUnreadable, StoreError

PASSING = frozenset({"slide_changed", "file_missing", "resources_short", "storage_unavailable"})
"""Reasons that say nothing of the file."""


def take(
    platform: Platform, files: Iterable[str], *, scheme: IdScheme = "stem"
) -> Iterator[Registration | TableOutcome]:
    """Register the slides among files of the inbox, then take the tables; what is gone is left out.

    Tables come last: they are about those slides. A file that is no regular one, or has a name that
    is no text, is refused with the slides, and never opened.
    """
    there = [place for file in files if (place := _place_of(file)) is not None]
    tables = [str(one) for one in there if _is_readable_table(one)]
    slides = [one for one in there if str(one) not in {*tables}]
    has_new = False
    for one in ingest(platform, slides, scheme=scheme):
        if one.error is not None and one.error.reason in PASSING:
            platform.catalog.forget_refusals([str(one.path)])
        has_new = has_new or one.state == "new"
        yield one
    catalog, said = platform.catalog, set[str]()
    for table in take_tables(catalog, tables):
        said.add(table.path)
        yield table
    if has_new or said:
        yield from take_open_lines(catalog, platform.settings.inboxes, besides=said)


def _is_readable_table(place: FilePlace) -> bool:
    if isinstance(place, RemoteFile):
        return False
    is_text = printable(place) == str(place)
    return is_text and is_table(str(place)) and os.path.isfile(place)  # noqa: PTH113 - never raises


def forget_gone(platform: Platform, *, is_everywhere: bool = False) -> int:
    """Forget the refusals of files that are no longer in the inbox; returns how many those were.

    `is_everywhere`: also of files of this machine that are elsewhere. Where their folder is gone,
    too, its disk may be unmounted, and a bucket may not answer: they stay.
    """
    folders = [str(one) for one in platform.settings.inboxes]
    refused = {one.path for one in platform.catalog.refused_below(folders)}
    if is_everywhere:
        refused |= {one.path for one in platform.catalog.rejected_files() if not is_url(one.path)}
    gone = [path for path in sorted(refused) if _is_gone(path)]
    if gone:
        platform.catalog.forget_refusals(gone)
    return len(gone)


def _is_gone(path: str) -> bool:
    """Whether a file is not there any more, as far as can be told."""
    if not is_url(path):
        return os.path.isdir(Path(path).parent) and _place_of(path) is None  # noqa: PTH112
    try:
        look_at(RemoteFile(parse_url(path)))
    except (SlideUnreadable, StoreError) as error:
        return error.reason == "file_missing"
    return False


def _place_of(name: str) -> FilePlace | None:
    """The file that a name stands for, be it one of which bytes are written out; None: it is gone.

    What may not be looked at is there.
    """
    if is_url(name):
        return RemoteFile(parse_url(name))
    place = Path(name)
    try:
        place.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return _written_out(place) if "\\x" in place.name else None
    except OSError:
        return place
    return place


def _written_out(place: Path) -> Path | None:
    try:
        return next((one for one in place.parent.iterdir() if printable(one) == str(place)), None)
    except OSError:
        return None
