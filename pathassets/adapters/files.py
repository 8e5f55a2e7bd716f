"""Files of a slide -> what identifies them; folders that only their owner may enter."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shlex
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pathassets.adapters.named_files import INTO_A_FILE, NotAFile, open_named
from pathassets.errors import SlideChanged, SlideUnreadable

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStamp:
    """What a look at a file tells without reading it; equal stamps are taken as equal content."""

    size_bytes: int
    mtime_ns: int
    """Newest change of content, as the files say: `touch -r` and `rsync --times` set it at will."""
    ctime_ns: int
    """Newest change of anything, as the file system saw it: no ordinary program can set it back.
    It moves with a mere chmod or hard link, too. 0 where it is not known."""
    etag: str = ""
    """What object storage calls this version of the content; empty of files."""


def stamp_of(members: list[Path]) -> FileStamp:
    """Total size and newest changes of a slide's files.

    Raises:
        SlideUnreadable: a file is missing or forbidden.
    """
    try:
        stats = [member.stat() for member in members]
    except OSError as error:
        raise unreadable(error.filename, error) from error
    return FileStamp(
        size_bytes=sum(s.st_size for s in stats),
        mtime_ns=max(s.st_mtime_ns for s in stats),
        ctime_ns=max(s.st_ctime_ns for s in stats),
    )


def fingerprint_of(members: list[Path]) -> str:
    """SHA-256 of a slide's content, 64 hex characters; what the files are called counts nowhere.

    Raises:
        SlideUnreadable: a file is missing, forbidden, or fails while it is read.
    """
    return fingerprint_from(_sha256(member) for member in members)


def fingerprint_from(sha256s: Iterable[str]) -> str:
    """Fingerprint of a slide whose files have these hashes, in any order."""
    hashes = sorted(sha256s)
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("".join(f"{h}\n" for h in hashes).encode()).hexdigest()


def _sha256(path: Path) -> str:
    try:
        with open_named(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error


def keep_private(folder: Path) -> None:
    """Make a folder that nobody else can enter, or close one that is there: it has patients' names.

    The group's rights stay where the folder hands its group down (`chmod 2770`): it is shared on
    purpose. A folder of another owner is left as it is, and told where all may enter it.

    Raises:
        OSError: it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        if folder.is_dir():
            _close(folder)
            return
        raise


def _close(folder: Path) -> None:
    found = folder.stat()
    open_to = found.st_mode & (stat.S_IRWXO if found.st_mode & stat.S_ISGID else 0o077)
    is_ours = found.st_uid == os.geteuid()
    if not open_to or not (is_ours or found.st_mode & stat.S_IRWXO):
        return
    try:
        if is_ours:
            folder.chmod(stat.S_IMODE(found.st_mode) & ~open_to)
    except OSError as error:
        logger.warning("%s: cannot be closed to other users: %s", folder, error.strerror)
        return
    if folder.stat().st_mode & open_to:  # another's, or on a disk without such permissions
        logger.warning("%s: other users may enter it, and it has patients' names", folder)
    else:
        logger.warning(
            "%s: was open to other users, and is closed now; `chmod 2770` opens it to its group",
            folder,
        )


def content_changed(path: object) -> SlideChanged:
    """A slide whose files do not hold what was registered."""
    ingest = f"pathassets ingest {shlex.quote(str(path))}"
    return SlideChanged(
        path,
        "its content is not the registered one",
        remedy=f"Put the old file back, or register the new one: {ingest}",
    )


def unreadable(path: object, error: OSError) -> SlideUnreadable:
    """What the system says of a file, in our words; of a link also where it leads."""
    if error.errno == errno.ELOOP:
        return SlideUnreadable(
            path,
            f"is a link to {_target_of(path)}, which leads in a circle",
            remedy="Let it point at the slide itself",
            reason="link_loop",
        )
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return _missing(path)
    if isinstance(error, NotAFile):
        return SlideUnreadable(path, error.fact, remedy=INTO_A_FILE, reason="not_a_file")
    if isinstance(error, PermissionError):
        return SlideUnreadable(
            path, "permission denied", remedy="Grant read permission", reason="no_permission"
        )
    return SlideUnreadable(
        path, f"cannot be read: {error.strerror or error}", remedy="Look at its disk"
    )


def _missing(path: object) -> SlideUnreadable:
    """The system says the same of a link that leads nowhere as of no file."""
    if target := _target_of(path):
        return SlideUnreadable(
            path,
            f"is a link to {target}, where there is no file",
            remedy="Put the file there, mount its disk, or let the link point at where it is now",
            reason="dangling_link",
        )
    return SlideUnreadable(
        path,
        "no such file",
        remedy="Put it back, mount its disk, or ingest it where it is now",
        reason="file_missing",
    )


def _target_of(path: object) -> str:
    """Where a link leads; empty for what is no link."""
    try:
        return str(Path(str(path)).readlink())
    except OSError:
        return ""
