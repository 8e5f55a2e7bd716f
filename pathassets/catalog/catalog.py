"""Records in, records out: every question to the catalog, and every entry into it.

Slides and their files are here; what people state of them is in `human_inputs` and `cohorts`, what
was made of them in `artifacts` and `looks`, what is wanted of them in `standing`, what was found
out on the way in `ledgers`, what lies in the inbox in `inbox`.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from sqlalchemy import (
    Connection,
    Select,
    delete,
    select,
    update,
)

from pathassets.catalog.artifacts import Artifacts
from pathassets.catalog.cohorts.changes import COHORT_FACTS, enter_registered
from pathassets.catalog.cohorts.cohorts import Cohorts
from pathassets.catalog.database.aside import open_aside
from pathassets.catalog.database.connect import open_engine, open_reader, reading, writing
from pathassets.catalog.database.dialects import (
    lock_for_registration,
    lock_for_standing,
    upsert,
)
from pathassets.catalog.database.urls import name_of, parse_url
from pathassets.catalog.external import ExternalFeatures
from pathassets.catalog.forgotten import is_staying
from pathassets.catalog.human_inputs import (
    HumanInputs,
    find_heir,
    require_free,
    unknown_slide,
)
from pathassets.catalog.inbox import Inbox
from pathassets.catalog.kin import Kin
from pathassets.catalog.ledgers import Ledgers
from pathassets.catalog.part import now
from pathassets.catalog.planning.batches import Batches
from pathassets.catalog.planning.sizes import Sizes
from pathassets.catalog.records import (
    Entered,
    MergedSlide,
    PathRecord,
    RejectedFile,
    SlideRecord,
)
from pathassets.catalog.releases.candidates import Candidates
from pathassets.catalog.releases.findings import Findings
from pathassets.catalog.releases.releases import Releases
from pathassets.catalog.rows import flat, slide_record, slide_row
from pathassets.catalog.selections.selections import Selections
from pathassets.catalog.standing.dataset_inputs import DatasetInputs
from pathassets.catalog.standing.looks import Looks
from pathassets.catalog.standing.standing import Standing
from pathassets.catalog.states import forget_plans
from pathassets.catalog.tables import (
    THUMBNAIL_LIMIT_BYTES,
    merged_slide,
    rejected_file,
    slide,
    slide_path,
)
from pathassets.catalog.upkeep.upkeep import Upkeep
from pathassets.errors import CatalogError

logger = logging.getLogger(__name__)

_SLIDE_FACTS = [column for column in slide.c if column.name != "thumbnail"]


class Catalog(
    HumanInputs,
    Cohorts,
    Ledgers,
    Inbox,
    Artifacts,
    Kin,
    Standing,
    Looks,
    Batches,
    Sizes,
    DatasetInputs,
    Selections,
    Releases,
    Findings,
    Candidates,
    ExternalFeatures,
    Upkeep,
):
    """The SQL catalog. One per process, for all of its threads; each call is one transaction.

    Every method raises `CatalogError` where the database cannot do what it was asked.
    """

    _aside: TemporaryDirectory[str] | None = None
    """Where a copy is, which goes when it is closed."""

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

    @classmethod
    def open_copy(cls, url: str) -> Self:
        """Open a copy of a catalog that cannot be written, until it is closed.

        What is worked out goes into the copy, what is stated is refused. A server's catalog is
        opened itself.

        Raises:
            CatalogError: it cannot be opened, or is of another version.
        """
        open_reader(url).dispose()
        aside = TemporaryDirectory(prefix="pathassets-")
        try:
            catalog = cls(open_aside(url, Path(aside.name)))
        except sqlite3.Error as error:
            raise CatalogError(
                f"{name_of(parse_url(url))}: cannot be copied to {aside.name}: {error}",
                remedy="Make room there, or let TMPDIR name another folder.",
            ) from error
        catalog._aside = aside
        return catalog

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()
        if self._aside is not None:
            self._aside.cleanup()

    @property
    def where(self) -> str:
        """The file, or the server without its password, as people are told it."""
        return name_of(self._engine.url)

    def __repr__(self) -> str:
        return f"<{self.where}>"

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
            lock_for_standing(connection)
            known_id = connection.execute(_of_content(record.fingerprint)).scalar()
            if known_id is None:
                require_free(connection, record.slide_id, path.path)
            slide_id = known_id or record.slide_id
            if _decides_plans(connection, slide_id, record):
                forget_plans(connection, [slide_id])
            enter_registered(connection, slide_id, record, at)
            new = slide_row(record) | {"registered_at": at, "thumbnail": thumbnail}
            upsert(
                connection,
                slide,
                [new | {"slide_id": slide_id}],
                keep_first=["registered_at"],
                keep_known=[*COHORT_FACTS, "scanner", "codec", "thumbnail"],
                keep_stated=["stain"],
            )
            upsert(connection, slide_path, [flat(path) | {"slide_id": slide_id, "seen_at": at}])
            connection.execute(delete(rejected_file).where(rejected_file.c.path == path.path))
        return Entered(slide_id=slide_id, is_new=known_id is None)

    def slides(self, slide_ids: Collection[str] | None = None) -> list[SlideRecord]:
        """All slides, or those of some ids, in order of registration.

        Without those whose removal was begun: `slide` knows them still.
        """
        order = select(*_SLIDE_FACTS).where(is_staying())
        order = order.order_by(slide.c.registered_at, slide.c.slide_id)
        found = [slide_record(row) for row in self._rows_of(order, slide.c.slide_id, slide_ids)]
        return sorted(found, key=lambda one: (one.registered_at, one.slide_id))

    def slide(self, slide_id: str) -> SlideRecord:
        """One slide; an id that was merged into another slide stands for that one.

        Raises:
            SlideForgotten: it was taken out.
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

    def find_slide_id(self, fingerprint: str) -> str | None:
        """The slide of this content; None where there is none."""
        rows = self._rows(_of_content(fingerprint))
        return rows[0]["slide_id"] if rows else None

    def find_thumbnail(self, slide_id: str) -> bytes | None:
        """JPEG of a slide, None where there is none."""
        rows = self._rows(select(slide.c.thumbnail).where(slide.c.slide_id == slide_id))
        return rows[0]["thumbnail"] if rows else None

    # Files

    def find_path(self, path: str) -> PathRecord | None:
        """What is known of a file; None where no slide was registered from it."""
        rows = self._rows(select(slide_path).where(slide_path.c.path == path))
        return PathRecord(**rows[0]) if rows else None

    def paths(self, slide_id: str) -> list[PathRecord]:
        """Files that hold a slide, last seen first."""
        found = self._rows(_LAST_SEEN.where(slide_path.c.slide_id == slide_id))
        return [PathRecord(**row) for row in found]

    def all_paths(self, slide_ids: Collection[str] | None = None) -> dict[str, list[PathRecord]]:
        """Files of every slide, or of some, last seen first."""
        paths: dict[str, list[PathRecord]] = defaultdict(list)
        for row in self._rows_of(_LAST_SEEN, slide_path.c.slide_id, slide_ids):
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

    def drop_path(self, path: PathRecord) -> None:
        """Take a file from its slide; one that is another slide's by now is left alone."""
        is_it = (slide_path.c.path == path.path) & (slide_path.c.slide_id == path.slide_id)
        with writing(self._engine) as connection:
            connection.execute(delete(slide_path).where(is_it))

    def refuse(self, record: RejectedFile) -> None:
        """Enter a file that could not be registered; a later registration forgets it."""
        with writing(self._engine) as connection:
            upsert(connection, rejected_file, [flat(record) | {"rejected_at": now()}])

    def rejected_files(self) -> list[RejectedFile]:
        """All refused files, by path."""
        found = self._rows(select(rejected_file).order_by(rejected_file.c.path))
        return [RejectedFile(**row) for row in found]


def _of_content(fingerprint: str) -> Select[Any]:
    return select(slide.c.slide_id).where(slide.c.fingerprint == fingerprint)


_LAST_SEEN = select(slide_path).order_by(slide_path.c.seen_at.desc(), slide_path.c.path)


def _decides_plans(connection: Connection, slide_id: str, record: SlideRecord) -> bool:
    """Whether what is known of a slide, and decides what is wanted of it, changes."""
    known = select(slide.c.fingerprint, slide.c.mpp).where(slide.c.slide_id == slide_id)
    found = connection.execute(known).one_or_none()
    return found is not None and tuple(found) != (record.fingerprint, record.mpp)
