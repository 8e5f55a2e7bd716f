"""The folder that an export goes to: each file whole or not at all, and nothing of others touched.

    <folder>/.pathassets-export.jsonl   a line for each file, see `listed`
             .pathassets-export.lock    held while an export runs
             .<name>.partial            what is not finished; a killed export's is begun again

A file that is there with the bytes that it would get is kept, without being made again where the
list says what it was made from; one with other bytes is left alone, unless it is to be overwritten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Literal

from filelock import FileLock, Timeout

from pathassets.adapters.exchange.parts.listed import LIST, Line, read_list, sha256_of
from pathassets.adapters.exchange.parts.output import OutputFile
from pathassets.adapters.store.folders import (
    make_synced,
    refuse_link,
    remove,
    sha256_synced,
    sync_folder,
    sync_folders,
    write_synced,
)
from pathassets.adapters.store.store import content_sha256_of
from pathassets.core.exchange.names import safe_name
from pathassets.core.spec import canonical_json
from pathassets.core.text import quoted
from pathassets.errors import OutputExists, StoreError

LOCK = ".pathassets-export.lock"
VERSION = "2"
"""Of what the writers make of the same artifact."""

Put = Literal["written", "kept"]


class ExportFolder:
    """A folder that one export at a time writes to."""

    def __init__(self, root: Path, *, overwrite: bool = False) -> None:
        self.root = root
        self._overwrite = overwrite
        self._listed: dict[str, Line] = {}

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep other exports out of it.

        Raises:
            StoreError: it cannot be written, or another export writes to it.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            refuse_link(self.root / LIST)
            refuse_link(self.root / LOCK)
            with FileLock(self.root / LOCK).acquire(timeout=0):
                self._listed = read_list(self.root / LIST)
                yield
                self._write_list()
        except Timeout as error:
            raise StoreError(
                self.root, "another export writes to it", remedy="Wait for it, or write elsewhere"
            ) from error

    def put(self, file: OutputFile, artifact: str) -> Put:
        """Have a file there, whole, and listed as made from the artifact of that address.

        Raises:
            OutputExists: it is there with other content, and is not to be overwritten.
            StoreError: it cannot be written.
        """
        target = self._place(file.path)
        source = hashlib.sha256(f"{VERSION} {file.source}".encode()).hexdigest()
        listed = self._listed.get(file.path)
        if listed and listed["source"] == source and _is_there(target, listed["sha256"]):
            self._note(listed | {"artifact": artifact})
            return "kept"
        try:
            put, sha256 = self._write(file, target)
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(
                target, f"cannot be written: {error.strerror or error}",
                remedy="Free or mend the disk; the same command goes on",
            ) from error  # fmt: skip
        self._note({"path": file.path, "sha256": sha256, "source": source, "artifact": artifact})
        return put

    def _place(self, path: str) -> Path:
        """Where a file goes: always inside, never through a link."""
        parts = PurePosixPath(path).parts
        try:
            for part in parts:
                safe_name(part)
        except ValueError as error:
            raise StoreError(self.root, f"{quoted(path)} is no name for a file: {error}") from error
        target = self.root.joinpath(*parts)
        make_synced(target.parent, self.root)
        refuse_link(target)
        return target

    def _write(self, file: OutputFile, target: Path) -> tuple[Put, str]:
        """Write it, unless it is there with these bytes; returns their SHA-256, too."""
        aside = target.with_name(f".{target.name}.partial")
        remove(aside)
        try:
            file.write(aside)
            sha256 = _hash_synced(aside)
            is_same = target.exists() and sha256_of(target) == sha256
            if target.exists() and not is_same and not self._overwrite:
                raise OutputExists(
                    target, "is there, and has other content",
                    remedy="Write elsewhere, or replace it: --overwrite",
                )  # fmt: skip
            if not is_same:
                _take_place(aside, target)
        finally:
            remove(aside)
        return "kept" if is_same else "written", sha256

    def _note(self, line: Line) -> None:
        if self._listed.get(line["path"]) == line:
            return
        self._listed[line["path"]] = line
        with (self.root / LIST).open("a", encoding="utf-8") as file:
            file.write(canonical_json(line) + "\n")

    def _write_list(self) -> None:
        """Put the list in order: the same export leaves the same list."""
        lines = [canonical_json(self._listed[path]) + "\n" for path in sorted(self._listed)]
        aside = self.root / f"{LIST}.partial"
        write_synced(aside, "".join(lines).encode())
        aside.replace(self.root / LIST)
        sync_folder(self.root)


def _is_there(target: Path, sha256: str) -> bool:
    return target.exists() and sha256_of(target) == sha256


def _hash_synced(path: Path) -> str:
    """The same, of what is on the disk for certain."""
    if not path.is_dir():
        return sha256_synced(path)
    files = {p.relative_to(path).as_posix(): p for p in path.rglob("*") if p.is_file()}
    sha256s = {name: sha256_synced(file) for name, file in files.items()}
    sync_folders(path)
    return content_sha256_of(sha256s)


def _take_place(aside: Path, target: Path) -> None:
    """Give what is finished its name; a folder that had it goes first."""
    if target.is_dir():
        old = target.with_name(f".{target.name}.replaced")
        remove(old)
        target.rename(old)
        aside.rename(target)
        remove(old)
    else:
        aside.replace(target)
    sync_folder(target.parent)
