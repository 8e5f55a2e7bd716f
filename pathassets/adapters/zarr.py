"""Masks and features <-> Zarr v3 on disk.

Features are written one whole chunk at a time: batches of 64 rows into chunks of 1,024 cost 15
times the CPU. They have no compressor: zstd costs four times the CPU for two thirds of the size. A
chunk that is missing reads as NaN, so it can never pass for a feature.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import zarr
import zarr.errors

from pathassets.core.tissue import TissueMask
from pathassets.errors import ArtifactCorrupt

CHUNK_ROWS = 1024
MASK_CHUNK_PX = 1024

_UNREADABLE = (zarr.errors.BaseZarrError, RuntimeError, KeyError, ValueError, TypeError, OSError)
"""What zarr raises at a damaged array; its decompressors raise RuntimeError."""


def save_mask(path: Path, mask: TissueMask) -> None:
    """Write a mask as Zarr array bool (y, x) with its frame as attributes."""
    array = zarr.create_array(
        store=str(path),
        shape=mask.tissue.shape,
        chunks=tuple(min(MASK_CHUNK_PX, max(1, n)) for n in mask.tissue.shape),
        dtype="bool",
        attributes={"downsample": mask.downsample, "slide_mpp": mask.slide_mpp},
        dimension_names=("y", "x"),
    )
    array[:] = mask.tissue


def load_mask(path: Path) -> TissueMask:
    """Read a mask.

    Raises:
        ArtifactCorrupt: it is not what `save_mask` writes.
    """
    try:
        array = zarr.open_array(store=str(path), mode="r")
        return TissueMask(
            tissue=np.asarray(array[:], dtype=bool),
            downsample=float(_number(array.attrs["downsample"])),
            slide_mpp=_optional(array.attrs["slide_mpp"]),
        )
    except _UNREADABLE as error:
        raise ArtifactCorrupt(path, f"cannot be read: {error}", remedy="Make it again") from error


def _optional(value: object) -> float | None:
    return None if value is None else float(_number(value))


def _number(value: object) -> float:
    if isinstance(value, int | float):
        return value
    raise TypeError(f"{value!r} is not a number")


class FeatureWriter:
    """Writes rows in order into `features` (n, dim), beside `coordinates` (n, 4) in px0.

    Leaving the with block raises ValueError when rows are missing.
    """

    def __init__(
        self, path: Path, boxes_px0: np.ndarray, *, dim: int, attributes: dict[str, Any]
    ) -> None:
        self._boxes_px0 = boxes_px0
        self._group = zarr.create_group(store=str(path), attributes=attributes)
        self._features = self._group.create_array(
            "features",
            shape=(len(boxes_px0), dim),
            chunks=(CHUNK_ROWS, dim),
            dtype="float32",
            compressors=None,
            fill_value=float("nan"),
        )
        self._chunk = np.empty((CHUNK_ROWS, dim), np.float32)
        self._n_held = 0
        self._n_written = 0

    def leave_out(self, indices: list[int]) -> None:
        """Say which of the boxes have no row, because they could not be read."""
        self._boxes_px0 = np.delete(self._boxes_px0, indices, axis=0)

    def write(self, rows: np.ndarray) -> None:
        """Take the next rows, float32 (m, dim).

        Raises:
            ValueError: there are more rows than boxes.
        """
        n_rows = self._n_written + self._n_held + len(rows)
        if n_rows > self._features.shape[0]:
            raise ValueError(f"{n_rows} rows for {self._features.shape[0]} boxes")
        while len(rows):
            taken = rows[: CHUNK_ROWS - self._n_held]
            self._chunk[self._n_held : self._n_held + len(taken)] = taken
            self._n_held += len(taken)
            rows = rows[len(taken) :]
            if self._n_held == CHUNK_ROWS:
                self._flush()

    def _flush(self) -> None:
        stop = self._n_written + self._n_held
        self._features[self._n_written : stop] = self._chunk[: self._n_held]
        self._n_written, self._n_held = stop, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            return
        if self._n_held:
            self._flush()
        n = len(self._boxes_px0)
        if self._n_written != n:
            raise ValueError(f"{self._n_written} rows written of {n}")
        if n != self._features.shape[0]:
            self._features.resize((n, self._features.shape[1]))
        coordinates = self._group.create_array(
            "coordinates", shape=(n, 4), chunks=(CHUNK_ROWS, 4), dtype="int64", compressors=None
        )
        if n:
            coordinates[:] = self._boxes_px0
