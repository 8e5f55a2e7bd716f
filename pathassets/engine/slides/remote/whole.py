"""URL -> the whole slide, copied and hashed once, for who has no fingerprint to hold it against."""

from __future__ import annotations

from pathassets.adapters.objects.remote_file import RemoteFile
from pathassets.adapters.objects.remote_slides import DICOM, RemoteSlide, look_at
from pathassets.adapters.openslide.members import members_of
from pathassets.engine.slides.remote.copying import RemoteOriginal, changed_meanwhile
from pathassets.engine.slides.scratch import NoRoom, Scratch
from pathassets.engine.slides.scratch_copy import Borrowed
from pathassets.errors import ResourcesShort, SlideUnreadable, StoreError


def copy_of(file: RemoteFile, scratch: Scratch | None) -> Borrowed:
    """Copy the slide that is at a URL now; the copy says its fingerprint.

    Raises:
        SlideUnreadable: it is not there, or a folder of DICOM files is not all of one slide.
        SlideChanged: it was overwritten meanwhile.
        StoreError: its storage does not give it, or there is no folder for copies.
        ResourcesShort: there is no room for it.
    """
    return copy_of_slide(look_at(file), scratch, waits=True)


def copy_of_slide(
    slide: RemoteSlide, scratch: Scratch | None, fingerprint: str = "", *, waits: bool = False
) -> Borrowed:
    """Copy a slide that was looked at, held against a fingerprint where one is said.

    `waits` is for who may wait for room that others give back (`Scratch.borrow_in_time`).

    Raises:
        SlideUnreadable: a folder of DICOM files is not all of one slide.
        SlideChanged: it was overwritten meanwhile, or its content is another.
        StoreError: its storage does not give it, or there is no folder for copies.
        ResourcesShort: there is no room for it.
    """
    if scratch is None:
        raise StoreError(
            slide.file, "is read from a copy, and there is no folder for it",
            remedy="Set PATHASSETS_SCRATCH",
        )  # fmt: skip
    here = scratch.here()
    copy = (here.borrow_in_time if waits else here.borrow)(RemoteOriginal(slide), fingerprint)
    if isinstance(copy, NoRoom):
        raise ResourcesShort.of_scratch(slide.file, copy.why, is_for_now=copy.is_for_now)
    try:
        if not fingerprint:
            _require_still(slide)
        _require_one_series(slide.file, copy)
    except BaseException:
        copy.close()
        raise
    return copy


def _require_still(slide: RemoteSlide) -> None:
    """Refuse what was written while it was copied, of which no fingerprint tells.

    Without a strong ETag the requests of one copy may be answered of two versions; and of several
    objects one may have come after the look.
    """
    if look_at(slide.file).stamp != slide.stamp:
        raise changed_meanwhile(slide.file)


def _require_one_series(file: RemoteFile, copy: Borrowed) -> None:
    """Refuse a folder of DICOM files that are not all of one slide: which are, no listing says."""
    if file.suffix.lower() != DICOM:
        return
    try:
        others = {*copy.members} - {*members_of(copy.path)}
    except SlideUnreadable as error:
        raise error.about(file) from error
    if others:
        raise SlideUnreadable(
            file,
            f"{len(others)} other DICOM files in its folder are no part of it, such as "
            f"{min(others).name}",
            remedy="Keep each series in a folder of its own, labels and overviews elsewhere",
            reason="folder_of_slides",
        )
