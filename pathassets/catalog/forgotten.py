"""A content, or an id that somebody names -> whether its slide was taken out: when, by whom, why.

What is kept of such a slide names nobody: content and id are hashed with a salt of its own. Whoever
has the file, or the id, can ask; nobody can read off which it was, or look it up in another catalog
by its SHA-256, which labs publish. A question takes 0.6 us.

Between the beginning of a removal and its end the slide is in the catalog still, and named in
`begun_removal`. Whoever lists slides to work on them asks for those that stay: `is_staying`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select

from pathassets.catalog.tables import begun_removal, forgotten_slide, slide
from pathassets.errors import SlideForgotten

_FORGOTTEN = [column for column in forgotten_slide.c if column.name != "id"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """A slide that was taken out: who, why and when, and not which."""

    salt: str
    content_hash: str
    id_hash: str
    who: str
    why: str
    n_artifacts: int
    forgotten_at: datetime
    is_going: bool = False
    """Whether its removal was begun, and is not ended."""

    @property
    def told(self) -> str:
        """When, and by whom."""
        if self.is_going:
            return f"to be taken out, which was begun on {self.on} and is not ended"
        return f"taken out on {self.on}"

    @property
    def on(self) -> str:
        """The day, and who."""
        return f"{self.forgotten_at:%Y-%m-%d} by {self.who}"

    def has_content(self, fingerprint: str) -> bool:
        """Whether it had this SHA-256."""
        return hash_salted(self.salt, fingerprint) == self.content_hash

    def had_id(self, slide_id: str) -> bool:
        """Whether it was called so."""
        return hash_salted(self.salt, slide_id) == self.id_hash

    def error(self, slide_id: str) -> SlideForgotten:
        """Build what whoever names it is told."""
        return SlideForgotten(
            f"slide {slide_id}: was {self.told}",
            remedy="Name another slide; docs/upkeep.md says how one is let in again",
        )


def read_forgotten(connection: Connection) -> list[Forgotten]:
    """All that were taken out, in order."""
    rows = connection.execute(select(*_FORGOTTEN).order_by(forgotten_slide.c.id))
    return [Forgotten(**row) for row in rows.mappings()]


def read_begun(connection: Connection) -> dict[str, Forgotten]:
    """Slides that are in the catalog still and whose removal was begun, by id, in order."""
    query = _begun(begun_removal.c.slide_id, *_FORGOTTEN).order_by(begun_removal.c.slide_id)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    return {row.pop("slide_id"): Forgotten(**row, is_going=True) for row in rows}


def is_staying(slide_id: ColumnElement[Any] = slide.c.slide_id) -> ColumnElement[bool]:
    """Whether no removal of a slide was begun: a condition for queries over `slide`, or others."""
    return slide_id.not_in(_begun(begun_removal.c.slide_id))


def _begun(*columns: Any) -> Select[Any]:
    is_known = forgotten_slide.c.salt == begun_removal.c.salt
    return select(*columns).join_from(begun_removal, forgotten_slide, is_known)


def find_gone(forgotten: Iterable[Forgotten], slide_id: str) -> Forgotten | None:
    """The one of those that were taken out that was called so; None where there is none."""
    return next((one for one in forgotten if one.had_id(slide_id)), None)


def hash_salted(salt: str, text: str) -> str:
    """What is kept of a content or an id."""
    return hashlib.sha256(f"{salt}:{text}".encode()).hexdigest()
