"""Catalog + store -> what of the artifacts in force is there, and why the others cannot be used.

The catalog tells what was made, and how large its files were; the store is looked at, file by file,
whether they are there still.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from pathassets.adapters.store.damage import Damage, ListedFile
from pathassets.catalog.records import AttemptRecord
from pathassets.core.address import Address
from pathassets.core.recipe import Key
from pathassets.engine.platform.plan import PlannedSlide, annotation_address
from pathassets.engine.platform.platform import Platform
from pathassets.errors import ArtifactCorrupt, ArtifactMissing

Place = tuple[str, str, str]
"""(stage, name, partition key): one stage of one slide, whatever the digest."""


@dataclass(frozen=True, slots=True)
class FewFacts:
    """Of each artifact only what a person is shown of many."""

    n_patches: int | None = None
    tissue_mm2: float | None = None

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Pick them out."""
        return cls(facts.get("n_patches"), facts.get("tissue_mm2"))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArtifacts:
    """What the catalog knows, read once, and what of it the store does not have whole."""

    attempts: Mapping[Place, AttemptRecord]
    """The newest at each place."""
    facts: Mapping[Address, FewFacts]
    """Of every artifact that was made."""
    damage: Mapping[Address, Damage]
    """Of those in force that are not whole, why."""
    made: Container[Place]
    """Where anything was made, be it from what is not in force any more."""

    def failure(self, address: Address) -> AttemptRecord | None:
        """The attempt at an artifact that failed, where it was the last; None where it did not."""
        last = self.attempts.get((*address.key, address.partition_key))
        is_failed = last is not None and last.address == address and last.state == "failed"
        return last if is_failed else None

    def why_unusable(self, address: Address) -> str:
        """Why an artifact cannot be used in a few words; empty where it can."""
        if address not in self.facts:
            return f"no {address.stage}"
        if (damage := self.damage.get(address)) is not None:
            return f"{address.stage} gone" if damage.is_gone else f"{address.stage} damaged"
        return f"{address.stage} damaged" if self.failure(address) is not None else ""


def read_stored_artifacts(
    platform: Platform, slides: Iterable[PlannedSlide], key: Key | None = None
) -> StoredArtifacts:
    """Look at what is in force for slides, or at one entry's artifacts of them.

    A few queries for any cohort, and a look at each file: 60 us an artifact.
    """
    in_force = _in_force(slides, key)
    facts: dict[Address, FewFacts] = {}
    expected = _expected(platform, in_force, key, facts)
    damage = dict(platform.store.find_damage(expected))
    made = {(*address.key, address.partition_key) for address in facts}
    attempts = platform.catalog.latest_attempts()
    return StoredArtifacts(attempts=attempts, facts=facts, damage=damage, made=made)


def _in_force(slides: Iterable[PlannedSlide], key: Key | None) -> set[Address]:
    """Addresses of what slides should have, and of what is drawn on them."""
    if key is not None:
        return {one.steps[key].address for one in slides}
    found: set[Address] = set()
    for one in slides:
        found.update(step.address for step in one.steps.values())
        found.update(annotation_address(d) for d in one.annotations.values() if not d.is_withdrawn)
    return found


def _expected(
    platform: Platform,
    in_force: Container[Address],
    key: Key | None,
    facts: dict[Address, FewFacts],
) -> Iterator[tuple[Address, tuple[ListedFile, ...]]]:
    """Files that artifacts in force should have; notes the facts of all that pass by."""
    for record in platform.catalog.artifacts(*(key or ())):
        facts[record.address] = FewFacts.of(record.facts)
        if record.address in in_force:
            yield record.address, record.files


def find_damage(platform: Platform, address: Address) -> Damage | None:
    """What is wrong with one artifact; None where nothing is, or the catalog does not know it."""
    record = platform.catalog.find_artifact(address)
    return None if record is None else platform.store.check_sizes(address, record.files)


def damage_said(address: Address, damage: Damage) -> tuple[str, str]:
    """Reason and message of an artifact that was made and is not whole any more."""
    what = f"{address.partition_key}: {'/'.join(address.key)} was made"
    if damage.is_gone:
        return ArtifactMissing.reason, f"{what}, and is gone from the store"
    return ArtifactCorrupt.reason, f"{what}, and is damaged: {damage}"
