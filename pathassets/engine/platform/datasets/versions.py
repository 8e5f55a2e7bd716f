"""What people call a version -> what it holds, from the release's rows, or the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from pathassets.adapters.parquet import load_table
from pathassets.catalog.records import ArtifactRecord, AttemptRecord
from pathassets.catalog.releases.records import ReleaseRecord
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.datasets.changes import DatasetChanges, VersionTables, compare
from pathassets.core.datasets.manifest import LEFT_OUT_COLUMNS, MANIFEST_COLUMNS, USED
from pathassets.core.datasets.names import DatasetName, parse_dataset_name, versions_there
from pathassets.core.datasets.withdrawn import Withdrawn
from pathassets.core.near_names import did_you_mean
from pathassets.core.recipe import DATASET
from pathassets.engine.datasets.folder import open_folder
from pathassets.engine.datasets.withdrawn import withdrawn_among
from pathassets.engine.platform.datasets.contents import LEFT_OUT_TABLE, MANIFEST_TABLE
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.absence import read_present
from pathassets.errors import CatalogError, StoreError

_MEMBER_COLUMNS = tuple(name for name in MANIFEST_COLUMNS if name != "features_uri")
"""What a release keeps of each member: where its features are follows from their digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetVersion:
    """One version of a dataset, numbered or not."""

    name: str
    """`cohort@3`, or `cohort@` and its digest where it has no number."""
    address: Address
    artifact: ArtifactRecord | None
    """None where the catalog does not know it any more."""
    release: ReleaseRecord | None
    """None where it has no number."""


def list_versions(platform: Platform) -> list[DatasetVersion]:
    """All versions that were built or released: by dataset, in the order they were made."""
    releases = {(one.dataset, one.digest): one for one in platform.catalog.releases()}
    built = {(one.address.name, one.address.digest): one
             for one in platform.catalog.artifacts(DATASET)}  # fmt: skip
    made_at = {key: one.made_at for key, one in (releases | built).items()}
    return [
        _version(Address(DATASET, key[0], ALL_SLIDES, key[1]), built.get(key), releases.get(key))
        for key in sorted(made_at, key=lambda key: (key[0], made_at[key]))
    ]


def find_version(platform: Platform, text: str) -> DatasetVersion:
    """The version that a name means; a dataset alone means the one that was built last.

    Raises:
        SpecError: it is no such name.
        CatalogError: there is no such version; the remedy names those there are.
    """
    name = parse_dataset_name(text)
    if name.version is not None:
        release = platform.catalog.release(name.dataset, name.version)
        address = Address(DATASET, name.dataset, ALL_SLIDES, release.digest)
        return _version(address, platform.catalog.find_artifact(address), release)
    built = [one for one in list_versions(platform) if one.address.name == name.dataset]
    chosen = [
        one
        for one in built
        if name.digest == one.address.digest or (not name.digest and one.artifact is not None)
    ]
    if not chosen:
        raise _unknown(platform, name, built)
    if name.digest:
        return chosen[-1]
    # A cohort may go back to an older version: then that was built last.
    last = last_build(platform, name.dataset)
    in_force = [v for v in chosen if last is not None and v.address == last.address]
    return (in_force or chosen)[-1]


def last_build(platform: Platform, dataset: str) -> AttemptRecord | None:
    """What became of the last build of a dataset; None where nobody tried one."""
    return platform.catalog.latest_attempts([ALL_SLIDES]).get((DATASET, dataset, ALL_SLIDES))


def tables_of(platform: Platform, version: DatasetVersion) -> VersionTables:
    """What a version holds.

    Raises:
        StoreError: its files are gone or damaged, and it has no number: a release's rows are kept.
    """
    release = version.release
    if release is None:
        read_present(platform, version.address)
        folder = platform.store.fetch(version.address)
        return VersionTables(
            manifest=load_table(folder / MANIFEST_TABLE),
            left_out=load_table(folder / LEFT_OUT_TABLE),
        )
    catalog = platform.catalog
    manifest = pd.DataFrame(
        catalog.release_members(release.dataset, release.version), columns=list(_MEMBER_COLUMNS)
    )
    left_out = pd.DataFrame(
        catalog.release_left_out(release.dataset, release.version), columns=list(LEFT_OUT_COLUMNS)
    )
    return VersionTables(manifest=manifest, left_out=left_out)


def tables_to_compare(platform: Platform, version: DatasetVersion) -> VersionTables:
    """The same, with the patches that are used: of a release, too, its own files alone tell them.

    Raises:
        StoreError: its manifest is gone or damaged, and it has no number.
    """
    tables, release = tables_of(platform, version), version.release
    if release is None:
        has_rules = USED in tables.manifest
    else:
        entry = release.recipe.get("/".join(version.address.key), {})
        has_rules = bool(entry.get("parameters", {}).get("patch_rules"))
    return replace(tables, used=_used(platform, version.address)) if has_rules else tables


def _used(platform: Platform, address: Address) -> Mapping[str, bytes] | None:
    """Bits of each slide; None where they are gone or damaged."""
    try:
        read_present(platform, address)
        return open_folder(platform.store.fetch(address)).used
    except StoreError:
        return None


def compare_versions(platform: Platform, one: str, other: str) -> DatasetChanges:
    """What changed from one version to another.

    Raises:
        PathAssetsError: a version is not there, or cannot be read.
    """
    versions = [find_version(platform, name) for name in (one, other)]
    before, after = (tables_to_compare(platform, version) for version in versions)
    return compare(before, after, withdrawn_in(platform, before))


def withdrawn_in(platform: Platform, tables: VersionTables) -> tuple[Withdrawn, ...]:
    """Members of a version that were taken out since, by id."""
    return withdrawn_among(platform.catalog.forgotten(), tables.manifest["slide_id"])


def withdrawn_of(platform: Platform, name: str) -> tuple[Withdrawn, ...]:
    """Members of the version that a name means which were taken out since.

    None of a version whose files are gone: nobody knows its members. Its tables are read only
    where a slide was taken out at all.
    """
    if not platform.catalog.forgotten():
        return ()
    try:
        return withdrawn_in(platform, tables_of(platform, find_version(platform, name)))
    except StoreError:
        return ()


def version_before(platform: Platform, version: DatasetVersion) -> DatasetVersion | None:
    """The version of the dataset that was made before; None where it is the first."""
    own = [v for v in list_versions(platform) if v.address.name == version.address.name]
    earlier = [v.address for v in own].index(version.address)
    return own[earlier - 1] if earlier else None


def _version(
    address: Address, artifact: ArtifactRecord | None, release: ReleaseRecord | None
) -> DatasetVersion:
    name = release.name if release else f"{address.name}@{address.digest}"
    return DatasetVersion(name=name, address=address, artifact=artifact, release=release)


def _unknown(platform: Platform, name: DatasetName, built: list[DatasetVersion]) -> CatalogError:
    if built:
        return CatalogError(
            f"dataset {name}: there is no such version",
            remedy=versions_there([one.name for one in built]),
        )
    last = last_build(platform, name.dataset)
    if last is not None and last.state == "failed":
        return CatalogError(f"{last.message}; so no version was built", remedy=last.remedy)
    known = [entry.name for entry in platform.recipe.datasets]
    remedy = "pathassets run builds it"
    if name.dataset not in known:
        remedy = (
            did_you_mean(name.dataset, known, "The recipe has") if known else "The recipe has none"
        )
    return CatalogError(f"dataset {name}: was never built", remedy=remedy)
