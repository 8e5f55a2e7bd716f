"""What a person names -> what it was made from, and what was made from it, out of the catalog.

    patient ─▶ slide ─▶ tissue_mask/… ─▶ patch_locations/… ─▶ features/… ─▶ dataset/… ─▶ release
      its SHA-256 ├───────────▲────────────────▲
                  └▶ annotations/…, by whom and why

What was made of a thing stands under the first that leads to it; met again, it is there without
what was made of it, and marked, so that no edge is lost. Where there are thousands of a kind, the
first are there and how many more there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pathassets.adapters.zarr.arrays import FeatureRows
from pathassets.catalog.kin import Way
from pathassets.catalog.records import ArtifactRecord
from pathassets.core.address import ALL_SLIDES, SLIDE_STAGE, Address
from pathassets.core.stages import ANNOTATIONS, DATASET, FEATURES, STAGES
from pathassets.engine.platform.plan import annotation_address
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.presence import damage_said, tool_of
from pathassets.engine.platform.provenance.origin import (
    PATIENT_STAGE,
    RELEASE_STAGE,
    called,
    find_origin,
    release_address,
    slide_address,
)
from pathassets.engine.stages.features import ROWS
from pathassets.errors import CatalogError, SlideForgotten, SpecError, StoreError

SHOWN = 20
"""Parents, or children, of one thing and one stage that are shown unless all are asked for."""
_MADE = [name for name in STAGES if name != ANNOTATIONS]
_DOWNWARDS = [SLIDE_STAGE, *_MADE, ANNOTATIONS, RELEASE_STAGE]
"""A slide's children in this order: what a mask leads to stands under the mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """One artifact, slide or patient, with what it was made from or what was made from it."""

    address: Address
    facts: Mapping[str, Any]
    """What the catalog knows of it; for a slide its SHA-256, paths and resolution."""
    parents: tuple[Relative, ...] = ()
    children: tuple[Relative, ...] = ()
    more_parents: Mapping[str, int] = field(default_factory=dict)
    """How many of each stage there are beyond those that are shown."""
    more_children: Mapping[str, int] = field(default_factory=dict)
    is_again: bool = False
    """Whether it was met before, and what was made from it, and is known of it, stands there."""


def lineage_of(
    platform: Platform, named: str | Path, *, is_whole: bool = False, row: int | None = None
) -> Relative:
    """Trace what is named to the slides it was made from, and to what was made from it.

    Of what is not whole any more the facts say so, under `damaged`. `is_whole` asks for every
    parent and child, be they 100,000; `row` for where on the slide a row of features is from.

    Raises:
        StoreError: the path is not inside the store, and no copy of anything.
        CatalogError: the catalog knows nothing of the kind.
        SpecError: there is no such row.
    """
    origin = find_origin(platform, str(named))
    patch = {} if row is None else _patch(platform, origin.address, row)
    limit = None if is_whole else SHOWN
    up = _Tracing(platform, "parents", limit).trace(origin.address)
    down = _Tracing(platform, "children", limit).trace(origin.address)
    return Relative(
        address=up.address,
        facts={**up.facts, **origin.said, **_forgotten(platform, origin.address), **patch},
        parents=up.parents,
        children=down.children,
        more_parents=up.more_parents,
        more_children=down.more_children,
    )


def _patch(platform: Platform, address: Address, row: int) -> dict[str, Any]:
    """Where on the slide a row of features is from, in level-0 pixels."""
    if address.stage != FEATURES:
        raise SpecError(
            f"{called(address)}: has no rows of patches", remedy="Ask for a row of features alone"
        )
    boxes = FeatureRows(platform.store.fetch(address) / ROWS).boxes_px0
    if not 0 <= row < len(boxes):
        raise SpecError(
            f"{address}: has no row {row}", remedy=f"It has {len(boxes)} rows; the first is 0"
        )
    x0, y0, x1, y1 = boxes[row].tolist()
    return {"row": row, "patch_px0": {"x0": x0, "y0": y0, "x1": x1, "y1": y1}}


