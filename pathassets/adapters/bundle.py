"""Files -> one file, whole or not at all, and back into a folder, once every hash is right.

A tar whose first member, `manifest.json`, names every other with its size and SHA-256:

    manifest.json    {"what": …, "about": {…}, "files": [{"path", "size_bytes", "sha256"}, …]}
    <path> …         in the order of the manifest

It is read from end to end before any of it is used. What is no plain file, is not named, or names a
place outside is refused; nothing is unpacked by tarfile itself.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pathassets.adapters.named_files import open_named, remedy_of
from pathassets.adapters.store.folders import sync_folder
from pathassets.core.spec import canonical_json
from pathassets.errors import OutputExists, StoreError

MANIFEST = "manifest.json"
MANIFEST_LIMIT_BYTES = 256 * 2**20
"""A manifest is smaller; whoever reads one holds it."""
_PART = re.compile(r"[A-Za-z0-9_][\w.@+=,-]*|\.[A-Za-z0-9_][\w.-]*")
"""Name of a file or folder in a bundle."""
_BLOCK = 2**20
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
"""What file systems without hard links say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What a manifest says."""

    about: dict[str, Any]
    files: dict[str, tuple[int, str]]
    """Size in bytes and SHA-256 by path."""


def write_bundle(target: Path, folder: Path, *, what: str, about: dict[str, Any]) -> Bundle:
    """Put all files of a folder into one, which only its owner may read.

    Raises:
        OutputExists: the target is there already.
        StoreError: it cannot be written.
    """
    if target.exists() or target.is_symlink():
        raise OutputExists(target, "is there already", remedy="Name another file, or move it away")
    bundle = Bundle(about=about, files=dict(_hashed(folder)))
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            _write(file, folder, bundle, what)
            file.flush()
            os.fsync(file.fileno())
        _take_name(aside, target)
        sync_folder(target.parent)
    except OSError as error:
        raise StoreError(
            target, f"cannot be written: {error.strerror or error}", remedy="Free or mend its disk"
        ) from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
    return bundle


def _take_name(aside: Path, target: Path) -> None:
    """Give a file its name; unlike a rename, a link never replaces what came meanwhile."""
    try:
        os.link(aside, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        aside.rename(target)  # a share, or a stick


def _hashed(folder: Path) -> Iterator[tuple[str, tuple[int, str]]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            yield path.relative_to(folder).as_posix(), (path.stat().st_size, sha256)


def _write(file: IO[bytes], folder: Path, bundle: Bundle, what: str) -> None:
    listed = [
        {"path": path, "size_bytes": size, "sha256": sha256}
        for path, (size, sha256) in bundle.files.items()
    ]
    manifest = canonical_json({"what": what, "about": bundle.about, "files": listed}).encode()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(_member(MANIFEST, len(manifest)), io.BytesIO(manifest))
        for path, (size, _) in bundle.files.items():
            with (folder / path).open("rb") as content:
                tar.addfile(_member(path, size), content)


def _member(path: str, size: int) -> tarfile.TarInfo:
    """A member without owner and time: equal content gives equal bytes."""
    member = tarfile.TarInfo(path)
    member.size, member.mode = size, 0o600
    return member


@contextmanager
def unpacked(source: Path, folder: Path, *, what: str) -> Iterator[Bundle]:
    """Unpack a bundle into a new folder, every hash checked, and remove the folder at the end.

    Raises:
        StoreError: it is no bundle of this kind, is damaged, or holds what it should not.
    """
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise StoreError(
            folder, f"cannot be made: {error.strerror or error}", remedy="Name another home"
        ) from error
    try:
        yield _unpack(source, folder, what)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpack(source: Path, folder: Path, what: str) -> Bundle:
    try:
        with open_named(source) as file, tarfile.open(fileobj=file, mode="r|") as tar:
            bundle = _read_manifest(source, tar, what)
            seen = {_take(source, tar, member, folder, bundle) for member in iter(tar.next, None)}
    except (tarfile.TarError, EOFError) as error:
        raise _refused(source, f"is no tar, or is cut short: {error}") from error
    except OSError as error:
        raise StoreError(
            source, f"cannot be unpacked: {error.strerror or error}", remedy=remedy_of(error, "")
        ) from error
    missing = sorted(set(bundle.files) - seen)
    if missing:
        raise _refused(source, f"lacks {missing[0]}, which its manifest names")
    return bundle


def _read_manifest(source: Path, tar: tarfile.TarFile, what: str) -> Bundle:
    member = tar.next()
    file = None if member is None or not member.isreg() else tar.extractfile(member)
    if member is None or file is None or member.name != MANIFEST:
        raise _refused(source, f"does not begin with {MANIFEST}")
    if member.size > MANIFEST_LIMIT_BYTES:
        raise _refused(source, f"its {MANIFEST} has {member.size} bytes")
    try:
        data = json.loads(file.read())
        files = {f["path"]: (int(f["size_bytes"]), str(f["sha256"])) for f in data["files"]}
        said, about = data["what"], dict(data["about"])
    except (ValueError, KeyError, TypeError) as error:
        raise _refused(source, f"its {MANIFEST} cannot be read: {error}") from error
    if said != what:
        raise _refused(source, f"is a {str(said)[:40]!r}, not a {what!r}")
    return Bundle(about=about, files=files)


def _take(
    source: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, bundle: Bundle
) -> str:
    """Write one member, if it is named and is what its hash says; returns its path."""
    path = member.name
    if not member.isreg() or not is_safe(path) or path not in bundle.files:
        raise _refused(source, f"holds {path!r}, which is no plain file that its manifest names")
    size, sha256 = bundle.files[path]
    content = tar.extractfile(member)
    if member.size != size or content is None:
        raise _refused(source, f"{path} has {member.size} bytes, its manifest says {size}")
    target = folder / path
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = hashlib.sha256()
    with target.open("xb") as file:
        while block := content.read(_BLOCK):
            found.update(block)
            file.write(block)
    if found.hexdigest() != sha256:
        raise _refused(source, f"{path} has other bytes than its manifest says")
    return path


def is_safe(path: str) -> bool:
    """Whether a path stays where it is put.

    >>> is_safe("tables/slide.jsonl"), is_safe("../x"), is_safe("/x"), is_safe("a//b"), is_safe("")
    (True, False, False, False, False)
    """
    parts = path.split("/")
    return PurePosixPath(path).as_posix() == path and all(_PART.fullmatch(p) for p in parts)


def _refused(source: Path, fact: str) -> StoreError:
    return StoreError(source, fact, remedy="Use another backup; nothing was changed")
