"""What an export lists of its files -> whether a file is still the one that was written.

    <folder>/.pathassets-export.jsonl   a line for each file: path, SHA-256, what it was made from

A list is nobody's signature: who edits a file can edit its line. It finds what was changed since,
by whom or whatever.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

LIST = ".pathassets-export.jsonl"
MAX_DEPTH = 3
"""Folders of an export above a file: TRIDENT's have a grid's and an encoder's below its own."""

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
                found[str(entry["path"])] = {n: str(entry[n]) for n in ("path", "sha256", "source")}
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
    return found


def sha256_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
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
        path = path.absolute()
        for folder in path.parents[:MAX_DEPTH]:
            line = self._list_in(folder).get(path.relative_to(folder).as_posix())
            if line is not None:
                sha256 = sha256_of(path)
                return "" if sha256 == line["sha256"] else _told(path, sha256, line["sha256"])
        return ""

    def _list_in(self, folder: Path) -> Mapping[str, Line]:
        if folder not in self._read:
            self._read[folder] = read_list(folder / LIST)
        return self._read[folder]


def _told(path: Path, sha256: str, listed: str) -> str:
    return (
        f"{path.name} was changed after its export: its SHA-256 is {sha256[:12]}…, {LIST} has "
        f"{listed[:12]}…"
    )
