"""Members of a dataset that were taken out since: as the catalog says, or a copied folder.

    in a store       ─▶ catalog ─▶ hashes, one salt each ─▶ every member is asked against every one
    a copied folder  ─▶ forgotten.json, where somebody copied the rest

Of a slide that was taken out only hashes are left in the catalog; a question takes 0.6 us.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathassets.adapters.store.damage import open_plain
from pathassets.core.datasets.withdrawn import Withdrawn
from pathassets.errors import ArtifactCorrupt

if TYPE_CHECKING:
    from pathassets.catalog.forgotten import Forgotten

FORGOTTEN_JSON = "forgotten.json"
MAX_BYTES = 1 << 24
"""Of its file that are read: it may be a stranger's."""
_FIELDS = {one.name for one in fields(Withdrawn)}


def withdrawn_among(
    forgotten: Sequence[Forgotten], slide_ids: Iterable[str]
) -> tuple[Withdrawn, ...]:
    """Those of these slides that were taken out, in order."""
    if not forgotten:
        return ()
    gone = ((slide_id, one) for slide_id in slide_ids for one in forgotten if one.had_id(slide_id))
    return tuple(
        Withdrawn(slide_id=slide_id, on=f"{one.forgotten_at:%Y-%m-%d}", who=one.who, why=one.why)
        for slide_id, one in sorted(gone, key=lambda pair: pair[0])
    )


def write_withdrawn(folder: Path, withdrawn: Iterable[Withdrawn]) -> None:
    """Keep beside a copied manifest which of its members were not copied, and why."""
    rows = [asdict(one) for one in withdrawn]
    if rows:
        text = json.dumps(rows, indent=1, ensure_ascii=False)
        (folder / FORGOTTEN_JSON).write_text(f"{text}\n", encoding="utf-8")


def read_withdrawn(folder: Path) -> tuple[Withdrawn, ...]:
    """What was kept there; nothing where all was copied.

    Raises:
        ArtifactCorrupt: the file is none that we wrote.
    """
    path = folder / FORGOTTEN_JSON
    if not path.exists():
        return ()
    try:
        with open(path, "rb", opener=open_plain) as file:
            rows = json.loads(file.read(MAX_BYTES))
        return tuple(Withdrawn(**_checked(row)) for row in rows)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ArtifactCorrupt(
            path, f"cannot be read: {error}", remedy="Copy the dataset again"
        ) from error


def _checked(row: Any) -> dict[str, str]:
    """One slide of somebody's file."""
    if not isinstance(row, dict) or row.keys() != _FIELDS:
        raise ValueError(f"is no list of {', '.join(sorted(_FIELDS))}")
    if not all(isinstance(value, str) for value in row.values()):
        raise ValueError("holds something else than text")
    return row
