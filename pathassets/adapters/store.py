"""Artifacts <-> folders on disk, published whole or not at all.

    <store>/.staging/<run>/<token>/           written here, fsynced …
    <store>/<section>/<name>/<subject>/<digest>/   … then renamed to here
        artifact.json       what it is, what it was made from and with, SHA-256 of every file
        features.zarr/ …    the files

A reader never sees half an artifact. A killed run leaves only staging; whoever opens the store next
removes it, once nobody holds that run's lock.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pathassets.core.address import Address
from pathassets.core.spec import canonical_json
from pathassets.errors import ArtifactCorrupt, ArtifactMissing, StoreError

MANIFEST = "artifact.json"
STAGING = ".staging"


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
        return content_sha256_of(self.files)


def content_sha256_of(files: tuple[StoredFile, ...]) -> str:
    """SHA-256 over the sorted lines `sha256  path` (what `sha256sum` prints)."""
    lines = sorted(f"{file.sha256}  {file.path}\n" for file in files)
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
            ArtifactCorrupt: its `artifact.json` cannot be read.
        """
        path = self.path_of(address) / MANIFEST
        try:
            return _parse(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            key = "/".join(address.key)
            raise ArtifactMissing(
                path.parent,
                f"{key} of {address.subject} was never made, and was not asked for",
                remedy=f"Run {key} too",
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactCorrupt(
                path, f"cannot be read: {error}", remedy=f"Delete {path.parent} and run again"
            ) from error

    @contextmanager
    def staging(self, run: str) -> Iterator[Path]:
        """Hold a folder for unfinished work of one run; its lock tells others that the run lives.

        Raises:
            StoreError: the store is not writable.
        """
        folder = self.root / STAGING / run
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{folder}.lock", timeout=0):  # before the folder: no sweep finds it free
                folder.mkdir(exist_ok=True)
                yield folder
        except Timeout as error:
            raise StoreError(
                folder, "another process works on this run", remedy="Wait for it to end"
            ) from error
        except PermissionError as error:
            raise _not_writable(self.root, error) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            Path(f"{folder}.lock").unlink(missing_ok=True)

    def sweep_staging(self) -> int:
        """Remove what killed runs left unfinished; returns how many runs that were."""
        staging = self.root / STAGING
        runs = {p.name for p in staging.glob("*/")} | {p.stem for p in staging.glob("*.lock")}
        n_swept = 0
        for run in sorted(runs):
            lock = staging / f"{run}.lock"
            try:
                with FileLock(lock, timeout=0):
                    shutil.rmtree(staging / run, ignore_errors=True)
                    lock.unlink(missing_ok=True)
                    n_swept += 1
            except Timeout:
                continue  # that run lives
        return n_swept

    def publish(self, draft: Artifact, folder: Path) -> Artifact:
        """Give a finished folder its final name, with `artifact.json` and hashes.

        An artifact that is there already is kept: the same identity has the same bytes.

        Raises:
            StoreError: the disk is full or not writable.
        """
        files = tuple(
            StoredFile(
                path=path.relative_to(folder).as_posix(),
                size_bytes=path.stat().st_size,
                sha256=_sha256_synced(path),
            )
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        )
        artifact = Artifact(**{**_shallow(draft), "files": files})
        target = self.path_of(draft.address)
        try:
            _write_synced(folder / MANIFEST, _dump(artifact))
            target.parent.mkdir(parents=True, exist_ok=True)
            if self.has(draft.address):
                shutil.rmtree(folder)
                return self.read(draft.address)
            folder.rename(target)
            _sync_folder(target.parent)
        except OSError as error:
            if self.has(draft.address):  # another run published it between the look and the rename
                return self.read(draft.address)
            raise StoreError(
                target, f"cannot be published: {error}", remedy="Free or mend the disk"
            ) from error
        return artifact


def open_store(root: Path) -> Store:
    """Open the store, making its folder where there is none.

    Raises:
        StoreError: it cannot be written.
    """
    probe = root / STAGING / f"probe-{uuid.uuid4().hex}"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _not_writable(root, error) from error
    return Store(root)


def _not_writable(root: Path, error: OSError) -> StoreError:
    return StoreError(
        root,
        f"the store is not writable: {error.strerror or error}",
        remedy="Grant write permission, or point PATHASSETS_STORE at a folder you own",
    )


def _shallow(artifact: Artifact) -> dict[str, Any]:
    return {name: getattr(artifact, name) for name in Artifact.__dataclass_fields__}


def _dump(artifact: Artifact) -> bytes:
    plain = {**asdict(artifact), "content_sha256": artifact.content_sha256}
    return (json.dumps(json.loads(canonical_json(plain)), indent=1, sort_keys=True) + "\n").encode()


def _parse(data: dict[str, Any]) -> Artifact:
    data.pop("content_sha256")
    return Artifact(
        **{
            **data,
            "address": Address(**data["address"]),
            "parents": tuple(Address(**parent) for parent in data["parents"]),
            "files": tuple(StoredFile(**file) for file in data["files"]),
        }
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


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
