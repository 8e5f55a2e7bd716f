"""Features of other tools: which the catalog knows, and what is known of a slide's pixels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from sqlalchemy import RowMapping, select, update

from pathassets.catalog.connect import writing
from pathassets.catalog.dialects import lock_for_standing
from pathassets.catalog.part import CatalogPart, now
from pathassets.catalog.states import forget_plans
from pathassets.catalog.tables import artifact
from pathassets.core.external import CODE_VERSION, EXTERNAL, Adopted
from pathassets.core.stages import FEATURES

WITHDRAWN = "withdrawn"
"""Fact of adopted features that count no more: who said so, why and when."""


ADOPTED = (
    select(
        artifact.c.name, artifact.c.partition_key, artifact.c.digest, artifact.c.spec,
        artifact.c.facts,
    )
    .where(artifact.c.stage == FEATURES, artifact.c.code_version == CODE_VERSION)
    .order_by(artifact.c.made_at.desc())
)  # fmt: skip
"""Features of other tools, the last first."""


def adopted_by_slide(rows: Iterable[RowMapping]) -> dict[str, list[Adopted]]:
    """Rows of `ADOPTED` by slide, without those that count no more."""
    found: defaultdict[str, list[Adopted]] = defaultdict(list)
    for row in rows:
        if WITHDRAWN not in row["facts"]:
            slide_id, source = row["partition_key"], row["spec"].get(EXTERNAL, {})
            found[slide_id].append(
                Adopted(name=row["name"], slide_id=slide_id, digest=row["digest"], source=source)
            )
    return dict(found)


class ExternalFeatures(CatalogPart):
    """The part of the catalog that imports fill, beside `record_artifact`."""

    def adopted(self, slide_ids: Collection[str] | None = None) -> dict[str, list[Adopted]]:
        """Features that were adopted, of all slides or some; of each, the last comes first."""
        rows = self._rows_of(ADOPTED, artifact.c.partition_key, slide_ids)
        return adopted_by_slide(rows)

    def withdraw_adopted(
        self, name: str, slide_ids: Collection[str] | None, *, who: str, why: str
    ) -> list[str]:
        """State that adopted features of an entry count no more; gives the slides that had some.

        They stay, for what was made from them; importing them again lets them count again.
        """
        columns = artifact.c
        chosen = (columns.stage == FEATURES) & (columns.name == name)
        chosen &= columns.code_version == CODE_VERSION
        said = {"who": who, "why": why, "at": now().isoformat(timespec="seconds")}
        changed = set()
        with writing(self._engine) as connection:
            lock_for_standing(connection)
            for row in connection.execute(select(artifact).where(chosen)).mappings().all():
                is_meant = slide_ids is None or row["partition_key"] in slide_ids
                if not is_meant or WITHDRAWN in row["facts"]:
                    continue
                one = [column == row[column.name] for column in artifact.primary_key]
                facts = {**row["facts"], WITHDRAWN: said}
                connection.execute(update(artifact).where(*one).values(facts=facts))
                changed.add(row["partition_key"])
            forget_plans(connection, sorted(changed))
        return sorted(changed)
