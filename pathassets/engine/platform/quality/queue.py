"""Facts of the slides, rules of the recipe, verdicts of people -> slides to look at, worst first.

A slide waits where its verdict in force is `review`, or where it breaks a rule of its patch quality
and nobody gave a verdict since that was made. How far its colour is from the others' is worked out
now, over all slides of the entry.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pathassets.catalog.records import ArtifactRecord, Verdict
from pathassets.core.quality.cohort import beside_others
from pathassets.core.quality.rules import BrokenRule, broken_rules
from pathassets.core.recipe import Entry
from pathassets.core.stages import PATCH_QUALITY
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.refresh import refresh_wanted

SHOWN = (
    "focus_median", "blurred_share", "ink_share", "fold_share", "tissue_mm2", "coverage",
    "bad_patch_share", "colour_deviation",
)  # fmt: skip
"""Facts that a person judges by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A slide that is to be looked at."""

    slide_id: str
    entry: str
    """Of `patch_quality`; empty where it has none, and a person asked for a look."""
    broken: tuple[BrokenRule, ...]
    """Rules that it breaks, the worst first."""
    facts: Mapping[str, Any]
    """Those of SHOWN that are known."""
    verdict: Verdict | None
    """In force, where anybody gave one."""

    @property
    def severity(self) -> float:
        """How many times beyond the limit its worst rule is; 1 where it breaks none."""
        return max((one.severity for one in self.broken), default=1.0)


def review_queue(platform: Platform, slide_ids: Collection[str] | None = None) -> list[Waiting]:
    """Slides to look at, the worst first; each once, by the entry that it does worst at.

    Where some are named, those of them; their colour is held against that of all.
    """
    platform = platform.readable
    begun = platform.catalog.begun_removals()
    given = (one for one in platform.catalog.verdicts() if one.slide_id not in begun)
    verdicts = {one.slide_id: one for one in given}
    plan_id = refresh_wanted(platform)
    waiting: dict[str, Waiting] = {}
    for entry in platform.recipe.per_slide:
        if entry.stage.name == PATCH_QUALITY:
            for one in _of_entry(platform, plan_id, entry, verdicts):
                known = waiting.get(one.slide_id)
                if known is None or one.severity > known.severity:
                    waiting[one.slide_id] = one
    for slide_id, verdict in verdicts.items():
        if verdict.verdict == "review" and slide_id not in waiting:
            waiting[slide_id] = Waiting(
                slide_id=slide_id, entry="", broken=(), facts={}, verdict=verdict
            )
    meant = waiting.keys() if slide_ids is None else waiting.keys() & {*slide_ids}
    return sorted((waiting[one] for one in meant), key=lambda one: (-one.severity, one.slide_id))


def _of_entry(
    platform: Platform, plan_id: int, entry: Entry, verdicts: Mapping[str, Verdict]
) -> Iterator[Waiting]:
    """Slides that wait, of those whose quality was made as it is wanted."""
    wanted = platform.catalog.wanted_digests(plan_id, entry.key)
    made = {
        one.address.partition_key: one
        for one in platform.catalog.artifacts(*entry.key)
        if wanted.get(one.address.partition_key) == one.address.digest
    }
    known = beside_others({slide_id: one.facts for slide_id, one in made.items()})
    for slide_id, one in made.items():
        facts = known[slide_id]
        broken = sorted(broken_rules(entry.spec.checks, facts), key=lambda rule: -rule.severity)
        verdict = verdicts.get(slide_id)
        if _waits(one, verdict, is_bad=bool(broken)):
            shown = {name: facts[name] for name in SHOWN if facts.get(name) is not None}
            yield Waiting(
                slide_id=slide_id, entry=entry.name, broken=tuple(broken), facts=shown,
                verdict=verdict,
            )  # fmt: skip


def _waits(made: ArtifactRecord, verdict: Verdict | None, *, is_bad: bool) -> bool:
    if verdict is None:
        return is_bad
    return verdict.verdict == "review" or (is_bad and verdict.made_at < made.made_at)
