"""Patients that come one after the other -> parts, the shares kept to less than one patient.

What was given is never taken back, so each choice must leave one for those who come later. Unit j
of a part with share s may be given from patient floor((j - 1) / s) on, and is due by patient
ceil(j / s): whoever keeps within these windows is less than one from the share at every moment. Of
the parts that may have the patient, and whose choice lets all others meet their dates, the one that
has least in all strata takes him: labels of few patients would otherwise all be in the largest.

Source: windows and their feasibility, Baruah, Cohen, Plaxton and Varvel 1996,
doi:10.1007/BF01940883; the problem, Tijdeman 1980, doi:10.1016/0012-365X(80)90269-1.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction


def whole_weights(shares: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers in the ratio of the shares as they are written, by name; none for no share.

    >>> whole_weights({"train": 0.7, "val": 0.15, "test": 0.15, "unused": 0.0})
    {'test': 3, 'train': 14, 'val': 3}
    """
    exact = {name: Fraction(str(share)) for name, share in sorted(shares.items()) if share > 0}
    common = math.lcm(*(one.denominator for one in exact.values()))
    whole = {name: int(one * common) for name, one in exact.items()}
    divisor = math.gcd(*whole.values())
    return {name: one // divisor for name, one in whole.items()}


@dataclass(slots=True)
class Apportioner:
    """Gives patients to parts, one after the other."""

    weights: Mapping[str, int]
    """Of each part; their sum is the whole."""
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """Patients of each stratum by part."""
    total: Counter[str] = field(default_factory=Counter)
    """Patients of all strata by part."""
    whole: int = field(init=False)

    def __post_init__(self) -> None:
        self.whole = sum(self.weights.values())

    def note(self, stratum: str, part: str) -> None:
        """Count a patient who is in a part already; a part that is no more counts nowhere."""
        if part in self.weights:
            self.counts.setdefault(stratum, Counter())[part] += 1
            self.total[part] += 1

    def give(self, stratum: str) -> str:
        """Part of the next patient of a stratum."""
        counts = self.counts.setdefault(stratum, Counter())
        n = counts.total() + 1
        # A stratum that others changed may have no choice that keeps all dates: then the nearest.
        open_parts = [p for p, w in self.weights.items() if counts[p] * self.whole < w * n]
        by_need = sorted(open_parts, key=lambda p: (-self._lack(p), self._due(p, counts), p))
        by_date = min(open_parts, key=lambda p: (self._due(p, counts), p))
        part = next((p for p in by_need if self._keeps_dates(p, counts, n)), by_date)
        self.note(stratum, part)
        return part

    def _lack(self, part: str) -> int:
        """How far a part is below its share of all patients, in 1 / whole of a patient."""
        return self.weights[part] * (self.total.total() + 1) - self.total[part] * self.whole

    def _due(self, part: str, counts: Counter[str]) -> int:
        """Number of the patient by whom the part must have its next."""
        return -(-(counts[part] + 1) * self.whole // self.weights[part])

    def _keeps_dates(self, part: str, counts: Counter[str], n: int) -> bool:
        """Whether, with patient n in a part, no later moment has more due than patients."""
        given = {p: counts[p] + (p == part) for p in self.weights}
        # Beyond, each part is due at least what it has, and all together no more than there are.
        last = max(-(-c * self.whole // self.weights[p]) for p, c in given.items())
        return all(
            sum(max(0, w * date // self.whole - given[p]) for p, w in self.weights.items())
            <= date - n
            for date in range(n, last + 1)
        )
