"""A known path whose file is refused now -> no path of its slide, where that has another file.

The slide is what was registered. Where no other file holds it, the path stays, and `doctor` says
that its content changed.
"""

from __future__ import annotations

import logging

from pathassets.adapters.files import fingerprint_of, stamp_of
from pathassets.adapters.objects.remote_file import RemoteFile, place_of
from pathassets.adapters.objects.remote_slides import look_at
from pathassets.adapters.openslide.members import members_of
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.records import PathRecord
from pathassets.engine.platform.plan import recorded_stamp
from pathassets.engine.slides.remote.copying import RemoteOriginal
from pathassets.errors import SlideError, StoreError

logger = logging.getLogger(__name__)


def is_same(one: PathRecord, fingerprint: str) -> bool:
    """Whether a file, or an object, holds still what was registered.

    Raises:
        SlideError: it is not there, or cannot be read.
        StoreError: its bucket does not answer.
    """
    place = place_of(one.path)
    if isinstance(place, RemoteFile):
        slide = look_at(place)
        if slide.stamp == recorded_stamp(one):
            return True
        is_like = slide.size_bytes == one.size_bytes
        return is_like and RemoteOriginal(slide).fingerprint() == fingerprint
    members = members_of(place)
    stamp = stamp_of(members)
    if stamp == recorded_stamp(one):
        return True
    return stamp.size_bytes == one.size_bytes and fingerprint_of(members) == fingerprint


def drop_replaced(catalog: Catalog, path: str) -> None:
    """Take a path, of which the file was refused, from its slide: where that loses nothing."""
    known = catalog.find_path(path)
    if known is None:
        return
    fingerprint = catalog.slide(known.slide_id).fingerprint
    if _holds(known, fingerprint) is not False:
        return
    others = (one for one in catalog.paths(known.slide_id) if one.path != path)
    kept = next((one for one in others if _holds(one, fingerprint)), None)
    if kept is not None:
        catalog.drop_path(known)
        logger.warning(
            "%s: is no file of %s any more, which has %s", path, known.slide_id, kept.path
        )


def _holds(one: PathRecord, fingerprint: str) -> bool | None:
    """Whether a file holds what was registered; None where it is not there, or cannot be read."""
    try:
        return is_same(one, fingerprint)
    except (SlideError, StoreError):
        return None
