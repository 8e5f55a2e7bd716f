"""Paths -> registered slides: identity, facts and thumbnail, in the catalog.

    path ─▶ files of the slide ─▶ seen before, unchanged? ─yes─▶ known
                                        │no
                                        ▼
         worker process: open, audit mpp, thumbnail, SHA-256 ─▶ new │ known │ refused

Registering is idempotent: whatever was interrupted is done by doing it again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pathassets.adapters.files import FileStamp, stamp_of
from pathassets.adapters.objects.remote_file import FilePlace, RemoteFile, place_of
from pathassets.adapters.objects.remote_slides import find_remote_slides, stamp_at
from pathassets.adapters.openslide.members import find_slides, first_of_series, members_of
from pathassets.catalog.records import (
    PathRecord,
    RejectedFile,
    SlideRecord,
)
from pathassets.core.slides.slide import check_slide_id, name_in, slide_id_of, stating_mpp
from pathassets.engine.platform.forgotten import refuse_forgotten, refuse_going
from pathassets.engine.platform.ingestion.cohort_lines import CohortLines
from pathassets.engine.platform.ingestion.cohort_matching import (
    CohortFit,
    fit_cohort,
    tell_alike_known,
    tell_unfit,
)
from pathassets.engine.platform.ingestion.cohort_table import NO_COHORT, Cohort, CohortRow
from pathassets.engine.platform.ingestion.replaced import drop_replaced
from pathassets.engine.platform.plan import path_record, recorded_stamp
from pathassets.engine.platform.platform import Platform
from pathassets.engine.slides.inspect_files import FileInspection, inspect_files
from pathassets.engine.slides.scratch import scratch_for
from pathassets.errors import (
    PathAssetsError,
    SlideError,
    SlideUnreadable,
    SpecError,
    StoreError,
)

logger = logging.getLogger(__name__)

Found = PathRecord | FileInspection | PathAssetsError
"""A file that is known and unchanged, one that was looked at, or why it is refused."""
IdScheme = Literal["stem", "hash", "manifest"]
"""What a slide is called: file name and hash, hash alone, or what the cohort table says."""
MAX_NAME_BYTES = 255
"""Source: NAME_MAX of Linux."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What became of one path."""

    path: FilePlace
    state: Literal["new", "known", "refused"]
    slide_id: str = ""
    error: PathAssetsError | None = None
    """Why it was refused: a `SlideError`, or what it did to the worker that looked at it."""
    note: str = ""
    """What a person should know of one that was not: its content, or name, is another's, too."""


def find_files(paths: Iterable[FilePlace]) -> list[FilePlace]:
    """List the slides that files, folders and URLs stand for; a DICOM series is its first file."""
    return find_listed(paths)[0]


def find_listed(paths: Iterable[FilePlace]) -> tuple[list[FilePlace], bool]:
    """List those slides, and say whether all could be listed: a key may stand in the way.

    Raises:
        SpecError: a path does not exist, or a folder, or a bucket, holds no slide.
        StoreError: a bucket cannot be asked.
    """
    found: dict[Path, None] = {}
    remote: dict[RemoteFile, None] = {}
    is_whole = True
    for path in paths:
        if isinstance(path, RemoteFile):
            listed, is_all = find_remote_slides(path)
            remote.update(dict.fromkeys(listed))
            is_whole = is_whole and is_all
        elif os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises below a forbidden folder
            below = find_slides(path)
            if not below:
                raise SpecError(
                    f"{path}: no slides in this folder",
                    remedy="Name a folder or a file with slides (.svs, .tif, .ndpi, .mrxs, .dcm …)",
                )
            found.update(dict.fromkeys(_absolute(p) for p in below))
        elif _is_absent(path):
            raise SpecError(f"{path}: no such file or folder", remedy="Look at its spelling")
        else:
            found[_absolute(path)] = None
    return [*first_of_series(list(found)), *remote], is_whole


