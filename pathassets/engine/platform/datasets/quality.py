"""Patch quality of the slides of a dataset -> who breaks its rules, and which patches are used.

rows ─▶ facts of the slides ─▶ how far each one's colour is from the others' ─▶ rules it breaks
    └─▶ table of its patches ─▶ those that keep the rules ─▶ a bit for each row of the features

Features are not made again: a row of them is used, or it is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from pathassets.core.datasets.used_patches import n_used_of
from pathassets.core.quality.cohort import beside_others
from pathassets.core.quality.rules import broken_rules, limits_of
from pathassets.core.recipe import Entry
from pathassets.engine.platform.datasets.used_patches import Row, UsedPatches
from pathassets.engine.platform.platform import Platform

NO_QUALITY = "no patch quality"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the quality of the slides' patches says of a dataset."""

    rows: pd.DataFrame
    """With `patch_quality_digest`, `broken` (a rule of slides, in words) and `n_used`."""
    used: Mapping[str, bytes] = field(default_factory=dict)
    """By slide, a bit for each row of its features; empty without rules for patches."""


def judge(  # noqa: PLR0913 - of what, and how it is held to the rules
    platform: Platform,
    plan_id: int,
    entry: Entry,
    rows: pd.DataFrame,
    skipped: Mapping[str, Sequence[int]],
    *,
    is_mended: bool,
) -> Judged:
    """Hold the slides that can be used, of those that are selected, to a dataset's rules.

    `skipped` are places of the patch locations that features have no row of, by slide; `is_mended`
    counts quality as there that is damaged.
    """
    if entry.beside is None:
        return Judged(rows=rows)
    facts, digests = _known_of(platform, plan_id, entry, rows, is_mended=is_mended)
    ids, rules = rows["slide_id"].tolist(), entry.spec.slide_rules
    rows = rows.assign(
        patch_quality_digest=[digests.get(slide_id, "") for slide_id in ids],
        broken=[str(next(broken_rules(rules, facts.get(slide_id, {})), "")) for slide_id in ids],
    )
    rows.loc[(rows["why"] == "") & (rows["patch_quality_digest"] == ""), "why"] = NO_QUALITY
    if not limits_of(entry.spec.patch_rules):
        return Judged(rows=rows)
    return _with_used(platform, entry, rows, skipped)


def _known_of(
    platform: Platform, plan_id: int, entry: Entry, rows: pd.DataFrame, *, is_mended: bool
) -> tuple[Mapping[str, Mapping[str, Any]], dict[str, str]]:
    """Facts and digest of each slide's quality as it is wanted, where it was made and is whole."""
    selected = {*rows["slide_id"]}
    found = [
        one
        for one in platform.catalog.candidates(plan_id, entry.beside or ("", ""))
        if one.slide_id in selected and one.facts is not None and (is_mended or not one.damage)
    ]
    facts: dict[str, Mapping[str, Any]] = {one.slide_id: one.facts or {} for one in found}
    return beside_others(facts), {one.slide_id: one.features_digest for one in found}


def _with_used(
    platform: Platform, entry: Entry, rows: pd.DataFrame, skipped: Mapping[str, Sequence[int]]
) -> Judged:
    """Say which patches of each slide that can be used are, and why none of the others."""
    finder = UsedPatches(platform, entry)
    used: dict[str, bytes] = {}
    whys: dict[str, str] = {}
    usable = rows.loc[rows["why"] == "", list(Row._fields)]
    for row in map(Row._make, usable.itertuples(index=False)):
        found = finder.find(row, skipped.get(row.slide_id, ()))
        if isinstance(found, str):
            whys[row.slide_id] = found
        else:
            used[row.slide_id] = found
    ids = rows["slide_id"].tolist()
    rows = rows.assign(
        why=[whys.get(s, why) for s, why in zip(ids, rows["why"], strict=True)],
        n_used=[n_used_of(used.get(slide_id, b"")) for slide_id in ids],
    )
    return Judged(rows=rows, used=used)
