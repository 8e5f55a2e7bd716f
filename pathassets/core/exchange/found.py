"""Features of one slide as another tool left them, whatever its files are like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath
from typing import Any, Literal

import numpy as np

from pathassets.core.exchange.bags import SlideFacts

Unit = Literal["px0", "um"]


@dataclass(frozen=True, kw_only=True)
class FoundFeatures:
    """What the headers of files say; None and "" where they say nothing.

    Coordinates and rows are read when they are asked for: of thousands of slides they fill a
    memory.
    """

    tool: str
    name: str
    """What the file is called, without its ending."""
    files: tuple[PurePath, ...]
    """All that was read; their SHA-256 is the source's."""
    read_corners: Callable[[], np.ndarray]
    """Reads the upper left corners, float64 (n, 2), in `unit`."""
    unit: Unit
    """Level-0 pixels, or micrometres from the slide's corner."""
    side: float | None
    """Side of a patch, in `unit`, or in pixels of `level`."""
    n_rows: int
    n_columns: int
    dtype: str
    chunks: Callable[[], Iterator[np.ndarray]]
    """Yields all rows in order, as they are stored, a few thousand at once."""
    level: int | None = None
    """Stored level that `side` is in; None where it is in `unit`."""
    tool_version: str = ""
    encoder: str = ""
    """As the tool calls it."""
    weights_sha256: str = ""
    """Of the file of weights, or of what stands for one; see `EncoderCard`."""
    exported_from: str = ""
    """Address of the artifact that it says it is an export of; empty where the file is another's,
    or does not say it."""
    is_export: bool = False
    """Whether it has any attribute that only exports of ours have."""
    stated_name: str = ""
    """What it says within that the slide is called."""
    slide_sha256: str = ""
    slide_size_px0: tuple[int, int] | None = None
    """Width, height."""
    slide_mpp: float | None = None
    """What the tool took the slide's resolution for."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What else it says of how they were made: patch size, magnification, overlap, …"""

    @cached_property
    def corners(self) -> np.ndarray:
        """Upper left corners, float64 (n, 2), in `unit`.

        Raises:
            StoreError: they cannot be read, or are no such numbers.
        """
        return self.read_corners()

    def corners_on(self, slide_mpp: float) -> np.ndarray:
        """Upper left corners in level-0 pixels, float64 (n, 2)."""
        return self.corners if self.unit == "px0" else self.corners / slide_mpp

    def side_on(self, slide: SlideFacts) -> float | None:
        """Side of a patch in level-0 pixels; None where nothing tells."""
        if self.side is None:
            return None
        if self.level is not None:
            downsamples = slide.level_downsamples
            is_there = 0 <= self.level < len(downsamples)
            return self.side * downsamples[self.level] if is_there else None
        return self.side if self.unit == "px0" else self.side / slide.mpp


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A file that should hold features, and why it does not."""

    name: str
    path: PurePath
    said: str


Found = FoundFeatures | Unreadable
