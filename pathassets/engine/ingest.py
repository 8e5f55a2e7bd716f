"""Paths -> registered slides: identity, facts and thumbnail, in the catalog.

    path ─▶ files of the slide ─▶ seen before, unchanged? ─yes─▶ known
                                        │no
                                        ▼
                               SHA-256, open, audit mpp, thumbnail ─▶ new │ known │ refused

Registering is idempotent: whatever was interrupted is done by doing it again.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pathassets.adapters.files import FileStamp, fingerprint_of, stamp_of
from pathassets.adapters.opencv import preview_jpeg
from pathassets.adapters.openslide import (
    OpenSlideSlide,
    find_slides,
    first_of_series,
    members_of,
)
from pathassets.catalog.records import CohortFacts, PathRecord, RefusalRecord, SlideRecord
from pathassets.core.overlay import PREVIEW_PX, shrink_to
from pathassets.core.patches import read_overview
from pathassets.core.slide import SlideInfo, slide_id_of
from pathassets.engine.cohort import NO_COHORT, Cohort, CohortRow
from pathassets.engine.platform import Platform
from pathassets.errors import (
    SlideChanged,
    SlideError,
    SlideUnreadable,
    SpecError,
    TileUnreadable,
)

logger = logging.getLogger(__name__)

_SLIDE_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
"""A slide id becomes a partition key and the name of a folder."""

IdScheme = Literal["stem", "hash", "manifest"]
"""What a slide is called: file name and hash, hash alone, or what the cohort table says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What became of one path."""

    path: Path
    state: Literal["new", "known", "refused"]
    slide_id: str = ""
    error: SlideError | None = None
    """Why it was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """A file looked at, and what was seen."""

    record: SlideRecord
    path: PathRecord
    thumbnail: bytes | None


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
                    remedy="Name a folder or a file with slides (.svs, .tif, .ndpi, .mrxs, .dcm …)",
                )
            found.update(dict.fromkeys(_absolute(p) for p in below))
        elif path.exists() or path.is_symlink():
            found[_absolute(path)] = None
        else:
            raise SpecError(f"{path}: no such file or folder", remedy="Look at its spelling")
    return first_of_series(list(found))


def _absolute(path: Path) -> Path:
    """One name for a place, whatever folder it was named from; a link keeps its own name."""
    return path.parent.resolve() / path.name if ".." in path.parts else path.absolute()


def ingest(
    platform: Platform,
    files: list[Path],
    *,
    cohort: Cohort = NO_COHORT,
    scheme: IdScheme = "stem",
) -> Iterator[Registration]:
    """Register files, several at once; yields in the order given.

    Raises:
        SpecError: the cohort table gives no usable id for a file, or one line fits two slides.
        CatalogError: the catalog cannot be written.
    """
    desk = _Desk(platform, cohort, scheme)
    pool = ThreadPoolExecutor(platform.settings.n_workers)
    try:
        for path, look in zip(files, pool.map(desk.look, files), strict=True):
            yield desk.register(path, look)
    finally:
        pool.shutdown(cancel_futures=True)
    desk.tell_unused()


