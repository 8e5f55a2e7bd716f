"""Rules of quality -> which slides break them, by how much, and which patches keep them.

A rule is called `min_` or `max_` and what it is of, so that value and limit are told in its words.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field
from pydantic.dataclasses import dataclass as spec_dataclass

from pathassets.core.spec import STRICT, Share

AtLeast0 = Annotated[float, Field(ge=0.0)]
_FACT_OF = {"focus": "focus_median"}
"""What a slide's rule looks at, where it is called otherwise."""
OF_COHORT = "max_colour_deviation"
"""What cannot be told from the slide alone."""


@spec_dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class SlideRules:
    """What a slide must be like; None asks for nothing. What is not known keeps no rule."""

    min_focus: AtLeast0 | None = None
    """Median focus of its patches."""
    max_blurred_share: Share | None = None
    """Share of its patches that are out of focus."""
    max_ink_share: Share | None = None
    """Pen's share of the area of tissue and pen."""
    max_fold_share: Share | None = None
    """Share of the tissue that is taken for folds."""
    min_tissue_mm2: AtLeast0 | None = None
    min_coverage: Share | None = None
    """Share of the tissue that lies in patches."""
    max_bad_patch_share: Share | None = None
    """Share of its patches that cannot be read."""
    max_colour_deviation: AtLeast0 | None = None
    """How far its colour is from the cohort's, in robust standard deviations; see
    `cohort.colour_deviations`. A cohort too small to tell keeps it."""


@spec_dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class PatchRules:
    """What a patch must be like; None asks for nothing. What is not known keeps no rule."""

    min_focus: AtLeast0 | None = None
    min_contrast: AtLeast0 | None = None
    max_glass_share: Share | None = None
    min_tissue_share: Share | None = None
    max_ink_share: Share | None = None
    max_fold_share: Share | None = None
    max_od_red: AtLeast0 | None = None
    """Optical density in red: blue and black ink over dense tissue, which is not told as ink, takes
    more red light than the stains of most slides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenRule:
    """A rule that a slide breaks."""

    rule: str
    limit: float
    value: float | None
    """None where it is not known."""

    def __str__(self) -> str:
        of = self.rule[4:]
        if self.value is None:
            return f"{of} is not known, {self.rule} is {self.limit:g}"
        beyond = "below" if self.rule.startswith("min_") else "above"
        return f"{of} {self.value:.4g} is {beyond} {self.rule} {self.limit:g}"

    @property
    def severity(self) -> float:
        """How many times beyond the limit it is; infinite where that is nothing, or not known.

        >>> BrokenRule(rule="min_focus", limit=50.0, value=10.0).severity
        5.0
        """
        if self.value is None:
            return math.inf
        more, less = self.value, self.limit
        if self.rule.startswith("min_"):
            more, less = less, more
        return more / less if less > 0 else math.inf


def limits_of(rules: SlideRules | PatchRules | None) -> Mapping[str, float]:
    """The rules that ask for something, by name."""
    names = () if rules is None else rules.__dataclass_fields__
    return {name: limit for name in names if (limit := getattr(rules, name)) is not None}


def rules_of_slide(rules: SlideRules) -> SlideRules | None:
    """Those that can be judged by the slide alone; None where there are none."""
    alone = replace(rules, max_colour_deviation=None)
    return alone if limits_of(alone) else None


def value_of(rule: str, facts: Mapping[str, Any]) -> float | None:
    """What a rule of a slide is of; None where it is not known."""
    found: float | None = facts.get(_FACT_OF.get(rule[4:], rule[4:]))
    return found


def broken_rules(rules: SlideRules | None, facts: Mapping[str, Any]) -> Iterator[BrokenRule]:
    """Rules that a slide of these facts breaks.

    >>> [str(one) for one in broken_rules(SlideRules(min_focus=50.0), {"focus_median": 12.0})]
    ['focus 12 is below min_focus 50']
    """
    for rule, limit in limits_of(rules).items():
        value = value_of(rule, facts)
        if value is None and rule == OF_COHORT:
            continue
        kept = value is not None and (value >= limit if rule.startswith("min_") else value <= limit)
        if not kept:
            yield BrokenRule(rule=rule, limit=limit, value=value)


def kept_by(rules: PatchRules | None, table: pd.DataFrame) -> np.ndarray:
    """Which patches of a slide keep the rules, bool (n,); one that could not be read keeps none.

    `table` has the columns of `patch_table`.
    """
    kept = table["is_read"].to_numpy(bool)
    for rule, limit in limits_of(rules).items():
        values = table[rule[4:]].to_numpy(np.float64)
        kept = kept & (values >= limit if rule.startswith("min_") else values <= limit)
    return kept
