"""Verdicts in force, a version's table -> those by which it has a slide or lacks it, and whose.

Where a rule of numbers or a missing label decided before, no verdict did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd

from pathassets.catalog.records import Verdict
from pathassets.core.datasets.manifest import ACCEPTED, NOT_ACCEPTED, REJECTED_WHY, SplitTable
from pathassets.core.datasets.spec import DatasetSpec

COLUMNS = ("slide_id", "verdict", "who", "why")
"""Of the table; times are ISO-8601 in UTC."""


def honoured(spec: DatasetSpec, table: SplitTable, verdicts: Mapping[str, Verdict]) -> pd.DataFrame:
    """A row for each slide that one of the `verdicts` in force decided of, by slide id."""
    why_out = dict(zip(table.left_out["slide_id"], table.left_out["why"], strict=True))
    decided = {s for s, why in why_out.items() if why in {REJECTED_WHY, NOT_ACCEPTED}}
    if spec.verdict in {"accepted", "decides"}:
        members = {*table.manifest["slide_id"]}
        decided |= {s for s in members if s in verdicts and verdicts[s].verdict == ACCEPTED}
    rows = [_row(verdicts[slide_id]) for slide_id in sorted(decided) if slide_id in verdicts]
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype="string")


def _row(one: Verdict) -> tuple[str, ...]:
    return one.slide_id, one.verdict, one.who, one.why  # no clock: equal work gives equal bytes


def counts_of(verdicts: pd.DataFrame) -> list[dict[str, Any]]:
    """How many slides of each verdict and person, for the report."""
    counted = Counter(zip(verdicts["verdict"], verdicts["who"], strict=True))
    return [
        {"verdict": word, "who": who, "n_slides": n} for (word, who), n in sorted(counted.items())
    ]
