"""What device lines tell of themselves -> how fast a batch is, in numbers and in a line a minute.

    beat of a line (each second) ─▶ LineMeter ─▶ Throughput     for a bar
                                        └──────▶ a line a minute for each line, for logs

A line that takes the place of a dead one is another line here, and counts on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pathassets.engine.features.works import EncodingUsage
from pathassets.engine.workers.line import LineUsage

TELL_S = 60.0
"""Between two lines of a log about one device line."""
RECENT_S = 15.0
"""What a rate is of: long enough for batches, short enough to see a change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """How fast a batch is."""

    n_patches: int = 0
    """Encoded so far, by however many encoders."""
    patches_per_s: float = 0.0
    n_expected: float | None = None
    """Patches of all its slides, as far as it can be told; None where it cannot."""


@dataclass(slots=True, kw_only=True)
class _Heard:
    """What was heard of a line."""

    told_s: float
    """When a log was told of it."""
    told: EncodingUsage = field(default_factory=EncodingUsage)
    """How far it was then."""
    last: EncodingUsage = field(default_factory=EncodingUsage)


class LineMeter:
    """The lines of one batch, over so many slides that come to one."""

    def __init__(self, n_slides: int, tell: Callable[[str], None]) -> None:
        self._n_slides = n_slides
        self._tell = tell
        self._lines: dict[int, _Heard] = {}
        self._n_known = self._n_known_slides = 0
        self._began: tuple[float, int] = time.monotonic(), 0
        self._recent = self._began

    def expect(self, n_patches: int) -> None:
        """Hear how many patches of a slide are to be encoded, by all encoders together."""
        self._n_known += n_patches
        self._n_known_slides += 1

    def hear(self, line: LineUsage) -> Throughput:
        """Take what a line tells; each minute it is passed on in words."""
        now_s, usage = time.monotonic(), line.usage
        heard = self._lines.setdefault(line.number, _Heard(told_s=now_s))
        heard.last = usage
        if now_s - heard.told_s >= TELL_S:
            self._tell(line_of(line.device, since(usage, heard.told)))
            heard.told, heard.told_s = usage, now_s
        return self._throughput(now_s)

    def _throughput(self, now_s: float) -> Throughput:
        n_patches = sum(heard.last.n_patches for heard in self._lines.values())
        if now_s - self._recent[0] > RECENT_S:
            self._began, self._recent = self._recent, (now_s, n_patches)
        began_s, n_before = self._began
        expected = None
        if self._n_known_slides:
            expected = self._n_known / self._n_known_slides * self._n_slides
        return Throughput(
            n_patches=n_patches,
            patches_per_s=(n_patches - n_before) / max(1e-3, now_s - began_s),
            n_expected=expected,
        )


def since(now: EncodingUsage, before: EncodingUsage) -> EncodingUsage:
    """What was done between two looks."""
    return EncodingUsage(
        n_slides=now.n_slides - before.n_slides,
        n_patches=now.n_patches - before.n_patches,
        computing_s=now.computing_s - before.computing_s,
        waiting_s=now.waiting_s - before.waiting_s,
        writing_s=now.writing_s - before.writing_s,
        wall_s=now.wall_s - before.wall_s,
    )


def line_of(device: str, usage: EncodingUsage) -> str:
    """What a line did, in words.

    >>> line_of("cuda:0", EncodingUsage(n_patches=600, computing_s=1.9, waiting_s=0.1, wall_s=2.0))
    'cuda:0: busy 95 %, waited for pixels 5 %, for the disk 0 %; 300 patches/s, 600 patches'
    """
    wall_s = usage.wall_s or 1.0
    share = {name: f"{100 * min(1.0, s / wall_s):.0f} %" for name, s in (
        ("busy", usage.computing_s), ("pixels", usage.waiting_s), ("disk", usage.writing_s),
    )}  # fmt: skip
    return (
        f"{device}: busy {share['busy']}, waited for pixels {share['pixels']}, for the disk "
        f"{share['disk']}; {usage.n_patches / wall_s:.0f} patches/s, {usage.n_patches:,} patches"
    )
