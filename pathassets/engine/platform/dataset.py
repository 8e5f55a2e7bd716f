"""Feature artifacts of all slides -> one version of a dataset, published like any artifact.

    plan ─▶ there and whole? ─yes─▶ that version
                │no
                ▼
            every feature file hashed ─▶ damaged ones made again ─▶ a version that names its hash

A slide whose features are gone, damaged or failed is left out, and listed with why.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pathassets.adapters.parquet import save_table
from pathassets.adapters.store.store import Artifact, content_sha256_of
from pathassets.catalog.records import ArtifactRecord, AttemptRecord, AttemptState, FileRecord
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.dataset import MANIFEST_COLUMNS, build_manifest
from pathassets.core.recipe import Entry
from pathassets.core.spec import canonical_json
from pathassets.engine.platform.batch import artifact_record, run_batch
from pathassets.engine.platform.plan import PlannedSlide, plan_slides
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.presence import StoredArtifacts, damage_said, read_stored_artifacts
from pathassets.engine.platform.standing.dataset_versions import inputs_of, note_version
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.software import software_versions

logger = logging.getLogger(__name__)

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
    platform: Platform,
    entry: Entry,
    slides: list[PlannedSlide] | None = None,
    known: StoredArtifacts | None = None,
) -> PlannedDataset:
    """Work out a dataset's content and identity: the same slides give the same version.

    `slides` are all that are registered, `known` what is there of them; a caller that has planned
    and looked spares the second time.
    """
    planned = plan_slides(platform) if slides is None else slides
    held = read_stored_artifacts(platform, planned, entry.parent) if known is None else known
    table, found = _gather(platform, entry, planned, held)
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
    """Build the version that the catalog and the store stand for now, unless it is there.

    Before a new version names features, they are hashed, and made again where they are damaged.

    Raises:
        StoreError: the store is full or not writable.
        CatalogError: the version cannot be recorded.
    """
    plan_id = refresh_wanted(platform)
    inputs = inputs_of(platform, plan_id, entry)
    planned = plan_dataset(platform, entry)
    if not platform.store.is_intact(planned.address):
        planned = _verified(platform, planned, run_id)
    is_new = not platform.store.is_intact(planned.address)
    artifact = _publish(platform, planned) if is_new else platform.store.read(planned.address)
    platform.catalog.record_artifact(artifact_record(artifact, run_id), artifact.parents)
    state: AttemptState = "made" if is_new else "current"
    platform.catalog.record_attempts(
        [AttemptRecord(run_id=run_id, address=planned.address, state=state)]
    )
    note_version(platform, plan_id, entry, inputs, planned.address.digest)
    return BuiltDataset(artifact=artifact, is_new=is_new)


def _verified(platform: Platform, planned: PlannedDataset, run_id: str) -> PlannedDataset:
    """The version of features that have the bytes that it names; what is damaged is made again."""
    files = list(_files_of(platform, planned))  # hashing takes hours: no query stays open so long
    damage = dict(platform.store.find_damaged_bytes(files, n_threads=platform.settings.n_workers))
    if not damage:
        return planned
    for address, one in damage.items():
        logger.warning("%s", damage_said(address, one)[1])
    slides = {address.partition_key for address in damage}
    again = [one for one in plan_slides(platform) if one.slide_id in slides]
    features = platform.recipe.entry(planned.parents[0].key)
    for _ in run_batch(platform, again, [features], run_id=run_id, doubted=damage):
        pass  # it is recorded: what could not be made is left out, as failed
    return plan_dataset(platform, planned.entry)


def _files_of(
    platform: Platform, planned: PlannedDataset
) -> Iterator[tuple[Address, tuple[FileRecord, ...]]]:
    """Files of each row's features, as the catalog, and so the manifest, has them."""
    wanted = set(planned.parents)
    for record in platform.catalog.artifacts(*(planned.entry.parent or ())):
        if record.address in wanted:
            yield record.address, record.files


def _gather(
    platform: Platform, entry: Entry, slides: Iterable[PlannedSlide], known: StoredArtifacts
) -> tuple[pd.DataFrame, dict[str, Address]]:
    """One row for every slide, with or without features, and the address of each that has them."""
    if entry.parent is None:
        raise ValueError(f"{entry.key}: a dataset is made from features")
    kin = platform.recipe.lineage(platform.recipe.entry(entry.parent))
    wanted = [e for e in kin if e.stage.scope == "slide"]
    records = {a.address: a for a in platform.catalog.artifacts(*entry.parent)}
    rows, parents = [], {}
    for planned in slides:
        chain = {e.stage.name: planned.steps[e.key].address for e in wanted}
        address = chain[entry.parent[0]]
        why = known.why_unusable(address)
        rows.append(_row(planned, chain, None if why else records.get(address), why))
        if not why:
            parents[planned.slide_id] = address
    columns = [*(name for name in MANIFEST_COLUMNS if name != "split"), "why"]
    return pd.DataFrame(rows, columns=columns), parents


def _row(
    planned: PlannedSlide,
    chain: dict[str, Address],
    record: ArtifactRecord | None,
    why: str,
) -> tuple[object, ...]:
    facts, address = planned.record, chain["features"]
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
        why,
    )


def _publish(platform: Platform, planned: PlannedDataset) -> Artifact:
    with (
        platform.store.staging(f"dataset-{uuid.uuid4().hex}") as staging,
        platform.store.writing(planned.address),
    ):
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
