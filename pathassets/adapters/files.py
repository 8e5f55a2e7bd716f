"""Files of a slide -> what identifies them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pathassets.errors import SlideUnreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStamp:
    """What a look at a file tells without reading it; equal stamps are taken as equal content."""

    size_bytes: int
    mtime_ns: int


def stamp_of(members: list[Path]) -> FileStamp:
    """Total size and newest change of a slide's files.

    Raises:
        SlideUnreadable: a file is missing or forbidden.
    """
    try:
        stats = [member.stat() for member in members]
    except OSError as error:
        raise unreadable(error.filename, error) from error
    return FileStamp(
        size_bytes=sum(s.st_size for s in stats), mtime_ns=max(s.st_mtime_ns for s in stats)
    )


def fingerprint_of(members: list[Path]) -> str:
    """SHA-256 of a slide's content, 64 hex characters; what the files are called counts nowhere.

    Raises:
        SlideUnreadable: a file is missing, forbidden, or fails while it is read.
    """
    hashes = sorted(_sha256(member) for member in members)
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("".join(f"{h}\n" for h in hashes).encode()).hexdigest()


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: object, error: OSError) -> SlideUnreadable:
    """What the system says of a file, in our words."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return SlideUnreadable(
            path,
            "no such file",
            remedy="Put it back, mount its disk, or ingest it where it is now",
            reason="file_missing",
        )
    if isinstance(error, PermissionError):
        return SlideUnreadable(
            path, "permission denied", remedy="Grant read permission", reason="no_permission"
        )
    return SlideUnreadable(
        path, f"cannot be read: {error.strerror or error}", remedy="Look at its disk"
    )
