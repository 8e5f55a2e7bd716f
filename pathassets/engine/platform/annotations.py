"""A file that somebody drew -> a recorded input of a slide: read, kept in the store, stated.

    file ─▶ read, or refused ─▶ store: original/…, annotations.geojson, preview.jpg ─▶ catalog: who

It holds polygons in a format that viewers write, or it is a mask picture. What it holds is found
out when it is recorded, so that no run meets a malformed one. Its content is copied: nobody needs
to keep the file.
"""

from __future__ import annotations

import re
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pathassets.adapters.annotations.reader import read_annotations
from pathassets.adapters.files import fingerprint_of
from pathassets.adapters.opencv import preview_jpeg, read_jpeg
from pathassets.adapters.openslide.reader import DENSE_VENDORS
from pathassets.adapters.store.store import Artifact
from pathassets.catalog.records import AnnotationRecord, AttemptRecord, SlideRecord
from pathassets.core.address import Address
from pathassets.core.annotations.annotations import Annotations, to_geojson
from pathassets.core.annotations.mask_outlines import outline_mask
from pathassets.core.frames import Frame
from pathassets.core.locations.overlay import PREVIEW_PX, draw_outlines
from pathassets.core.recipe import ANNOTATIONS, STAGES, Entry
from pathassets.core.spec import canonical_json, digest_of
from pathassets.engine.platform.batch import artifact_record
from pathassets.engine.platform.plan import annotation_address, slide_paths
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.selections.names import slide_named
from pathassets.engine.slides.bounds import is_offset, on_level0
from pathassets.engine.slides.open import NDPA_SUFFIX, OpenedSlide
from pathassets.engine.slides.scratch import scratch_for
from pathassets.engine.slides.source import find_source
from pathassets.engine.slides.tissue_mask import place_mask
from pathassets.engine.software import software_versions
from pathassets.engine.stages.job import PREVIEW
from pathassets.engine.stages.recorded_annotation import MASK_PICTURES, ORIGINAL, POLYGONS
from pathassets.errors import AnnotationError, CatalogError, SlideError, SpecError

