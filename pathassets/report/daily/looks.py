"""How old what is known of the store is, in words."""

from __future__ import annotations

from datetime import datetime

from pathassets.catalog.standing.looks import LookAge
from pathassets.core.text import counted


def look_line(age: LookAge, at: datetime) -> str:
    """Say how old what is known of the store is.

    >>> from datetime import UTC
    >>> at, seen = datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 1, 29, tzinfo=UTC)
    >>> look_line(LookAge(n_artifacts=3, oldest_at=seen, n_never=1), at)
    'not looked at the store: 3 artifacts, seen whole 48 hours ago or since, 1 never: --look looks'
    """
    never = f", {age.n_never} never" if age.n_never else ""
    if age.oldest_at is None:
        seen = ", none seen since it was made" if age.n_artifacts else ""
        never = ""
    else:
        hours = (at - age.oldest_at).total_seconds() / 3600
        seen = f", seen whole {hours:.0f} hours ago or since"
    artifacts = counted(age.n_artifacts, "artifact")
    return f"not looked at the store: {artifacts}{seen}{never}: --look looks"
