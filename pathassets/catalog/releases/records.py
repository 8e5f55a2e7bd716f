"""What goes into the catalog of datasets, and comes out: releases, findings, who accepted them.

Fields ending `_at` are UTC and stamped by the catalog; they take no part in comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pathassets.catalog.records import UNSTAMPED


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRecord:
    """One release: a version of a dataset that got a number, and is kept as it is."""

    dataset: str
    """Entry of the recipe."""
    version: int
    """From 1 on; `dataset@version` is what people call it. 0: not numbered yet."""
    digest: str
    """Of the dataset's artifact."""
    content_sha256: str
    """Of all files of that artifact."""
    tissue_mask: str
    """Entry that its members' masks were made by; their locations and features likewise."""
    patch_locations: str
    features: str
    recipe: Mapping[str, Any]
    """Parameters of each entry that it goes back to, by `stage/name`."""
    report: Mapping[str, Any]
    """Counts by part, label and site, findings that were accepted."""
    licences: Mapping[str, str]
    """Terms of the weights, by encoder."""
    who: str
    why: str
    made_at: datetime = field(default=UNSTAMPED, compare=False)

    @property
    def name(self) -> str:
        """`cohort@3`."""
        return f"{self.dataset}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Something that two parts of a split share."""

    finding: str
    """Digest of kind and pair: what a person names to accept it."""
    kind: str
    one: str
    """Slide, or patient where the kind is of patients."""
    other: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRecord(Found):
    """Something that they may share, and must not."""

    remedy: str
    evidence: Mapping[str, Any]
    """Numbers and names that it rests on, in plain JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedFinding(Found):
    """One with which a person released all the same, and why."""

    dataset: str
    who: str
    why: str
    made_at: datetime = field(default=UNSTAMPED, compare=False)
