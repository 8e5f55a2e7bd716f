"""What people call a version of a dataset -> which one they mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pathassets.core.text import quoted
from pathassets.errors import SpecError

MAX_LISTED = 5
"""Versions that a remedy names one by one."""
_NAME = re.compile(r"([A-Za-z][A-Za-z0-9_]{0,63})(?:@(?:([1-9][0-9]{0,8})|([0-9a-f]{16})))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetName:
    """A dataset, and which version of it."""

    dataset: str
    version: int | None = None
    """Number of a release."""
    digest: str = ""
    """Of a version that need have no number; without both it is the one in force."""

    def __str__(self) -> str:
        which = self.digest or self.version
        return f"{self.dataset}@{which}" if which else self.dataset


def parse_dataset_name(text: str) -> DatasetName:
    """Read `cohort`, `cohort@3` or `cohort@0123456789abcdef`.

    Raises:
        SpecError: it is none of these.

    >>> parse_dataset_name("cohort@3")
    DatasetName(dataset='cohort', version=3, digest='')
    """
    found = _NAME.fullmatch(text)
    if found is None:
        raise SpecError(
            f"dataset {quoted(text)}: no name of a version",
            remedy="Write cohort, cohort@3, or cohort@ and the 16 characters of a digest",
        )
    version = int(found[2]) if found[2] else None
    return DatasetName(dataset=found[1], version=version, digest=found[3] or "")


def versions_there(names: Sequence[str]) -> str:
    """Say which versions of a dataset there are, of those in the order in which they were made.

    >>> versions_there(["a@1"]), versions_there(["a@1", "a@2", "a@3"])
    ('There is a@1', 'There are a@1, a@2 and a@3')
    >>> versions_there([f"a@{n}" for n in range(1, 13)])
    'There are 12, from a@1 to a@12'
    """
    if len(names) > MAX_LISTED:
        return f"There are {len(names)}, from {names[0]} to {names[-1]}"
    *first, last = names
    return f"There are {', '.join(first)} and {last}" if first else f"There is {last}"
