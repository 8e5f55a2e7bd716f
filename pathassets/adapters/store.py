"""Artifacts <-> folders on disk, published whole or not at all.

    <store>/.staging/<run>/<token>/           written here, fsynced …
    <store>/<section>/<name>/<subject>/<digest>/   … then renamed to here
        artifact.json       what it is, what it was made from and with, SHA-256 of every file
        features.zarr/ …    the files

A reader never sees half an artifact. A killed run leaves only staging; the next run removes it,
once nobody holds that run's lock. An artifact's files and folders are on the disk before it gets
its name, so it outlives a power cut too.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pathassets.adapters.files import keep_private
from pathassets.core.address import Address
from pathassets.core.spec import canonical_json
from pathassets.errors import ArtifactCorrupt, ArtifactMissing, StoreError

logger = logging.getLogger(__name__)

MANIFEST = "artifact.json"
STAGING = ".staging"
SWEEP_LOCK = ".sweep.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One file of an artifact."""

    path: str
    """Relative to the artifact's folder, with forward slashes."""
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What `artifact.json` says. It holds no clock: equal work gives equal bytes."""

    address: Address
    spec: dict[str, Any]
    code_version: str
    weights_sha256: str
    parents: tuple[Address, ...]
    facts: dict[str, Any]
    """Numbers and words a person looks at: n_patches, tissue_mm2, …"""
    software: dict[str, str]
    files: tuple[StoredFile, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Size of all its files."""
        return sum(file.size_bytes for file in self.files)

    @property
    def content_sha256(self) -> str:
        """One SHA-256 for all its files: of their names and hashes, sorted."""
        return content_sha256_of({file.path: file.sha256 for file in self.files})


