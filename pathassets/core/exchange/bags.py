"""One slide's features as every foreign format needs them, whatever they were read from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pathassets.core.annotations.annotations import AnnotationPolygon
from pathassets.errors import SpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideFacts:
    """What formats say of the slide itself."""

    slide_id: str
    sha256: str
    """Of its content."""
    name: str
    """What its files are called in the export; see `names_of`."""
    file_name: str
    """Name of the file that it was registered from, with its ending."""
    width_px0: int
    height_px0: int
    mpp: float
    """Micrometres per level-0 pixel in force."""
    level_downsamples: tuple[float, ...]
    level_sizes_px: tuple[tuple[int, int], ...] = ()
    """(width, height) of each level; empty where the slide was not opened."""
    bounds_px0: tuple[int, int, int, int] | None = None
    """x0, y0, x1, y1 of what was scanned; None where that is all, or it was not opened."""
    objective_power: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """How large the patches are, on the slide and as the encoder saw them."""

    patch_px: int
    """Side in the encoder's pixels."""
    mpp: float
    """Micrometres per pixel of the patch."""
    side_px0: int
    """Side in level-0 pixels, as the coordinates have it."""
    overlap_px: float | None = None
    """How far neighbours of a grid overlap, in the patch's pixels; None where there is no grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bag:
    """Patches of one slide, with or without their features."""

    slide: SlideFacts
    footprint: Footprint
    boxes_px0: np.ndarray
    """int64 (n, 4): x0, y0, x1, y1 on level 0."""
    source: str
    """Address of the artifact that it is, as in the catalog."""
    n_columns: int = 0
    """Numbers of a row; 0 for patches without features."""
    chunks: Callable[[], Iterator[np.ndarray]] = field(default=lambda: iter(()))
    """Yields all rows in order, float32 (m, n_columns), a few thousand at once."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What the features say of themselves: encoder, weights_sha256, precision, …"""
    tissue: Sequence[AnnotationPolygon] = ()
    """Outlines of the tissue that the patches were laid over, in level-0 pixels."""
    tissue_said: str = ""
    """Why they are not here, though the patches were laid over a mask."""
    content_sha256: str = ""
    """Of the artifact's files, by which it is told from another of that address."""
    choice: str = ""
    """SHA-256 of the rows that were chosen of its source; empty: all."""

    def __len__(self) -> int:
        return len(self.boxes_px0)

    @property
    def identity(self) -> str:
        """What decides the bytes of its files, beside the format: equal text, equal bytes."""
        slide, footprint = self.slide, self.footprint
        seen = (slide.name, slide.level_sizes_px, slide.bounds_px0, footprint.overlap_px)
        made = f"{self.source} {self.content_sha256}"
        return f"{made} {seen} {len(self.tissue)}{self.choice and f' {self.choice}'}"

    def only(self, rows: np.ndarray) -> Bag:
        """Some of its patches, by their places, int64 ascending."""
        return replace(
            self,
            boxes_px0=self.boxes_px0[rows],
            chunks=lambda: _chosen(self.chunks(), rows),
            choice=hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest(),
        )

    @property
    def encoder(self) -> str:
        """Name of the encoder; empty for patches without features."""
        return str(self.attributes.get("encoder", ""))


def _chosen(chunks: Iterator[np.ndarray], rows: np.ndarray) -> Iterator[np.ndarray]:
    """Rows of consecutive chunks by their places in all of them, chunk by chunk."""
    start = 0
    for chunk in chunks:
        first, last = np.searchsorted(rows, [start, start + len(chunk)])
        if last > first:
            yield chunk[rows[first:last] - start]
        start += len(chunk)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideVector:
    """One vector for a slide, and the bag that it was made of."""

    bag: Bag
    vector: np.ndarray
    """float32 (d,); (0,) of a slide without patches."""
    method: str
    """mean, max, or the module that made it."""
    source: str
    """Address of the artifact that it is."""
    content_sha256: str = ""
    """Of its files, as that of the bag."""

    @property
    def identity(self) -> str:
        """What decides the bytes of its files, beside the format."""
        return f"{self.source} {self.content_sha256} {self.bag.identity}"


def unsayable(bag: Bag, tool: str, fact: str, *, remedy: str) -> SpecError:
    """Build the error for what a format has no words for."""
    return SpecError(f"{bag.slide.slide_id}: {tool} cannot say {fact}", remedy=remedy)
