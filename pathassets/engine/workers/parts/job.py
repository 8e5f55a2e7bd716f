"""What is read in parts by many processes, as those who hand the parts out see it.

    job ─▶ cut ══ pickled ══▶ ReadPart(what is open, part, how) ─▶ ReadSets, and Notes between them

What the pixels are of, and how they are come by, is the affair of the job and of its `ReadPart`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

import numpy as np


class ReadSet(NamedTuple):
    """Pixels of some patches of a job, at one of its resolutions after the other."""

    places: np.ndarray
    """int64 (m,): which of the job's patches, ascending."""
    corners_px0: tuple[np.ndarray, ...]
    """For each resolution int64 (m, 2): x, y of the upper left corners."""
    pixels: tuple[np.ndarray, ...]
    """For each resolution RGB uint8 (m, slot_px, slot_px, 3); a patch that is less high or wide has
    its pixels in the upper left."""


class Note(NamedTuple):
    """What a part tells beside pixels: of what comes after it, or of what there was before."""

    said: Any
    """Picklable."""


class Allocate(Protocol):
    """Gives memory for a batch of patches."""

    def __call__(self, *shape: int) -> np.ndarray:
        """A C-contiguous uint8 array of that shape, its content whatever was there."""


class Source(Protocol):
    """What a process opens to read parts of it, and keeps open from one part to the next.

    Sources that are equal are the same.
    """

    def prepare(self) -> None:
        """Import what the first opening would wait for."""

    def open(self) -> AbstractContextManager[Any]:
        """Open it."""


class Job(Protocol):
    """What is to be read of one source. Picklable; it holds no pixels."""

    def __len__(self) -> int:
        """Patches, or sets of them."""

    @property
    def name(self) -> str:
        """What errors call it."""

    @property
    def source(self) -> Source:
        """What it is read from."""

    @property
    def patch_bytes(self) -> int:
        """Of the pixels of one patch, at one resolution."""

    @property
    def n_resolutions(self) -> int:
        """Patches of a set."""

    def cut(self, squares: slice) -> Self:
        """Consecutive patches of it, as a job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartHow:
    """How fast a part is read, and into what memory; of no account for what comes."""

    n_batch: int
    """Patches that are handed over at once."""
    n_threads: int
    allocate: Allocate
    budget_bytes: int
    """Pixels begun and not yielded, all resolutions together."""


ReadPart = Callable[[Any, Any, PartHow], Generator[ReadSet | Note, None, None]]
"""Reads a part of a job from what its source has opened, in order; places are those in the part.
A process imports it by its name."""
