"""Objects of a slide -> files on the scratch disk, their content hashed as it comes in."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathassets.adapters.files import fingerprint_from
from pathassets.adapters.objects.place import StoredObject
from pathassets.adapters.objects.remote_file import RemoteFile
from pathassets.adapters.objects.remote_slides import RemoteSlide, look_at
from pathassets.errors import ObjectMissing, SlideChanged, StorageUnavailable, StoreError


@dataclass(frozen=True, slots=True)
class RemoteOriginal:
    """A slide's objects, as `scratch_copy.Original` has it."""

    slide: RemoteSlide

    @property
    def where(self) -> RemoteFile:
        """The object that is opened."""
        return self.slide.file

    @property
    def n_bytes(self) -> int:
        """Of all of them."""
        return self.slide.size_bytes

    @property
    def places(self) -> Sequence[str]:
        """As they lie to each other."""
        return [one.key for one in self.slide.members]

    def copy(self, n: int, target: Path) -> str:
        """Copy one of them, of the version that was looked at; returns its SHA-256.

        Raises:
            SlideChanged: it was overwritten.
            StoreError: its storage does not give it.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with target.open("xb") as file:
            for part in self._parts(self.slide.members[n]):
                digest.update(part)
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        return digest.hexdigest()

    def fingerprint(self) -> str:
        """What the slide's content is known by, read and kept nowhere.

        Raises:
            SlideChanged: it was overwritten meanwhile.
            StoreError: its storage does not give it.
        """
        return fingerprint_from(map(self._sha256, self.slide.members))

    def _sha256(self, one: StoredObject) -> str:
        digest = hashlib.sha256()
        for part in self._parts(one):
            digest.update(part)
        return digest.hexdigest()

    def _parts(self, one: StoredObject) -> Iterator[bytes]:
        try:
            yield from self.slide.folder.read_parts(one)
        except StorageUnavailable:
            raise
        except StoreError as error:
            require_unchanged(self.slide, error)
            raise


def require_unchanged(slide: RemoteSlide, error: StoreError) -> None:
    """Say of a slide that was overwritten while it was read that this is why it cannot be.

    Raises:
        SlideUnreadable: it is gone.
        SlideChanged: it looks otherwise than it did.
        StoreError: its storage cannot be asked.
    """
    if isinstance(error, ObjectMissing) or look_at(slide.file).stamp != slide.stamp:
        raise changed_meanwhile(slide.file) from error


def changed_meanwhile(file: RemoteFile) -> SlideChanged:
    """A slide that was written while it was read."""
    return SlideChanged(
        file,
        "changed while it was read",
        remedy=f"Once it is whole, register it: pathassets ingest {shlex.quote(str(file))}",
    )
