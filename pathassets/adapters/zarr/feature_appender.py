"""Rows of features, and nobody knows how many -> a Zarr group, chunk by chunk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from pathassets.adapters.zarr.feature_writer import FeatureWriter
from pathassets.errors import StoreError

FIRST_ROWS = 1024


class GrowingWriter(FeatureWriter):
    """A `FeatureWriter` whose boxes come with the rows; it begins anew, and continues nothing.

    In memory are a chunk of rows, and 33 bytes for each box.
    """

    def __init__(
        self, path: Path, *, shape: tuple[int, ...], attributes: Mapping[str, Any]
    ) -> None:
        self._name = "coordinates"
        empty = {self._name: np.empty((0, 4), np.int64)}
        super().__init__(path, shape=shape, boxes=empty, attributes=attributes, is_growing=True)

    def append(self, rows: np.ndarray, boxes: np.ndarray) -> None:
        """Take the next rows, float32 (m, *shape), and their boxes, (m, 4).

        Raises:
            ValueError: they are not as many, or have another shape.
            StoreError: they cannot be written.
        """
        if boxes.shape != (len(rows), 4):
            raise ValueError(f"boxes {boxes.shape} for {len(rows)} rows of features")
        stop = self._n_boxes + len(rows)
        self._make_room(stop)
        self._boxes[self._name][self._n_boxes : stop] = boxes
        self._is_kept[self._n_boxes : stop] = True
        self._n_boxes = stop
        self.write(rows)

    def _make_room(self, n: int) -> None:
        held = self._boxes[self._name]
        if n <= len(held):
            return
        room = max(FIRST_ROWS, n, 2 * len(held))
        self._boxes[self._name] = np.concatenate([held, np.empty((room - len(held), 4), np.int64)])
        self._is_kept = np.concatenate([self._is_kept, np.zeros(room - len(held), bool)])

    def finish(self, **attributes: Any) -> None:
        """Write what is left; the group is whole then."""
        self._boxes[self._name] = self._boxes[self._name][: self._n_boxes]
        self._is_kept = self._is_kept[: self._n_boxes]
        if not self._n_chunks:  # all are in one, which is no larger than they are
            self._chunk_rows = max(1, self._n_held)
            self._chunk = self._chunk[: self._chunk_rows]
        super().finish(**attributes)


def open_rows(path: Path) -> tuple[Any, Any]:
    """The features and boxes of a group, as arrays that read what is asked of them.

    Raises:
        StoreError: they cannot be read.
    """
    try:
        group = zarr.open_group(store=str(path), mode="r")
        return group["features"], group["coordinates"]
    except (OSError, KeyError, ValueError) as error:
        raise StoreError(path, f"cannot be read: {error}", remedy="Make it again") from error
