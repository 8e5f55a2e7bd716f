"""A folder with a manifest -> the dataset that it holds, and whether that is what was published.

<store>/dataset/NAME/all/DIGEST/manifest.parquet   features are in the store
<folder>/manifest.parquet                          they are in the folder: it was copied
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import pandas as pd

from pathassets.adapters.parquet import load_table
from pathassets.adapters.store.damage import MANIFEST, check_bytes
from pathassets.adapters.store.store import Artifact, Store, read_copy
from pathassets.core.address import Address
from pathassets.core.datasets.manifest import MANIFEST_COLUMNS, USED
from pathassets.core.datasets.members import Member
from pathassets.core.datasets.used_patches import bits_of
from pathassets.core.datasets.withdrawn import Withdrawn
from pathassets.engine.datasets.withdrawn import FORGOTTEN_JSON, read_withdrawn
from pathassets.errors import (
    ArtifactCorrupt,
    ArtifactMissing,
    BagUnreadable,
    SpecError,
    StoreError,
)

MANIFEST_TABLE, USED_TABLE = "manifest.parquet", "used_patches.parquet"
AGAIN = (
    "pathassets doctor --bytes notes it, then pathassets run makes it anew or says what does; of a "
    "copied folder, copy it again"
)
ANEW_SAID = "was made anew since, to other bytes than the dataset names"
ANEW_REMEDY = (
    "Bring the files of then back from a copy of the store, or take a newer version, which "
    "pathassets run builds"
)
_DEPTH = 4
"""Folders from a dataset's own up to its store."""


@dataclass(frozen=True, kw_only=True)
class DatasetFolder:
    """A dataset on the disk."""

    path: Path
    """Where its manifest is."""
    manifest: pd.DataFrame
    """Columns MANIFEST_COLUMNS and more; sorted by slide."""
    withdrawn: tuple[Withdrawn, ...] = ()
    """Members that were taken out since, as far as it is known where the folder lies."""
    bucket: Store | None = None
    """Store in a bucket that the dataset was copied here from, and that has its features."""

    @cached_property
    def is_copy(self) -> bool:
        """Whether it has its features beside it, and needs no store."""
        first = next((PurePosixPath(uri).parts[0] for uri in self.manifest["features_uri"]), "")
        return (self.path / first).is_dir() or (self.path / FORGOTTEN_JSON).exists()

    @cached_property
    def used(self) -> dict[str, bytes]:
        """By slide, a bit for each row of its features that is used; empty: all of all are.

        Raises:
            ArtifactMissing: they are gone.
            ArtifactCorrupt: they are other than was published, or contradict the manifest.
        """
        if USED not in self.manifest:
            return {}
        table = self.path / USED_TABLE
        if not table.is_file():
            raise ArtifactMissing(table, "is gone: it says which patches are used", remedy=AGAIN)
        _require_published(self.path, USED_TABLE)
        try:
            found = load_table(table)
            bits = bits_of(found)
        except SpecError as error:
            raise ArtifactCorrupt(table, error.message, remedy=AGAIN) from error
        columns = ["slide_id", "n_patches", USED]
        if not found[columns].astype(object).equals(self.manifest[columns].astype(object)):
            raise ArtifactCorrupt(table, "is of other patches than the manifest", remedy=AGAIN)
        return bits

    @property
    def root(self) -> Path:
        """What the features' paths are relative to: the folder where it has them, else its store.

        Either way `features_uri` is the same, so a copy has the manifest byte for byte.
        """
        return self.path if self.is_copy else self.path.parents[_DEPTH - 1]

    def artifact_folder(self, member: Member) -> Path:
        """Folder of the artifact that a slide's features are in.

        Raises:
            BagUnreadable: they cannot be copied here from a bucket.
        """
        if self.bucket is None:
            return (self.root / member.features_uri).parent
        try:
            return self.bucket.fetch(Address(*PurePosixPath(member.features_uri).parts[:_DEPTH]))
        except (ArtifactMissing, ArtifactCorrupt) as error:
            raise bag_error(member, error.message, error.uri) from error
        except StoreError as error:  # of the bucket: nothing is wrong with the features
            raise bag_error(member, error.message, error.uri, remedy=error.remedy) from error

    def artifact_of(self, member: Member) -> Artifact:
        """Read what the artifact of a slide's features says of itself.

        Raises:
            BagUnreadable: it is gone, or other than the dataset names.
        """
        folder = self.artifact_folder(member)
        try:
            artifact = read_copy(folder)
        except StoreError as error:
            raise bag_error(member, error.message, error.uri) from error
        if artifact.content_sha256 != member.features_sha256:
            raise bag_error(member, f"{folder}: {ANEW_SAID}", folder, remedy=ANEW_REMEDY)
        return artifact

    def check(self, member: Member) -> None:
        """Read every byte of a slide's features.

        Raises:
            BagUnreadable: they are not those that the dataset names.
        """
        artifact, folder = self.artifact_of(member), self.artifact_folder(member)
        damage = check_bytes(folder, artifact.files)
        if damage is not None:
            raise bag_error(member, f"{folder / damage.path}: {damage.fact}", folder)


def bag_error(member: Member, said: str, uri: object, *, remedy: str = AGAIN) -> BagUnreadable:
    """Say of which slide it is."""
    return BagUnreadable(f"slide {member.slide_id}: {said}", uri=uri, remedy=remedy)


def open_folder(path: Path) -> DatasetFolder:
    """Open a dataset's own folder in a store, or one that it was copied to.

    Raises:
        ArtifactMissing: there is no manifest.
        ArtifactCorrupt: it is no manifest, or other than was published.
    """
    table = path / MANIFEST_TABLE
    if not table.is_file():
        raise ArtifactMissing(
            path, f"has no {MANIFEST_TABLE}: it is no dataset",
            remedy="Name a dataset, such as cohort@3, or the folder that one was copied to",
        )  # fmt: skip
    _require_published(path, MANIFEST_TABLE)
    manifest = load_table(table)
    missing = [name for name in MANIFEST_COLUMNS if name not in manifest.columns]
    if missing:
        raise ArtifactCorrupt(table, f"has no column {missing[0]}", remedy=AGAIN)
    if manifest["slide_id"].duplicated().any():
        raise ArtifactCorrupt(table, "names a slide twice", remedy=AGAIN)
    bad = next((uri for uri in manifest["features_uri"] if not is_within(uri)), None)
    if bad is not None:
        raise ArtifactCorrupt(table, f"names features elsewhere: {bad!r}", remedy=AGAIN)
    return DatasetFolder(path=path, manifest=manifest, withdrawn=read_withdrawn(path))


def _require_published(path: Path, name: str) -> None:
    """Refuse a table that was changed; a folder that somebody wrote by hand says nothing."""
    if not (path / MANIFEST).exists():
        return
    stated = [file for file in read_copy(path).files if file.path == name]
    damage = check_bytes(path, stated)
    if damage is not None:
        raise ArtifactCorrupt(path / damage.path, damage.fact, remedy=AGAIN)


def is_within(uri: object) -> bool:
    """Whether a path of somebody's file leads into the folder that it is relative to, not out."""
    if not isinstance(uri, str) or not uri or "\\" in uri or "\0" in uri:
        return False
    path = PurePosixPath(uri)
    return not path.is_absolute() and ".." not in path.parts and bool(path.parts)