NAME_CHARS = 100
"""Longest name of a file in the store."""
PAPER = 255
"""Behind the outlines where a slide has no thumbnail."""
ON_GLASS = "glass"
"""Frame of a file that lies on the glass by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationSource:
    """Under which name something is drawn, by whom, and where it is from."""

    name: str
    who: str
    why: str
    frame: Frame | None = None
    """From where its coordinates count on slides that have bounds; None where nobody says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What a file draws, in level-0 pixels."""

    drawn: Annotations
    frame: str = ""
    """As the catalog has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An annotation that is in force."""

    annotation: AnnotationRecord
    is_new: bool
    """Whether it was not stated before, by the same person for the same reason."""
    notes: tuple[str, ...]
    """What of the file was left out, and what was mended."""


def record_file(
    platform: Platform, slide_id: str, file: Path, stated: AnnotationSource
) -> Recorded:
    """Record what a file draws on a slide.

    Raises:
        AnnotationError: it cannot be read; names the element that is at fault.
        SpecError: it is a mask that does not fit the slide, the recipe has no such annotations, or
            the slide has bounds and nothing tells whether coordinates count from there.
        SlideError: its pixels lie where only the slide's own file tells, and that is not there.
        CatalogError: there is no such slide.
        StoreError: it cannot be kept.
    """
    entry = require_entry(platform, stated.name)
    record = platform.catalog.slide(slide_named(platform.catalog, slide_id))
    sha256 = _sha256(file)
    read = _read(platform, record, file, stated.frame)
    drawn = read.drawn
    annotation = AnnotationRecord(
        slide_id=record.slide_id,
        name=entry.name,
        digest=_digest(sha256, read),
        file=file.name,
        sha256=sha256,
        n_polygons=len(drawn.polygons),
        labels=dict(sorted(Counter(polygon.label for polygon in drawn.polygons).items())),
        who=stated.who,
        why=stated.why,
        frame=read.frame,
    )
    artifact = _publish(platform, annotation, drawn, file)
    platform.catalog.record_artifact(artifact_record(artifact, stated.who), ())
    _end_doubt(platform, artifact.address, stated.who)
    is_new = platform.catalog.record_annotation(annotation)
    return Recorded(annotation=annotation, is_new=is_new, notes=_notes(drawn, record))


def _end_doubt(platform: Platform, address: Address, who: str) -> None:
    """Note that it was made, where its bytes were noted as damaged before."""
    last = platform.catalog.latest_attempts([address.partition_key])
    noted = last.get((*address.key, address.partition_key))
    if noted is not None and noted.address == address and noted.state == "failed":
        made = AttemptRecord(run_id=who, address=address, state="made")
        platform.catalog.record_attempts([made])


def withdraw(platform: Platform, slide_id: str, stated: AnnotationSource) -> AnnotationRecord:
    """State that what was drawn on a slide counts no more; the history keeps it.

    Raises:
        CatalogError: there is no such slide, or nothing is recorded for it.
        SpecError: the recipe has no such annotations.
    """
    entry = require_entry(platform, stated.name)
    slide_id = slide_named(platform.catalog, slide_id)
    in_force = platform.catalog.annotations().get(slide_id, {}).get(entry.name)
    if in_force is None or in_force.is_withdrawn:
        raise CatalogError(
            f"{slide_id}: no {ANNOTATIONS}/{entry.name} is recorded for it",
            remedy=f"See what is: pathassets annotations show {slide_id}",
        )
    withdrawn = AnnotationRecord(
        slide_id=slide_id, name=entry.name, digest="", file="", sha256="", n_polygons=0,
        labels={}, who=stated.who, why=stated.why,
    )  # fmt: skip
    platform.catalog.record_annotation(withdrawn)
    return withdrawn


def annotations_of(platform: Platform, slide_id: str | None = None) -> list[AnnotationRecord]:
    """What is drawn on all slides now; of one slide all that was ever stated, newest first.

    Raises:
        CatalogError: there is no such slide.
    """
    if slide_id is not None:
        return platform.catalog.annotation_history(slide_named(platform.catalog, slide_id))
    by_slide = platform.catalog.annotations()
    slides = (by_slide.get(record.slide_id, {}) for record in platform.catalog.slides())
    return [one for by_name in slides for one in by_name.values() if not one.is_withdrawn]


def find_preview(platform: Platform, drawn: AnnotationRecord) -> bytes:
    """The picture of an annotation; empty where it was withdrawn, or is not whole in the store.

    Of the latter `status` tells, and a run that needs it: what was recorded stays recorded.
    """
    if drawn.is_withdrawn or not platform.store.is_intact(annotation_address(drawn)):
        return b""
    artifact = platform.store.read(annotation_address(drawn))
    [picture] = [stored for stored in artifact.files if stored.path == PREVIEW]
    return platform.store.read_file(artifact, picture)


def require_entry(platform: Platform, name: str) -> Entry:
    """The recipe's annotations of that name.

    Raises:
        SpecError: it has none.
    """
    for entry in platform.recipe.recorded:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in platform.recipe.recorded)
    raise SpecError(
        f"--name {name}: the recipe has no {ANNOTATIONS}/{name}",
        remedy=f"It has {known}" if known else f"Add to it 'annotations: {{{name}: {{}}}}'",
    )


def _digest(sha256: str, read: _Read) -> str:
    """Of the file, what it draws in level-0 pixels and, where it matters, why they are those."""
    told = {"frame": read.frame} if read.frame else {}
    return digest_of({"file": sha256, "polygons": to_geojson(read.drawn.polygons), **told})


def _sha256(file: Path) -> str:
    try:
        return fingerprint_of([file])
    except SlideError as error:
        raise AnnotationError(file, error.fact, remedy=error.remedy) from error


def _read(platform: Platform, record: SlideRecord, file: Path, stated: Frame | None) -> _Read:
    """What a file draws on a slide; the slide is opened where only it tells what that means."""
    suffix = file.suffix.lower()
    if suffix in MASK_PICTURES:
        return _read_picture(platform, record, file, stated)
    if suffix == NDPA_SUFFIX:
        with _opened(platform, record) as slide:
            frame = ON_GLASS if is_offset(slide.info) else ""
            return _Read(drawn=slide.read_annotations(file), frame=frame)
    drawn = read_annotations(file)
    if record.vendor in DENSE_VENDORS:  # they store all of level 0, and have no bounds
        return _Read(drawn=drawn)
    with _opened(platform, record) as slide:
        frame = stated or "" if is_offset(slide.info) else ""
        placed = on_level0(drawn, slide.info, stated, subject=record.slide_id)
        return _Read(drawn=placed, frame=frame)


def _read_picture(
    platform: Platform, record: SlideRecord, file: Path, stated: Frame | None
) -> _Read:
    with _opened(platform, record) as slide:
        placed = place_mask(file, slide, frame=stated)
        has_bounds = slide.info.bounds_px0 is not None
    drawn = Annotations(polygons=tuple(outline_mask(placed.mask)), file_format="mask picture")
    return _Read(drawn=drawn, frame=placed.frame or "" if has_bounds else "")


@contextmanager
def _opened(platform: Platform, record: SlideRecord) -> Iterator[OpenedSlide]:
    """The slide, with the resolution that is in force."""
    slide_id = record.slide_id
    override = platform.catalog.overrides().get(slide_id)
    places = slide_paths(platform.catalog.paths(slide_id), platform.settings.verify)
    mpp = record.mpp if override is None else override.mpp
    with (
        scratch_for(platform.settings, (place.path for place in places)) as scratch,
        closing(find_source(slide_id, record.fingerprint, places, scratch)) as source,
        source.open(mpp) as slide,
    ):
        yield slide


def _notes(drawn: Annotations, record: SlideRecord) -> tuple[str, ...]:
    left_out = ", ".join(f"{n} {kind}" for kind, n in drawn.n_left_out.items())
    return (
        *_beside(drawn, record),
        *([f"left out: {left_out}"] if left_out else []),
        *(f"mended: {r}" for r in drawn.repairs),
    )


def _beside(drawn: Annotations, record: SlideRecord) -> Iterator[str]:
    """What is to be told of polygons that lie wholly beside a slide: they are another's, mostly."""
    size_px0 = (record.width_px0, record.height_px0)
    places = [(p.points.min(axis=0), p.points.max(axis=0)) for p in drawn.polygons]
    n_beside = sum(not ((high > 0) & (low < size_px0)).all() for low, high in places)
    if n_beside:
        low = np.min([low for low, _ in places], axis=0)
        high = np.max([high for _, high in places], axis=0)
        yield (
            f"{n_beside} of {len(places)} polygons lie beside the slide, which has {size_px0[0]} x "
            f"{size_px0[1]} level-0 pixels; they reach from ({low[0]:.0f}, {low[1]:.0f}) to "
            f"({high[0]:.0f}, {high[1]:.0f}): were they drawn on another slide, or resolution?"
        )


