"""Patch quality of the slides of a dataset -> who breaks its rules, and which patches are used.

rows ─▶ facts of the slides ─▶ how far each one's colour is from the others' ─▶ rules it breaks
    └─▶ table of its patches ─▶ those that keep the rules ─▶ a bit for each row of the features

Features are not made again: a row of them is used, or it is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pathassets.adapters.parquet import load_table
from pathassets.core.address import Address
from pathassets.core.datasets.used_patches import pack_used
from pathassets.core.quality.colour import colour_deviations
from pathassets.core.quality.rules import PatchRules, broken_rules, kept_by, limits_of
from pathassets.core.recipe import Entry
from pathassets.engine.platform.platform import Platform
from pathassets.engine.stages.quality.patch_quality import QUALITY
from pathassets.errors import StoreError

NO_QUALITY = "no patch quality"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the quality of the slides' patches says of a dataset."""

    rows: pd.DataFrame
    """With `patch_quality_digest`, `broken` (a rule of slides, in words) and `n_used`."""
    used: Mapping[str, bytes] = field(default_factory=dict)
    """By slide, a bit for each row of its features; empty without rules for patches."""


def judge(
    platform: Platform,
    plan_id: int,
    entry: Entry,
    rows: pd.DataFrame,
    skipped: Mapping[str, Sequence[int]],
) -> Judged:
    """Hold the slides that can be used, of those that are selected, to a dataset's rules.

    `skipped` are places of the patch locations that features have no row of, by slide.
    """
    if entry.beside is None:
        return Judged(rows=rows)
    facts, digests = _known_of(platform, plan_id, entry, rows)
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
    platform: Platform, plan_id: int, entry: Entry, rows: pd.DataFrame
) -> tuple[dict[str, Mapping[str, Any]], dict[str, str]]:
    """Facts and digest of each slide's quality as it is wanted, where it was made and is whole."""
    selected = {*rows["slide_id"]}
    found = [
        one
        for one in platform.catalog.candidates(plan_id, entry.beside or ("", ""))
        if one.slide_id in selected and one.facts is not None and not one.damage
    ]
    facts: dict[str, Mapping[str, Any]] = {one.slide_id: one.facts or {} for one in found}
    apart = colour_deviations(facts)
    with_colour: dict[str, Mapping[str, Any]] = {
        s: {**one, "colour_deviation": apart.get(s)} for s, one in facts.items()
    }
    return with_colour, {one.slide_id: one.features_digest for one in found}


def _with_used(
    platform: Platform, entry: Entry, rows: pd.DataFrame, skipped: Mapping[str, Sequence[int]]
) -> Judged:
    """Read the table of each slide that can be used: a millisecond a slide."""
    used: dict[str, bytes] = {}
    n_used = dict.fromkeys(rows["slide_id"], 0)
    whys = dict(zip(rows["slide_id"], rows["why"], strict=True))
    columns = ["slide_id", "patch_quality_digest", "patch_locations_digest", "n_patches"]
    for slide_id, digest, locations, n_patches in rows.loc[rows["why"] == "", columns].itertuples(
        index=False
    ):
        address = Address(*(entry.beside or ("", "")), slide_id, digest)
        is_used = _used_of(platform, address, entry.spec.patch_rules, skipped.get(slide_id, ()))
        if is_used is None:
            whys[slide_id] = "patch quality damaged"
        elif not locations or len(is_used) != n_patches:
            whys[slide_id] = "patch quality of other patches"
        else:
            used[slide_id] = pack_used(is_used)
            n_used[slide_id] = int(np.count_nonzero(is_used))
    ids = rows["slide_id"]
    return Judged(rows=rows.assign(why=ids.map(whys), n_used=ids.map(n_used)), used=used)


def _used_of(
    platform: Platform, address: Address, rules: PatchRules, skipped: Iterable[int]
) -> np.ndarray | None:
    """Which rows of a slide's features keep the rules; None where their quality is not whole."""
    try:
        platform.store.read_checked(address)
        table = load_table(platform.store.path_of(address) / QUALITY)
        kept = kept_by(rules, table)
    except (StoreError, KeyError):
        return None
    return np.delete(kept, [*skipped])