class _Tracing:
    """One way through the catalog; what was met is not traced again: each slide is met thrice."""

    def __init__(self, platform: Platform, way: Way, limit: int | None) -> None:
        self._platform = platform
        self._way: Way = way
        self._limit = limit
        self._seen: dict[Address, Relative] = {}

    def trace(self, address: Address) -> Relative:
        """Trace one thing; what was met is there again, downwards as a mark alone."""
        kin, more = self._kin(address)
        relatives = []
        for one in self._in_order(kin):
            if one not in self._seen:
                self._seen[one] = self.trace(one)
            elif self._way == "children":
                relatives.append(Relative(address=one, facts={}, is_again=True))
                continue
            relatives.append(self._seen[one])
        facts = self._facts(address)
        if self._way == "parents":
            return Relative(
                address=address, facts=facts, parents=tuple(relatives), more_parents=more
            )
        return Relative(address=address, facts=facts, children=tuple(relatives), more_children=more)

    def _in_order(self, kin: Iterable[Address]) -> list[Address]:
        if self._way == "parents":
            return sorted(kin, key=lambda one: (one.stage == SLIDE_STAGE, one))  # slides last
        return sorted(kin, key=lambda one: (_DOWNWARDS.index(one.stage), one))

    def _kin(self, address: Address) -> tuple[list[Address], Mapping[str, int]]:
        """The first parents or children of each stage, and how many more of each there are."""
        if address.stage == PATIENT_STAGE:
            return self._kin_of_patient(address.partition_key)
        if address.stage == SLIDE_STAGE:
            return self._kin_of_slide(address.partition_key), {}
        if address.stage == RELEASE_STAGE:
            dataset = Address(DATASET, address.name, ALL_SLIDES, address.digest)
            return ([dataset] if self._way == "parents" else []), {}
        kin, more = self._kin_of_artifact(address)
        return [*kin, *self._releases_of(address)], more

    def _releases_of(self, address: Address) -> list[Address]:
        """Releases that are this version of a dataset."""
        if self._way == "parents" or address.stage != DATASET:
            return []
        releases = self._platform.catalog.releases(address.name)
        return [release_address(one) for one in releases if one.digest == address.digest]

    def _kin_of_artifact(self, address: Address) -> tuple[list[Address], Mapping[str, int]]:
        catalog, limit = self._platform.catalog, self._limit
        if limit is None:
            return catalog.kin_of(address, self._way), {}
        counts = catalog.count_kin(address, self._way)
        found = (catalog.kin_of(address, self._way, stage=s, limit=limit) for s in counts)
        more = {stage: n - limit for stage, n in counts.items() if n > limit}
        return [one for some in found for one in some], more

    def _kin_of_patient(self, patient: str) -> tuple[list[Address], Mapping[str, int]]:
        if self._way == "parents":
            return [], {}
        catalog = self._platform.catalog
        slide_ids = catalog.slides_of_patient(patient, limit=self._limit)
        n_more = catalog.count_slides_of(patient) - len(slide_ids)
        more = {SLIDE_STAGE: n_more} if n_more else {}
        return [slide_address(self._platform, slide_id) for slide_id in slide_ids], more

    def _kin_of_slide(self, slide_id: str) -> list[Address]:
        catalog = self._platform.catalog
        if self._way == "parents":
            if not catalog.known_slides([slide_id]):
                return []  # it was taken out, and artifacts of it were kept
            patient = catalog.slide(slide_id).patient
            return [] if patient is None else [Address(PATIENT_STAGE, "", patient, "")]
        drawn = [d for d in catalog.annotation_history(slide_id) if not d.is_withdrawn]
        return [
            *catalog.children_of_slide(slide_id),
            *dict.fromkeys(map(annotation_address, drawn)),
        ]

    def _facts(self, address: Address) -> Mapping[str, Any]:
        if address.stage == PATIENT_STAGE:
            return {"n_slides": self._platform.catalog.count_slides_of(address.partition_key)}
        if address.stage == SLIDE_STAGE:
            return _facts_of_slide(self._platform, address.partition_key)
        if address.stage == RELEASE_STAGE:
            return _facts_of_release(self._platform, address)
        record = self._platform.catalog.find_artifact(address)
        if record is None:
            raise CatalogError(
                f"{address}: others go back to it, and it is not in the catalog",
                remedy="Restore the catalog from its backup",
            )
        return _facts_of_artifact(self._platform, record)


