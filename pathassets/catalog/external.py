"""Features of other tools: which the catalog knows, and what is known of a slide's pixels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from sqlalchemy import select, update

from pathassets.catalog.connect import writing
from pathassets.catalog.human_inputs import HumanInputs, now
from pathassets.catalog.records import ArtifactRecord
from pathassets.catalog.rows import artifact_record
from pathassets.catalog.tables import artifact
from pathassets.core.external import CODE_VERSION, EXTERNAL, Adopted
from pathassets.core.stages import FEATURES

WITHDRAWN = "withdrawn"
"""Fact of adopted features that count no more: who said so, why and when."""


class ExternalFeatures(HumanInputs):
    """The part of the catalog that imports fill, beside `record_artifact`."""

    def adopted(self, slide_ids: Collection[str] | None = None) -> dict[str, list[Adopted]]:
        """Features that were adopted, by slide, of all or some hundreds; the last comes first."""
        columns = artifact.c
        chosen = (columns.stage == FEATURES) & (columns.code_version == CODE_VERSION)
        if slide_ids is not None:
            chosen &= columns.partition_key.in_(slide_ids)
        wanted = (columns.name, columns.partition_key, columns.digest, columns.spec)
        query = select(*wanted, columns.facts)
        found: defaultdict[str, list[Adopted]] = defaultdict(list)
        for row in self._rows(query.where(chosen).order_by(columns.made_at.desc())):
            if WITHDRAWN in row["facts"]:
                continue
            name, slide_id, source = (
                row["name"],
                row["partition_key"],
                row["spec"].get(EXTERNAL, {}),
            )
            found[slide_id].append(
                Adopted(name=name, slide_id=slide_id, digest=row["digest"], source=source)
            )
        return dict(found)

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
            for row in connection.execute(select(artifact).where(chosen)).mappings().all():
                is_meant = slide_ids is None or row["partition_key"] in slide_ids
                if not is_meant or WITHDRAWN in row["facts"]:
                    continue
                one = [column == row[column.name] for column in artifact.primary_key]
                facts = {**row["facts"], WITHDRAWN: said}
                connection.execute(update(artifact).where(*one).values(facts=facts))
                changed.add(row["partition_key"])
        return sorted(changed)

    def artifacts_of(self, slide_id: str) -> list[ArtifactRecord]:
        """All that was made of a slide, by address."""
        of_slide = select(artifact).where(artifact.c.partition_key == slide_id)
        return [
            artifact_record(row) for row in self._rows(of_slide.order_by(*artifact.primary_key))
        ]
