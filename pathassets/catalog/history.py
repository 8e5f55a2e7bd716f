"""Changes of what is said of slides and patients -> rows of the history: old, new, who, from what.

Whatever changes a patient, a label, a stain, a resolution, a tag or a cohort enters it here, in the
same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, insert

from pathassets.catalog.records import ChangedBy, CohortChange, PastChange
from pathassets.catalog.rows import flat
from pathassets.catalog.tables import cohort_change


def enter_changes(
    connection: Connection, changes: Sequence[CohortChange], by: ChangedBy, at: datetime
) -> None:
    """Enter changes that are made in this transaction."""
    stamp = flat(by) | {"at": at}
    rows = [
        {
            "subject": one.subject, "key": one.key, "field": one.field, "old": one.old,
            "new": one.new, **stamp,
        }
        for one in changes
    ]  # fmt: skip
    if rows:
        connection.execute(insert(cohort_change), rows)


def past_change(row: RowMapping) -> PastChange:
    """Inverse of `enter_changes`; of what kind a label was, the history does not keep."""
    return PastChange(
        change=CohortChange(
            subject=row["subject"],
            key=row["key"],
            field=row["field"],
            old=row["old"],
            new=row["new"],
        ),
        by=ChangedBy(who=row["who"], file=row["file"], sha256=row["sha256"]),
        at=row["at"],
    )
