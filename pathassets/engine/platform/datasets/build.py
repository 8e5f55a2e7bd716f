"""Feature artifacts of all slides -> one version of a dataset, published like any artifact.

    plan ─▶ there and whole? ─yes─▶ that version
                │no
                ▼
            every feature file hashed ─▶ damaged ones made again ─▶ a version that names its hash
                ▼
            what its parts share looked for ─▶ anything that nobody accepted? ─yes─▶ no version
                                                    │no
                                                    ▼
                                               published

A slide whose features are gone, damaged or failed is left out, and listed with why. A build makes a
version by its digest; a person gives one a number (freeze).
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pathassets.adapters.store.store import Artifact
from pathassets.catalog.records import AttemptRecord, AttemptState, FileRecord
from pathassets.core.address import Address
from pathassets.core.datasets.manifest import n_to_compute
from pathassets.core.datasets.splits import scheme_of
from pathassets.core.recipe import Entry
from pathassets.engine.platform.batch import artifact_record, run_batch
from pathassets.engine.platform.datasets.contents import write_contents
from pathassets.engine.platform.datasets.inputs import note_built, rows_of
from pathassets.engine.platform.datasets.leakage import require_no_leak
from pathassets.engine.platform.datasets.plan import PlannedDataset, plan_dataset
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.presence import damage_said
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.software import software_versions
from pathassets.engine.stages.outcomes import SlideOutcome
from pathassets.errors import LeakageFound

logger = logging.getLogger(__name__)

PassOn = Callable[[Generator[SlideOutcome, None, None]], Iterable[SlideOutcome]]
"""Gives on the outcomes of slides whose features are made again, and may tell of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltDataset:
    """One version of a dataset."""

    artifact: Artifact
    planned: PlannedDataset = field(compare=False)
    is_new: bool
    """Whether this version was made now; otherwise it was there already."""


def build_dataset(
    platform: Platform, entry: Entry, *, run_id: str, pass_on: PassOn = lambda made: made
) -> BuiltDataset:
    """Build the version that the catalog and the store stand for now, unless it is there.

    Before a new version names features, they are hashed, and made again where they are damaged;
    what becomes of these goes through `pass_on`.

    Raises:
        LeakageFound: its parts share what nobody accepted; the catalog keeps what.
        SpecError: the split cannot be made as it is asked for.
        StoreError: the store is full or not writable.
        CatalogError: the version cannot be recorded.
    """
    plan_id = refresh_wanted(platform)
    rows = rows_of(platform, plan_id, entry)
    planned = plan_dataset(platform, entry)
    if not platform.store.is_intact(planned.address):
        planned = _verified(platform, planned, run_id, pass_on)
    is_new = not platform.store.is_intact(planned.address)
    if is_new:
        _let_through(platform, planned, run_id)
    _place(platform, planned)
    artifact = _publish(platform, planned) if is_new else platform.store.read(planned.address)
    platform.catalog.record_artifact(artifact_record(artifact, run_id), artifact.parents)
    state: AttemptState = "made" if is_new else "current"
    platform.catalog.record_attempts(
        [AttemptRecord(run_id=run_id, address=planned.address, state=state)]
    )
    note_built(platform, plan_id, entry, rows, planned.address.digest)
    return BuiltDataset(artifact=artifact, planned=planned, is_new=is_new)


def _let_through(platform: Platform, planned: PlannedDataset, run_id: str) -> None:
    """Let a version through that leaks nothing, or record that it was kept back."""
    try:
        require_no_leak(platform, planned)
    except LeakageFound as error:
        failed = AttemptRecord(
            run_id=run_id, address=planned.address, state="failed", reason=error.reason,
            message=error.message, remedy=error.remedy,
        )  # fmt: skip
        platform.catalog.record_attempts([failed])
        raise


def _place(platform: Platform, planned: PlannedDataset) -> None:
    """Keep where patients are, before anybody can read it: the next version begins from there."""
    entry = planned.entry
    if planned.table.placed:
        platform.catalog.place(
            entry.name, scheme_of(entry.spec), planned.address.digest, planned.table.placed
        )


def _verified(
    platform: Platform, planned: PlannedDataset, run_id: str, pass_on: PassOn
) -> PlannedDataset:
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
    for _ in pass_on(run_batch(platform, again, [features], run_id=run_id, doubted=damage)):
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


def _publish(platform: Platform, planned: PlannedDataset) -> Artifact:
    with (
        platform.store.staging(f"dataset-{uuid.uuid4().hex}") as staging,
        platform.store.writing(planned.address),
    ):
        folder = staging / "version"
        folder.mkdir()
        write_contents(folder, platform.recipe, planned)
        draft = Artifact(
            address=planned.address,
            spec=planned.entry.parameters,
            code_version=planned.entry.code_version,
            weights_sha256=planned.entry.weights_sha256,
            parents=(*planned.parents, *planned.judged_by),
            facts=_facts(planned),
            software=software_versions(),
        )
        return platform.store.publish(draft, folder)


def _facts(planned: PlannedDataset) -> dict[str, Any]:
    manifest, spec = planned.manifest, planned.entry.spec
    parts = dict.fromkeys([*spec.parts, *spec.external] if spec.split_file is None else [], 0)
    counts = manifest["split"].value_counts()
    to_do = n_to_compute(planned.left_out)
    return {
        "n_slides": len(manifest),
        "n_left_out": len(planned.left_out),
        "n_patients": int(manifest["patient"].nunique()),
        "n_without_patient": int(manifest["patient"].isna().sum()),
        "n_patches": int(manifest["n_patches"].sum()),
        **({"n_used": int(manifest["n_used"].sum())} if "n_used" in manifest else {}),
        "split": parts | {str(part): int(n) for part, n in sorted(counts.items())},
        **({"n_to_compute": to_do} if to_do else {}),
    }
