"""Records in, records out: every question to the catalog, and every entry into it.

What people state about slides is in `statements`.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, Self

from sqlalchemy import (
    Select,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from pathassets.catalog.connect import open_engine, open_reader, reading, writing
from pathassets.catalog.dialects import lock_for_registration, upsert
from pathassets.catalog.human_inputs import (
    PAGE_ROWS,
    HumanInputs,
    check_known,
    disputes,
    find_heir,
    now,
    require_free,
    unknown_slide,
)
from pathassets.catalog.records import (
    ArtifactRecord,
    AttemptRecord,
    CohortFacts,
    Entered,
    MergedSlide,
    PathRecord,
    RejectedFile,
    SlideRecord,
)
from pathassets.catalog.releases import Releases
from pathassets.catalog.rows import (
    address_of,
    address_row,
    artifact_record,
    artifact_row,
    attempt_record,
    attempt_row,
    flat,
    parent_row,
    slide_record,
    slide_row,
)
from pathassets.catalog.tables import (
    ADDRESS,
    PARENT,
    THUMBNAIL_LIMIT_BYTES,
    artifact,
    artifact_parent,
    attempt,
    merged_slide,
    rejected_file,
    slide,
    slide_path,
)
from pathassets.catalog.urls import name_of
from pathassets.core.address import Address
from pathassets.core.spec import canonical_json
from pathassets.errors import CatalogError

logger = logging.getLogger(__name__)

Key = tuple[str, str, str]
"""(stage, name, partition key): one stage of one slide, whatever the digest."""

_SLIDE_FACTS = [column for column in slide.c if column.name != "thumbnail"]
_COHORT_FACTS = ("patient", "label")


class Catalog(HumanInputs, Releases):
    """The SQL catalog. One per process, for all of its threads; each call is one transaction.

    Every method raises `CatalogError` where the database cannot do what it was asked.
    """

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the catalog at `sqlite:///…` or `postgresql+psycopg2://…`, making or migrating it.

        Any number of processes may do so at once.

        Raises:
            CatalogError: it cannot be opened, or is of a newer version.
        """
        catalog = cls(open_engine(url))
        for one in catalog.disputed():
            logger.warning("%s", one)
        return catalog

    @classmethod
    def open_to_read(cls, url: str) -> Self:
        """Open the catalog as it is, be it in a place that cannot be written.

        Raises:
            CatalogError: it cannot be opened, or is of another version.
        """
        return cls(open_reader(url))

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()

    def __repr__(self) -> str:
        return f"<{name_of(self._engine.url)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # Slides

    def register_slide(
        self, record: SlideRecord, path: PathRecord, *, thumbnail: bytes | None = None
    ) -> Entered:
        """Enter a slide and one file that holds it, or bring both up to date.

        Content that is a slide's already is that slide, whatever the record calls it, however many
        processes enter it at once. A path that belonged to another slide moves; its refusal, if
        any, is forgotten. What is known of patient, label and thumbnail is not erased by None.

        Raises:
            CatalogError: the id is that of other content at another place.
        """
        if path.slide_id != record.slide_id:
            raise CatalogError(f"{path.path}: is of slide {path.slide_id}, not {record.slide_id}")
        if thumbnail is not None and len(thumbnail) >= THUMBNAIL_LIMIT_BYTES:
            raise CatalogError(
                f"slide {record.slide_id}: thumbnail of {len(thumbnail)} bytes",
                remedy=f"Make it smaller than {THUMBNAIL_LIMIT_BYTES}.",
            )
        at = now()
        with writing(self._engine) as connection:
            lock_for_registration(connection)
            known_id = connection.execute(_of_content(record.fingerprint)).scalar()
            if known_id is None:
                require_free(connection, record.slide_id, path.path)
            slide_id = known_id or record.slide_id
            new = slide_row(record) | {"registered_at": at, "thumbnail": thumbnail}
            upsert(
                connection,
                slide,
                [new | {"slide_id": slide_id}],
                keep_first=["registered_at"],
                keep_known=[*_COHORT_FACTS, "thumbnail"],
            )
            upsert(connection, slide_path, [flat(path) | {"slide_id": slide_id, "seen_at": at}])
            connection.execute(delete(rejected_file).where(rejected_file.c.path == path.path))
        return Entered(slide_id=slide_id, is_new=known_id is None)

    def slides(self) -> list[SlideRecord]:
        """All slides, in order of registration."""
        order = select(*_SLIDE_FACTS).order_by(slide.c.registered_at, slide.c.slide_id)
        return [slide_record(row) for row in self._rows(order)]

    def slide(self, slide_id: str) -> SlideRecord:
        """One slide; an id that was merged into another slide stands for that one.

        Raises:
            CatalogError: there is none of this id; the remedy names ids like it.
        """
        with reading(self._engine) as connection:
            known_id = find_heir(connection, slide_id) or slide_id  # it is no other slide's since
            found = connection.execute(select(*_SLIDE_FACTS).where(slide.c.slide_id == known_id))
            row = found.mappings().one_or_none()
            if row is None:
                raise unknown_slide(connection, slide_id)
            return slide_record(row)

    def merged(self) -> list[MergedSlide]:
        """Ids that were merged into other slides, by id."""
        found = self._rows(select(merged_slide).order_by(merged_slide.c.slide_id))
        return [MergedSlide(**row) for row in found]

    def disputed(self) -> list[str]:
        """What merged slides contradict each other in, as sentences, until somebody states it."""
        merged = merged_slide.c
        of_slide = slide.c.slide_id == merged.into_slide_id
        is_open = slide.c.patient.is_(None) & merged.patient.is_not(None)
        is_open |= slide.c.label.is_(None) & merged.label.is_not(None)
        stand = (slide.c[name].label(f"{name}_now") for name in _COHORT_FACTS)
        query = select(merged_slide, *stand).join(slide, of_slide).where(is_open)
        return disputes(self._rows(query.order_by(merged.into_slide_id, merged.slide_id)))

    def find_slide_id(self, fingerprint: str) -> str | None:
        """The slide of this content; None where there is none."""
        rows = self._rows(_of_content(fingerprint))
        return rows[0]["slide_id"] if rows else None

    def find_thumbnail(self, slide_id: str) -> bytes | None:
        """JPEG of a slide, None where there is none."""
        rows = self._rows(select(slide.c.thumbnail).where(slide.c.slide_id == slide_id))
        return rows[0]["thumbnail"] if rows else None

    def set_cohort_facts(self, facts: Iterable[CohortFacts]) -> None:
        """State patient and label of slides; None says nothing, and erases nothing.

        Raises:
            CatalogError: a slide is unknown; then none is changed.
        """
        rows = [{"of_slide": f.slide_id, "patient": f.patient, "label": f.label} for f in facts]
        if not rows:
            return
        stated = {n: func.coalesce(bindparam(n, type_=Text), slide.c[n]) for n in _COHORT_FACTS}
        with writing(self._engine) as connection:
            check_known(connection, [str(row["of_slide"]) for row in rows])
            of_slide = slide.c.slide_id == bindparam("of_slide")
            connection.execute(update(slide).where(of_slide).values(stated), rows)

    # Files

    def find_path(self, path: str) -> PathRecord | None:
        """What is known of a file; None where no slide was registered from it."""
        rows = self._rows(select(slide_path).where(slide_path.c.path == path))
        return PathRecord(**rows[0]) if rows else None

    def paths(self, slide_id: str) -> list[PathRecord]:
        """Files that hold a slide, last seen first."""
        found = self._rows(_LAST_SEEN.where(slide_path.c.slide_id == slide_id))
        return [PathRecord(**row) for row in found]

    def all_paths(self) -> dict[str, list[PathRecord]]:
        """Files of every slide, last seen first."""
        paths: dict[str, list[PathRecord]] = defaultdict(list)
        for row in self._rows(_LAST_SEEN):
            paths[row["slide_id"]].append(PathRecord(**row))
        return dict(paths)

    def confirm_path(self, path: PathRecord) -> None:
        """Note how a file looks now whose content was found to be its slide's still.

        One that is another slide's by now, or unknown, is left alone.
        """
        columns = slide_path.c
        known = (columns.path == path.path) & (columns.slide_id == path.slide_id)
        with writing(self._engine) as connection:
            connection.execute(
                update(slide_path).where(known).values(flat(path) | {"seen_at": now()})
            )

    def refuse(self, record: RejectedFile) -> None:
        """Enter a file that could not be registered; a later registration forgets it."""
        with writing(self._engine) as connection:
            upsert(connection, rejected_file, [flat(record) | {"rejected_at": now()}])

    def rejected_files(self) -> list[RejectedFile]:
        """All refused files, by path."""
        found = self._rows(select(rejected_file).order_by(rejected_file.c.path))
        return [RejectedFile(**row) for row in found]

    # Artifacts

    def record_artifact(self, record: ArtifactRecord, parents: Iterable[Address]) -> None:
        """Enter a published artifact and what it was made from.

        Entering it again changes nothing, not even when and by which run it was made, unless its
        content differs: then it was made anew, and the new facts and parents replace the old.
        """
        edges = [parent_row(record.address, parent) for parent in dict.fromkeys(parents)]
        new = artifact_row(record) | {"made_at": now()}
        with writing(self._engine) as connection:
            old = connection.execute(_at(record.address)).mappings().one_or_none()
            if old is not None and _content(old) == _content(new):
                return
            upsert(connection, artifact, [new])
            child = [artifact_parent.c[n] == v for n, v in address_row(record.address).items()]
            connection.execute(delete(artifact_parent).where(*child))
            if edges:
                connection.execute(insert(artifact_parent), edges)

    def has_artifacts(self) -> bool:
        """Whether it knows any."""
        with reading(self._engine) as connection:
            return connection.execute(select(artifact.c.digest).limit(1)).first() is not None

    def artifacts(
        self, stage: str | None = None, name: str | None = None
    ) -> Iterator[ArtifactRecord]:
        """Artifacts by address, all or those of one stage or entry.

        They are read as they are asked for, from one consistent view that is held until the last.
        """
        given = {"stage": stage, "name": name}
        chosen = [artifact.c[n] == v for n, v in given.items() if v is not None]
        query = select(artifact).where(*chosen).order_by(*artifact.primary_key)
        with reading(self._engine) as connection:
            pages = connection.execution_options(yield_per=PAGE_ROWS)
            for row in pages.execute(query).mappings():
                yield artifact_record(row)

    def artifact_digests(self) -> set[Address]:
        """Addresses of all artifacts."""
        return {address_of(row) for row in self._rows(select(*artifact.primary_key))}

    def find_artifact(self, address: Address) -> ArtifactRecord | None:
        """The artifact at an address, None where it was never made."""
        rows = self._rows(_at(address))
        return artifact_record(rows[0]) if rows else None

    def find_artifact_at(self, uri: str) -> ArtifactRecord | None:
        """The artifact that a place in the store is, or lies in; None where it is in none."""
        place = PurePosixPath(uri)
        folders = [str(folder) for folder in (place, *place.parents)]
        rows = self._rows(select(artifact).where(artifact.c.uri.in_(folders)))
        return artifact_record(rows[0]) if rows else None

    def parents_of(self, address: Address) -> list[Address]:
        """What an artifact was made from: artifacts and slides, in order."""
        return self._kin(address, of=ADDRESS, take=PARENT)

    def children_of(self, address: Address) -> list[Address]:
        """Which artifacts were made from this artifact or slide, in order."""
        return self._kin(address, of=PARENT, take=ADDRESS)

    # Attempts

    def record_attempts(self, records: Iterable[AttemptRecord]) -> None:
        """Enter what was tried: all of it, or nothing."""
        at = now()
        rows = [attempt_row(record) | {"at": at} for record in records]
        if rows:
            with writing(self._engine) as connection:
                connection.execute(insert(attempt), rows)

    def latest_attempts(
        self, partition_keys: Collection[str] | None = None
    ) -> dict[Key, AttemptRecord]:
        """The newest attempt at each stage of each slide, or of some hundreds of them."""
        key = (attempt.c.partition_key, attempt.c.stage, attempt.c.name)
        newest = select(func.max(attempt.c.id)).group_by(*key)
        if partition_keys is not None:
            newest = newest.where(attempt.c.partition_key.in_(partition_keys))
        found = self._rows(select(attempt).where(attempt.c.id.in_(newest)))
        return {
            (row["stage"], row["name"], row["partition_key"]): attempt_record(row) for row in found
        }

    def newest_attempt_id(self, *, besides: str) -> int:
        """Number of the last attempt at any stage but one; 0 where there is none. It only grows.

        The cheapest way to ask whether anything was tried since: one row is read.
        """
        others = select(attempt.c.id).where(attempt.c.stage != besides)
        rows = self._rows(others.order_by(attempt.c.id.desc()).limit(1))
        return rows[0]["id"] if rows else 0

    def attempts(
        self, *, run_id: str | None = None, partition_key: str | None = None
    ) -> list[AttemptRecord]:
        """All attempts of a run, of a slide or of both, oldest first."""
        given = {"run_id": run_id, "partition_key": partition_key}
        chosen = [attempt.c[n] == v for n, v in given.items() if v is not None]
        found = self._rows(select(attempt).where(*chosen).order_by(attempt.c.id))
        return [attempt_record(row) for row in found]

    def _kin(self, address: Address, *, of: Sequence[str], take: Sequence[str]) -> list[Address]:
        columns = artifact_parent.c
        one = [columns[n] == v for n, v in zip(of, address_row(address).values(), strict=True)]
        other = select(*(columns[n].label(plain) for n, plain in zip(take, ADDRESS, strict=True)))
        return sorted(address_of(row) for row in self._rows(other.where(*one)))


def _of_content(fingerprint: str) -> Select[Any]:
    return select(slide.c.slide_id).where(slide.c.fingerprint == fingerprint)


_LAST_SEEN = select(slide_path).order_by(slide_path.c.seen_at.desc(), slide_path.c.path)


def _at(address: Address) -> Select[Any]:
    return select(artifact).where(*(artifact.c[n] == v for n, v in address_row(address).items()))


def _content(row: Any) -> str:
    """What of an artifact's row tells whether it was made anew."""
    return canonical_json({n: v for n, v in row.items() if n not in ("made_at", "made_by")})