def _is_absent(path: Path) -> bool:
    """Whether nothing has that name. What may not be looked at is there: registering it says so."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _absolute(path: Path) -> Path:
    """One name for a place, whatever folder it was named from; a link keeps its own name."""
    return path.parent.resolve() / path.name if ".." in path.parts else path.absolute()


def ingest(
    platform: Platform,
    files: list[FilePlace],
    *,
    cohort: Cohort = NO_COHORT,
    scheme: IdScheme = "stem",
) -> Iterator[Registration]:
    """Register files, looking at several at once; yields in the order given; close it to stop.

    A line of the cohort table that contradicts another, or what is known, states nothing: it is
    raised once all files are registered.

    Raises:
        SpecError: the cohort table fits no file, gives an id of no use or none for one, one of its
            lines fits two slides, or two contradict each other, or one would move a slide to
            another patient.
        CatalogError: the catalog cannot be written, or an id is that of other content.
    """
    fit = fit_cohort(cohort, files)
    if scheme == "manifest":
        for row in fit.rows.values():
            if row.slide_id is not None:
                check_slide_id(row.slide_id, subject=cohort.place(row))
    registrar = _Registrar(platform, fit, scheme)
    objects = (str(file) for file in files if isinstance(file, RemoteFile))
    looks: Generator[tuple[FilePlace, Found], None, None]
    with scratch_for(platform.settings, objects) as scratch:
        looks = inspect_files(platform.workers, files, registrar.find_known, scratch=scratch)
        with closing(looks):
            for path, found in looks:
                yield registrar.register(path, found)
    if cohort.rows:
        tell_unfit(fit, _known_files(platform) if fit.unused else (), platform.settings.home)
        tell_alike_known(fit, platform.catalog.slides())
    registrar.lines.raise_contradictions()


def _known_files(platform: Platform) -> Iterator[FilePlace]:
    """Files that hold slides, and those that were refused."""
    for paths in platform.catalog.all_paths().values():
        yield from (place_of(one.path) for one in paths)
    yield from (place_of(one.path) for one in platform.catalog.rejected_files())


class _Registrar:
    """Where files are registered: looked at by workers, entered here."""

    def __init__(self, platform: Platform, fit: CohortFit, scheme: IdScheme) -> None:
        self._platform = platform
        self._catalog = platform.catalog
        self._fit = fit
        self._scheme = scheme
        self._refused = {rejected_file.path for rejected_file in self._catalog.rejected_files()}
        self._going = self._catalog.begun_removals()
        self.lines = CohortLines(platform.catalog, fit)

    def find_known(self, path: FilePlace) -> PathRecord | PathAssetsError | None:
        """Say what is known of a file without a look into it; None where it takes one.

        It looks as when it was registered, or is not there any more, or has an impossible name.
        """
        try:
            check_file_name(path)
            known = self._catalog.find_path(str(path))
            if known is not None and _stamp_now(path) == recorded_stamp(known):
                return known
        except (SlideError, StoreError) as error:
            return error
        return None

    def register(self, path: FilePlace, found: Found) -> Registration:
        """Enter what is known of a file, or what the look found."""
        if isinstance(found, FileInspection):
            found = refuse_forgotten(self._catalog, path, found.fingerprint) or found
        if isinstance(found, PathRecord) and (begun := self._going.get(found.slide_id)):
            error = refuse_going(self._catalog, path, found.slide_id, begun)
            return Registration(path=path, state="refused", error=error)  # it is known as it was
        if isinstance(found, PathAssetsError):
            refuse_file(self._platform, path, found)
            drop_replaced(self._catalog, printable(path))
            said = path if isinstance(path, RemoteFile) else Path(printable(path))
            return Registration(path=said, state="refused", error=found)
        notes = []
        if isinstance(found, PathRecord):
            slide_id, is_known = found.slide_id, True
            if found.path in self._refused:  # it was gone for a while: registering forgets that
                self._catalog.register_slide(self._catalog.slide(slide_id), found)
        else:
            before = self._catalog.find_path(str(path))
            slide_id, is_known = self._enter(path, found)
            if before is None or before.slide_id != slide_id:  # else it was only touched
                notes.append(self._note(slide_id, is_known=is_known))
        notes.append(self.lines.state(path, slide_id))
        note = "; ".join(filter(None, notes))
        state: Literal["new", "known"] = "known" if is_known else "new"
        return Registration(path=path, state=state, slide_id=slide_id, note=note)

    def _note(self, slide_id: str, *, is_known: bool) -> str:
        """What of a file that nobody had seen is another's, too: its content, or its name."""
        if is_known:
            return f"known, another file of {slide_id}"
        others = [one for one in self._catalog.slides_named(name_in(slide_id)) if one != slide_id]
        return f"same name as {others[0]}, other content" if others else ""

    def _enter(self, path: FilePlace, look: FileInspection) -> tuple[str, bool]:
        """Register a slide; returns its id, and whether its content was known under it."""
        row = self._fit.rows.get(path)
        slide_id = _slide_id(path, look.fingerprint, row, self._scheme)
        entered = self._catalog.register_slide(
            _record(slide_id, look),
            path_record(path, slide_id, look.stamp),
            thumbnail=look.thumbnail,
        )
        if entered.slide_id != slide_id:
            logger.info("%s: is the known slide %s, and keeps its id", path, entered.slide_id)
        if look.thumbnail_problem:
            logger.warning("%s: no thumbnail: %s", path, look.thumbnail_problem)
        for note in look.info.notes if entered.is_new else ():
            logger.warning("%s: %s", path, note)
        if look.info.audit.reason and entered.is_new and (row is None or row.mpp is None):
            logger.warning(
                "%s: %s; nothing can be made of it until it is stated: %s",
                path, look.info.audit.fact, stating_mpp(entered.slide_id),
            )  # fmt: skip
        return entered.slide_id, not entered.is_new


