"""Masks and embeddings <-> Zarr v3 on disk; features are read here, written by `feature_writer`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
import zarr.errors

from pathassets.core.tissue.tissue_mask import TissueMask
from pathassets.errors import ArtifactCorrupt

MASK_CHUNK_PX = 1024
MAX_STORED_PX = 1 << 32
"""Pixels of the largest mask that is read: missing chunks are read as glass, and a head of a few
bytes could ask for all memory. No overview is so large: its pixels would take 12 GB."""

UNREADABLE = (
    zarr.errors.BaseZarrError, RuntimeError, LookupError, ValueError, TypeError, OSError,
    AttributeError, OverflowError,
)  # fmt: skip
"""What zarr raises at a damaged array; its decompressors raise RuntimeError, and metadata that are
no object lead to AttributeError."""


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
        if array.ndim != 2 or array.size > MAX_STORED_PX:  # noqa: PLR2004
            raise ValueError(f"it is no mask: its shape is {array.shape}")
        return TissueMask(
            tissue=np.asarray(array[:], dtype=bool),
            downsample=float(_number(array.attrs["downsample"])),
            slide_mpp=_optional(array.attrs["slide_mpp"]),
        )
    except UNREADABLE as error:
        raise ArtifactCorrupt(path, f"cannot be read: {error}", remedy="Make it again") from error


def _optional(value: object) -> float | None:
    return None if value is None else float(_number(value))


def _number(value: object) -> float:
    if isinstance(value, int | float):
        return value
    raise TypeError(f"{value!r} is not a number")


class FeatureRows:
    """Features on the disk, read chunk by chunk."""

    def __init__(self, path: Path) -> None:
        """Open them.

        Raises:
            ArtifactCorrupt: they are not what `feature_writer` writes.
        """
        self._path = path
        with _telling(path):
            group = zarr.open_group(store=str(path), mode="r")
            self.attributes: dict[str, Any] = dict(group.attrs)
            self._features = zarr.open_array(store=str(path / "features"), mode="r")
            boxes = zarr.open_array(store=str(path / "coordinates"), mode="r")
            self.boxes_px0 = np.asarray(boxes[:], np.int64)

    def __len__(self) -> int:
        return self._features.shape[0]

    @property
    def n_columns(self) -> int:
        """Numbers of a patch; of a map, at each of its places."""
        return self._features.shape[1]

    @property
    def is_map(self) -> bool:
        """Whether a patch has a map, not a vector."""
        return self._features.ndim > 2  # noqa: PLR2004

    def chunks(self) -> Iterator[np.ndarray]:
        """Yield all rows in order, float32 (m, d); of maps the mean over their places."""
        step = self._features.chunks[0]
        for start in range(0, len(self), step):
            with _telling(self._path):
                rows = np.asarray(self._features[start : start + step], np.float32)
            yield rows.reshape(*rows.shape[:2], -1).mean(axis=2) if self.is_map else rows


def save_embedding(path: Path, vector: np.ndarray, attributes: dict[str, Any]) -> None:
    """Write a vector as `embedding`, float32 (d,), of a Zarr group."""
    group = zarr.create_group(store=str(path), attributes=attributes)
    array = group.create_array(
        "embedding", shape=vector.shape, chunks=(max(1, len(vector)),), dtype="float32",
        compressors=None, fill_value=float("nan"),
    )  # fmt: skip
    if len(vector):
        array[:] = vector


def load_embedding(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Read a vector, float32 (d,), and what it says of itself.

    Raises:
        ArtifactCorrupt: it is not what `save_embedding` writes.
    """
    with _telling(path):
        group = zarr.open_group(store=str(path), mode="r")
        array = zarr.open_array(store=str(path / "embedding"), mode="r")
        if array.ndim != 1:
            raise ValueError(f"it is no vector: its shape is {array.shape}")
        return np.asarray(array[:], np.float32), dict(group.attrs)


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except UNREADABLE as error:
        raise ArtifactCorrupt(path, f"cannot be read: {error}", remedy="Make it again") from error