# ------------------------------------------------------------------------------- the store


def _publish(
    platform: Platform, annotation: AnnotationRecord, drawn: Annotations, file: Path
) -> Artifact:
    draft = Artifact(
        address=annotation_address(annotation),
        spec={},
        code_version=STAGES[ANNOTATIONS].code_version,
        weights_sha256="",
        parents=(),
        facts=_facts(annotation, drawn),
        software=software_versions(),
    )
    with (
        platform.store.staging(f"{ANNOTATIONS}-{uuid.uuid4().hex}") as staging,
        platform.store.writing(draft.address),
    ):
        folder = staging / "annotation"
        kept = folder / ORIGINAL / _safe_name(file.name)
        kept.parent.mkdir(parents=True)
        shutil.copyfile(file, kept)
        if fingerprint_of([kept]) != annotation.sha256:
            raise AnnotationError(
                file, "changed while it was read", remedy="Record it once it is whole"
            )
        if file.suffix.lower() not in MASK_PICTURES:
            geojson = canonical_json(to_geojson(drawn.polygons))
            (folder / POLYGONS).write_text(geojson, encoding="utf-8")
        (folder / PREVIEW).write_bytes(_preview(platform, annotation.slide_id, drawn))
        return platform.store.publish(draft, folder)


def _facts(annotation: AnnotationRecord, drawn: Annotations) -> dict[str, Any]:
    return {
        "format": drawn.file_format,
        "n_polygons": annotation.n_polygons,
        "labels": dict(annotation.labels),
        "n_left_out": dict(drawn.n_left_out),
        "n_repaired": drawn.n_repaired,
        "repairs": list(drawn.repairs),
        "file_sha256": annotation.sha256,
        **({"frame": annotation.frame} if annotation.frame else {}),
    }


def _safe_name(name: str) -> str:
    """A name that any disk takes; its end tells what it is.

    >>> _safe_name("..slide 1/2 (é).geojson")
    'slide_1_2_.geojson'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip("._")[-NAME_CHARS:] or "annotation"


def _preview(platform: Platform, slide_id: str, drawn: Annotations) -> bytes:
    """Outlines on the slide's thumbnail."""
    record = platform.catalog.slide(slide_id)
    thumbnail = platform.catalog.find_thumbnail(slide_id)
    if thumbnail is None:
        scale = PREVIEW_PX / max(record.width_px0, record.height_px0)
        sides = (max(1, round(n * scale)) for n in (record.height_px0, record.width_px0))
        picture = np.full((*sides, 3), PAPER, np.uint8)
    else:
        picture = read_jpeg(thumbnail)
    preview = draw_outlines(
        picture, drawn.polygons, width_px0=record.width_px0, height_px0=record.height_px0
    )
    return preview_jpeg(preview)
