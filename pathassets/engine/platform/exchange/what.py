"""`WHAT` of an export -> the artifacts that it means, slide by slide.

features/uni                        an entry of the recipe: what is in force of each slide
features/uni/SLIDE[/DIGEST], path   one slide's artifact
dataset/cohort, cohort@3            the newest version of a dataset, or one of a number or digest,
                                    with its split
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pathassets.adapters.objects.urls import is_url
from pathassets.catalog.records import ArtifactRecord, PathRecord, SlideRecord
from pathassets.core.address import Address
from pathassets.core.datasets.withdrawn import lost_of, told
from pathassets.core.recipe import DATASET
from pathassets.engine.datasets.folder import DatasetFolder, open_folder
from pathassets.engine.datasets.withdrawn import withdrawn_among
from pathassets.engine.platform.datasets.versions import find_version
from pathassets.engine.platform.plan import PlannedSlide, plan_slides
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.selection import choose_slides
from pathassets.engine.platform.selections.names import slide_named
from pathassets.engine.platform.standing.absence import absent, read_present
from pathassets.errors import SpecError

logger = logging.getLogger(__name__)

N_KEY, N_ADDRESS = 2, 4
"""Parts of an entry's key, and of an artifact's address."""
N_PLANNED = 500
"""Slides that are planned at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One slide of an export."""

    record: SlideRecord
    file_name: str
    """Name of the newest file that holds the slide."""
    mpp: float | None
    """Micrometres per level-0 pixel in force."""
    address: Address
    split: str = ""
    """Its part of a dataset; empty where there is none."""
    patient: str = ""
    label: str = ""
    content_sha256: str = ""
    """Of a dataset, that of the features it names; empty where what is there is meant."""
    used_bits: bytes | None = None
    """Of a dataset with rules for patches, a bit for each that is used; None: all are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What `WHAT` says."""

    stage: str
    name: str
    slide_id: str = ""
    digest: str = ""

    @property
    def is_dataset(self) -> bool:
        """Whether slides come from a manifest."""
        return self.stage == DATASET


def parse_place(platform: Platform, what: str) -> Place:
    """Take `WHAT` apart.

    Raises:
        SpecError: it is nothing of the kind.
    """
    place = platform.store.place_of(what)
    inside = place is not None and (is_url(what) or Path(what).exists())
    parts = PurePosixPath(place if place is not None and inside else what).parts
    if len(parts) == 1 and "@" in what:
        parts = (DATASET, what)
    if len(parts) < N_KEY or (len(parts) > N_ADDRESS and not inside):
        raise SpecError(
            f"{what}: names nothing that can be exported",
            remedy="Name an entry (features/NAME, dataset/NAME), or one slide's artifact "
            "(features/NAME/SLIDE)",
        )
    stage, name, slide_id, digest, *_ = (*parts, "", "")
    if stage == DATASET:
        name, _, version = name.partition("@")
        digest = digest or version
    return Place(stage=stage, name=name, slide_id=slide_id, digest=digest)


def find_members(
    platform: Platform, place: Place, slides: Sequence[str], *, without_forgotten: bool = False
) -> list[Member]:
    """The artifacts that a place means, of all slides or of those selected, by slide id.

    Whether they are there and whole is not looked at.

    Raises:
        SpecError: the recipe has no such entry, or a selection means nothing.
        MembersForgotten: of a dataset's slides some were taken out since, and nobody said that the
            rest is meant.
        CatalogError: a slide, or the dataset, is not known.
    """
    chosen = set(choose_slides(platform, slides)) if slides else None
    if place.is_dataset:
        is_meant = without_forgotten or chosen is not None  # what is selected is known still
        members = list(_of_dataset(platform, place, is_rest_meant=is_meant))
    else:
        platform.recipe.entry((place.stage, place.name))
        members = list(_of_entry(platform, place, chosen))
    kept = (m for m in members if chosen is None or m.record.slide_id in chosen)
    return sorted(kept, key=lambda member: member.record.slide_id)


def _of_entry(platform: Platform, place: Place, chosen: Collection[str] | None) -> Iterator[Member]:
    """What is in force of each slide, or the one artifact that is named."""
    if place.slide_id:
        named = slide_named(platform.catalog, place.slide_id)
        chosen = [named] if chosen is None or named in chosen else []
    key = (place.stage, place.name)
    for planned in _planned(platform, chosen):
        address = planned.steps[key].address if key in planned.steps else None
        if place.digest:
            address = Address(*key, planned.slide_id, place.digest)
        if address is None:  # what people drew
            drawn = planned.annotation(place.name)
            if drawn is None:
                continue
            address = Address(*key, planned.slide_id, drawn.digest)
        yield Member(
            record=planned.record, file_name=_file_name(planned.record, planned.paths),
            mpp=planned.slide_mpp, address=address,
        )  # fmt: skip


def _planned(platform: Platform, chosen: Collection[str] | None) -> Iterator[PlannedSlide]:
    """Slides, or all, some hundreds at once: the plans of a large cohort fill a memory."""
    ids = [one.slide_id for one in platform.catalog.slides()] if chosen is None else list(chosen)
    for start in range(0, len(ids), N_PLANNED):
        yield from plan_slides(platform, ids[start : start + N_PLANNED])


def _of_dataset(platform: Platform, place: Place, *, is_rest_meant: bool) -> Iterator[Member]:
    """The slides of a version, as its manifest names them, but for those that were taken out."""
    folder = _folder(platform, version_of(platform, place.name, place.digest))
    table = folder.manifest
    ids = table["slide_id"].tolist()
    withdrawn = withdrawn_among(platform.catalog.forgotten(), ids)
    lost = lost_of(f"dataset {place.name}", ids, withdrawn, is_meant=is_rest_meant)
    if lost:
        logger.warning("dataset %s: left out: %s", place.name, told(lost))
    table = table[~table["slide_id"].isin([one.slide_id for one in lost])]
    records = {record.slide_id: record for record in platform.catalog.slides()}
    paths = platform.catalog.all_paths()
    for row in table.to_dict("records"):
        slide_id = str(row["slide_id"])
        record = records.get(slide_id) or platform.catalog.slide(slide_id)
        stage, name, _, digest, *_ = PurePosixPath(str(row["features_uri"])).parts
        yield Member(
            record=record, file_name=_file_name(record, paths.get(record.slide_id, ())),
            mpp=float(row["slide_mpp"]), address=Address(stage, name, slide_id, digest),
            split=_text(row["split"]), patient=_text(row["patient"]), label=_text(row["label"]),
            content_sha256=_text(row["features_sha256"]), used_bits=folder.used.get(slide_id),
        )  # fmt: skip


def version_of(platform: Platform, name: str, version: str = "") -> ArtifactRecord:
    """The version of a dataset that was built last, or that of a number or a digest.

    Raises:
        SpecError: it is no such name.
        CatalogError: there is none.
        ArtifactMissing: it has a number, and the catalog does not know its artifact any more.
    """
    found = find_version(platform, f"{name}@{version}" if version else name)
    if found.artifact is None:
        raise absent(platform, found.address)
    return found.artifact


def _folder(platform: Platform, version: ArtifactRecord) -> DatasetFolder:
    read_present(platform, version.address)
    return open_folder(platform.store.fetch(version.address))


def _file_name(record: SlideRecord, paths: Collection[PathRecord]) -> str:
    """What a slide's newest file is called; its id, where no file is known any more."""
    newest = next(iter(paths), None)
    return record.slide_id if newest is None else PurePosixPath(newest.path).name


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
