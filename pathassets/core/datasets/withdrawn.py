"""Members of a dataset whose slides were taken out since -> refused, or left out and named.

A dataset names them for good: what it says of itself stays as it was. Whoever trains on it is told
that it is not whole any more, and says that he means the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pathassets.core.datasets.members import N_NAMED, Member
from pathassets.core.text import visible
from pathassets.errors import MembersForgotten

REMEDY = (
    "without_forgotten=True, or --without-forgotten of pathassets dataset copy and export, takes "
    "the rest and names what it leaves out"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """A member that is not to be used any more."""

    slide_id: str
    on: str
    """Day, UTC."""
    who: str
    why: str

    @property
    def said(self) -> str:
        """When it was taken out, by whom and why."""
        return visible(f"was forgotten on {self.on} by {self.who}: {self.why}")

    def __str__(self) -> str:
        return f"{visible(self.slide_id)} {self.said}"


def told(some: Sequence[Withdrawn]) -> str:
    """Slides that were taken out, the first of them one by one."""
    named = "; ".join(map(str, some[:N_NAMED]))
    return f"{named}; and {len(some) - N_NAMED} more" if len(some) > N_NAMED else named


def lost_of(
    dataset: str, slide_ids: Sequence[str], withdrawn: Iterable[Withdrawn], *, is_meant: bool
) -> tuple[Withdrawn, ...]:
    """Those of the slides asked for that were taken out, in their order.

    Raises:
        MembersForgotten: there is one of these, and nobody said that the rest is meant.
    """
    gone = {one.slide_id: one for one in withdrawn}
    lost = tuple(gone[slide_id] for slide_id in slide_ids if slide_id in gone)
    if lost and not is_meant:
        raise MembersForgotten(
            dataset,
            f"{len(lost)} of {len(slide_ids)} slides asked for were taken out: {told(lost)}",
            remedy=REMEDY,
        )
    return lost


def without_withdrawn(
    dataset: str, members: Sequence[Member], withdrawn: Iterable[Withdrawn], *, is_meant: bool
) -> tuple[tuple[Member, ...], tuple[Withdrawn, ...]]:
    """Members that are left, and those that are not.

    Raises:
        MembersForgotten: there is one of these, and nobody said that the rest is meant.
    """
    lost = lost_of(dataset, [m.slide_id for m in members], withdrawn, is_meant=is_meant)
    gone = {one.slide_id for one in lost}
    return tuple(one for one in members if one.slide_id not in gone), lost
