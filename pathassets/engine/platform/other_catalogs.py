"""A store -> which other catalogs use it, of which nobody here knows what they need of it.

    open_platform   ─▶ this catalog's mark is in the store
    restore         ─▶ the mark of the catalog that was in its place is not
    gc              ─▶ refused where another's is
    forget, doctor  ─▶ tell of them

A catalog that lies in its store is alone with it; one beside a bucket, or on a server, need not be.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass

from pathassets.adapters.store.opening import upkeep_of
from pathassets.adapters.store.store import Store
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.part import now
from pathassets.core.spec import canonical_json
from pathassets.core.text import quoted
from pathassets.errors import StoreError

_PLACE_CHARS = 300
"""Longest path or URL of a catalog that is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherCatalog:
    """A catalog that uses the store, too."""

    said: str
    """What it is, since when it uses the store, and from which machine."""
    mark: str
    """Path or URL by which that is known."""

    @property
    def remedy(self) -> str:
        """What helps, be it that there is no such catalog any more."""
        return (
            "Let both be one (PATHASSETS_CATALOG), or give one of them a store of its own; once "
            f"nobody uses that catalog any more, remove {self.mark}"
        )


def note_catalog(store: Store, catalog: Catalog) -> None:
    """Leave a mark in a store that this catalog uses it, unless it is there.

    One that was moved leaves its mark anew: people look for it where the mark says. Who may only
    read a bucket leaves none; the next one of this catalog that may write does.

    Raises:
        StoreError: the folder is not writable.
    """
    identity = catalog.begin_identity()
    marked, upkeep = f"{store.where} of {catalog.where}", upkeep_of(store)
    if identity.marked == marked and upkeep.has_catalog(identity.name):
        return
    since = now().isoformat(timespec="seconds")
    said = {"catalog": catalog.where, "host": socket.gethostname(), "since": since}
    if upkeep.note_catalog(identity.name, canonical_json(said).encode()):
        catalog.note_marked(marked)


def drop_former(store: Store, where: str) -> None:
    """Remove the marks of what was where a catalog is put now, from this machine: it is no more.

    Raises:
        StoreError: the store is not writable.
    """
    upkeep = upkeep_of(store)
    for name, (_, data) in upkeep.find_catalogs().items():
        if _said(data)[:2] == (where, socket.gethostname()):
            upkeep.drop_catalog(name)


def find_others(store: Store, catalog: Catalog) -> list[OtherCatalog]:
    """Other catalogs that use a store."""
    identity = catalog.identity()
    own = "" if identity is None else identity.name
    is_inside = catalog.where.startswith(f"catalog {store.where}/")
    return [
        OtherCatalog(said=_told(data), mark=mark)
        for name, (mark, data) in sorted(upkeep_of(store).find_catalogs().items())
        # What lay in the store where this one lies was made anew, or restored.
        if name != own and not (is_inside and _said(data)[0] == catalog.where)
    ]


def require_no_other(store: Store, catalog: Catalog) -> None:
    """Refuse to remove what only another catalog may need.

    Raises:
        StoreError: another catalog uses the store.
    """
    for other in find_others(store, catalog):
        raise StoreError(
            store.where,
            f"is also the store of {other.said}, and nobody here knows what that one needs",
            remedy=other.remedy,
        )


def _told(data: bytes) -> str:
    """What a catalog says of itself, for people."""
    place, host, since = _said(data)
    if not place:
        return "another catalog"
    return f"{quoted(place, _PLACE_CHARS)} (on {quoted(host)}, since {quoted(since)})"


def _said(data: bytes) -> tuple[str, str, str]:
    """What a catalog says of itself, which anybody may have written: place, machine, since when."""
    try:
        said = json.loads(data)
        place, host, since = said["catalog"], said["host"], said["since"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return "", "", ""
    is_said = all(isinstance(one, str) for one in (place, host, since))
    return (place, host, since) if is_said else ("", "", "")
