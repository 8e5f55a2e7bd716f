"""Artifacts, and the one door to where they are kept: a folder, or a bucket.

    Artifact     what `artifact.json` says: what it is, what it was made from and with, its files
    Store        has, read, fetch, check, publish: FolderStore and BucketStore do it

A reader never sees half an artifact. Work is done on a disk of this machine, whatever the store is:
a run's unfinished files lie in `<work>/.staging`, what outlives a kill in `<work>/.partial`.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pathassets.adapters.store.damage import (
    MANIFEST,
    Damage,
    Expected,
    ListedFile,
    Look,
    look_over,
    look_over_side_by_side,
    read_plain,
)
from pathassets.adapters.store.staging import MEND_DISK, Staging
from pathassets.core.address import Address
from pathassets.core.spec import canonical_json
from pathassets.core.text import is_text
from pathassets.errors import ArtifactCorrupt, ArtifactMissing, StoreError

_N_HASHED = 16
"""Artifacts whose bytes a thread checks before it is asked again: small files are hashed faster
than handed over, and of large ones no thread is to be left with many at the end."""

_OF_OLD = {"section": "stage", "subject": "partition_key"}
"""What the parts of an address were called up to 0.1.0."""


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


class Store(ABC):
    """Where all artifacts are kept, and where on this machine work on them is done."""

    __slots__ = ()

    @property
    @abstractmethod
    def where(self) -> str:
        """Path or URL, by which another process opens it."""

    @property
    @abstractmethod
    def work(self) -> Path:
        """Folder of this machine for what is not published yet."""

    @property
    @abstractmethod
    def mark(self) -> str:
        """What lies in whatever was a store once, and how a person puts it there."""

    @abstractmethod
    def was_opened(self) -> bool:
        """Whether it was a store before: it has the mark."""

    @abstractmethod
    def open(self) -> None:
        """Make sure that it can be written, making what is lacking of it.

        Raises:
            StoreError: it cannot, or a link is in the way.
        """

    @abstractmethod
    def uri_of(self, address: Address) -> str:
        """Path or URL where the artifact is, or would be, as a person is told it."""

    @abstractmethod
    def place_of(self, named: str) -> str | None:
        """What a path or URL is called from the store's root on; None where it is elsewhere."""

    @abstractmethod
    def has(self, address: Address) -> bool:
        """Whether the artifact was published. One look."""

    @abstractmethod
    def holds_any(self) -> bool:
        """Whether anything was ever published here."""

    @abstractmethod
    def read(self, address: Address) -> Artifact:
        """Read what an artifact says of itself.

        Raises:
            ArtifactMissing: it was never published.
            ArtifactCorrupt: its `artifact.json` is not what was written.
        """

    @abstractmethod
    def read_checked(self, address: Address) -> Artifact:
        """Read what an artifact says of itself, once all its files have the hashes it names.

        For what others are made from: a chunk that is gone would read as glass.

        Raises:
            ArtifactMissing: it was never published, or is gone.
            ArtifactCorrupt: a file is gone or has other bytes.
        """

    @abstractmethod
    def fetch(self, address: Address) -> Path:
        """A folder of this machine that has the artifact's files; to be read from, and soon.

        Of a folder's store it is the artifact's own, wherever that is and whatever is in it.

        Raises:
            ArtifactMissing: it was never published, or is gone.
            ArtifactCorrupt: a file is gone or has other bytes.
        """

    @abstractmethod
    def read_file(self, artifact: Artifact, file: StoredFile) -> bytes:
        """Read a small file of an artifact whole.

        Raises:
            ArtifactCorrupt: it is gone or has other bytes than were published.
        """

    @abstractmethod
    def check_sizes(self, address: Address, files: Iterable[ListedFile]) -> Damage | None:
        """Whether these files, and what names them, are there with their sizes."""

    @abstractmethod
    def check_bytes(self, address: Address, files: Iterable[ListedFile]) -> Damage | None:
        """Whether these files have the bytes that they had, and what names them can be read."""

    @abstractmethod
    def publish(self, draft: Artifact, folder: Path) -> Artifact:
        """Give the files of a finished folder their final place, with `artifact.json` and hashes.

        The folder is gone then. An artifact that is there already and whole is kept: the same
        identity has the same bytes. One that is damaged is replaced.

        Raises:
            StoreError: it cannot be written, or a link is in the way.
        """

    def read_whole(self, address: Address) -> Artifact:
        """Read what an artifact says of itself, once its files are there with their sizes.

        Raises:
            ArtifactMissing: it was never published, or is gone.
            ArtifactCorrupt: a file is gone or has another size.
        """
        artifact = self.read(address)
        self.refuse(address, self.check_sizes(address, artifact.files))
        return artifact

    def read_proved(self, address: Address) -> Artifact:
        """Read what an artifact says of itself, once every byte was read where it is kept.

        For what is doubted: no copy proves it.

        Raises:
            ArtifactMissing: it was never published, or is gone.
            ArtifactCorrupt: a file is gone or has other bytes.
        """
        artifact = self.read(address)
        self.refuse(address, self.check_bytes(address, artifact.files))
        return artifact

    def is_intact(self, address: Address) -> bool:
        """Whether an artifact is there with all of its bytes; reads them.

        Raises:
            StoreError: its storage does not answer, so that nobody knows.
        """
        try:
            self.read_proved(address)
        except (ArtifactMissing, ArtifactCorrupt):
            return False
        return True

    def refuse(self, address: Address, damage: Damage | None) -> None:
        """Refuse what is damaged.

        Raises:
            ArtifactCorrupt: it is.
        """
        if damage is not None:
            where = self.uri_of(address)
            raise corrupt(f"{where}/{damage.path}" if damage.path else where, damage.fact)

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

    @contextmanager
    def staging(self, run: str) -> Iterator[Path]:
        """Hold a folder for unfinished work of one run; its lock tells others that the run lives.

        Raises:
            StoreError: the disk is not writable, or another process works on this run.
        """
        with Staging(self.work).hold(run) as folder:
            yield folder

    def sweep_staging(self) -> int:
        """Remove what killed runs left unfinished; returns how many runs that were.

        Raises:
            StoreError: the disk is not writable, or its staging area is a link.
        """
        return Staging(self.work).sweep()

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
            raise not_published(self.uri_of(address), error) from error


