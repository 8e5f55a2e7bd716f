"""A store -> which other catalogs use it, of which nobody here knows what they need of it.

    open_platform   ─▶ this catalog's mark is in the store, once
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
    """Leave a mark in a store that this catalog uses it, unless it was left before.

    One that was moved leaves its mark anew: people look for it where the mark says. Who may only
    read a bucket leaves none; the next one of this catalog that may write does.

    Raises:
        StoreError: the folder is not writable.
    """
    identity = catalog.begin_identity()
    marked = f"{store.where} of {catalog.where}"
    if identity.marked == marked:
        return
    since = now().isoformat(timespec="seconds")
    said = {"catalog": catalog.where, "host": socket.gethostname(), "since": since}
    if upkeep_of(store).note_catalog(identity.name, canonical_json(said).encode()):
        catalog.note_marked(marked)


def find_others(store: Store, catalog: Catalog) -> list[OtherCatalog]:
    """Other catalogs that use a store."""
    identity = catalog.identity()
    own = "" if identity is None else identity.name
    return [
        OtherCatalog(said=_told(data), mark=mark)
        for name, (mark, data) in sorted(upkeep_of(store).find_catalogs().items())
        if name != own
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
    """What a catalog says of itself, which anybody may have written."""
    try:
        said = json.loads(data)
        place = quoted(said["catalog"], _PLACE_CHARS)
        return f"{place} (on {quoted(said['host'])}, since {quoted(said['since'])})"
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError):
        return "another catalog"