class _Desk:
    """Where files are registered: looked at by several threads, entered by one."""

    def __init__(self, platform: Platform, cohort: Cohort, scheme: IdScheme) -> None:
        self._platform = platform
        self._catalog = platform.catalog
        self._cohort = cohort
        self._scheme = scheme
        self._refused = {refusal.path for refusal in self._catalog.refusals()}
        self._used: dict[CohortRow, str] = {}
        """Lines of the cohort table that fitted a file, and its slide."""

    def look(self, path: Path) -> _Look | PathRecord | SlideError:
        """Look at a file: what it is, or what was known of it, or why it is no slide."""
        try:
            _check_name(path)
            members = members_of(path)
            stamp = stamp_of(members)
            known = self._catalog.find_path(str(path))
            if known and (known.size_bytes, known.mtime_ns) == (stamp.size_bytes, stamp.mtime_ns):
                return known
            with closing(OpenSlideSlide(path)) as slide:
                thumbnail = _thumbnail(slide)
                fingerprint = fingerprint_of(members)
                _check_still(path, members, stamp)
            slide_id = _slide_id(path, fingerprint, self._cohort.row_of(path), self._scheme)
            record = _record(slide_id, fingerprint, stamp, slide.info)
        except SlideError as error:
            return error
        seen = PathRecord(
            path=str(path), slide_id=slide_id, size_bytes=stamp.size_bytes, mtime_ns=stamp.mtime_ns
        )
        return _Look(record=record, path=seen, thumbnail=thumbnail)

    def register(self, path: Path, look: _Look | PathRecord | SlideError) -> Registration:
        """Enter what the look found."""
        if isinstance(look, SlideError):
            path = Path(_printable(path))
            _refuse(self._platform, path, look)
            return Registration(path=path, state="refused", error=look)
        if isinstance(look, PathRecord):
            slide_id, is_known = look.slide_id, True
            if look.path in self._refused:  # it was gone for a while: registering forgets that
                self._catalog.register_slide(self._catalog.slide(slide_id), look)
        else:
            slide_id, is_known = self._enter(look)
        self._add_cohort_facts(path, slide_id)
        return Registration(path=path, state="known" if is_known else "new", slide_id=slide_id)

    def _enter(self, look: _Look) -> tuple[str, bool]:
        """Register a slide; returns its id, and whether its content was known under it."""
        known_id = self._catalog.find_slide_id(look.record.fingerprint)
        if known_id is None:
            self._require_free(look)
        elif known_id != look.record.slide_id:
            logger.info("%s: is the known slide %s, and keeps its id", look.path.path, known_id)
            look = replace(
                look,
                record=replace(look.record, slide_id=known_id),
                path=replace(look.path, slide_id=known_id),
            )
        self._catalog.register_slide(look.record, look.path, thumbnail=look.thumbnail)
        return look.record.slide_id, known_id is not None

    def _require_free(self, look: _Look) -> None:
        """Refuse an id that other content has at another place: two slides would become one."""
        slide_id = look.record.slide_id
        others = [p.path for p in self._catalog.paths(slide_id) if p.path != look.path.path]
        if others:
            raise SpecError(
                f"{look.path.path}: {others[0]} has its id {slide_id}, and other content",
                remedy="Give it another slide_id in the cohort table, with --id-scheme manifest",
            )

    def _add_cohort_facts(self, path: Path, slide_id: str) -> None:
        row = self._cohort.row_of(path)
        if row is None:
            return
        if self._used.setdefault(row, slide_id) != slide_id:
            raise SpecError(
                f"{self._cohort.source}: {row.file} fits two slides, "
                f"{self._used[row]} and {slide_id} ({path})",
                remedy="Give more of the path in the column 'file', one line for each slide",
            )
        if row.patient or row.label:
            self._catalog.set_cohort_facts(
                [CohortFacts(slide_id=slide_id, patient=row.patient, label=row.label)]
            )
        stated = self._catalog.mpp_history(slide_id) if row.mpp is not None else []
        if row.mpp is not None and (not stated or stated[0].mpp != row.mpp):
            self._catalog.override_mpp(
                slide_id, row.mpp, who="cohort table", why=self._cohort.source
            )

    def tell_unused(self) -> None:
        """Point at lines that fitted no file: a misspelt name would lose its label silently."""
        unused = [row.file for row in self._cohort.rows if row not in self._used]
        if unused:
            logger.warning(
                "%s: %d of %d lines fit none of the files given, such as %s",
                self._cohort.source, len(unused), len(self._cohort.rows), unused[0],
            )  # fmt: skip


def _check_name(path: Path) -> None:
    """Refuse a name that no database and no page could show: bytes of another age's code page."""
    if _printable(path) != str(path):
        raise SlideUnreadable(
            _printable(path), "its name is not UTF-8", remedy="Rename it", reason="bad_name"
        )


def _printable(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _check_still(path: Path, members: list[Path], stamp: FileStamp) -> None:
    if stamp_of(members) != stamp:
        raise SlideChanged(path, "changed while it was read", remedy="Ingest it once it is whole")


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


def _slide_id(path: Path, fingerprint: str, row: CohortRow | None, scheme: IdScheme) -> str:
    if scheme != "manifest":
        return slide_id_of(path.stem, fingerprint, scheme=scheme)
    if row is None or row.slide_id is None:
        raise SpecError(
            f"{path}: the cohort table gives no slide_id for it",
            remedy="Add it to the table's column 'slide_id', or use --id-scheme stem",
        )
    if not _SLIDE_ID.fullmatch(row.slide_id):
        raise SpecError(
            f"{path}: slide_id {row.slide_id!r} cannot name a folder",
            remedy="Use up to 100 letters, digits, '_', '-' and '.', not '.' at first",
        )
    return row.slide_id


def _record(slide_id: str, fingerprint: str, stamp: FileStamp, info: SlideInfo) -> SlideRecord:
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


def _thumbnail(slide: OpenSlideSlide) -> bytes | None:
    """JPEG from the pyramid; None where its pixels cannot be decoded, which a run will report."""
    downsample = max(slide.info.width_px0, slide.info.height_px0) / PREVIEW_PX
    try:
        overview, _ = read_overview(slide, downsample=max(1.0, downsample))
    except TileUnreadable as error:
        logger.warning("%s: no thumbnail: %s", slide.path, error)
        return None
    return preview_jpeg(shrink_to(overview))