def content_sha256_of(sha256_by_path: Mapping[str, str]) -> str:
    """SHA-256 over the sorted lines `sha256  path` (what `sha256sum` prints)."""
    lines = sorted(f"{sha256}  {path}\n" for path, sha256 in sha256_by_path.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Store:
    """The folder all artifacts live in."""

    root: Path

    def path_of(self, address: Address) -> Path:
        """Where the artifact is, or would be."""
        return self.root / address.section / address.name / address.subject / address.digest

    def has(self, address: Address) -> bool:
        """Whether the artifact was published. One look at the disk."""
        return (self.path_of(address) / MANIFEST).is_file()

    def read(self, address: Address) -> Artifact:
        """Read what an artifact says of itself.

        Raises:
            ArtifactMissing: it was never published.
            ArtifactCorrupt: its `artifact.json` is not what was written.
        """
        path = self.path_of(address) / MANIFEST
        try:
            return _parse(path.read_bytes(), address)
        except FileNotFoundError as error:
            key = "/".join(address.key)
            raise ArtifactMissing(
                path.parent,
                f"{key} of {address.subject} was never made, and was not asked for",
                remedy=f"Run {key} too",
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _corrupt(path, f"cannot be read: {error}", path.parent) from error

    def read_checked(self, address: Address) -> Artifact:
        """Read what an artifact says of itself, once all its files have the hashes it names.

        For small artifacts that others are made from: a chunk that is gone would read as glass.

        Raises:
            ArtifactMissing: it was never published.
            ArtifactCorrupt: a file is gone or has other bytes.
        """
        artifact = self.read(address)
        for file in artifact.files:
            self.read_file(artifact, file)
        return artifact

    def read_file(self, artifact: Artifact, file: StoredFile) -> bytes:
        """Read a small file of an artifact whole.

        Raises:
            ArtifactCorrupt: it is gone or has other bytes than were published.
        """
        folder = self.path_of(artifact.address)
        path = folder / file.path
        try:
            data = path.read_bytes()
        except OSError as error:
            raise _corrupt(path, f"cannot be read: {error.strerror or error}", folder) from error
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise _corrupt(path, "its bytes are not those that were published", folder)
        return data

    @contextmanager
    def staging(self, run: str) -> Iterator[Path]:
        """Hold a folder for unfinished work of one run; its lock tells others that the run lives.

        Raises:
            StoreError: the store is not writable, or another process works on this run.
        """
        folder = self.root / STAGING / run
        lock = self._lock_run(run)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()

    def _lock_run(self, run: str) -> FileLock:
        """Lock and make the folder of a run in one go: no sweep finds either without the other."""
        folder = self.root / STAGING / run
        lock = FileLock(f"{folder}.lock", thread_local=False)
        try:
            with self._sweep_lock():
                lock.acquire(timeout=0)
                folder.mkdir(exist_ok=True)
        except Timeout as error:
            raise StoreError(
                folder, "another process works on this run", remedy="Wait for it to end"
            ) from error
        except OSError as error:
            lock.release()
            raise _not_writable(self.root, error) from error
        return lock

    @contextmanager
    def _sweep_lock(self) -> Iterator[None]:
        """Hold the staging area: one process at a time begins a run or sweeps after dead ones."""
        staging = self.root / STAGING
        staging.mkdir(parents=True, exist_ok=True)
        with FileLock(staging / SWEEP_LOCK):
            yield

    def sweep_staging(self) -> int:
        """Remove what killed runs left unfinished; returns how many runs that were.

        Raises:
            StoreError: the store is not writable.
        """
        staging = self.root / STAGING
        try:
            with self._sweep_lock():
                found = [p for p in staging.iterdir() if p.name != SWEEP_LOCK]
                runs = {p.name.removesuffix(".lock") for p in found}
                return sum(_sweep_run(staging / run) for run in sorted(runs))
        except OSError as error:
            raise _not_writable(self.root, error) from error

    def publish(self, draft: Artifact, folder: Path) -> Artifact:
        """Give a finished folder its final name, with `artifact.json` and hashes.

        An artifact that is there already is kept: the same identity has the same bytes.

        Raises:
            StoreError: the disk is full or not writable.
        """
        target = self.path_of(draft.address)
        try:
            artifact = replace(draft, files=_synced_files(folder))
            _write_synced(folder / MANIFEST, _dump(artifact))
            _sync_folders(folder)
            _make_folders(target.parent)
            if not self.has(draft.address):
                folder.rename(target)
                _sync_folder(target.parent)
                return artifact
        except OSError as error:
            if not self.has(draft.address):
                raise _not_published(target, error) from error
            # else another run published it between the look and the rename
        shutil.rmtree(folder, ignore_errors=True)
        return self.read(draft.address)


def _sweep_run(folder: Path) -> bool:
    """Remove what one run left, unless it lives."""
    lock = FileLock(f"{folder}.lock")
    try:
        with lock.acquire(timeout=0):
            if folder.exists():  # else it was killed between lock and folder
                shutil.rmtree(folder)
            Path(lock.lock_file).unlink()
    except Timeout:
        return False
    except PermissionError as error:
        logger.warning("%s: left by another user, cannot be removed: %s", folder, error.strerror)
        return False
    return True


def open_store(root: Path) -> Store:
    """Open the store, making its folder where there is none.

    Raises:
        StoreError: it cannot be written.
    """
    staging = root / STAGING
    try:
        keep_private(root)
        staging.mkdir(exist_ok=True)
        tempfile.TemporaryFile(dir=staging).close()
    except OSError as error:
        raise _not_writable(root, error) from error
    return Store(root)


def _not_writable(root: Path, error: OSError) -> StoreError:
    return StoreError(
        root,
        f"the store is not writable: {error.strerror or error}",
        remedy="Grant write permission, or point PATHASSETS_STORE at a folder you own",
    )


def _not_published(target: Path, error: OSError) -> StoreError:
    if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
        return StoreError(
            target,
            f"cannot be published: a folder without {MANIFEST} is in its place",
            remedy="It is what is left of a deleted artifact: delete it, and run again",
        )
    return StoreError(
        target, f"cannot be published: {error.strerror or error}", remedy="Free or mend the disk"
    )


def _corrupt(path: Path, fact: str, folder: Path) -> ArtifactCorrupt:
    return ArtifactCorrupt(path, fact, remedy=f"Delete {folder} and run again")


def _dump(artifact: Artifact) -> bytes:
    plain = {**asdict(artifact), "content_sha256": artifact.content_sha256}
    return (json.dumps(json.loads(canonical_json(plain)), indent=1, sort_keys=True) + "\n").encode()


def _parse(text: bytes, address: Address) -> Artifact:
    data = json.loads(text)
    if not isinstance(data, dict):
        raise TypeError(f"it holds a {type(data).__name__}")
    stated = data.pop("content_sha256")
    artifact = Artifact(
        **{
            **data,
            "address": Address(**data["address"]),
            "parents": tuple(Address(**parent) for parent in data["parents"]),
            "files": tuple(StoredFile(**file) for file in data["files"]),
        }
    )
    if artifact.address != address or artifact.content_sha256 != stated:
        raise ValueError("it contradicts itself or its place")
    return artifact


def _synced_files(folder: Path) -> tuple[StoredFile, ...]:
    """Every file of a folder, on the disk for certain."""
    return tuple(
        StoredFile(
            path=path.relative_to(folder).as_posix(),
            size_bytes=path.stat().st_size,
            sha256=_sha256_synced(path),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )


def _sha256_synced(path: Path) -> str:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _make_folders(folder: Path) -> None:
    """Make a folder and those above it, their names on the disk for certain."""
    if not folder.is_dir():
        _make_folders(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folders(folder: Path) -> None:
    for path in (*folder.rglob("*/"), folder):
        _sync_folder(path)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
