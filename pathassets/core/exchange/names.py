"""Slides -> what their files are called elsewhere: names that are no paths, and no two alike.

Other tools find a slide's files by its own file name without the ending. Two slides of one name
would be one there, so they are refused; slide ids are all different.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Literal

from pathassets.core.text import quoted, visible
from pathassets.errors import SpecError

NameBy = Literal["file", "slide_id"]
COMPOUND = (".ome.tiff", ".ome.tif", ".ome.zarr")
"""Endings of two parts; all others have one."""
MAX_BYTES = 200
"""Of a name: file systems take 255, and endings are added to it."""


def stem_of(file_name: str) -> str:
    """A file's name without the ending that says what it is.

    >>> stem_of("a.b.svs"), stem_of("x.OME.TIFF"), stem_of("plain")
    ('a.b', 'x', 'plain')
    """
    for ending in COMPOUND:
        if file_name.lower().endswith(ending):
            return file_name[: -len(ending)]
    return PurePath(file_name).stem


def safe_name(name: str) -> str:
    """Let a name through that can be a file's beside others, and nothing else.

    Raises:
        ValueError: it is a path, hidden, unseen, empty or too long.
    """
    if not name or name.startswith(".") or any(mark in name for mark in "/\\\0"):
        raise ValueError("it is no plain name")
    if visible(name) != name:
        raise ValueError("it has characters that cannot be seen")
    if len(name.encode()) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    return name


def names_of(files: Mapping[str, str], by: NameBy) -> dict[str, str]:
    """The name of each slide's files, by slide id; `files` has the slide's own file names.

    Raises:
        SpecError: two slides would have one name, or one cannot be a file's.

    >>> names_of({"a-01": "a.svs", "b-02": "b.svs"}, "file")
    {'a-01': 'a', 'b-02': 'b'}
    """
    names = {s: stem_of(file) if by == "file" else s for s, file in files.items()}
    for slide_id, name in names.items():
        try:
            safe_name(name)
        except ValueError as error:
            raise SpecError(
                f"{slide_id}: its file's name {quoted(name)} cannot name others: {error}",
                remedy="Name them by slide id: --names slide_id",
            ) from error
    _refuse_same(names)
    return names


def _refuse_same(names: Mapping[str, str]) -> None:
    """Refuse names that are one, also on a disk that knows no case."""
    seen: dict[str, str] = {}
    for slide_id, name in sorted(names.items()):
        other = seen.setdefault(name.casefold(), slide_id)
        if other != slide_id:
            raise SpecError(
                f"slides {other} and {slide_id}: both have files named {name}",
                remedy="Other tools would take them for one: name them by slide id, --names "
                "slide_id, or choose with --slides",
            )


def slides_by_stem(files: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Slide ids by what other tools may call them: stem, whole file name, or id."""
    found: dict[str, set[str]] = {}
    for slide_id, file_name in files:
        for name in {stem_of(file_name), file_name, slide_id}:
            found.setdefault(name, set()).add(slide_id)
    return found
