"""Artifacts <-> folders on disk, published whole or not at all.

    <store>/.staging/<run>/<token>/           written here, fsynced …
    <store>/<stage>/<name>/<partition key>/<digest>/   … then renamed to here
        artifact.json       what it is, what it was made from and with, SHA-256 of every file
        features.zarr/ …    the files

A reader never sees half an artifact. A killed run leaves only staging; the next run removes it,
once nobody holds that run's lock. An artifact's files and folders are on the disk before it gets
its name, so it outlives a power cut too. What is damaged is replaced by what is published in its
place; what is whole never is.
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from pathassets.adapters.store.damage import (
    MANIFEST,
    Damage,
    Expected,
    ListedFile,
    Look,
    check_bytes,
    check_sizes,
    look_over,
    look_over_side_by_side,
    read_plain,
)
from pathassets.adapters.store.folders import (
    make_synced,
    refuse_link,
    sha256_synced,
    sync_folder,
    sync_folders,
    write_synced,
)
from pathassets.adapters.store.staging import MEND_DISK, REPLACE_LOCK, Staging
from pathassets.core.address import Address
from pathassets.core.spec import canonical_json
from pathassets.errors import ArtifactCorrupt, ArtifactMissing, StoreError


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
        return self.root.joinpath(
            address.stage, address.name, address.partition_key, address.digest
        )

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
            return _parse(read_plain(path), address)
        except FileNotFoundError as error:
            key = "/".join(address.key)
            raise ArtifactMissing(
                path.parent,
                f"{key} of {address.partition_key} is not here",
                remedy="pathassets run makes it, and what it is made from",
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _corrupt(path, f"cannot be read: {error}") from error

    def read_whole(self, address: Address) -> Artifact:
        """Read what an artifact says of itself, once its files are there with their sizes.

        Raises:
            ArtifactMissing: it was never published, or is gone.
            ArtifactCorrupt: a file is gone or has another size.
        """
        artifact = self.read(address)
        self._refuse(address, self.check_sizes(address, artifact.files))
        return artifact

    def read_checked(self, address: Address) -> Artifact:
        """Read what an artifact says of itself, once all its files have the hashes it names.

        For what others are made from: a chunk that is gone would read as glass.

        Raises:
            ArtifactMissing: it was never published, or is gone.
            ArtifactCorrupt: a file is gone or has other bytes.
        """
        artifact = self.read(address)
        self._refuse(address, self.check_bytes(address, artifact.files))
        return artifact

    def check_sizes(self, address: Address, files: Iterable[ListedFile]) -> Damage | None:
        """Whether these files, and what names them, are there with their sizes."""
        return check_sizes(self.path_of(address), files)

    def check_bytes(self, address: Address, files: Iterable[ListedFile]) -> Damage | None:
        """Whether these files have the bytes that they had, and what names them can be read."""
        damage = check_bytes(self.path_of(address), files)
        if damage is None:
            try:
                self.read(address)
            except StoreError as error:
                return Damage(path=MANIFEST, fact=f"is damaged: {error.message}")
        return damage

    def look_over(self, expected: Expected) -> Iterator[Look]:
        """Check many artifacts by their sizes; give each, and why it is not whole, in order."""
        return look_over(self.check_sizes, expected)

    def find_damaged_bytes(
        self, expected: Expected, *, n_threads: int
    ) -> Iterator[tuple[Address, Damage]]:
        """Check many artifacts, every byte of them; give those that are not whole, and why."""
        looks = look_over_side_by_side(
            self.check_bytes, expected, n_threads=n_threads, n_batch=_N_HASHED
        )
        return ((address, damage) for address, damage in looks if damage is not None)

    def _refuse(self, address: Address, damage: Damage | None) -> None:
        if damage is not None:
            folder = self.path_of(address)
            raise _corrupt(folder / damage.path if damage.path else folder, damage.fact)

    def read_file(self, artifact: Artifact, file: StoredFile) -> bytes:
        """Read a small file of an artifact whole.

        Raises:
            ArtifactCorrupt: it is gone or has other bytes than were published.
        """
        path = self.path_of(artifact.address) / file.path
        try:
            data = read_plain(path)
        except OSError as error:
            raise _corrupt(path, f"cannot be read: {error.strerror or error}") from error
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise _corrupt(path, "has other bytes than were published")
        return data

    def holds_any(self) -> bool:
        """Whether anything was ever published here."""
        return any(self.root.glob(f"[!.]*/*/*/*/{MANIFEST}"))

    @contextmanager
    def staging(self, run: str) -> Iterator[Path]:
        """Hold a folder for unfinished work of one run; its lock tells others that the run lives.

        Raises:
            StoreError: the store is not writable, or another process works on this run.
        """
        with Staging(self.root).hold(run) as folder:
            yield folder

    def sweep_staging(self) -> int:
        """Remove what killed runs left unfinished; returns how many runs that were.

        Raises:
            StoreError: the store is not writable, or its staging area is a link.
        """
        return Staging(self.root).sweep()

    def publish(self, draft: Artifact, folder: Path) -> Artifact:
        """Give a finished folder its final name, with `artifact.json` and hashes.

        An artifact that is there already and whole is kept: the same identity has the same bytes.
        One that is damaged is replaced; a kill in between leaves none.

        Raises:
            StoreError: the disk is full or not writable, or a link is in the way.
        """
        target = self.path_of(draft.address)
        try:
            artifact = replace(draft, files=_synced_files(folder))
            write_synced(folder / MANIFEST, _dump(artifact))
            sync_folders(folder)
            make_synced(target.parent, self.root)
            if not _take_name(folder, target) and not self._replace(folder, draft.address):
                shutil.rmtree(folder, ignore_errors=True)
                return self.read(draft.address)
            sync_folder(target.parent)
        except OSError as error:
            raise _not_published(target, error) from error
        return artifact

    def _replace(self, folder: Path, address: Address) -> bool:
        """Put what is damaged aside for a finished folder; returns whether it was, not whole.

        One process at a time: it must not put aside what another has just made whole.
        """
        target = self.path_of(address)
        with Staging(self.root).lock(REPLACE_LOCK):
            if self.is_intact(address):
                return False
            with self.staging(f"replaced-{uuid.uuid4().hex}") as aside:
                with suppress(FileNotFoundError):  # removed since: so much the better
                    target.rename(aside / "damaged")
                # Else another run has published it since, who needs no lock for an empty place.
                return _take_name(folder, target)

    def is_intact(self, address: Address) -> bool:
        """Whether an artifact is there with all of its bytes; reads them."""
        try:
            self.read_checked(address)
        except StoreError:
            return False
        return True

    @contextmanager
    def writing(self, address: Address) -> Iterator[None]:
        """Say of a disk that is full, or cannot be written, which artifact it keeps from being.

        Raises:
            StoreError: it does.
        """
        try:
            yield
        except StoreError:
            raise  # one that is a FileNotFoundError, too, says more
        except OSError as error:
            raise _not_published(self.path_of(address), error) from error


def _take_name(folder: Path, target: Path) -> bool:
    """Give a folder its name; returns whether it has it now, not something else."""
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            raise
        return False
    return True


def open_store(root: Path) -> Store:
    """Open the store, making its folder where there is none.

    Raises:
        StoreError: it cannot be written.
    """
    Staging(root).open()
    return Store(root)


def _not_published(target: Path, error: OSError) -> StoreError:
    return StoreError(target, f"cannot be published: {error.strerror or error}", remedy=MEND_DISK)


def _corrupt(path: Path, fact: str) -> ArtifactCorrupt:
    return ArtifactCorrupt(
        path, fact, remedy="Run again: what is damaged is made anew, or told with what mends it"
    )


def _dump(artifact: Artifact) -> bytes:
    # Not asdict, which copies each of a dataset's 100,000 parents; bytes are the same.
    plain = {field.name: getattr(artifact, field.name) for field in fields(artifact)}
    plain["content_sha256"] = artifact.content_sha256
    return (json.dumps(json.loads(canonical_json(plain)), indent=1, sort_keys=True) + "\n").encode()


def _parse(text: bytes, address: Address) -> Artifact:
    data = json.loads(text)
    if not isinstance(data, dict):
        raise TypeError(f"it holds a {type(data).__name__}")
    stated = data.pop("content_sha256")
    artifact = Artifact(
        **{
            **data,
            "address": _parse_address(data["address"]),
            "parents": tuple(_parse_address(parent) for parent in data["parents"]),
            "files": tuple(StoredFile(**file) for file in data["files"]),
        }
    )
    if artifact.address != address or artifact.content_sha256 != stated:
        raise ValueError("it contradicts itself or its place")
    return artifact


def read_copy(folder: Path) -> Artifact:
    """Read what the `artifact.json` of a copied folder says, wherever it lies.

    Raises:
        ArtifactCorrupt: it is not what was written.
    """
    path = folder / MANIFEST
    try:
        text = read_plain(path)
        return _parse(text, _parse_address(json.loads(text)["address"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactCorrupt(
            path, f"cannot be read: {error}", remedy="Copy the folder again, whole"
        ) from error


_N_HASHED = 16
"""Artifacts whose bytes a thread checks before it is asked again: small files are hashed faster
than handed over, and of large ones no thread is to be left with many at the end."""

_OF_OLD = {"section": "stage", "subject": "partition_key"}
"""What the parts of an address were called up to 0.1.0."""


def _parse_address(plain: dict[str, str]) -> Address:
    return Address(**{_OF_OLD.get(name, name): part for name, part in plain.items()})


def _synced_files(folder: Path) -> tuple[StoredFile, ...]:
    """Every file of a folder, on the disk for certain.

    Raises:
        StoreError: one is a link.
    """
    return tuple(_synced_file(folder, path) for path in sorted(folder.rglob("*")) if _is_file(path))


def _is_file(path: Path) -> bool:
    refuse_link(path)
    return path.is_file()


def _synced_file(folder: Path, path: Path) -> StoredFile:
    return StoredFile(
        path=path.relative_to(folder).as_posix(),
        size_bytes=path.stat().st_size,
        sha256=sha256_synced(path),
    )
