"""A dataset in a folder -> whether all that it names is there, byte for byte; no catalog is asked.

    artifact.json ─▶ SHA-256 of manifest.parquet, … ─▶ of each slide's features ─▶ of each file

Whoever changes a file and all that names it, up to artifact.json, is not found so: its SHA-256 over
all is the one that the catalog has of a release.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pathassets.adapters.store.damage import MANIFEST, check_bytes
from pathassets.adapters.store.store import Artifact, read_copy
from pathassets.core.datasets.members import Member, members_of
from pathassets.engine.datasets.find import open_dataset
from pathassets.engine.datasets.folder import DatasetFolder, is_within
from pathassets.errors import (
    ArtifactCorrupt,
    ArtifactMissing,
    MembersForgotten,
    StoreError,
)
from pathassets.errors.wording import without_subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that a version names, and that is not what it was."""

    name: str
    """A slide, or the dataset itself."""
    reason: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a look at every file found."""

    name: str
    """`cohort@3`, or the folder."""
    content_sha256: str
    """Of the dataset's own files, by which two copies are compared; "" where nothing tells."""
    n_slides: int
    n_files: int
    """Of features."""
    n_bytes: int
    faults: tuple[Fault, ...]


def verify_folder(path: Path, *, features: bool = True, n_threads: int = 1) -> Verified:
    """Hash every file that a dataset in a folder names, or its own files alone.

    Raises:
        ArtifactMissing: the folder holds no dataset.
    """
    try:
        folder = open_dataset(path, None)
    except ArtifactCorrupt as error:  # of a changed manifest nobody knows what it named
        fault = Fault(name=str(path), reason=error.reason, said=error.message)
        return Verified(
            name=str(path), content_sha256="", n_slides=0, n_files=0, n_bytes=0, faults=(fault,)
        )
    return _verify(folder, features=features, n_threads=n_threads)


def _verify(folder: DatasetFolder, *, features: bool, n_threads: int) -> Verified:
    name = str(folder.path)
    gone = {one.slide_id for one in folder.withdrawn}
    own, faults = _own(folder, name)
    faults += [
        Fault(name=one.slide_id, reason=MembersForgotten.reason,
              said=f"was forgotten on {one.on} by {one.who}: {one.why}")
        for one in folder.withdrawn
    ]  # fmt: skip
    members = members_of(folder.manifest, "label") if features else []
    there = [one for one in members if one.slide_id not in gone]
    with ThreadPoolExecutor(n_threads) as pool:
        seen = list(pool.map(lambda one: _look(folder, one), there))
    files = list(chain.from_iterable(artifact.files for artifact, _ in seen if artifact))
    return Verified(
        name=name,
        content_sha256="" if own is None else own.content_sha256,
        n_slides=len(folder.manifest),
        n_files=len(files),
        n_bytes=sum(file.size_bytes for file in files),
        faults=(*faults, *(fault for _, fault in seen if fault is not None)),
    )


def _own(folder: DatasetFolder, name: str) -> tuple[Artifact | None, list[Fault]]:
    """What the dataset says of its own files, and which of them are not that."""
    if not (folder.path / MANIFEST).exists():
        said = f"has no {MANIFEST}: nothing tells what its own files were"
        return None, [_fault(name, said, is_gone=True)]
    try:
        own = read_copy(folder.path)
    except StoreError as error:
        return None, [Fault(name=name, reason=error.reason, said=error.message)]
    return own, list(_changed(folder, own, name))


def _changed(folder: DatasetFolder, own: Artifact, name: str) -> Iterator[Fault]:
    """Each file of a dataset's own that is not what was published."""
    for file in own.files:
        if not is_within(file.path):
            yield _fault(name, f"{MANIFEST} lists {file.path!r}", is_gone=False)
            continue
        damage = check_bytes(folder.path, [file])
        if damage is not None:
            yield _fault(name, str(damage), is_gone=damage.is_gone)


def _look(folder: DatasetFolder, member: Member) -> tuple[Artifact | None, Fault | None]:
    """What a slide's features say of themselves, and what is wrong with them."""
    try:
        place = folder.artifact_folder(member)
    except StoreError as error:
        return None, _fault(member.slide_id, error.message, is_gone=False)
    try:
        artifact = folder.artifact_of(member)
    except StoreError as error:
        is_gone = not (place / MANIFEST).exists()
        said = f"{place} is gone" if is_gone else error.message
        return None, _fault(member.slide_id, said, is_gone=is_gone)
    damage = check_bytes(place, artifact.files)
    if damage is None:
        return artifact, None
    return artifact, _fault(member.slide_id, f"features: {damage}", is_gone=damage.is_gone)


def _fault(name: str, said: str, *, is_gone: bool) -> Fault:
    kind = ArtifactMissing if is_gone else ArtifactCorrupt
    return Fault(name=name, reason=kind.reason, said=without_subject(f"slide {name}", said))
