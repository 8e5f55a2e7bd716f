"""What versions of datasets follow from -> which of them was worked out before.

patients, labels, artifacts in force ─▶ rows ─▶ hash ─▶ digest of the version
number of changes ──────────────────────────────▲   kept: the same number, the same rows

Of each dataset there are as many rows' hashes as plans, and only versions that one of these gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Row, Text, delete, exists, literal, select, type_coerce

from pathassets.catalog.database.connect import reading, writing
from pathassets.catalog.database.dialects import IN_VALUES, upsert
from pathassets.catalog.part import CatalogPart
from pathassets.catalog.standing.standing import Key
from pathassets.catalog.states import is_made_as_wanted
from pathassets.catalog.tables import artifact, dataset_plan, dataset_rows, plan, slide, wanted


class DatasetInputs(CatalogPart):
    """The part of the catalog that knows which version of a dataset follows from what."""

    def n_changes(self, plan_id: int) -> int:
        """How often what a plan wants, or what was made of it, may have become another."""
        rows = self._rows(select(plan.c.n_changes).where(plan.c.plan_id == plan_id))
        return int(rows[0]["n_changes"]) if rows else 0

    def find_dataset_rows(self, name: str, plan_id: int, said: str) -> str | None:
        """Hash of a dataset's rows that was noted when the same was said; None where none was."""
        of_plan = (dataset_rows.c.name == name) & (dataset_rows.c.plan_id == plan_id)
        found = self._rows(select(dataset_rows).where(of_plan, dataset_rows.c.said == said))
        return found[0]["sha256"] if found else None

    def note_dataset_rows(self, name: str, plan_id: int, said: str, sha256: str) -> None:
        """Remember the hash of a dataset's rows in place of the one before."""
        new = {"name": name, "plan_id": plan_id, "said": said, "sha256": sha256}
        with writing(self._engine) as connection:
            upsert(connection, dataset_rows, [new])

    def dataset_inputs(self, plan_id: int, key: Key) -> Iterator[list[Row[Any]]]:
        """All that a version of a dataset follows from, one row a slide, by slide id, some at once.

        (slide id, patient, label, digest, state, when it was made, damage) of what a plan wants at
        one entry; None in the last two where it was not made. Read as they are asked for.
        """
        query = (
            select(
                wanted.c.slide_id, slide.c.patient, slide.c.label, wanted.c.digest, wanted.c.state,
                type_coerce(artifact.c.made_at, Text), artifact.c.damage,
            )
            .select_from(wanted)
            .join(slide, slide.c.slide_id == wanted.c.slide_id)
            .outerjoin(artifact, is_made_as_wanted())
            .where(wanted.c.plan_id == plan_id, wanted.c.stage == key[0], wanted.c.name == key[1])
            .order_by(wanted.c.slide_id)
        )  # fmt: skip
        with reading(self._engine) as connection:
            pages = connection.execution_options(yield_per=IN_VALUES).execute(query)
            for page in pages.partitions():
                yield [*page]

    def find_dataset_plan(self, name: str, inputs: str) -> str | None:
        """Digest of the version that was worked out from these inputs; None where none was."""
        is_it = (dataset_plan.c.name == name) & (dataset_plan.c.inputs == inputs)
        rows = self._rows(select(dataset_plan.c.digest).where(is_it))
        return rows[0]["digest"] if rows else None

    def has_dataset_plan(self, name: str) -> bool:
        """Whether a version of a dataset was ever worked out and noted."""
        return bool(
            self._rows(select(dataset_plan.c.name).where(dataset_plan.c.name == name).limit(1))
        )

    def note_dataset_plan(self, name: str, inputs: str, digest: str) -> None:
        """Remember which version follows from inputs, and forget what no plan's rows give now."""
        with writing(self._engine) as connection:
            upsert(connection, dataset_plan, [{"name": name, "inputs": inputs, "digest": digest}])
            of_plan = (dataset_rows.c.name == name) & dataset_plan.c.inputs.startswith(
                dataset_rows.c.sha256
            )
            is_old = (dataset_plan.c.inputs != inputs) & ~exists(select(literal(1)).where(of_plan))
            connection.execute(delete(dataset_plan).where(dataset_plan.c.name == name, is_old))