def _stamp_now(path: FilePlace) -> FileStamp:
    """How a slide looks; an object that was listed just now is not asked for once more."""
    if isinstance(path, RemoteFile):
        return path.seen or stamp_at(path)
    return stamp_of(members_of(path))


def check_file_name(path: FilePlace) -> None:
    """Refuse a name that no database and no page could show: bytes of another age's code page.

    Or one that a copy of it could not have.
    """
    if isinstance(path, RemoteFile) and len(os.fsencode(path.name)) > MAX_NAME_BYTES:
        raise SlideUnreadable(
            path, f"its name is longer than {MAX_NAME_BYTES} bytes", remedy="Rename it",
            reason="bad_name",
        )  # fmt: skip
    if printable(path) != str(path):
        raise SlideUnreadable(
            printable(path), "its name is not UTF-8", remedy="Rename it", reason="bad_name"
        )


def printable(path: str | FilePlace) -> str:
    """Name of a file as text: bytes that are no UTF-8 are written out."""
    text = str(path)
    return text if text.isascii() else os.fsencode(text).decode("utf-8", "backslashreplace")


def refuse_file(platform: Platform, path: FilePlace, error: PathAssetsError) -> None:
    """Enter a file that cannot be registered, as it looks now, so that another look is another."""
    try:
        stamp = stamp_at(path)
    except (SlideError, StoreError):
        stamp = FileStamp(size_bytes=0, mtime_ns=0, ctime_ns=0)
    platform.catalog.refuse(
        RejectedFile(
            path=printable(path),
            reason=error.reason,
            message=error.message,
            remedy=error.remedy,
            size_bytes=stamp.size_bytes,
            mtime_ns=stamp.mtime_ns,
            ctime_ns=stamp.ctime_ns,
            etag=stamp.etag,
        )
    )


def _slide_id(path: FilePlace, fingerprint: str, row: CohortRow | None, scheme: IdScheme) -> str:
    if scheme != "manifest":
        return slide_id_of(path.stem, fingerprint, scheme=scheme)
    if row is None or row.slide_id is None:
        raise SpecError(
            f"{path}: the cohort table gives no slide_id for it",
            remedy="Add it to the table's column 'slide_id', or use --id-scheme stem",
        )
    return row.slide_id


def _record(slide_id: str, look: FileInspection) -> SlideRecord:
    info = look.info
    return SlideRecord(
        slide_id=slide_id,
        fingerprint=look.fingerprint,
        size_bytes=look.stamp.size_bytes,
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
        scanner=info.scanner or None,
        stain=info.stain or None,
        codec=info.codec or None,
    )
