"""Paths -> registered slides: identity, facts and thumbnail, in the catalog.

    path ─▶ files of the slide ─▶ seen before, unchanged? ─yes─▶ known
                                        │no
                                        ▼
                               SHA-256, open, audit mpp, thumbnail ─▶ new │ known │ refused

Registering is idempotent: whatever was interrupted is done by doing it again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pathassets.adapters.files import FileStamp, fingerprint_of, stamp_of
from pathassets.adapters.opencv import preview_jpeg
from pathassets.adapters.openslide import OpenSlideSlide, find_slides, members_of
from pathassets.catalog.records import CohortFacts, PathRecord, RefusalRecord, SlideRecord
from pathassets.core.overlay import PREVIEW_PX, shrink_to
from pathassets.core.patches import read_overview
from pathassets.core.slide import SlideInfo, check_mpp, slide_id_of
from pathassets.engine.cohort import Cohort, CohortRow
from pathassets.engine.platform import Platform
from pathassets.errors import SlideError, SlideUnreadable, SpecError, TileUnreadable

logger = logging.getLogger(__name__)

IdScheme = Literal["stem", "hash", "manifest"]
"""What a slide is called: file name and hash, hash alone, or what the cohort table says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What became of one path."""

    path: Path
    state: Literal["new", "known", "refused"]
    slide_id: str = ""
    error: SlideError | None = None
    """Why it was refused, or what its resolution lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """A file looked at, and what was seen."""

    record: SlideRecord
    path: PathRecord
    thumbnail: bytes


