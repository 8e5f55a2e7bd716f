"""Slides -> what their files are called elsewhere: names that are no paths, and no two alike.

Other tools find a slide's files by its own file name without the ending. Slides of one name would
be one there, so they are refused; slide ids are all different.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Literal

from pathassets.core.text import quoted, visible

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

    >>> names_of({"a-01": "a.svs", "b-02": "b.svs"}, "file")
    {'a-01': 'a', 'b-02': 'b'}
    """
    return {s: stem_of(file) if by == "file" else s for s, file in files.items()}


def unfit_names(names: Mapping[str, str]) -> dict[str, str]:
    """Why a slide's files cannot be called so, by slide id: of those alone where something is.

    Names that differ by case are one, too: some disks know none.
    """
    slides: dict[str, list[str]] = {}
    for slide_id, name in sorted(names.items()):
        slides.setdefault(name.casefold(), []).append(slide_id)
    faults = {s: _fault_of(s, name, slides[name.casefold()]) for s, name in names.items()}
    return {slide_id: fault for slide_id, fault in faults.items() if fault}


def _fault_of(slide_id: str, name: str, of_name: Iterable[str]) -> str:
    try:
        safe_name(name)
    except ValueError as error:
        return (
            f"its file's name {quoted(name)} cannot name others: {error}. "
            "Name them by slide id: --names slide_id"
        )
    others = [one for one in of_name if one != slide_id]
    if not others:
        return ""
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return (
        f"files of slide {others[0]}{more} are named {name}, too, and other tools would take them "
        "for one. Name them by slide id, --names slide_id, or choose with --slides"
    )


def slides_by_stem(files: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Slide ids by what other tools may call them: stem, whole file name, or id."""
    found: dict[str, set[str]] = {}
    for slide_id, file_name in files:
        for name in {stem_of(file_name), file_name, slide_id}:
            found.setdefault(name, set()).add(slide_id)
    return found
