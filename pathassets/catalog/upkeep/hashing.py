"""Which artifacts' bytes nobody read for longest, and what reading them found."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, and_, func, select

from pathassets.catalog.database.connect import reading, writing
from pathassets.catalog.database.dialects import upsert
from pathassets.catalog.forgotten import is_staying
from pathassets.catalog.part import now
from pathassets.catalog.records import FileRecord
from pathassets.catalog.rows import address_of, address_row
from pathassets.catalog.tables import ADDRESS, artifact, artifact_hash
from pathassets.catalog.upkeep.part import UpkeepPart
from pathassets.core.address import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class HashAge:
    """How long ago bytes were read."""

    n_artifacts: int
    oldest_at: datetime | None
    """When the one was hashed that was not for longest; None where there is no artifact."""


_IS_IT = and_(*(artifact.c[name] == artifact_hash.c[name] for name in ADDRESS))
_HASHED_AT = func.coalesce(
    artifact_hash.c.hashed_at, artifact.c.made_at, type_=artifact.c.made_at.type
)
"""Publishing hashed it, too."""


class Hashing(UpkeepPart):
    """When bytes were last hashed."""

    def longest_unhashed(
        self, n: int, *, before: datetime
    ) -> list[tuple[Address, tuple[FileRecord, ...]]]:
        """Artifacts hashed before a time, the oldest first; so many at most."""
        columns = (*(artifact.c[name] for name in ADDRESS), artifact.c.files)
        query = _with_hash(select(*columns)).where(before > _HASHED_AT)
        query = query.order_by(_HASHED_AT, *artifact.primary_key).limit(n)
        with reading(self._engine) as connection:
            rows = connection.execute(query).mappings().all()
        return [(address_of(row), tuple(FileRecord(**f) for f in row["files"])) for row in rows]

    def note_hashed(self, addresses: Collection[Address]) -> None:
        """Note that their bytes were read just now."""
        at = now()
        rows = [address_row(address) | {"hashed_at": at} for address in addresses]
        if rows:
            with writing(self._engine) as connection:
                upsert(connection, artifact_hash, rows)

    def hash_age(self) -> HashAge:
        """How long ago the bytes of all artifacts were read."""
        query = _with_hash(select(func.count().label("n"), func.min(_HASHED_AT).label("oldest")))
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().one()
        return HashAge(n_artifacts=row["n"], oldest_at=row["oldest"])


def _with_hash(query: Select[tuple[object, ...]]) -> Select[tuple[object, ...]]:
    """Of all artifacts but those of slides that are being taken out."""
    of_all = query.select_from(artifact.outerjoin(artifact_hash, _IS_IT))
    return of_all.where(is_staying(artifact.c.partition_key))
