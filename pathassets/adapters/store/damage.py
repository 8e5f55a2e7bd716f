"""Files that an artifact should have -> what of them is gone, or is not what was published.

    check_sizes    presence and sizes    60 us an artifact whose files the kernel knows: what every
                                         command can pay
    check_bytes    the bytes, hashed     1 to 2 GB/s: before others are told what the bytes are

No link is followed: what lies behind one was not published.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from pathassets.core.address import Address

MANIFEST = "artifact.json"
"""Of every artifact the file that says what it is, and names the others."""
MANIFEST_ENDS = b"{\n", b"\n}\n"
"""How it begins and ends."""
N_CHECKERS = 8
"""Threads that check at once where each check waits for an answer, as on a share: eight are eight
times as fast. On a local disk they cost four times the CPU of one, and are slower."""
_WAITING = 8.0
"""How many times longer than its CPU time a batch takes where checking is waiting."""
_N_BATCH = 256
"""Artifacts that a thread checks before it is asked again: handing over one costs as much as a
check."""
LINKED = "is a link, which is not followed"
NOT_AS_WRITTEN = "is not what was written"
_GONE = "is gone"


class ListedFile(Protocol):
    """A file as an artifact, or the catalog, lists it."""

    @property
    def path(self) -> str:
        """Relative to the artifact's folder, with forward slashes."""

    @property
    def size_bytes(self) -> int:
        """As published."""

    @property
    def sha256(self) -> str:
        """As published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Why an artifact is not whole."""

    path: str
    """The first file at fault, relative to the artifact's folder; empty for the folder itself."""
    fact: str
    """What is wrong with it."""

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left of the artifact."""
        return not self.path and self.fact == _GONE

    def __str__(self) -> str:
        return f"{self.path or 'its folder'} {self.fact}"


def check_sizes(folder: Path, files: Iterable[ListedFile]) -> Damage | None:
    """Find the first file that is not there with its size, `artifact.json` among them."""
    place = str(folder)  # joining paths costs more than the check
    if (fault := _folder_fault(place)) is not None:
        return Damage(path="", fact=fault)
    if (fault := _manifest_fault(f"{place}/{MANIFEST}")) is not None:
        return Damage(path=MANIFEST, fact=fault)
    for file in files:
        fault = _file_fault(f"{place}/{file.path}", file.size_bytes)
        if fault is not None:
            return Damage(path=file.path, fact=fault)
    return None


def check_bytes(folder: Path, files: Iterable[ListedFile]) -> Damage | None:
    """Find the first file that does not have the bytes that were published; reads them all."""
    listed = list(files)
    if (damage := check_sizes(folder, listed)) is not None:
        return damage
    for file in listed:
        try:
            if sha256_of(folder, file.path) != file.sha256:
                return Damage(path=file.path, fact="has other bytes than were published")
        except OSError as error:
            return Damage(path=file.path, fact=_said(error))
    return None


Check = Callable[[Address, Iterable[ListedFile]], Damage | None]
"""The check of one artifact, by sizes or by bytes."""
Expected = Iterable[tuple[Address, Iterable[ListedFile]]]
"""Artifacts, and the files that each should have."""


Look = tuple[Address, Damage | None]
"""An artifact, and why it is not whole; None where it is."""


def look_over(check: Check, expected: Expected) -> Iterator[Look]:
    """Check artifacts; give each, and why it is not whole, in order.

    One after the other while the disk answers at once, for then threads only wait for each other's
    interpreter lock; side by side as soon as one batch took mostly waiting. What is expected is
    taken as the work goes on, so that a catalog's rows need not be held.
    """
    items = iter(expected)
    while batch := list(islice(items, _N_BATCH)):
        began_s, began_cpu_s = time.perf_counter(), time.thread_time()
        looks = _check_all(check, batch)
        wall_s, cpu_s = time.perf_counter() - began_s, time.thread_time() - began_cpu_s
        yield from looks
        if wall_s > _WAITING * cpu_s:
            yield from look_over_side_by_side(check, items, n_threads=N_CHECKERS)
            return


def look_over_side_by_side(
    check: Check, expected: Expected, *, n_threads: int, n_batch: int = _N_BATCH
) -> Iterator[Look]:
    """Check artifacts by so many threads, as `look_over` does by one."""
    items = iter(expected)
    waiting: deque[Future[list[Look]]] = deque()
    with ThreadPoolExecutor(n_threads) as pool:
        while batch := list(islice(items, n_batch)):
            waiting.append(pool.submit(_check_all, check, batch))
            if len(waiting) > 2 * n_threads:
                yield from waiting.popleft().result()
        for done in waiting:
            yield from done.result()


def _check_all(check: Check, batch: Expected) -> list[Look]:
    return [(address, check(address, files)) for address, files in batch]


def sha256_of(folder: Path, path: str) -> str:
    """SHA-256 of a file of an artifact.

    Raises:
        OSError: it cannot be read, or it or a folder between is a link.
    """
    place = str(folder)  # joining paths costs more than hashing a small file
    parts = path.split("/")
    for n_parts in range(1, len(parts)):
        parent = "/".join((place, *parts[:n_parts]))
        if os.path.islink(parent):  # noqa: PTH114 - as above
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), parent)
    with open(f"{place}/{path}", "rb", opener=open_plain) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_plain(path: str | Path) -> bytes:
    """Read a file whole that is one: behind a link, and in a pipe, is nothing that was published.

    Raises:
        OSError: it cannot be read, or is something else.
    """
    with open(path, "rb", opener=open_plain) as file:
        return file.read()


def open_plain(path: str, flags: int) -> int:
    """Open a file, and neither follow a link nor wait for who writes into a pipe."""
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no file", path)
    return handle


def _folder_fault(folder: str) -> str | None:
    try:
        mode = os.lstat(folder).st_mode
    except OSError as error:
        return _said(error)
    return None if stat.S_ISDIR(mode) else _wrong_kind(mode)


def _manifest_fault(path: str) -> str | None:
    """What is wrong with what names the others, whose size nobody keeps: its ends are looked at."""
    if (fault := _file_fault(path, None)) is not None:
        return fault
    try:
        data = read_plain(path)
    except OSError as error:
        return _said(error)
    is_whole = data.startswith(MANIFEST_ENDS[0]) and data.endswith(MANIFEST_ENDS[1])
    return None if is_whole else NOT_AS_WRITTEN


def _file_fault(path: str, size_bytes: int | None) -> str | None:
    """What is wrong with a file, as far as its size tells; without a size it must not be empty."""
    try:
        found = os.lstat(path)
    except OSError as error:
        return _said(error)
    if not stat.S_ISREG(found.st_mode):
        return _wrong_kind(found.st_mode)
    if size_bytes is None:
        return None if found.st_size else "is empty"
    if found.st_size != size_bytes:
        return f"has {found.st_size} bytes, {size_bytes} were published"
    return None


def _said(error: OSError) -> str:
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return _GONE
    if error.errno == errno.ELOOP:
        return LINKED
    return f"cannot be read: {error.strerror or error}"


def _wrong_kind(mode: int) -> str:
    return LINKED if stat.S_ISLNK(mode) else "is something else now"
