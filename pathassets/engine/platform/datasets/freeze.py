"""A built version of a dataset -> a release: a number, who and why, and rows that are kept.

A build makes a version whenever slides change, at night or by a sensor, and most of them nobody
will ever cite. A number is a promise: nothing of it changes, and what it names is kept from then
on. So a person gives it.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import pandas as pd

from pathassets.adapters.parquet import load_table
from pathassets.adapters.store.store import Artifact
from pathassets.catalog.releases.records import ReleaseRecord
from pathassets.core.datasets.manifest import external_members
from pathassets.core.datasets.report import split_report
from pathassets.core.datasets.withdrawn import told
from pathassets.core.recipe import DATASET
from pathassets.engine.datasets.withdrawn import withdrawn_among
from pathassets.engine.platform.datasets.contents import (
    LEFT_OUT_TABLE,
    MANIFEST_TABLE,
    RECIPE,
    REPORT,
)
from pathassets.engine.platform.datasets.inputs import inputs_of
from pathassets.engine.platform.datasets.plan import plan_dataset
from pathassets.engine.platform.datasets.versions import (
    DatasetVersion,
    find_version,
    last_build,
)
from pathassets.engine.platform.forgotten import forget_again
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.absence import read_present
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.errors import CatalogError

_HELD = ("tissue_mask", "patch_locations", "features")


def freeze(platform: Platform, name: str, *, who: str, why: str) -> ReleaseRecord:
    """Release a version: the one in force, or the one that the name's digest means.

    One that is released already keeps its number.

    Raises:
        CatalogError: it was never built, its slides would give another version now, or one of them
            was taken out since.
        StoreError: its files are gone or damaged.
    """
    version = find_version(platform, name)
    if version.release is not None:
        return version.release
    if "@" not in name:
        _require_in_force(platform, version)
    artifact = read_present(platform, version.address)
    folder = platform.store.fetch(version.address)
    manifest, left_out = (load_table(folder / f) for f in (MANIFEST_TABLE, LEFT_OUT_TABLE))
    _require_none_withdrawn(platform, version, manifest)
    draft = _draft(platform, artifact, manifest, left_out, who=who, why=why)
    return platform.catalog.freeze(draft, _rows(manifest), _rows(left_out))


def _require_none_withdrawn(
    platform: Platform, version: DatasetVersion, manifest: pd.DataFrame
) -> None:
    withdrawn = withdrawn_among(platform.catalog.forgotten(), manifest["slide_id"])
    if not withdrawn:
        return
    remedy = f"pathassets run --select {DATASET}/{version.address.name} builds it without"
    begun = platform.catalog.begun_removals()
    for left in sorted(begun.keys() & {one.slide_id for one in withdrawn}):
        remedy = f"End its removal: {forget_again(platform.catalog, left)}; then {remedy}"
    raise CatalogError(
        f"dataset {version.name}: names what is not to be used any more: {told(withdrawn)}",
        remedy=remedy,
    )


def _require_in_force(platform: Platform, version: DatasetVersion) -> None:
    entry = platform.recipe.entry(version.address.key)
    inputs = inputs_of(platform, refresh_wanted(platform), entry)
    digest = platform.catalog.find_dataset_plan(entry.name, inputs)
    if digest is None:
        digest = plan_dataset(platform, entry, is_looking=False).address.digest
    if digest != version.address.digest:
        raise _not_in_force(platform, version, digest)


def _not_in_force(platform: Platform, version: DatasetVersion, digest: str) -> CatalogError:
    """What stands between a dataset's slides and a version of them: a build, or what blocks it."""
    name = version.address.name
    last = last_build(platform, name)
    instead = f"or release {version.name}: "
    instead += f"pathassets dataset freeze {version.name} --who NAME --why …"
    if last is not None and last.state == "failed" and last.address.digest == digest:
        return CatalogError(
            f"{last.message}; so no version of its slides of now was built",
            remedy=f"{last.remedy}; {instead}",
        )
    return CatalogError(
        f"dataset {name}: its slides would give another version now than {version.name}, which "
        "was built last",
        remedy=f"pathassets run --select {DATASET}/{name}; {instead}",
    )


def _draft(  # noqa: PLR0913 - what a release says
    platform: Platform, artifact: Artifact, manifest: pd.DataFrame, left_out: pd.DataFrame, *,
    who: str, why: str,
) -> ReleaseRecord:  # fmt: skip
    """The release of an artifact; what one of before has no file for is worked out again."""
    entries = _entries(platform, artifact, {*external_members(manifest)})
    stated = {file.path: file for file in artifact.files}
    recipe: dict[str, Any] = {"entries": {}, "licences": {}}
    report = {**split_report(manifest, left_out), "accepted": []}
    if RECIPE in stated:
        recipe = json.loads(platform.store.read_file(artifact, stated[RECIPE]))
    if REPORT in stated:
        report = json.loads(platform.store.read_file(artifact, stated[REPORT]))
    return ReleaseRecord(
        dataset=artifact.address.name,
        version=0,
        digest=artifact.address.digest,
        content_sha256=artifact.content_sha256,
        recipe=recipe["entries"],
        report=report,
        licences=recipe["licences"],
        who=who,
        why=why,
        tissue_mask=entries["tissue_mask"],
        patch_locations=entries["patch_locations"],
        features=entries["features"],
    )


def _entries(platform: Platform, artifact: Artifact, external: Collection[str]) -> dict[str, str]:
    """Names of the entries that its members were made by: as their features say, not the recipe.

    Those of another tool, which were made from the slide alone, are asked where there are no other.
    """
    found = dict.fromkeys(_HELD, "")
    own = (one for one in artifact.parents if one.partition_key not in external)
    address = next(own, artifact.parents[0] if artifact.parents else None)
    while address is not None and address.stage in found:
        found[address.stage] = address.name
        parents = platform.catalog.parents_of(address)
        address = next((one for one in parents if one.stage in found), None)
    return found


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows with None for what is not known, and Python's own numbers."""
    plain = table.astype(object)
    rows: list[dict[str, Any]] = plain.where(table.notna(), None).to_dict("records")  # type: ignore[assignment]
    return rows
