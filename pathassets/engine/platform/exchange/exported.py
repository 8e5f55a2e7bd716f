"""A file that pathassets exported -> how it differs from what it was; and of which nobody can tell.

    list beside it  ─▶ its SHA-256: any byte                      ─┐
    artifact named  ─▶ its rows and corners, where it is here yet ─┴▶ what differs, or nothing

Whoever edits a file can edit its line too, or remove the list: then the rows tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pathassets.adapters.exchange.parts.listed import LIST, ExportLists
from pathassets.adapters.zarr.arrays import FeatureRows
from pathassets.core.address import Address
from pathassets.core.exchange.found import FoundFeatures
from pathassets.core.stages import FEATURES
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


class ExportedFiles:
    """Files of an import, held against what was exported."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lists = ExportLists()

    def check(self, found: FoundFeatures) -> Checked:
        """Hold a file against the list, and against the artifact that it names.

        Raises:
            OSError, PathAssetsError: it cannot be read.
        """
        if change := self.change_of(found):
            return Checked(change=change)
        rows = self._named(found.exported_from)
        if rows is not None:
            said = _difference(found, rows)
            of = f"it says it is an export of {found.exported_from}"
            return Checked(change=f"{of}, and {said}" if said else "")
        is_listed = all(self._lists.line_of(Path(file)) for file in found.files)
        return Checked(note=UNLISTED if found.exported_from and not is_listed else "")

    def change_of(self, found: FoundFeatures) -> str:
        """How its files differ from those that the export lists; empty where they do not.

        Raises:
            OSError: one cannot be read.
        """
        changes = (self._lists.change_of(Path(file)) for file in found.files)
        return "; ".join(change for change in changes if change)

    def _named(self, said: str) -> FeatureRows | None:
        """Rows of the artifact that a file names; None where it is not known here, or not whole."""
        address, store = Address.parse(said), self._platform.store
        if address is None or address.stage != FEATURES:
            return None
        if self._platform.catalog.find_artifact(address) is None:  # a stranger's text is no path
            return None
        try:
            store.read_checked(address)
        except StoreError:
            return None
        rows = FeatureRows(store.path_of(address) / ROWS)
        return None if rows.is_map else rows


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
