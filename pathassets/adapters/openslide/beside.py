"""File -> what lies beside it that OpenSlide opens along with it: each has to be a plain file.

OpenSlide opens every file in the folder of a DICOM file, and what the index of an MRXS or a
Hamamatsu slide names. A named pipe among them would be waited for without end, in C, where nothing
interrupts it.

Source: openslide-vendor-dicom.c, -mirax.c and -hamamatsu.c of OpenSlide 4
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pathassets.adapters.named_files import KINDS
from pathassets.adapters.openslide.diagnosis import is_dicom, read_head
from pathassets.errors import SlideUnreadable

_HAMAMATSU = b"Virtual Microscope Specimen]"
_INDEX_CHARS = 4_000_000
"""Read of an index: of the largest known it is a tenth."""


class PipeBeside(SlideUnreadable):
    """What would be opened along with it is a pipe, a socket or a device, which never end."""

    reason = "pipe_beside"


def require_plain_beside(path: Path) -> None:
    """Let a slide through of which OpenSlide opens plain files alone.

    Raises:
        PipeBeside: a pipe, a socket or a device is among them; the slide is forbidden.
    """
    for other in _opened_with(path):
        kind = _kind_of(other)
        if kind not in {stat.S_IFREG, stat.S_IFDIR, None}:
            raise PipeBeside(
                path,
                f"cannot be opened while {other} is {KINDS.get(kind, 'no regular file')}: it is "
                "opened along with the slide, and never ends",
                remedy=f"Move {other.name} out of its folder, then try again",
            )


def _opened_with(path: Path) -> Iterator[Path]:
    """Files that OpenSlide may open for a slide, told by its first bytes as OpenSlide does."""
    if path.suffix.lower() == ".mrxs":
        index = path.with_suffix("") / "Slidedat.ini"
        yield index
        if _kind_of(index) == stat.S_IFREG:
            yield from _named_in(index)
        return
    head = read_head(path)
    if is_dicom(head):
        with suppress(OSError):  # OpenSlide says it in its own words
            yield from sorted(path.parent.iterdir())
    elif _HAMAMATSU in head:
        yield from _named_in(path)


def _named_in(index: Path) -> Iterator[Path]:
    """What any line of an index names, relative to the folder it is in."""
    with suppress(OSError), index.open(encoding="utf-8", errors="replace") as file:
        for line in file.read(_INDEX_CHARS).splitlines():
            if name := line.partition("=")[2].strip().lstrip("/"):
                yield index.parent / name


def _kind_of(path: Path) -> int | None:
    """Type of a file, of a link's target; None where there is none."""
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except (OSError, ValueError):  # no text of a file, with NUL, say
        return None
