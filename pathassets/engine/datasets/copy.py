"""A dataset -> a folder that holds all of it, to be read where there is neither store nor catalog.

    TO/manifest.parquet, artifact.json, …     the dataset's own files, byte for byte
    TO/features/NAME/SLIDE/DIGEST/…           the artifact of each slide's features, likewise
    TO/forgotten.json                         members that are not there, and why; else none

Every file is hashed while it is copied. The folder has its name once it is whole.
"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

from pathassets.adapters.objects.remote_file import on_disk
from pathassets.adapters.store.damage import MANIFEST, open_plain
from pathassets.adapters.store.store import Artifact, read_copy
from pathassets.core.datasets.members import Member, members_of
from pathassets.core.datasets.withdrawn import without_withdrawn
from pathassets.engine.datasets.find import open_dataset
from pathassets.engine.datasets.folder import AGAIN, DatasetFolder, bag_error, is_within
from pathassets.engine.datasets.withdrawn import write_withdrawn
from pathassets.errors import ArtifactCorrupt, OutputExists, StoreError

_BLOCK_BYTES = 1 << 22


def copy_dataset(
    what: str | Path,
    to: str | Path,
    *,
    without_forgotten: bool = False,
    store: Path | str | None = None,
    advance: Callable[[str], object] = lambda _: None,
) -> Path:
    """Copy a dataset with its features into a new folder, which `load_dataset` opens by its path.

    Args:
        what: as `load_dataset` takes it.
        to: the folder, which must not be there, or be empty.
        without_forgotten: where slides were taken out since, copy the rest, and keep in
            `forgotten.json` which are not there; without it that is an error.
        store: as `load_dataset` takes it.
        advance: told of each slide that was copied.

    Raises:
        SpecError: there is no such dataset, or `to` is a URL.
        CatalogError: there is no such release, or the catalog cannot be read.
        OutputExists: something is there already.
        MembersForgotten: slides were taken out since, and the rest is not asked for.
        BagUnreadable: features are not those that the dataset names.
        StoreError: the dataset is damaged, or the folder cannot be written.
    """
    target = on_disk(to).expanduser().absolute()
    folder = open_dataset(what, store)
    members, lost = without_withdrawn(
        str(what), members_of(folder.manifest, "label"), folder.withdrawn,
        is_meant=without_forgotten,
    )  # fmt: skip
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise OutputExists(target, "is there already", remedy="Name a folder that is not there")
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        _copy_all(folder, members, part, advance)
        write_withdrawn(part, lost)
        part.replace(target)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            target, f"cannot be written: {error.strerror or error}",
            remedy="Name a folder you own, on a disk with room for all features",
        ) from error  # fmt: skip
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def _copy_all(
    folder: DatasetFolder,
    members: Iterable[Member],
    part: Path,
    advance: Callable[[str], object],
) -> None:
    part.mkdir(parents=True)
    own = read_copy(folder.path)
    _copy_artifact(own, folder.path, part)
    for member in members:
        _copy_bag(folder, member, part)
        advance(member.slide_id)


def _copy_bag(folder: DatasetFolder, member: Member, part: Path) -> None:
    artifact, source = folder.artifact_of(member), folder.artifact_folder(member)
    try:
        _copy_artifact(artifact, source, part / PurePosixPath(member.features_uri).parent)
    except ArtifactCorrupt as error:
        raise bag_error(member, error.message, error.uri) from error


def _copy_artifact(artifact: Artifact, source: Path, target: Path) -> None:
    """Copy the files that an artifact lists, and the list, which was read already."""
    for file in artifact.files:
        if not is_within(file.path):  # a stranger's list must not lead us to write elsewhere
            raise ArtifactCorrupt(source / MANIFEST, f"lists {file.path!r}", remedy=AGAIN)
        if _copy_file(source / file.path, target / file.path) != file.sha256:
            raise ArtifactCorrupt(
                source / file.path, "has other bytes than were published", remedy=AGAIN
            )
    _copy_file(source / MANIFEST, target / MANIFEST)


def _copy_file(source: Path, target: Path) -> str:
    """Copy a file; returns its SHA-256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    found = hashlib.sha256()
    with target.open("xb") as copy:
        for block in _blocks(source):
            found.update(block)
            copy.write(block)
    return found.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    """Read a file piece by piece.

    Raises:
        ArtifactCorrupt: it cannot be read.
    """
    try:
        with open(path, "rb", opener=open_plain) as file:
            while block := file.read(_BLOCK_BYTES):
                yield block
    except OSError as error:
        said = "is gone" if isinstance(error, FileNotFoundError) else error.strerror
        raise ArtifactCorrupt(path, str(said), remedy=AGAIN) from error
