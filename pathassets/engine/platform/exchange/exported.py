"""A file that pathassets exported -> how it differs from what it was; and of which nobody can tell.

    list beside it ─┬▶ its SHA-256: any byte                           ─┐
                    └▶ artifact that it was made from ─┐                │
    file itself ─────▶ artifact that it says it is of ─┴▶ slide, rows  ─┴▶ what differs, or nothing
                                                          and corners

Whoever edits a file can edit its line too, remove the list, or what the file says of itself: then
the rows tell, held against the artifact that either names, where that is here yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pathassets.adapters.exchange.parts.claims import SOURCE
from pathassets.adapters.exchange.parts.listed import LIST, ExportLists
from pathassets.adapters.zarr.arrays import FeatureRows
from pathassets.catalog.forgotten import find_gone
from pathassets.core.address import Address
from pathassets.core.exchange.found import FoundFeatures
from pathassets.core.stages import FEATURES
from pathassets.core.text import quoted
from pathassets.engine.platform.merged_slides import heirs_of
from pathassets.engine.platform.platform import Platform
from pathassets.engine.stages.features import ROWS
from pathassets.errors import StoreError

UNLISTED = f"no {LIST} lists it, so whether it was changed after its export is not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a look at a file told."""

    change: str = ""
    """How it differs from what was exported; empty where it does not, or nobody knows."""
    note: str = ""
    """What a person should know of it otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """An artifact that a file, or its line, names as the one that it was made from."""

    text: str
    told: str
    """Who names it, as a message begins."""

    @property
    def address(self) -> Address | None:
        """Where it stands; None where the text names no features."""
        address = Address.parse(self.text)
        return address if address is not None and address.stage == FEATURES else None


class ExportedFiles:
    """Files of an import, held against what was exported."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lists = ExportLists()
        self._heirs = heirs_of(platform.catalog)
        self._forgotten = platform.catalog.forgotten()

    def check(self, found: FoundFeatures, slide_id: str) -> Checked:
        """Hold the file of a slide against the list, and against the artifacts that are named.

        Raises:
            OSError, PathAssetsError: it cannot be read.
        """
        names = list(self._names_of(found))
        change = self.change_of(found) or _contradiction(found, names)
        change = change or self._other_slide(names, slide_id)
        if change:
            return Checked(change=change)
        for one in names[:1]:  # if there are two, they name the same artifact
            rows = self._rows_of(one)
            if rows is not None:
                said = _difference(found, rows)
                return Checked(change=f"{one.told}, and {said}" if said else "")
        is_listed = all(self._lists.line_of(Path(file)) for file in found.files)
        return Checked(note=UNLISTED if found.exported_from and not is_listed else "")

    def change_of(self, found: FoundFeatures) -> str:
        """How its files differ from those that the export lists; empty where they do not.

        Raises:
            OSError: one cannot be read.
        """
        changes = (self._lists.change_of(Path(file)) for file in found.files)
        return "; ".join(change for change in changes if change)

    def _names_of(self, found: FoundFeatures) -> Iterator[_Named]:
        """What the file says that it was made from, and what the line of its rows says."""
        if said := found.exported_from:
            yield _Named(text=said, told=f"it says it is an export of {quoted(said, 200)}")
        line = self._lists.line_of(Path(found.files[0]))
        if line and (said := line["artifact"]):
            yield _Named(text=said, told=f"{LIST} says it is an export of {quoted(said, 200)}")

    def _other_slide(self, names: list[_Named], slide_id: str) -> str:
        """Which one names a slide of this catalog, or one taken out, that the file is not of.

        An id that nobody knows here may be the same slide's where the export was made.
        """
        keys = {one.told: one.address.partition_key for one in names if one.address}
        ids = {told: self._heirs.get(key, key) for told, key in keys.items()}
        known = self._platform.catalog.known_slides(ids.values())
        for told, named in ids.items():
            is_here = named in known or find_gone(self._forgotten, named) is not None
            if named != slide_id and is_here:
                return f"{told}, and is of slide {slide_id}"
        return ""

    def _rows_of(self, named: _Named) -> FeatureRows | None:
        """Rows of an artifact; None where it is not known here, or not whole."""
        address, store = named.address, self._platform.store
        if address is None or self._platform.catalog.find_artifact(address) is None:
            return None  # a stranger's text is no path
        try:
            store.read_checked(address)
        except StoreError:
            return None
        rows = FeatureRows(store.fetch(address) / ROWS)
        return None if rows.is_map else rows


def _contradiction(found: FoundFeatures, names: list[_Named]) -> str:
    """What cannot be true of a file that nobody changed; empty where all of it can."""
    if found.is_export and not found.exported_from:
        return f"it has attributes of an export, and its {SOURCE} was removed or made unreadable"
    for one in names:
        if one.address is None:
            return f"{one.told}, which names no features"
    texts = {one.text for one in names}
    return ", and ".join(one.told for one in names) if len(texts) > 1 else ""


def _difference(found: FoundFeatures, rows: FeatureRows) -> str:
    """What is other in a file than in an artifact; numbers of 16 bits are those that they round to.

    Micrometres are those of the resolution that the artifact was made at.
    """
    ours = (len(rows.boxes_px0), rows.n_columns)
    if (found.n_rows, found.n_columns) != ours:
        return f"has {found.n_rows} rows of {found.n_columns} numbers, not {ours[0]} of {ours[1]}"
    corners = np.rint(found.corners_on(float(rows.attributes["slide_mpp"])))
    if not np.array_equal(corners, rows.boxes_px0[:, :2]):
        return "its coordinates are not those there"
    row = _first_other(found.chunks(), rows.chunks(), found.n_columns)
    return "" if row is None else f"its row {row} is not the one there"


def _first_other(
    theirs: Iterator[np.ndarray], ours: Iterator[np.ndarray], n_columns: int
) -> int | None:
    """Number of the first row that differs, of as many rows in other portions."""
    start, held = 0, np.zeros((0, n_columns), np.float32)
    for part in theirs:
        while len(held) < len(part):
            held = np.concatenate([held, next(ours)])
        with np.errstate(over="ignore"):
            expected = held[: len(part)].astype(part.dtype)
        is_other = (part != expected).any(axis=1)
        if is_other.any():
            return start + int(np.flatnonzero(is_other)[0])
        start, held = start + len(part), held[len(part) :]
    return None
