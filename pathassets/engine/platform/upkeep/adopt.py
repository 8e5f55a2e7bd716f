"""A whole artifact that the catalog does not know -> its row, once its bytes prove what it is.

    artifact.json ─▶ its slide is known ─▶ its digest is that of what it says ─▶ every byte hashed
                                                           └▶ what it was made from is known ─▶ row

What it says of itself is believed only as far as it can be worked out again: the digest of its
place from spec, code version, weights and parents. What does not fit is told, never adopted.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pathassets.adapters.store.store import Artifact
from pathassets.catalog.forgotten import find_gone
from pathassets.core.address import SLIDE_STAGE, Address
from pathassets.core.external import CODE_VERSION, EXTERNAL, Adopted, counts_for, external_spec
from pathassets.core.recipe import ANNOTATIONS, DATASET, Recipe
from pathassets.core.spec import canonical_json, digest_of
from pathassets.core.stages import FEATURES
from pathassets.engine.platform.batch import artifact_record
from pathassets.engine.platform.platform import Platform
from pathassets.errors import StoreError

ADOPTED_BY = "doctor"
"""What the catalog has in place of the run that made it, which nobody knows."""


def fits_its_place(artifact: Artifact) -> bool:
    """Whether an artifact's digest is that of what it says it was made from and with.

    Of datasets the digest is of their table, and of annotations that of what was drawn: of those
    only the hashes of their files tell.
    """
    address = artifact.address
    if address.stage in {DATASET, ANNOTATIONS}:
        return True
    of_slides = {parent.partition_key for parent in artifact.parents}
    return of_slides == {address.partition_key} and address.digest == digest_of(
        {
            "section": address.stage,
            "spec": artifact.spec,
            "code_version": artifact.code_version,
            "weights_sha256": artifact.weights_sha256,
            "parents": [
                parent.digest
                for n, parent in enumerate(artifact.parents)
                if n == 0 or parent.stage != SLIDE_STAGE
            ],
        }
    )


def is_external(artifact: Artifact) -> bool:
    """Whether it says that another tool made it."""
    return artifact.code_version == CODE_VERSION and artifact.address.stage == FEATURES


def follows_from(artifact: Artifact, recipe: Recipe) -> bool:
    """Whether features of another tool are what their entry asks for, of their slide and source.

    What of the patches they were held against only the recipe says: by another one, or after a
    change of the entry, it cannot be worked out.
    """
    entry = next((one for one in recipe.per_slide if one.key == artifact.address.key), None)
    source, parents = artifact.spec.get(EXTERNAL), artifact.parents
    if entry is None or entry.unread is not None or entry.parent is None:
        return False
    if not isinstance(source, dict) or len(parents) != 1:
        return False
    slide_id, version = parents[0].partition_key, parents[0].digest
    is_stated = canonical_json(artifact.spec) == canonical_json(external_spec(entry, source))
    if not is_stated or parents[0] != Address.of_slide(artifact.address.partition_key, version):
        return False
    adopted = Adopted(
        name=entry.name, slide_id=slide_id, digest=artifact.address.digest, source=source
    )
    return counts_for(entry, recipe.entry(entry.parent).spec, version, adopted)


def is_proved(artifact: Artifact, recipe: Recipe) -> bool:
    """Whether an artifact's digest follows from what it states."""
    if is_external(artifact):
        return follows_from(artifact, recipe)
    return fits_its_place(artifact)


def adopt(platform: Platform, address: Address) -> str:
    """Enter an artifact of which the catalog has no row; says what was done.

    Raises:
        StoreError: its bytes or its digest are not what it says, or what it was made from is
            unknown.
        CatalogError: it cannot be entered.
    """
    artifact = platform.store.read_checked(address)
    if not is_proved(artifact, platform.recipe):
        raise StoreError(address, "its digest does not follow from what it states")
    if unknown := _unknown_parents(platform, artifact):
        raise StoreError(address, f"was made from {unknown[0]}, which the catalog does not know")
    platform.catalog.record_artifact(artifact_record(artifact, ADOPTED_BY), artifact.parents)
    return "entered into the catalog; every byte was read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfounded:
    """What an artifact was made from, and why the catalog can never know that as it is."""

    parent: Address
    why: str
    remedy: str
    """What helps beside removing what was made from it."""


def unfounded(
    platform: Platform, artifact: Artifact, refused: Collection[Address]
) -> Unfounded | None:
    """Why an artifact cannot be taken over, be its own bytes as they should; None where it can.

    `refused` are artifacts that were looked at before it, and cannot be.
    """
    unknown = _unknown_parents(platform, artifact)
    slides = platform.catalog.slides_ever({one.partition_key for one in unknown})
    for parent in unknown:
        if parent.partition_key not in slides:
            return _of_no_slide(platform, parent)
    for parent in unknown:
        if parent in refused:
            why, remedy = "which cannot be taken over either", "What helps stands in its line"
            return Unfounded(parent=parent, why=why, remedy=remedy)
        if not platform.store.has(parent):
            why, remedy = "which is not there", "Restore a catalog that knows it"
            return Unfounded(parent=parent, why=why, remedy=remedy)
    return None


def _of_no_slide(platform: Platform, parent: Address) -> Unfounded:
    gone = find_gone(platform.catalog.forgotten(), parent.partition_key)
    if gone is None:
        why, remedy = "whose slide the catalog does not have", "Ingest its slide again"
        return Unfounded(parent=parent, why=why, remedy=remedy)
    why = f"whose slide was {gone.told}"
    return Unfounded(parent=parent, why=why, remedy="Nothing takes it over: leave it")


def _unknown_parents(platform: Platform, artifact: Artifact) -> list[Address]:
    wanted = {parent for parent in artifact.parents if parent.stage != SLIDE_STAGE}
    return sorted(wanted - platform.catalog.known_artifacts(wanted))
