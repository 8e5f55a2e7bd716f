"""What the doctor says of a home, one thing at a time, and how it is mended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

FindingKind = Literal[
    "open_to_others",
    "store_shared",
    "alerts_unknown",
    "catalog_damaged",
    "catalog_old",
    "recipe_unreadable",
    "weights_unread",
    "dagster_unreadable",
    "artifact_gone",
    "artifact_damaged",
    "artifact_unrecorded",
    "artifact_broken",
    "artifact_misplaced",
    "external_unproved",
    "artifact_of_no_slide",
    "annotation_unstated",
    "leftover",
    "stray",
    "slide_gone",
    "slide_moved",
    "slide_changed",
    "slide_unknown",
    "slide_half_forgotten",
    "row_of_no_slide",
    "attempt_unnoted",
    "state_wrong",
    "release_gone",
    "release_changed",
    "partition_missing",
    "partition_of_no_slide",
    "event_missing",
    "event_of_nothing",
    "dead_run",
]
"""What can be wrong; docs/upkeep.md has a line for each."""

RUN = "pathassets run"
GC = "pathassets gc --yes"
Mend = Callable[[], str]
"""Mends it, and says what was done; raises a `PathAssetsError` where it cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it should be."""

    kind: FindingKind
    subject: str
    """Artifact, file, slide or table."""
    evidence: str
    """What was seen."""
    remedy: str
    """What a person can do, be it to call the doctor with --fix."""
    is_note: bool = False
    """Whether it may be meant so: it is told, and is no fault."""
    mend: Mend | None = field(default=None, repr=False, compare=False)

    @property
    def can_fix(self) -> bool:
        """Whether --fix mends it."""
        return self.mend is not None

    @property
    def by_run(self) -> bool:
        """Whether a run mends it, as its remedy says."""
        return RUN in self.remedy

    @property
    def by_clearing(self) -> bool:
        """Whether clearing ends it, typed without more, as its remedy says."""
        return self.remedy.startswith(f"{GC} drops")


@dataclass(frozen=True, slots=True, kw_only=True)
class Treated:
    """A finding, and what became of it."""

    finding: Finding
    done: str = ""
    """What --fix did; empty where it did nothing."""
    failed: str = ""
    """Why --fix could not."""

    @property
    def is_mended(self) -> bool:
        """Whether nothing is left to do."""
        return bool(self.done)


@dataclass(slots=True, kw_only=True)
class Tally:
    """How many findings there were of each kind, and what helps against those that are left."""

    kinds: Counter[FindingKind] = field(default_factory=Counter)
    """Notes included."""
    n_notes: int = 0
    n_mended: int = 0
    n_left: int = 0
    n_by_run: int = 0
    """Of those that are left, what a run mends."""
    n_by_fix: int = 0
    """Of those that are left, what --fix mends; some are mended by either."""
    n_by_clearing: int = 0
    """Of those that are left, what `gc` drops."""
    n_by_neither: int = 0

    def add(self, treated: Treated) -> int:
        """Count one; returns how many of its kind came before it."""
        found = treated.finding
        n_before = self.kinds[found.kind]
        self.kinds[found.kind] += 1
        self.n_notes += found.is_note
        self.n_mended += treated.is_mended
        if not found.is_note and not treated.is_mended:
            can_fix = found.can_fix and not treated.failed
            self.n_left += 1
            self.n_by_run += found.by_run
            self.n_by_fix += can_fix
            self.n_by_clearing += found.by_clearing
            self.n_by_neither += not (found.by_run or can_fix or found.by_clearing)
        return n_before
