"""Feature artifacts of all slides -> one version of a dataset, published like any artifact."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pathassets.adapters.parquet import save_table
from pathassets.adapters.store import Artifact, content_sha256_of
from pathassets.catalog.records import ArtifactRecord, AttemptRecord, AttemptState
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.dataset import MANIFEST_COLUMNS, build_manifest
from pathassets.core.recipe import Entry
from pathassets.core.spec import canonical_json
from pathassets.engine.batch import artifact_record
from pathassets.engine.plan import PlannedSlide, plan_slides
from pathassets.engine.platform import Platform
from pathassets.engine.software import software_versions
from pathassets.errors import ArtifactMissing

MANIFEST_TABLE = "manifest.parquet"
LEFT_OUT_TABLE = "left_out.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDataset:
    """The version of a dataset that the catalog stands for now."""

    entry: Entry
    address: Address
    manifest: pd.DataFrame
    left_out: pd.DataFrame
    parents: tuple[Address, ...]
    """Features of each row of the manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltDataset:
    """One version of a dataset."""

    artifact: Artifact
    is_new: bool
    """Whether this version was made now; otherwise it was there already."""


def plan_dataset(
    platform: Platform, entry: Entry, slides: Iterable[PlannedSlide] | None = None
) -> PlannedDataset:
    """Work out a dataset's content and identity: the same slides give the same version.

    `slides` are all that are registered; a caller that has planned them spares the second time.
    """
    table, found = _gather(platform, entry, plan_slides(platform) if slides is None else slides)
    manifest, left_out = build_manifest(table, entry.spec)
    content = [canonical_json(json.loads(t.to_json(orient="split"))) for t in (manifest, left_out)]
    return PlannedDataset(
        entry=entry,
        address=Address(*entry.key, ALL_SLIDES, entry.digest(content)),
        manifest=manifest,
        left_out=left_out,
        parents=tuple(found[slide_id] for slide_id in manifest["slide_id"]),
    )


def build_dataset(platform: Platform, entry: Entry, *, run_id: str) -> BuiltDataset:
    """Build the version that the catalog stands for now, unless it is there.

    Raises:
        ArtifactMissing: features of a row are in the catalog and not in the store.
        StoreError: the store is not writable.
        CatalogError: the version cannot be recorded.
    """
    planned = plan_dataset(platform, entry)
    _require_features(platform, planned)
    is_new = not platform.store.has(planned.address)
    artifact = _publish(platform, planned) if is_new else platform.store.read(planned.address)
    platform.catalog.record_artifact(artifact_record(artifact, run_id), artifact.parents)
    state: AttemptState = "made" if is_new else "current"
    platform.catalog.record_attempts(
        [AttemptRecord(run_id=run_id, address=planned.address, state=state)]
    )
    return BuiltDataset(artifact=artifact, is_new=is_new)


def _require_features(platform: Platform, planned: PlannedDataset) -> None:
    gone = [address for address in planned.parents if not platform.store.has(address)]
    if gone:
        raise ArtifactMissing(
            platform.store.path_of(gone[0]),
            f"is in the catalog and not in the store, as are {len(gone) - 1} more",
            remedy=f"Materialize {'/'.join(gone[0].key)} of {gone[0].subject} in the Dagster UI: "
            "what is gone is made again",
        )


def _gather(
    platform: Platform, entry: Entry, slides: Iterable[PlannedSlide]
) -> tuple[pd.DataFrame, dict[str, Address]]:
    """One row for every slide, with or without features, and the address of each that has them."""
    if entry.parent is None:
        raise ValueError(f"{entry.key}: a dataset is made from features")
    kin = platform.recipe.lineage(platform.recipe.entry(entry.parent))
    wanted = [e for e in kin if e.section.scope == "slide"]
    records = {a.address: a for a in platform.catalog.artifacts(*entry.parent)}
    rows, parents = [], {}
    for planned in slides:
        chain = {e.section.name: planned.steps[e.key].address for e in wanted}
        address = chain[entry.parent[0]]
        rows.append(_row(planned, chain, address, records.get(address)))
        if address in records:
            parents[planned.slide_id] = address
    columns = [*(name for name in MANIFEST_COLUMNS if name != "split"), "why"]
    return pd.DataFrame(rows, columns=columns), parents


def _row(
    planned: PlannedSlide,
    chain: dict[str, Address],
    address: Address,
    record: ArtifactRecord | None,
) -> tuple[object, ...]:
    facts = planned.record
    files = () if record is None else record.files
    return (
        planned.slide_id,
        facts.patient,
        facts.label,
        0 if record is None else record.facts["n_patches"],
        f"{address}/features.zarr",
        content_sha256_of({file.path: file.sha256 for file in files}),
        facts.fingerprint,
        planned.slide_mpp,
        planned.version,
        chain["tissue_mask"].digest,
        chain["patch_locations"].digest,
        address.digest,
        "no features" if record is None else "",
    )


def _publish(platform: Platform, planned: PlannedDataset) -> Artifact:
    with platform.store.staging(f"dataset-{uuid.uuid4().hex}") as staging:
        folder = staging / "version"
        folder.mkdir()
        save_table(folder / MANIFEST_TABLE, planned.manifest)
        save_table(folder / LEFT_OUT_TABLE, planned.left_out)
        draft = Artifact(
            address=planned.address,
            spec=planned.entry.parameters,
            code_version=planned.entry.code_version,
            weights_sha256=planned.entry.weights_sha256,
            parents=planned.parents,
            facts=_facts(planned),
            software=software_versions(),
        )
        return platform.store.publish(draft, folder)


def _facts(planned: PlannedDataset) -> dict[str, Any]:
    manifest = planned.manifest
    return {
        "n_slides": len(manifest),
        "n_left_out": len(planned.left_out),
        "n_patients": int(manifest["patient"].nunique()),
        "n_without_patient": int(manifest["patient"].isna().sum()),
        "n_patches": int(manifest["n_patches"].sum()),
        "split": {
            part: int((manifest["split"] == part).sum()) for part in planned.entry.spec.split
        },
    }
