"""Lines of a table that speaks as of earlier -> what was stated since, which they do not change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from pathassets.catalog.records import CohortChange, CohortState, PastChange
from pathassets.core.text import quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Overtaken:
    """What a line does not change, for it was stated later than the line speaks."""

    line: int
    change: CohortChange
    """What it would have changed."""
    by: PastChange

    def __str__(self) -> str:
        """Say which of both stands."""
        one, by = self.change, self.by.by
        file = f" ({by.file})" if by.file else ""
        since = f"{by.who or 'somebody'}{file} stated later ({self.by.at:%Y-%m-%d %H:%M})"
        stays = "taken away" if one.old is None else quoted(one.old)
        new = quoted(one.new or "")
        about = f"line {self.line}: {one.field} of {one.subject} {one.key}"
        return f"{about} stays {stays}, as {since}, and does not become {new}"


LaterThan = Callable[[Collection[CohortChange]], Mapping[CohortChange, PastChange]]
"""Says of changes which were stated otherwise later than the table speaks, and how."""


def overtaken_among(
    lines: Sequence[tuple[int, CohortChange]], state: CohortState, later: LaterThan | None
) -> tuple[Overtaken, ...]:
    """What was stated later otherwise; also of patients whom no slide gets for that."""
    found = dict(later([change for _, change in lines])) if later else {}
    moves = [one for _, one in lines if one.field == "patient"]
    come = {*state.patients, *(one.new for one in moves if one not in found)}
    by = {one.new: found[one] for one in moves if one in found}
    found |= {
        one: by[one.key]
        for _, one in lines
        if one.subject == "patient" and one.key not in come and one.key in by
    }
    return tuple(
        Overtaken(line=line, change=change, by=found[change])
        for line, change in lines
        if change in found
    )
