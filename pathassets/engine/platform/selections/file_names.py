"""Path -> which of some names are its file's: a path, the end of one, be it without the suffix."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from pathassets.adapters.objects.remote_file import FilePlace


class FileNames:
    """Names, looked through by paths.

    Accents count as what they look like, however a system writes them.

    >>> list(FileNames(["x.svs", "b/x.svs", "b/x"]).of(Path("/a/b/x.svs")))
    ['b/x.svs', 'x.svs', 'b/x']
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._by_last: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
        for name in dict.fromkeys(names):
            if parts := parts_of(name):
                self._by_last[parts[-1]].append((parts, name))
        self._begin_with = {_before_dots(last) for last in self._by_last} | {""}

    def of(self, path: FilePlace | str) -> Iterator[str]:
        """Names that fit a file, the one that says most of its path first.

        Those that leave out the suffix come last.
        """
        if _before_dots(str(path)) not in self._begin_with:  # so it is with most, of thousands
            return
        *above, last = parts_of(str(path)) or ("",)
        for called in _called(last):
            for parts, name in sorted(self._by_last.get(called, ()), key=_longest_first):
                if (*above, called)[-len(parts) :] == parts:
                    yield name


def parts_of(path: str) -> tuple[str, ...]:
    """Parts of a path; macOS writes an accent as a character of its own, most others do not."""
    return Path(unicodedata.normalize("NFC", path)).parts


def _before_dots(path: str) -> str:
    """Of a path's last part what comes before its first dot, which it has with and without suffix.

    >>> _before_dots("/a.b/x.ome.tif"), _before_dots("x"), _before_dots("/a/.")
    ('x', 'x', '')
    """
    return unicodedata.normalize("NFC", path).rpartition("/")[2].partition(".")[0]


def is_whole(name: str, path: FilePlace | str) -> bool:
    """Whether a name that fits a file leaves out no suffix.

    >>> is_whole("b/x.svs", Path("/a/b/x.svs")), is_whole("x", Path("/a/x.svs"))
    (True, False)
    """
    return parts_of(name)[-1] == parts_of(str(path))[-1]


def _called(name: str) -> list[str]:
    """What a file may be called: by its name, or without its suffix, of which OME-TIFF has two."""
    stem = Path(name).stem
    return list(dict.fromkeys([name, stem, re.sub(r"\.ome$", "", stem, flags=re.IGNORECASE)]))


def _longest_first(name: tuple[tuple[str, ...], str]) -> int:
    return -len(name[0])
