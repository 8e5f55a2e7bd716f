"""A catalog that is to be replaced by an older one -> what must outlive that: who is out, releases.

    forgotten_slide of the one      ─▶ entered in the other, unless it is there
    slides of the other they were   ─▶ erased there, in the transaction that makes it
    artifacts that were kept of one ─▶ as the one has them, not as the other had
    releases                        ─▶ entered in the other, unless they are there (numbered)
    placements, accepted findings   ─▶ the same; what else was stated since is counted (stated)

Whether a slide's artifacts were kept is not written down: they were where there is no slide any
more, and rows of what was made of it are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, delete, exists, insert, inspect, select

from pathassets.catalog.database import dialects
from pathassets.catalog.database.connect import make_engine, reading, revision_of
from pathassets.catalog.database.urls import name_of
from pathassets.catalog.forgotten import Forgotten, read_forgotten
from pathassets.catalog.part import portions
from pathassets.catalog.rows import flat
from pathassets.catalog.tables import artifact, forgotten_slide, slide
from pathassets.catalog.upkeep.forgetting import OF_ARTIFACTS, all_ids, erase
from pathassets.catalog.upkeep.numbered import (
    CarriedOver,
    Numbered,
    Released,
    enter_released,
    read_released,
)
from pathassets.catalog.upkeep.stated import Stated, WentOver, enter_stated, read_stated
from pathassets.errors import CatalogError


@dataclass(frozen=True, slots=True, kw_only=True)
class Outliving:
    """What a catalog knows of slides that were taken out, of releases, and of what was stated."""

    forgotten: Sequence[Forgotten] = ()
    kept: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """Rows of artifacts that were kept, by table."""
    released: Sequence[Released] = ()
    """Releases that the other catalog lacks."""
    stated: Stated = field(default_factory=Stated)

    @property
    def kept_ids(self) -> set[str]:
        """Slides that were taken out, and artifacts of them kept."""
        return {row["partition_key"] for row in self.kept.get(artifact.name, ())}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptOut:
    """A slide that an older catalog had, and that was taken out since."""

    slide_ids: tuple[str, ...]
    """Its id there, and those that it had before."""
    forgotten: Forgotten
    are_artifacts_kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlived:
    """What a catalog has that the older one it was made from had not so."""

    kept_out: Sequence[KeptOut]
    carried: Sequence[CarriedOver]
    went_over: WentOver = field(default_factory=WentOver)


def read_outliving(url: str, known: Collection[Numbered] = ()) -> Outliving:
    """Read which slides were taken out of a catalog, be it another version's; it is not written.

    Of its releases those are read that are not `known` to the other.

    Raises:
        CatalogError: it cannot be read, or is no catalog.
    """
    engine = make_engine(dialects.read_only(url))
    try:
        with reading(engine) as connection:
            if not revision_of(connection):
                raise CatalogError(
                    f"{name_of(engine.url)}: is no catalog", remedy="Look at its URL"
                )
            released, stated = tuple(read_released(connection, known)), read_stated(connection)
            if not inspect(connection).has_table(forgotten_slide.name):
                return Outliving(
                    released=released, stated=stated
                )  # of before any slide could be forgotten
            forgotten = read_forgotten(connection)
            kept_ids = _kept_ids(connection, forgotten) if forgotten else []
            kept = {one.name: _rows_of(connection, one, kept_ids) for one in OF_ARTIFACTS}
            return Outliving(forgotten=forgotten, kept=kept, released=released, stated=stated)
    finally:
        engine.dispose()


def outlive(connection: Connection, outliving: Outliving) -> Outlived:
    """Enter what outlives in the other catalog; gives what that had not so."""
    kept_out = _keep_out(connection, outliving)
    return Outlived(
        kept_out=kept_out,
        carried=enter_released(connection, outliving.released),
        went_over=enter_stated(connection, outliving.stated),
    )


def _keep_out(connection: Connection, outliving: Outliving) -> list[KeptOut]:
    """Enter what outlives, and erase the slides that it is about; gives those that were there."""
    _enter_forgotten(connection, outliving.forgotten)
    contents = select(slide.c.slide_id, slide.c.fingerprint).order_by(slide.c.slide_id)
    there = connection.execute(contents).all() if outliving.forgotten else []
    found = []
    for slide_id, fingerprint in there:
        gone = next((o for o in outliving.forgotten if o.has_content(fingerprint)), None)
        if gone is not None:
            ids = tuple(all_ids(connection, slide_id))
            is_kept = not outliving.kept_ids.isdisjoint(ids)
            erase(connection, ids, keep_artifacts=is_kept)
            found.append(KeptOut(slide_ids=ids, forgotten=gone, are_artifacts_kept=is_kept))
    _enter_kept(connection, outliving)
    return found


def _enter_forgotten(connection: Connection, known: Iterable[Forgotten]) -> None:
    salts = {*connection.execute(select(forgotten_slide.c.salt)).scalars()}
    rows = [flat(one) for one in known if one.salt not in salts]
    if rows:
        connection.execute(insert(forgotten_slide), rows)


def _enter_kept(connection: Connection, outliving: Outliving) -> None:
    """Put rows of artifacts that were kept in the place of those that were there of the same."""
    for table in OF_ARTIFACTS:
        for some in portions(sorted(outliving.kept_ids)):
            connection.execute(delete(table).where(table.c.partition_key.in_(some)))
    for table in reversed(OF_ARTIFACTS):
        if rows := outliving.kept.get(table.name, ()):
            connection.execute(insert(table), list(rows))


def _kept_ids(connection: Connection, forgotten: Collection[Forgotten]) -> list[str]:
    """Ids of slides that were taken out, and of which artifacts are there."""
    key = artifact.c.partition_key
    is_slide = exists(select(slide.c.slide_id).where(slide.c.slide_id == key))
    homeless = connection.execute(select(key).distinct().where(~is_slide)).scalars()
    return sorted(one for one in homeless if any(gone.had_id(one) for gone in forgotten))


def _rows_of(
    connection: Connection, table: Table, slide_ids: Collection[str]
) -> list[Mapping[str, Any]]:
    """Rows of slides, of those columns that the catalog has: it may be an older one."""
    there = {column["name"] for column in inspect(connection).get_columns(table.name)}
    columns = [column for column in table.c if column.name in there]
    found: list[Mapping[str, Any]] = []
    for some in portions(slide_ids):
        rows = connection.execute(select(*columns).where(table.c.partition_key.in_(some)))
        found += [dict(row) for row in rows.mappings()]
    return found
