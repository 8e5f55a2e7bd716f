"""What is to be encoded and how, and what became of it: values that go into a pipeline and out."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from pathassets.adapters.zarr.feature_writer import FeatureWriter
from pathassets.core.features.encoder import Encoder
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches.read_plan import ReadSpec
from pathassets.core.slides.bad_tiles import BadTiles
from pathassets.engine.slides.open import OpenedSlide
from pathassets.engine.slides.remote.reopening import SlideSource
from pathassets.engine.workers.parts.stream import TIMEOUT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An encoder, and where its features of one slide go."""

    encoder: Encoder
    """The same object for all slides: batches are filled across their ends."""
    writer: FeatureWriter
    """Its caller finishes it, once the slide is done."""
    on_rows: Callable[[int], None] | None = None
    """Hears how many more rows the writer has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideWork:
    """One slide to encode."""

    name: str
    """What errors call it."""
    open: Callable[[], AbstractContextManager[OpenedSlide]]
    """Opens it, in the pipeline's own thread; the pipeline leaves it."""
    locations: PatchLocations
    targets: tuple[Target, ...]
    source: SlideSource | None = None
    """What other processes open it by; None where only this one can, by whose threads it is read
    then."""
    spec: ReadSpec = field(default_factory=ReadSpec)
    crop_px: tuple[int, int] | None = None
    """(height, width) of the upper left part of each patch that is encoded; None for all of it."""


@dataclass(slots=True, kw_only=True)
class EncodingStats:
    """What a slide took. Never part of an artifact's bytes."""

    n_patches: int = 0
    """Encoded now, without those that were on the disk already."""
    wall_s: float = 0.0
    reading_s: float = 0.0
    """Of all reader threads, decoding."""
    waiting_s: float = 0.0
    """Of the encoding thread, for pixels."""
    computing_s: float = 0.0
    """Of the encoding thread, for features."""
    writing_s: float = 0.0
    """Of the encoding thread, for the disk, where that is behind."""
    peak_bytes: int = 0
    """Greatest resident memory of this process that was seen meanwhile."""
    n_halved: int = 0
    """How often a batch was halved for want of the device's memory."""
    busy_share: float = 0.0
    """Of the time since the pipeline's first patch, that in which the device had something to do,
    over all slides until this one was done."""

    @property
    def held_s(self) -> float:
        """For how long the encoding thread had to do with this slide, and with no other."""
        return self.waiting_s + self.computing_s + self.writing_s


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideEncoded:
    """What became of a slide."""

    work: SlideWork
    bad_tiles: BadTiles
    """What could not be read."""
    stats: EncodingStats
    error: Exception | None = None
    """Why there is nothing of it: it cannot be opened or read."""
    target_errors: dict[int, Exception] = field(default_factory=dict)
    """Why single encoders failed on it, by the place of their target."""
    computing_s: dict[int, float] = field(default_factory=dict)
    """Of the encoding thread, for the features of single encoders, by the place of their target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodingHow:
    """How fast, and in how much memory; of no account for the bytes."""

    n_threads: int = 1
    """Threads that decode, of this process, or of each that reads."""
    n_processes: int = 0
    """Processes that read; 0 where threads of this one do. Each has 48 MB of shared memory, and
    what comes before its turn waits, up to 128 MB for all."""
    silence_s: float = TIMEOUT_S
    """For how long a process that reads may say nothing; then it is ended, and the slide fails."""
    waiting_bytes: int = 64 * 2**20
    """Pixels that may wait for the encoders."""
    memory_threshold: float | None = None
    """Per cent of the machine's memory in use, measured meanwhile, above which nothing is read
    ahead; None for no such bound."""


def busy_s_of(encoder: Encoder) -> float | None:
    """For how long its device has computed, where an encoder knows: those that return at once do.

    Of others it is the time that they take to encode.
    """
    found: float | None = getattr(encoder, "busy_s", None)
    return found


@dataclass(slots=True, kw_only=True)
class EncodingUsage:
    """What a pipeline has done since it began, over all its slides; told while it goes on."""

    n_slides: int = 0
    """That are done."""
    n_patches: int = 0
    """Encoded, by however many encoders."""
    computing_s: float = 0.0
    """In which the device had something to do."""
    waiting_s: float = 0.0
    """In which it waited for pixels, but for the first."""
    writing_s: float = 0.0
    """In which it waited for the disk."""
    wall_s: float = field(default=0.0, compare=False)
    """From the first patch on."""
    _began_s: float | None = field(default=None, compare=False, repr=False)

    @property
    def busy_share(self) -> float:
        """Of the time since the first patch, that in which the device had something to do."""
        return min(1.0, self.computing_s / self.wall_s) if self.wall_s else 0.0

    def wait(self, seconds: float) -> None:
        """Note that patches have come, after so long; with the first ones the time begins."""
        if self._began_s is None:
            self._began_s = time.perf_counter()
        else:
            self.waiting_s += seconds

    def copy(self) -> EncodingUsage:
        """As it is now."""
        wall_s = 0.0 if self._began_s is None else time.perf_counter() - self._began_s
        return replace(self, wall_s=wall_s, _began_s=None)
