"""A store in a folder: artifacts are folders, published whole or not at all.

    <store>/.staging/<run>/<token>/           written here, fsynced …
    <store>/<stage>/<name>/<partition key>/<digest>/   … then renamed to here
        artifact.json       what it is, what it was made from and with, SHA-256 of every file
        features.zarr/ …    the files

A killed run leaves only staging; the next run removes it, once nobody holds that run's lock. An
artifact's files and folders are on the disk before it gets its name, so it outlives a power cut
too. What is damaged is replaced by what is published in its place; what is whole never is.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pathassets.adapters.store.damage import (
    MANIFEST,
    Damage,
    ListedFile,
    check_bytes,
    check_sizes,
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
from pathassets.adapters.store.staging import REPLACE_LOCK, Staging
from pathassets.adapters.store.store import (
    UNPARSED,
    Artifact,
    Store,
    StoredFile,
    corrupt,
    dump,
    missing,
    not_published,
    parse,
)
from pathassets.core.address import Address
from pathassets.errors import StoreError


@dataclass(frozen=True, slots=True)
class FolderStore(Store):
    """The folder all artifacts live in."""

    root: Path

    @property
    def where(self) -> str:
        """Its path."""
        return str(self.root)

    @property
    def work(self) -> Path:
        """The store itself: what is published is renamed, and so on the same disk."""
        return self.root

    @property
    def mark(self) -> str:
        """Its staging area, as one makes it."""
        return f"mkdir -p {Staging(self.root).folder}"

    def was_opened(self) -> bool:
        """Whether it has a staging area."""
        return os.path.isdir(Staging(self.root).folder)  # noqa: PTH112 - never raises

    def open(self) -> None:
        """Make sure that it can be written, making its folder where there is none.

        Raises:
            StoreError: it cannot, or its staging area is a link.
        """
        Staging(self.root).open()

    def path_of(self, address: Address) -> Path:
        """Where the artifact is, or would be."""
        return self.root.joinpath(
            address.stage, address.name, address.partition_key, address.digest
        )

    def uri_of(self, address: Address) -> str:
        """Path where the artifact is, or would be."""
        return str(self.path_of(address))

    def place_of(self, named: str) -> str | None:
        """What a path is called from the root on; None where it is elsewhere."""
        place, root = Path(named).resolve(), self.root.resolve()
        return place.relative_to(root).as_posix() if place.is_relative_to(root) else None

    def has(self, address: Address) -> bool:
        """Whether the artifact was published. One look at the disk."""
        return (self.path_of(address) / MANIFEST).is_file()

    def holds_any(self) -> bool:
        """Whether anything was ever published here."""
        return any(self.root.glob(f"[!.]*/*/*/*/{MANIFEST}"))

    def read(self, address: Address) -> Artifact:
        """Read what an artifact says of itself.

        Raises:
            ArtifactMissing: it was never published.
            ArtifactCorrupt: its `artifact.json` is not what was written.
        """
        path = self.path_of(address) / MANIFEST
        try:
            return parse(read_plain(path), address)
        except FileNotFoundError as error:
            raise missing(path.parent, address) from error
        except (OSError, *UNPARSED) as error:
            raise corrupt(path, f"cannot be read: {error}") from error

    def read_checked(self, address: Address) -> Artifact:
        """Read what an artifact says of itself, once all its files have the hashes it names.

        Raises:
            ArtifactMissing: it was never published, or is gone.
            ArtifactCorrupt: a file is gone or has other bytes.
        """
        return self.read_proved(address)

    def fetch(self, address: Address) -> Path:
        """The artifact's own folder, which nobody looks at here."""
        return self.path_of(address)

    def read_file(self, artifact: Artifact, file: StoredFile) -> bytes:
        """Read a small file of an artifact whole.

        Raises:
            ArtifactCorrupt: it is gone or has other bytes than were published.
        """
        path = self.path_of(artifact.address) / file.path
        try:
            data = read_plain(path)
        except OSError as error:
            raise corrupt(path, f"cannot be read: {error.strerror or error}") from error
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise corrupt(path, "has other bytes than were published")
        return data

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

    def publish(self, draft: Artifact, folder: Path) -> Artifact:
        """Give a finished folder its final name, with `artifact.json` and hashes.

        What is damaged in its place is replaced; a kill in between leaves none.

        Raises:
            StoreError: the disk is full or not writable, or a link is in the way.
        """
        target = self.path_of(draft.address)
        try:
            artifact = replace(draft, files=_synced_files(folder))
            write_synced(folder / MANIFEST, dump(artifact))
            sync_folders(folder)
            make_synced(target.parent, self.root)
            if not _take_name(folder, target) and not self._replace(folder, draft.address):
                shutil.rmtree(folder, ignore_errors=True)
                return self.read(draft.address)
            sync_folder(target.parent)
        except OSError as error:
            raise not_published(target, error) from error
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


def _take_name(folder: Path, target: Path) -> bool:
    """Give a folder its name; returns whether it has it now, not something else."""
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            raise
        return False
    return True


def _synced_files(folder: Path) -> tuple[StoredFile, ...]:
    """Every file of a folder, on the disk for certain.

    Raises:
        StoreError: one is a link.
    """
    return tuple(_synced_file(folder, path) for path in plain_files(folder))


def plain_files(folder: Path) -> list[Path]:
    """Every file of a folder, sorted, without the `artifact.json` of a publishing that was killed.

    Raises:
        StoreError: something in it is a link.
    """
    files = [path for path in sorted(folder.rglob("*")) if _is_file(path)]
    return [path for path in files if path != folder / MANIFEST]


def _is_file(path: Path) -> bool:
    refuse_link(path)
    return path.is_file()


def _synced_file(folder: Path, path: Path) -> StoredFile:
    return StoredFile(
        path=path.relative_to(folder).as_posix(),
        size_bytes=path.stat().st_size,
        sha256=sha256_synced(path),
    )
