"""Catalog -> what of slides' artifacts is there, and what is wrong with the others.

The catalog tells what was made, and what the last look at the store found; where that is to be as
the store is now, it is looked at first (`standing.look`).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from pathassets.adapters.store.damage import Damage
from pathassets.catalog.records import AttemptRecord
from pathassets.catalog.states import GONE
from pathassets.core.address import Address
from pathassets.core.external import CODE_VERSION, UNKNOWN_TOOL
from pathassets.core.recipe import ANNOTATIONS, Key
from pathassets.engine.platform.plan import PlannedSlide
from pathassets.engine.platform.platform import Platform
from pathassets.errors import ArtifactCorrupt, ArtifactMissing

_IS_GONE, _IS_DAMAGED = ", and is gone from the store", ", and is damaged: "
Place = tuple[str, str, str]
"""(stage, name, partition key): one stage of one slide, whatever the digest."""


@dataclass(frozen=True, slots=True)
class FewFacts:
    """Of each artifact only what a person is shown of many."""

    n_patches: int | None = None
    tissue_mm2: float | None = None
    n_used: int | None = None

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Pick them out."""
        return cls(facts.get("n_patches"), facts.get("tissue_mm2"), facts.get("n_used"))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArtifacts:
    """What the catalog knows of slides, read once, and what of it the store does not have whole."""

    attempts: Mapping[Place, AttemptRecord]
    """The newest at each place."""
    facts: Mapping[Address, FewFacts]
    """Of every artifact that was made."""
    damage: Mapping[Address, str]
    """Of those that were not whole when they were last looked at, why."""
    made: Container[Place]
    """Where anything was made, be it from what is not in force any more."""

    def failure(self, address: Address) -> AttemptRecord | None:
        """The attempt at an artifact that failed, where it was the last; None where it did not."""
        last = self.attempts.get((*address.key, address.partition_key))
        is_failed = last is not None and last.address == address and last.state == "failed"
        return last if is_failed else None


def stored_artifacts(platform: Platform, slides: Iterable[PlannedSlide]) -> StoredArtifacts:
    """Read what is known of slides' artifacts, as they were last seen."""
    listed = list(slides)
    slide_ids = [one.slide_id for one in listed]
    keys = _keys(platform, listed)
    facts: dict[Address, FewFacts] = {}
    damage: dict[Address, str] = {}
    for made in platform.catalog.made_of(keys, slide_ids):
        facts[made.address] = FewFacts.of(made.facts)
        if made.damage:
            damage[made.address] = made.damage
    return StoredArtifacts(
        attempts=platform.catalog.latest_attempts(slide_ids),
        facts=facts,
        damage=damage,
        made={(*address.key, address.partition_key) for address in facts},
    )


def _keys(platform: Platform, slides: Iterable[PlannedSlide]) -> list[Key]:
    """Entries of the recipe, and the names of what is drawn on slides."""
    names = sorted({name for one in slides for name in one.annotations})
    return [
        *(entry.key for entry in platform.recipe.per_slide),
        *((ANNOTATIONS, name) for name in names),
    ]


def find_damage(platform: Platform, address: Address) -> Damage | None:
    """What is wrong with one artifact; None where nothing is, or the catalog does not know it."""
    record = platform.catalog.find_artifact(address)
    return None if record is None else platform.store.check_sizes(address, record.files)


def tool_of(platform: Platform, address: Address) -> str:
    """Which tool an artifact was imported from; empty where a run made it."""
    record = platform.catalog.find_artifact(address)
    if record is None or record.code_version != CODE_VERSION:
        return ""
    return str(record.facts.get("tool", UNKNOWN_TOOL))


def damage_said(address: Address, damage: Damage | str, tool: str = "") -> tuple[str, str]:
    """Reason and message of an artifact that was made and is not whole any more.

    `tool` is the one that it was imported from, where it was.
    """
    how = f"was imported from {tool}" if tool else "was made"
    what, said = f"{address.partition_key}: {'/'.join(address.key)} {how}", str(damage)
    if said == GONE:
        return ArtifactMissing.reason, f"{what}{_IS_GONE}"
    return ArtifactCorrupt.reason, f"{what}{_IS_DAMAGED}{said}"


def damage_noted(attempt: AttemptRecord) -> Damage | None:
    """Damage that an attempt notes of its artifact; None of one that failed in another way."""
    address = attempt.address
    before, is_noted, said = attempt.message.partition(_IS_DAMAGED)
    if not before.startswith(f"{address.partition_key}: {'/'.join(address.key)} was "):
        return None
    if not is_noted:
        return Damage(path="", fact="is gone") if before.endswith(_IS_GONE) else None
    path, _, fact = said.partition(" ")
    return Damage(path=path, fact=fact)
