"""Recipe, slides -> what is wanted of each slide, in the catalog: what is not there is planned.

A recipe that was seen before has its rows still; a slide has none after a fact of it has changed.
"""

from __future__ import annotations

from collections.abc import Iterator

from pathassets.catalog.standing import SlideFacts, Wanted
from pathassets.core.recipe import ANNOTATIONS
from pathassets.core.slides.slide import slide_version
from pathassets.engine.platform.plan import Planner, lacks
from pathassets.engine.platform.platform import Platform

N_PLANNED = 1_000
"""Slides planned in one transaction: others wait for it, a third of a second."""


def refresh_wanted(platform: Platform) -> int:
    """Plan the slides that have no row of this recipe's plan; returns the number of the plan.

    Where there is none, it costs two queries.
    """
    planner = Planner(platform.recipe)
    plan_id = platform.catalog.open_plan(planner.recipe_digest)
    unplanned = platform.catalog.unplanned(plan_id)
    for start in range(0, len(unplanned), N_PLANNED):
        some = unplanned[start : start + N_PLANNED]
        platform.catalog.plan_some(plan_id, some, lambda facts: wanted_of(planner, facts))
    return plan_id


def wanted_of(planner: Planner, facts: SlideFacts) -> Iterator[Wanted]:
    """What a recipe wants of a slide, and what is drawn on it, which is to stay whole."""
    version = slide_version(facts.fingerprint, facts.mpp)
    digests = planner.digests(version, facts.drawn, facts.adopted)
    for entry in planner.entries:
        lacking = lacks(entry, facts.drawn)
        yield Wanted(
            stage=entry.stage.name,
            name=entry.name,
            digest=digests[entry.key],
            lacks="" if lacking is None else lacking[1],
        )
    for name, digest in facts.drawn.items():
        yield Wanted(stage=ANNOTATIONS, name=name, digest=digest)