def _facts_of_artifact(platform: Platform, record: ArtifactRecord) -> Mapping[str, Any]:
    return {
        "made_at": record.made_at.isoformat(timespec="seconds"),
        "made_by": record.made_by,
        "code_version": record.code_version,
        "spec": dict(record.spec),
        **record.facts,
        **_recorded(platform, record.address),
        **_damaged(platform, record),
        "software": _software(platform, record.address),
        "files": {f.path: f.sha256 for f in record.files},
    }


def _software(platform: Platform, address: Address) -> Mapping[str, str]:
    """Packages that it was made with and their versions; none where its files do not say."""
    try:
        return platform.store.read(address).software
    except StoreError:
        return {}


def _facts_of_release(platform: Platform, address: Address) -> Mapping[str, Any]:
    release = platform.catalog.release(address.name, int(address.partition_key))
    return {
        "made_at": release.made_at.isoformat(timespec="seconds"),
        "who": release.who,
        "why": release.why,
        "content_sha256": release.content_sha256,
        "licences": dict(release.licences),
    }


def _forgotten(platform: Platform, address: Address) -> dict[str, Any]:
    """Members of a dataset that were taken out since: it was made from them, too."""
    if address.stage not in {DATASET, RELEASE_STAGE}:
        return {}
    from pathassets.engine.platform.datasets.versions import withdrawn_of  # noqa: PLC0415 - pandas

    is_release = address.stage == RELEASE_STAGE
    version = address.partition_key if is_release else address.digest
    gone = withdrawn_of(platform, f"{address.name}@{version}")
    return {"forgotten": list(map(str, gone))} if gone else {}


def _damaged(platform: Platform, record: ArtifactRecord) -> dict[str, Any]:
    """What a look at its files finds; nothing where they are there with their sizes."""
    damage = platform.store.check_sizes(record.address, record.files)
    if damage is None:
        return {}
    return {"damaged": damage_said(record.address, damage, tool_of(platform, record.address))[1]}


def _recorded(platform: Platform, address: Address) -> dict[str, Any]:
    """Who recorded an annotation, and why; nothing of what was computed."""
    if address.stage != ANNOTATIONS:
        return {}
    history = platform.catalog.annotation_history(address.partition_key)
    return {
        "recorded": [
            f"{d.file} by {d.who} at {d.made_at:%Y-%m-%d %H:%M}: {d.why}"
            for d in history
            if (d.name, d.digest) == (address.name, address.digest)
        ]
    }


def _facts_of_slide(platform: Platform, slide_id: str) -> Mapping[str, Any]:
    try:
        slide = platform.catalog.slide(slide_id)
    except SlideForgotten as error:
        return {"forgotten": [error.message]}  # artifacts of it were kept
    stated = platform.catalog.mpp_history(slide.slide_id)
    return {
        "sha256": slide.fingerprint,
        "paths": [p.path for p in platform.catalog.paths(slide.slide_id)],
        "patient": slide.patient,
        "label": slide.label,
        "mpp_in_file": slide.mpp,
        "mpp_sources": {s.source: s.value for s in slide.mpp_sources},
        "mpp_stated": [
            f"{o.mpp:g} by {o.who} at {o.made_at:%Y-%m-%d %H:%M}: {o.why}" for o in stated
        ],
    }
