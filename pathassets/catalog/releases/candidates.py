"""Slides that a dataset may have, in one query each: features wanted, labels, sites, and so on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from pathassets.catalog.database.connect import reading
from pathassets.catalog.database.dialects import IN_VALUES
from pathassets.catalog.human_inputs import is_newest
from pathassets.catalog.part import CatalogPart
from pathassets.catalog.states import is_made_as_wanted
from pathassets.catalog.tables import (
    accepted_finding,
    artifact,
    cohort_change,
    dataset_placement,
    mpp_override,
    patient,
    patient_label,
    slide,
    slide_label,
    verdict,
    wanted,
)

Key = tuple[str, str]
"""(stage, name)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A slide, and what is wanted and known of its features."""

    slide_id: str
    patient: str | None
    label: str | None
    fingerprint: str
    mpp: float | None
    """Micrometres per level-0 pixel in force."""
    features_digest: str
    state: str
    """Of its features."""
    facts: Mapping[str, Any] | None
    """Of its features as they are wanted; None where they were never made so."""
    files: tuple[Mapping[str, Any], ...]
    damage: str
    """What was wrong with them at the last look; empty where nothing was."""


class Candidates(CatalogPart):
    """The part of the catalog that says who may be in a dataset."""

    def candidates(self, plan_id: int, features: Key) -> Iterator[Candidate]:
        """Every slide that is planned, by id, read as they are asked for."""
        of_slide = mpp_override.c.slide_id == slide.c.slide_id
        is_stated = of_slide & is_newest(mpp_override, "slide_id")
        query = (
            select(
                slide.c.slide_id, slide.c.patient, slide.c.label, slide.c.fingerprint,
                func.coalesce(mpp_override.c.mpp, slide.c.mpp).label("mpp"),
                wanted.c.digest.label("features_digest"), wanted.c.state,
                artifact.c.facts, artifact.c.files, artifact.c.damage,
            )
            .select_from(wanted)
            .join(slide, slide.c.slide_id == wanted.c.slide_id)
            .outerjoin(artifact, is_made_as_wanted())
            .outerjoin(mpp_override, is_stated)
            .where(_wanted_at(plan_id, features))
            .order_by(slide.c.slide_id)
        )  # fmt: skip
        with reading(self._engine) as connection:
            pages = connection.execution_options(yield_per=IN_VALUES)
            for row in pages.execute(query).mappings():
                known = {"files": tuple(row["files"] or ()), "damage": row["damage"] or ""}
                yield Candidate(**{**row, **known})

    def wanted_digests(self, plan_id: int, key: Key) -> dict[str, str]:
        """Digest that is wanted of each slide at an entry."""
        query = select(wanted.c.slide_id, wanted.c.digest).where(_wanted_at(plan_id, key))
        return {row["slide_id"]: row["digest"] for row in self._rows(query)}

    def wanted_facts(self, plan_id: int, key: Key) -> dict[str, Mapping[str, Any]]:
        """Facts of each slide's artifact at an entry, where it was made as it is wanted."""
        query = (
            select(wanted.c.slide_id, artifact.c.facts)
            .join(artifact, is_made_as_wanted())
            .where(_wanted_at(plan_id, key))
        )
        return {row["slide_id"]: row["facts"] for row in self._rows(query)}

    def labels_called(self, name: str) -> dict[str, str]:
        """Value of a label of each slide that has it, or whose patient does: the slide's first."""
        own = select(slide_label.c.slide_id, slide_label.c.value).where(slide_label.c.name == name)
        of_patient = (
            select(slide.c.slide_id, patient_label.c.value)
            .join(patient_label, patient_label.c.patient == slide.c.patient)
            .where(patient_label.c.name == name)
        )
        found = {row["slide_id"]: row["value"] for row in self._rows(of_patient)}
        return found | {row["slide_id"]: row["value"] for row in self._rows(own)}

    def sites(self) -> dict[str, str]:
        """Site of each slide's patient, where it is known."""
        query = select(slide.c.slide_id, patient.c.site).join(
            patient, patient.c.patient == slide.c.patient
        )
        rows = self._rows(query.where(patient.c.site.is_not(None)))
        return {row["slide_id"]: row["site"] for row in rows}

    def said_of_dataset(self, dataset: str) -> tuple[Any, ...]:
        """What changes whenever something is said that a version of a dataset may follow from.

        Placements are no part: what a version places is what it says itself.
        """
        newest = [
            select(func.max(cohort_change.c.id)),
            select(func.max(verdict.c.id)),
            select(func.max(accepted_finding.c.id)).where(accepted_finding.c.dataset == dataset),
        ]
        with reading(self._engine) as connection:
            return tuple(connection.execute(query).scalar() for query in newest)

    def n_placed(self, dataset: str) -> int:
        """How many patients and sites versions of a dataset placed; it grows with each."""
        placed = select(func.count()).where(dataset_placement.c.dataset == dataset)
        with reading(self._engine) as connection:
            return connection.execute(placed).scalar_one()


def _wanted_at(plan_id: int, key: Key) -> Any:
    stage, name = key
    columns = wanted.c
    return (columns.plan_id == plan_id) & (columns.stage == stage) & (columns.name == name)
