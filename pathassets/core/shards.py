"""Slide ids -> a share of them, the same on every machine, however the cohort grows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

from pathassets.core.text import quoted
from pathassets.errors import SpecError

MOST_SHARDS = 999_999
_SHARD = re.compile(r"([0-9]+)/([0-9]+)")
_MANY = len(str(MOST_SHARDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """The k-th of n shares: each slide is in one of them, and stays there."""

    number: int
    """From 1 on."""
    n_shards: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `k/n`.

        >>> Shard.parse("2/8")
        Shard(number=2, n_shards=8)

        Raises:
            SpecError: it is none.
        """
        found = _SHARD.fullmatch(text.strip())
        parts = [part.lstrip("0") for part in found.groups()] if found else []
        if any(len(part) > _MANY for part in parts):  # Python reads no number of 5000 digits
            raise SpecError(
                f"--shard {quoted(text)}: is more than {MOST_SHARDS:,} shares",
                remedy="Ask for as many shares as processes work side by side",
            )
        number, n_shards = (int(part or 0) for part in parts or ("", ""))
        if not 1 <= number <= n_shards:
            raise SpecError(
                f"--shard {quoted(text)}: is not k/n with k from 1 to n",
                remedy="Such as --shard 1/8; of an array of 8 jobs that count from 1: "
                "--shard $SLURM_ARRAY_TASK_ID/8",
            )
        return cls(number=number, n_shards=n_shards)

    def holds(self, slide_id: str) -> bool:
        """Whether a slide is in it, by a hash of its id."""
        word = int.from_bytes(sha256(slide_id.encode()).digest()[:8], "big")
        return word % self.n_shards == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.n_shards}"
