"""Focus and colour of slides -> what of each is unlike the others, or breaks a rule.

an entry of patch_quality in the recipe ─▶ its facts, of all slides ─▶ Quality, as v_quality has it
without one ─▶ some squares of each slide, measured alike (task.py)  ─▶ the slides of a page
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pathassets.core.quality.cohort import beside_others, odd_colours, out_of_focus
from pathassets.core.quality.rules import SlideRules, broken_rules
from pathassets.core.quality.slide_measures import SlideMeasures
from pathassets.core.recipe import Entry
from pathassets.engine.platform.cohort_page.rows import PageRow
from pathassets.engine.platform.platform import Platform

NO_TISSUE, NO_PATCHES, BAD_TILES = "no tissue", "no patches", "bad tiles"
OUT_OF_FOCUS, ODD_COLOUR = "out of focus", "odd colour"
NOTHING_ODD: Mapping[str, tuple[str, ...]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What an entry of `patch_quality` says of slides, where it was made as it is wanted."""

    of: str
    """Such as `patch_quality/numbers`."""
    measures: Mapping[str, SlideMeasures]
    oddities: Mapping[str, tuple[str, ...]]
    broken: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Of each slide that breaks rules, by the rule's name what it is and what it may be."""


def quality_of(platform: Platform, plan_id: int, entry: Entry) -> Quality:
    """Read what an entry says of all slides; as many are compared by `qc queue`."""
    facts = platform.catalog.wanted_facts(plan_id, entry.key)
    return Quality(
        of="/".join(entry.key),
        measures={slide_id: SlideMeasures.of_facts(one) for slide_id, one in facts.items()},
        oddities=odd_ones(facts, entry.spec.checks),
        broken=_broken(facts, entry.spec.checks),
    )


def _broken(
    facts: Mapping[str, Mapping[str, Any]], rules: SlideRules | None
) -> dict[str, Mapping[str, str]]:
    """The words of `pathassets qc queue` for the rules that slides break."""
    found = {
        slide_id: {one.rule: str(one) for one in broken_rules(rules, known)}
        for slide_id, known in beside_others(facts).items()
    }
    return {slide_id: said for slide_id, said in found.items() if said}


def odd_ones(
    facts: Mapping[str, Mapping[str, Any]], rules: SlideRules | None = None
) -> dict[str, tuple[str, ...]]:
    """Slides that stand out among these, or break rules, each with the words for it."""
    soft, odd = out_of_focus(facts), odd_colours(facts)
    found = {}
    for slide_id, one in beside_others(facts).items():
        said = {OUT_OF_FOCUS: slide_id in soft, ODD_COLOUR: slide_id in odd}
        broken = (rule.rule for rule in broken_rules(rules, one))
        if words := (*(word for word, is_so in said.items() if is_so), *broken):
            found[slide_id] = words
    return found


def oddities_of(
    rows: Iterable[PageRow], of_pixels: Mapping[str, tuple[str, ...]] = NOTHING_ODD
) -> Mapping[str, tuple[str, ...]]:
    """All that is odd of each slide; of most there is nothing."""
    found = {}
    for row in rows:
        said = {
            NO_TISSUE: row.tissue_mm2 == 0,
            NO_PATCHES: row.n_patches == 0 and row.tissue_mm2 != 0,
            BAD_TILES: row.n_bad_tiles > 0,
        }
        words = (word for word, is_so in said.items() if is_so)
        found[row.slide_id] = (*words, *of_pixels.get(row.slide_id, ()))
    return found