def find_files(paths: Iterable[Path]) -> list[Path]:
    """List the slides that files and folders stand for; a DICOM series is its first file.

    Raises:
        SpecError: a path does not exist, or a folder holds no slide.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            below = find_slides(path)
            if not below:
                raise SpecError(
                    f"{path}: no slides in this folder",
                    remedy="Name a folder or a file with slides (.svs, .tif, .ndpi, .mrxs, .dcm, …)",
                )
            found.update(dict.fromkeys(p.absolute() for p in below))
        elif path.exists() or path.is_symlink():
            found[path.absolute()] = None
        else:
            raise SpecError(f"{path}: no such file or folder", remedy="Look at its spelling")
    series: set[Path] = set()
    return [path for path in found if not _is_repeated(path, series)]


def _is_repeated(path: Path, series: set[Path]) -> bool:
    """Whether a DICOM file belongs to a series that is listed already."""
    if path in series:
        return True
    if path.suffix.lower() == ".dcm":
        try:
            series.update(members_of(path))
        except SlideUnreadable:
            return False  # registering it will say why
    return False


def ingest(
    platform: Platform, files: list[Path], *, cohort: Cohort = Cohort(), scheme: IdScheme = "stem"
) -> Iterator[Registration]:
    """Register files, several at once; yields in the order given.

    Raises:
        SpecError: the cohort table gives no usable id or mpp for a file.
        CatalogError: the catalog cannot be written.
    """
    with ThreadPoolExecutor(platform.settings.n_workers) as pool:
        looks = pool.map(lambda path: _look(platform, path, cohort.row_of(path), scheme), files)
        for path, look in zip(files, looks, strict=True):
            yield _register(platform, path, look, cohort)


def _look(
    platform: Platform, path: Path, row: CohortRow | None, scheme: IdScheme
) -> _Look | PathRecord | SlideError:
    """Look at a file: what it is, or what was known of it, or why it is no slide."""
    try:
        members = members_of(path)
        stamp = stamp_of(members)
        known = platform.catalog.find_path(str(path))
        if known and (known.size_bytes, known.mtime_ns) == (stamp.size_bytes, stamp.mtime_ns):
            return known
        with closing(OpenSlideSlide(path)) as slide:
            thumbnail = _thumbnail(slide)
            fingerprint = fingerprint_of(members)
            slide_id = _slide_id(path, fingerprint, row, scheme)
            record = _record(slide_id, fingerprint, stamp, slide.info)
    except SlideError as error:
        return error
    seen = PathRecord(
        path=str(path), slide_id=slide_id, size_bytes=stamp.size_bytes, mtime_ns=stamp.mtime_ns
    )
    return _Look(record=record, path=seen, thumbnail=thumbnail)


def _register(
    platform: Platform, path: Path, look: _Look | PathRecord | SlideError, cohort: Cohort
) -> Registration:
    if isinstance(look, SlideError):
        _refuse(platform, path, look)
        return Registration(path=path, state="refused", error=look)
    if isinstance(look, PathRecord):
        _add_cohort_facts(platform, look.slide_id, cohort.row_of(path), cohort)
        return Registration(path=path, state="known", slide_id=look.slide_id)
    look = _under_known_name(platform, look)
    slide_id = look.record.slide_id
    is_known = bool(platform.catalog.paths(slide_id))
    platform.catalog.register_slide(look.record, look.path, thumbnail=look.thumbnail)
    _add_cohort_facts(platform, slide_id, cohort.row_of(path), cohort)
    return Registration(path=path, state="known" if is_known else "new", slide_id=slide_id)


def _under_known_name(platform: Platform, look: _Look) -> _Look:
    """The same content under two names is one slide with two paths: the first name stays."""
    slide_id = platform.catalog.find_slide_id(look.record.fingerprint)
    if slide_id is None:
        return look
    return replace(
        look,
        record=replace(look.record, slide_id=slide_id),
        path=replace(look.path, slide_id=slide_id),
    )


def _refuse(platform: Platform, path: Path, error: SlideError) -> None:
    try:
        stamp = stamp_of([path])
    except SlideError:
        stamp = FileStamp(size_bytes=0, mtime_ns=0)
    platform.catalog.refuse(
        RefusalRecord(
            path=str(path),
            reason=error.reason,
            message=error.message,
            remedy=error.remedy,
            size_bytes=stamp.size_bytes,
            mtime_ns=stamp.mtime_ns,
        )
    )


def _add_cohort_facts(
    platform: Platform, slide_id: str, row: CohortRow | None, cohort: Cohort
) -> None:
    if row is None:
        return
    if row.patient or row.label:
        platform.catalog.set_cohort_facts(
            [CohortFacts(slide_id=slide_id, patient=row.patient, label=row.label)]
        )
    if row.mpp is None:
        return
    check_mpp(row.mpp, subject=f"{cohort.source}: {row.file}")
    stated = platform.catalog.mpp_history(slide_id)
    if not stated or stated[0].mpp != row.mpp:
        platform.catalog.override_mpp(slide_id, row.mpp, who="cohort table", why=cohort.source)


def _slide_id(path: Path, fingerprint: str, row: CohortRow | None, scheme: IdScheme) -> str:
    if scheme != "manifest":
        return slide_id_of(path.stem, fingerprint, scheme=scheme)
    if row is None or row.slide_id is None:
        raise SpecError(
            f"{path}: the cohort table gives no slide_id for it",
            remedy="Add it to the table's column 'slide_id', or use --id-scheme stem",
        )
    return row.slide_id


def _record(
    slide_id: str, fingerprint: str, stamp: FileStamp, info: SlideInfo
) -> SlideRecord:
    return SlideRecord(
        slide_id=slide_id,
        fingerprint=fingerprint,
        size_bytes=stamp.size_bytes,
        vendor=info.vendor,
        reader=info.reader,
        width_px0=info.width_px0,
        height_px0=info.height_px0,
        n_levels=len(info.level_downsamples),
        level_downsamples=info.level_downsamples,
        mpp=info.audit.mpp,
        mpp_sources=info.audit.sources,
        resolution_reason=info.audit.reason,
        resolution_message=info.audit.fact,
        objective_power=info.objective_power,
    )


def _thumbnail(slide: OpenSlideSlide) -> bytes:
    """JPEG from the pyramid; empty where its pixels cannot be decoded, which a run will report."""
    downsample = max(slide.info.width_px0, slide.info.height_px0) / PREVIEW_PX
    try:
        overview, _ = read_overview(slide, downsample=max(1.0, downsample))
    except TileUnreadable as error:
        logger.warning("%s: no thumbnail: %s", slide.path, error)
        return b""
    return preview_jpeg(shrink_to(overview))