def missing(uri: object, address: Address) -> ArtifactMissing:
    """What is said of an artifact that is not there."""
    return ArtifactMissing(
        uri,
        f"{'/'.join(address.key)} of {address.partition_key} is not here",
        remedy="pathassets run makes it, and what it is made from",
    )


def corrupt(uri: object, fact: str) -> ArtifactCorrupt:
    """What is said of an artifact that is damaged."""
    return ArtifactCorrupt(
        uri,
        fact,
        remedy="pathassets doctor --bytes notes what is damaged; then pathassets run makes it "
        "anew, or says what does",
    )


def not_published(uri: object, error: OSError) -> StoreError:
    """What is said of an artifact that a disk keeps from being."""
    return StoreError(uri, f"cannot be published: {error.strerror or error}", remedy=MEND_DISK)


UNPARSED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What `parse` raises of a text that is no `artifact.json`."""


def dump(artifact: Artifact, **more: str) -> bytes:
    """Write an `artifact.json`, with more that its store has to say of it."""
    # Not asdict, which copies each of a dataset's 100,000 parents; bytes are the same.
    plain = {field.name: getattr(artifact, field.name) for field in fields(artifact)}
    plain["content_sha256"] = artifact.content_sha256
    text = json.dumps(json.loads(canonical_json(plain | more)), indent=1, sort_keys=True)
    return f"{text}\n".encode()


def parse(text: bytes, address: Address | None = None, more: Iterable[str] = ()) -> Artifact:
    """Read an `artifact.json`: that of an address, or of whichever it states.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, RecursionError: it is none.
    """
    data = json.loads(text)
    if not isinstance(data, dict):
        raise TypeError(f"it holds a {type(data).__name__}")
    stated = data.pop("content_sha256")
    for name in more:
        del data[name]
    artifact = Artifact(
        **{
            **data,
            "address": _parse_address(data["address"]),
            "parents": tuple(_parse_address(parent) for parent in data["parents"]),
            "files": tuple(StoredFile(**file) for file in data["files"]),
        }
    )
    is_of_place = is_text(str(artifact.address)) and address in {None, artifact.address}
    if not is_of_place or artifact.content_sha256 != stated:
        raise ValueError("it contradicts itself or its place")
    return artifact


def _parse_address(plain: dict[str, str]) -> Address:
    return Address(**{_OF_OLD.get(name, name): part for name, part in plain.items()})


def read_copy(folder: Path) -> Artifact:
    """Read what the `artifact.json` of a copied folder says, wherever it lies.

    Raises:
        ArtifactCorrupt: it is not what was written.
    """
    path = folder / MANIFEST
    try:
        return parse(read_plain(path))
    except (OSError, *UNPARSED) as error:
        raise ArtifactCorrupt(
            path, f"cannot be read: {error}", remedy="Copy the folder again, whole"
        ) from error
