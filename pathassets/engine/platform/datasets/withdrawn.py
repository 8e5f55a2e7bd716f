"""Members of a version -> those that were taken out of the catalog since.

A release names them for good. Of a slide that was taken out only hashes are left, one salt each:
every member is asked against every one of them, 0.6 us a question.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pathassets.engine.platform.platform import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """A member that is not to be used any more."""

    slide_id: str
    on: str
    """Day, UTC."""
    who: str
    why: str


def find_withdrawn(platform: Platform, slide_ids: Iterable[str]) -> tuple[Withdrawn, ...]:
    """Those of these slides that were taken out, in order."""
    forgotten = platform.catalog.forgotten()
    if not forgotten:
        return ()
    gone = ((slide_id, one) for slide_id in slide_ids for one in forgotten if one.had_id(slide_id))
    return tuple(
        Withdrawn(slide_id=slide_id, on=f"{one.forgotten_at:%Y-%m-%d}", who=one.who, why=one.why)
        for slide_id, one in sorted(gone, key=lambda pair: pair[0])
    )
