"""A folder of a bucket -> the objects below it, past keys that no file can have.

Of a page of a listing in which a key has an empty part, `.`, `..` or a control character obstore
gives nothing, and ends. So the listing is begun anew behind that key, and what the page held before
it is asked for folder by folder. Only what lies in the same folder as that key, and before it in
the same page, cannot be had: at most as many objects as a page has.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from pathassets.adapters.objects.place import N_LISTED, ObjectPlace, StoredObject
from pathassets.adapters.objects.urls import is_key
from pathassets.core.text import quoted
from pathassets.errors import KeyUnreadable

logger = logging.getLogger(__name__)

_N_ODD = 100
"""Times that a listing is begun anew, or a folder deeper, before it is given up."""
_N_TOLD = 10_000
_URL_CHARS = 1_200
"""Longer than any key may be."""
_LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What is below a folder, as far as it can be listed."""

    objects: Sequence[StoredObject]
    is_whole: bool
    """Whether nothing can be there that was not seen."""


def list_past_odd_keys(place: ObjectPlace) -> Listing:
    """List what is below a place; of keys that no file can have a warning is given, once.

    Raises:
        ObjectMissing: there is no bucket.
        KeyUnreadable: there are too many such keys, or the storage lists from the first key only.
        StoreError: it cannot be listed.
    """
    search = _Search(place)
    search.look("")
    return Listing(objects=tuple(search.found.values()), is_whole=not search.blind)


@lru_cache(maxsize=_N_TOLD)
def warn_once(url: str, fact: str) -> None:
    """Warn of an object, once in this process: inboxes are listed every few seconds."""
    logger.warning("%s: %s", quoted(url, _URL_CHARS), fact)


@dataclass(slots=True)
class _Search:
    """What was found so far."""

    place: ObjectPlace
    found: dict[str, StoredObject] = field(default_factory=dict)
    blind: set[str] = field(default_factory=set)
    """Folders in which not all could be seen."""
    n_odd: int = 0

    def look(self, folder: str) -> None:
        """Find all below a folder."""
        after = ""
        while True:
            try:
                for one in self.place.objects(folder, after=after):
                    after = max(after, one.key)  # their order is that of the storage
                    self.found.setdefault(one.key, one)  # not what has a slash more
            except KeyUnreadable as error:
                after = self._pass(error, folder, after)
            else:
                return

    def _pass(self, odd: KeyUnreadable, folder: str, after: str) -> str:
        """Find what was listed with an odd key; returns behind what the listing may go on."""
        self.n_odd += 1
        root = f"{self.place.url.prefix}/".lstrip("/")
        key, within = odd.key.removeprefix(root), f"{folder}/".lstrip("/")
        can_go_on = odd.key.startswith(root + within) and after < key
        if self.n_odd > _N_ODD or not can_go_on:
            raise odd
        self._find_between(folder, after, key)
        name, slash, _ = key.removeprefix(within).partition("/")
        if slash and is_key(name):
            self.look(within + name)
            return f"{within}{name}0"
        url = f"{self.place.url.root}/{odd.key}"
        warn_once(url, "is passed over: no file can have such a name; rename or remove the object")
        if folder in self.blind:
            warn_once(
                url,
                f"up to {N_LISTED:,} objects of its folder, before it in the order of names, "
                "cannot be seen until it is renamed or removed",
            )
        return _following(key)

    def _find_between(self, folder: str, after: str, key: str) -> None:
        """Find what is in a folder, and in those in it whose names are between two keys."""
        try:
            files, names = self.place.inside(folder)
        except KeyUnreadable:
            self.blind.add(folder)
            return
        for one in files:
            self.found.setdefault(one.key, one)
        for name in names:
            below = f"{folder}/{name}/".lstrip("/")
            is_before = below < key and not key.startswith(below)
            if is_before and f"{below}{_LAST}" > after:
                self.look(below.rstrip("/"))


def _following(key: str) -> str:
    r"""A text behind all keys that are odd by the same part, and before all other names of slides.

    >>> _following("a//b.svs"), _following("a/../b.svs"), _following("a/b\t.svs")
    ('a/0', 'a/..0', 'a/b ')
    """
    start = 0
    for part in key.split("/"):
        if part in {"", ".", ".."}:
            return f"{key[: start + len(part)]}0"
        for n_before, sign in enumerate(part, start):
            if sign < " " or sign == "\x7f":
                return key[:n_before] + (" " if sign < " " else "\x80")
        start += len(part) + 1
    return key
