"""What an export lists of its files -> whether a file is still the one that was written.

    <folder>/.pathassets-export.jsonl   a line for each file: path, SHA-256, artifact, and a digest
                                        of all that decides its bytes, as `source`

Lines of older versions have no artifact: it is "" then.

A list is nobody's signature: who edits a file can edit its line. It finds what was changed since,
by whom or whatever.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pathassets.adapters.named_files import open_named
from pathassets.adapters.store.store import content_sha256_of

LIST = ".pathassets-export.jsonl"
MAX_DEPTH = 3
"""Folders of an export above a file: TRIDENT's have a grid's and an encoder's below its own."""
MAX_WITHIN = 6
"""Folders of a Zarr store that is one line of a list, above its chunks."""

Line = dict[str, str]


def read_list(path: Path) -> dict[str, Line]:
    """Lines by path; one that is not whole is of no file, or of one that is looked at again."""
    if path.is_symlink() or not path.is_file():
        return {}
    found: dict[str, Line] = {}
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                entry = json.loads(line)
                told = {name: str(entry[name]) for name in ("path", "sha256", "source")}
                found[told["path"]] = told | {"artifact": str(entry.get("artifact", ""))}
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue
    return found


def find_listed(path: Path) -> tuple[Path, Line] | None:
    """The file or folder of an export that a path is, or lies in, and its line; None of others."""
    lists, place = ExportLists(), path.absolute()
    for whole in (place, *place.parents[:MAX_WITHIN]):
        if (line := lists.line_of(whole)) is not None:
            return whole, line
    return None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file; of a folder that of its files' names and hashes."""
    if path.is_dir():
        files = (p for p in path.rglob("*") if p.is_file())
        return content_sha256_of({p.relative_to(path).as_posix(): sha256_of(p) for p in files})
    with open_named(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ExportLists:
    """The lists of the exports that files lie in, each read once."""

    def __init__(self) -> None:
        self._read: dict[Path, Mapping[str, Line]] = {}

    def change_of(self, path: Path) -> str:
        """How a file differs from what was exported; empty where it does not, or no list has it.

        Raises:
            OSError: it cannot be read.
        """
        line = self.line_of(path)
        if line is None:
            return ""
        sha256 = sha256_of(path)
        return "" if sha256 == line["sha256"] else _told(path, sha256, line["sha256"])

    def line_of(self, path: Path) -> Line | None:
        """What the nearest list that has a file, or folder, says of it; None where none has."""
        path = path.absolute()
        for folder in path.parents[:MAX_DEPTH]:
            line = self._list_in(folder).get(path.relative_to(folder).as_posix())
            if line is not None:
                return line
        return None

    def _list_in(self, folder: Path) -> Mapping[str, Line]:
        if folder not in self._read:
            self._read[folder] = read_list(folder / LIST)
        return self._read[folder]


def _told(path: Path, sha256: str, listed: str) -> str:
    return (
        f"{path.name} was changed after its export: its SHA-256 is {sha256[:12]}…, {LIST} has "
        f"{listed[:12]}…"
    )
