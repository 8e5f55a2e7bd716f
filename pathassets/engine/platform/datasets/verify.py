"""A version of a dataset -> whether all that it names is there, byte for byte."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pandas as pd

from pathassets.adapters.store.damage import Damage
from pathassets.adapters.store.store import content_sha256_of
from pathassets.catalog.records import FileRecord
from pathassets.core.address import Address
from pathassets.core.datasets.withdrawn import Withdrawn
from pathassets.core.recipe import DATASET
from pathassets.engine.datasets.verify import Fault, Verified
from pathassets.engine.platform.datasets.versions import DatasetVersion, tables_of, withdrawn_in
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.absence import read_present, why_absent
from pathassets.engine.platform.standing.damaged import enter_damage
from pathassets.errors import (
    ArtifactCorrupt,
    ArtifactMissing,
    CatalogError,
    MembersForgotten,
    StoreError,
)

logger = logging.getLogger(__name__)

FEATURES = "features"


def verify(platform: Platform, version: DatasetVersion, *, features: bool = True) -> Verified:
    """Hash every file that a version names, or its own files alone.

    Raises:
        StoreError: what it names cannot be told: its own files are gone, and it has no number.
    """
    faults = list(_own_faults(platform, version))
    tables = tables_of(platform, version)
    withdrawn = withdrawn_in(platform, tables)
    faults += map(_withdrawn_fault, withdrawn)
    listed: list[tuple[Address, tuple[FileRecord, ...]]] = []
    if features:
        named = _named(platform, version, tables.manifest)
        listed = [(address, files) for address, files, _ in named if files]
        gone = {one.slide_id for one in withdrawn}  # told of already
        faults += [fault for _, _, fault in named if fault is not None and fault.name not in gone]
        found = [*platform.store.find_damaged_bytes(listed, n_threads=platform.settings.n_workers)]
        faults += [_fault(address.partition_key, damage) for address, damage in found]
        _note(platform, found)
    files = [file for _, files in listed for file in files]
    return Verified(
        name=version.name,
        content_sha256=_content_sha256(version),
        n_slides=len(tables.manifest),
        n_files=len(files),
        n_bytes=sum(file.size_bytes for file in files),
        faults=tuple(faults),
    )


def _note(platform: Platform, found: list[tuple[Address, Damage]]) -> None:
    """Note what is damaged, where that can be: the next run makes anew what of it is in force."""
    try:
        enter_damage(platform, found, by="verify")
    except CatalogError as error:
        logger.warning("%d damaged features are not noted: %s", len(found), error.message)


def _content_sha256(version: DatasetVersion) -> str:
    """Of its own files, as the catalog has it."""
    if version.release is not None:
        return version.release.content_sha256
    files = () if version.artifact is None else version.artifact.files
    return content_sha256_of({file.path: file.sha256 for file in files}) if files else ""


def _withdrawn_fault(one: Withdrawn) -> Fault:
    return Fault(name=one.slide_id, reason=MembersForgotten.reason, said=one.said)


def _own_faults(platform: Platform, version: DatasetVersion) -> Iterator[Fault]:
    """What is wrong with the dataset's own files, against its release where it has a number."""
    try:
        artifact = read_present(platform, version.address)
    except StoreError as error:
        yield Fault(name=version.name, reason=error.reason, said=error.message)
        return
    release = version.release
    if release is not None and artifact.content_sha256 != release.content_sha256:
        yield Fault(
            name=version.name, reason=ArtifactCorrupt.reason,
            said="its files are whole, and not those that were released",
        )  # fmt: skip


def _named(
    platform: Platform, version: DatasetVersion, manifest: pd.DataFrame
) -> list[tuple[Address, tuple[FileRecord, ...], Fault | None]]:
    """Features of each member as the catalog lists them, and what is wrong with that list."""
    entry = _features_entry(platform, version)
    columns = ("slide_id", "features_digest", "features_sha256")
    wanted = {
        Address(FEATURES, entry, slide_id, digest): sha256
        for slide_id, digest, sha256 in manifest[list(columns)].itertuples(index=False)
    }
    known = {a.address: a.files for a in platform.catalog.artifacts(FEATURES, entry or None)}
    return [
        (address, files := known.get(address, ()), _listed_fault(platform, address, files, sha256))
        for address, sha256 in wanted.items()
    ]


def _features_entry(platform: Platform, version: DatasetVersion) -> str:
    if version.release is not None:
        return version.release.features
    parents = platform.catalog.parents_of(version.address)
    return parents[0].name if parents else ""


def _listed_fault(
    platform: Platform, address: Address, files: tuple[FileRecord, ...], sha256: str
) -> Fault | None:
    if not files:
        why = why_absent(platform, address)
        return Fault(name=address.partition_key, reason=why.reason, said=f"{address} {why.said}")
    if content_sha256_of({file.path: file.sha256 for file in files}) != sha256:
        said = f"{address} was made anew, to other bytes than {DATASET} names"
        return Fault(name=address.partition_key, reason=ArtifactCorrupt.reason, said=said)
    return None


def _fault(slide_id: str, damage: Damage) -> Fault:
    kind = ArtifactMissing if damage.is_gone else ArtifactCorrupt
    return Fault(name=slide_id, reason=kind.reason, said=f"{FEATURES}: {damage}")
