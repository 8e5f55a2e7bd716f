"""Images -> files under a folder, each whole or not there; and the journal of what is written.

    .{output_id}.{n}.part  ─▶ renamed to its name      an image
    manifests/.{output_id}.journal                     a line for each batch whose images have their
                                                   names; its lock is held while someone writes

A process that is killed leaves only hidden files: who holds the journal next removes the parts, and
reads which images need not be made again. It goes when all is done.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from pathassets.core.patches.names import IMAGE_TYPES
from pathassets.core.patches.patch_set import EncodedPatch, Row
from pathassets.errors import StoreError

PART = ".part"
JOURNAL = ".journal"
_SET = re.compile(r"set(\d+)")


class PatchFiles:
    """Keeps each image as a file of its own, from any thread."""

    where: tuple[str, ...] = ("file",)

    def __init__(self, root: Path, *, output_id: str, below: str = "") -> None:
        """Keep images under `root`; `below` is what the manifest puts before their paths.

        `output_id` is what unfinished files of this output, and of no other, are known by.
        """
        self._root = root
        self._output_id = output_id
        self._below = below
        self._numbers = count()
        self._folders: set[Path] = set()

    def store(self, patch: EncodedPatch) -> None:
        """Write an image, under its name once it is whole.

        Raises:
            StoreError: it cannot be written.
        """
        with self.whole(self._root / patch.path) as part:
            part.write_bytes(patch.data)

    @contextmanager
    def whole(self, path: Path) -> Iterator[Path]:
        """Give a file to write to, which has its name when the block ends well.

        Raises:
            StoreError: it cannot be written.
        """
        part = path.parent / f".{self._output_id}.{next(self._numbers)}{PART}"
        try:
            if path.parent not in self._folders:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._folders.add(path.parent)
            try:
                yield part
                part.replace(path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise unwritable(path, error) from error

    def write(self, patches: Sequence[EncodedPatch]) -> list[Row]:
        """Tell where images are that are stored already."""
        return [{"file": f"{self._below}{patch.path}"} for patch in patches]

    def close(self) -> None:
        """Nothing is left to do."""


def unwritable(path: object, error: OSError) -> StoreError:
    """What the system says of a file that it does not take."""
    return StoreError(
        path, f"cannot be written: {error.strerror or error}",
        remedy="Look at its disk: room, permissions, and what has this name already",
    )  # fmt: skip


def remove_parts(folders: Iterable[Path], output_id: str) -> int:
    """Remove the unfinished files of an output; only for who holds its journal.

    Raises:
        StoreError: a folder cannot be read or written.
    """
    n_removed = 0
    for folder in folders:
        try:
            entries = [e for e in os.scandir(folder) if e.name.startswith(f".{output_id}.")]
            for entry in entries:
                if entry.name.endswith(PART):
                    Path(entry.path).unlink(missing_ok=True)
                    n_removed += 1
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise unwritable(folder, error) from error
    return n_removed


def foreign_image(folder: Path, output_id: str) -> str:
    """Name of an image in a folder that is not of an output; empty where there is none.

    Raises:
        StoreError: the folder cannot be read.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise unwritable(folder, error) from error
    images = (name for name in names if not name.startswith(".") and _is_image(name))
    return next((name for name in images if output_id not in name), "")


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower().removeprefix(".") in IMAGE_TYPES


def highest_set(root: Path) -> int:
    """Highest number of a folder `set{N}` under a folder or one of its own; 0 where none is."""
    numbers = [_SET.fullmatch(path.name) for path in (*root.glob("set*"), *root.glob("*/set*"))]
    return max((int(found[1]) for found in numbers if found), default=0)


def is_whole(root: Path, row: Row) -> bool:
    """Whether an image is there with the bytes that a row tells; it is read."""
    try:
        data = (root / row["file"]).read_bytes()
    except OSError:
        return False
    return hashlib.sha256(data).hexdigest() == str(row["sha256"])


def has_size(root: Path, row: Row) -> bool:
    """Whether an image is there with the size that a row tells; it is not read."""
    try:
        n_bytes = Path(root, row["file"]).stat().st_size
    except OSError:
        return False
    return n_bytes == int(row["n_bytes"])


class Journal:
    """What is finished of an output that is being written. Lines of JSON; a torn one ends it."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        file.seek(0)
        lines = file.read().split(b"\n")
        self.is_new = lines == [b""]
        self.entries, n_bytes = _entries_of(lines[:-1])
        """Of earlier processes."""
        file.truncate(n_bytes)
        file.seek(n_bytes)

    def note(self, entry: dict[str, Any]) -> None:
        """Add an entry, so that the end of this process does not lose it.

        Raises:
            StoreError: it cannot be written.
        """
        try:
            self._file.write(json.dumps(entry).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise unwritable(self._path, error) from error

    def remove(self) -> None:
        """Remove it: all is done."""
        self._path.unlink(missing_ok=True)


def _entries_of(lines: list[bytes]) -> tuple[list[dict[str, Any]], int]:
    """The entries up to the first that is none, and their length in bytes."""
    entries, n_bytes = [], 0
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            break
        entries.append(entry)
        n_bytes += len(line) + 1
    return entries, n_bytes


def has_journal(folder: Path, output_id: str) -> bool:
    """Whether someone writes an output, or ended while he did."""
    return _journal_path(folder, output_id).is_file()


def _journal_path(folder: Path, output_id: str) -> Path:
    return folder / f".{output_id}{JOURNAL}"


@contextmanager
def hold_journal(folder: Path, output_id: str) -> Iterator[Journal]:
    """Open an output's journal, and keep all others from it; wait while another process has it.

    Raises:
        StoreError: the folder cannot be written, or its disk knows no locks.
    """
    path = _journal_path(folder, output_id)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _locked(path)
    except OSError as error:
        raise unwritable(path, error) from error
    with file:
        yield Journal(file, path)


def _locked(path: Path) -> BinaryIO:
    """The file of that name, locked: not one that was removed while it was waited for."""
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    return file
        except BaseException:
            file.close()
            raise
        file.close()
