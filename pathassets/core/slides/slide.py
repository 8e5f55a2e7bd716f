"""File facts -> SlideInfo: what a slide is, before anything is computed from it."""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import dataclass, replace
from string import hexdigits
from typing import Literal, Protocol

from pathassets.core import display
from pathassets.core.slides.resolution import Scales
from pathassets.core.slides.tiles import FaultReason, TileFault, TileSource
from pathassets.core.spec import digest_of
from pathassets.core.text import header_text
from pathassets.errors import (
    ResolutionImplausible,
    ResolutionMissing,
    SlideError,
    SpecError,
    TileUnreadable,
)

MPP_BOUNDS = (0.05, 5.0)
"""Plausible micrometres per pixel of level 0: an 100x oil scan has 0.1, a 2x overview 5."""
STATED_BOUNDS = (0.01, 100.0)
"""What a person may state."""
AGREEMENT = 1.02
"""Two statements of one mpp may differ by two per cent (rounding in text headers)."""
OBJECTIVE_AGREEMENT = 2.5
"""mpp times objective power is near 10; optovars make it 5 or 20, a unit error 1 or 100."""

STEM_CHARS = 80
FINGERPRINT_CHARS = 10
SLIDE_ID_CHARS = 100
_SLIDE_ID = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,{SLIDE_ID_CHARS - 1}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MppSource:
    """One place of a slide's file that speaks about its resolution, word for word."""

    source: str
    """Name of the property, such as `openslide.mpp-x`."""
    value: str
    """What it says, unparsed; in an audit without its end where it is long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MppAudit:
    """What all sources together say: a resolution, or why there is none."""

    sources: tuple[MppSource, ...]
    """Their values as they may be told: on one line, no longer than a number is."""
    mpp: float | None
    """Micrometres per pixel of level 0 by the first source, where all agree and it is plausible."""
    reason: str = ""
    """`resolution_missing`, `resolution_implausible`, or empty."""
    fact: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideInfo:
    """Facts of an open slide."""

    width_px0: int
    height_px0: int
    level_downsamples: tuple[float, ...]
    """Level-0 pixels per pixel of each level, finest first."""
    level_sizes_px: tuple[tuple[int, int], ...]
    """(width, height) of each level in its own pixels."""
    vendor: str
    reader: str
    """What reads its pixels, with versions."""
    objective_power: float | None
    audit: MppAudit
    stated_mpp: float | None = None
    """Micrometres per level-0 pixel that a person stated; goes before the audit's."""
    fallback: str = ""
    """Why OpenSlide reads what the tile reader could have read; empty where it does not."""
    bounds_px0: tuple[int, int, int, int] | None = None
    """x0, y0, x1, y1 of what was scanned; None where that is all of level 0, or nobody says."""
    scanner: str = ""
    """Maker and model of the scanner, as the file says; empty where it does not."""
    stain: str = ""
    """As the file names it; empty where it does not."""
    codec: str = ""
    """Of level 0, such as `jpeg`; empty of a format whose tiles only OpenSlide knows."""
    notes: tuple[str, ...] = ()
    """What of the file is not read, or not as it is stored: for people, and in each artifact."""

    def __repr__(self) -> str:
        return display.line(self, *self.summary())

    def summary(self) -> tuple[str, ...]:
        """What a person wants to know of it."""
        mpp = "no mpp" if self.mpp is None else display.resolution(None, self.mpp)
        size = f"{self.width_px0} x {self.height_px0} px"
        return size, mpp, display.count(self.n_levels, "level"), self.vendor[: display.TEXT_CHARS]

    @property
    def n_levels(self) -> int:
        """Stored resolutions."""
        return len(self.level_downsamples)

    @property
    def origin_px0(self) -> tuple[int, int]:
        """x, y of the corner of the bounds; of a slide without bounds that of level 0."""
        return (0, 0) if self.bounds_px0 is None else self.bounds_px0[:2]

    @property
    def mpp(self) -> float | None:
        """Micrometres per level-0 pixel in force."""
        return self.audit.mpp if self.stated_mpp is None else self.stated_mpp

    @property
    def scales(self) -> Scales:
        """What is known of its resolution."""
        return Scales(
            level_downsamples=self.level_downsamples,
            mpp=self.mpp,
            objective_power=self.objective_power,
        )


class Slide(Protocol):
    """An open slide: its facts, and its pixels tile by tile, for any number of threads at once.

    `core.slides.regions` makes regions and overviews, `engine.slides.read_patches` patches.
    """

    @property
    def path(self) -> str:
        """What errors call it."""

    @property
    def info(self) -> SlideInfo:
        """Facts of the slide."""

    def tiles(self, level: int) -> TileSource:
        """The tiles of a level."""

    def close(self) -> None:
        """Give the file handles back."""


def tile_error(path: object, fault: TileFault) -> TileUnreadable:
    """Build the error that a fault is where nothing may be left out."""
    check = f"pathassets check {shlex.quote(str(path))} lists all its bad tiles"
    remedy = f"{_FAULT_REMEDIES.get(fault.reason, '')}{_COPY}; {check}"
    error = TileUnreadable(path, str(fault), remedy=remedy)
    return error.having([fault.facts()])


_COPY = "Copy the file again, or scan the slide again"
_FAULT_REMEDIES: dict[FaultReason, str] = {
    "beyond_end": "The file is cut short. ",
    "overlapping": "Its table of tiles is damaged. ",
}


def slide_id_of(stem: str, fingerprint: str, *, scheme: Literal["stem", "hash"] = "stem") -> str:
    """Name a slide by its file name and its content; by its content alone with scheme `hash`.

    >>> slide_id_of("S 12/3 HE", "0123456789abcdef")
    'S_12_3_HE-0123456789'
    >>> slide_id_of("Doe^Jane", "0123456789abcdef", scheme="hash")
    '0123456789'
    """
    tail = fingerprint[:FINGERPRINT_CHARS]
    clean = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-")[:STEM_CHARS]
    return tail if scheme == "hash" or not clean else f"{clean}-{tail}"


def name_in(slide_id: str) -> str:
    """What of an id is a file's name; of one that was given by hand, or is a hash alone, all.

    >>> name_in("S_12_3_HE-0123456789"), name_in("S-12"), name_in("0123456789")
    ('S_12_3_HE', 'S-12', '0123456789')
    """
    name, _, tail = slide_id.rpartition("-")
    is_hash = len(tail) == FINGERPRINT_CHARS and {*tail} <= {*hexdigits.lower()}
    return name if name and is_hash else slide_id


def check_slide_id(slide_id: str, *, subject: str) -> str:
    """Let an id through that can be a partition key, a folder and a word of a command line.

    Raises:
        SpecError: it cannot: `-rf` would be taken for an option, `../x` for another folder.
    """
    if not _SLIDE_ID.fullmatch(slide_id):
        raise SpecError(
            f"{subject}: slide_id {slide_id[:SLIDE_ID_CHARS]!a} cannot name a folder",
            remedy=f"Use up to {SLIDE_ID_CHARS} letters of English, digits, '_', '-' and '.', "
            "neither '-' nor '.' at first",
        )
    return slide_id


def slide_version(fingerprint: str, slide_mpp: float | None) -> str:
    """Data version of a slide: its content and the resolution in force."""
    return digest_of({"fingerprint": fingerprint, "mpp": slide_mpp})


def audit_mpp(sources: tuple[MppSource, ...], objective_power: float | None = None) -> MppAudit:
    """Read every source, cross-check them, and bound the result; never guess.

    Sources are statements of micrometres per pixel. The objective power alone is no source:
    scanners with the same objective differ by 20 %. One that is no positive number says nothing.
    """
    if objective_power is not None and not 0.0 < objective_power < math.inf:
        objective_power = None
    if not sources:
        fact = "no micrometres per pixel in the file"
        if objective_power:
            fact += f"; objective power {objective_power:g} alone does not fix it"
        return MppAudit(sources=sources, mpp=None, reason="resolution_missing", fact=fact)
    readable = tuple(replace(s, value=header_text(s.value)) for s in sources)
    counted = [_number(s.value) for s in _counted(sources)]
    problem = _problem(counted, objective_power)
    if problem:
        seen = ", ".join(f"{s.source}={s.value}" for s in readable)
        return MppAudit(
            sources=readable, mpp=None, reason="resolution_implausible", fact=f"{problem} ({seen})"
        )
    return MppAudit(sources=readable, mpp=counted[0])


def _counted(sources: tuple[MppSource, ...]) -> list[MppSource]:
    """The sources that count: all, but for a TIFF resolution that cannot be meant.

    Programs write 72 or 96 dpi where they know nothing, and Trestle micrometres in its place: where
    the vendor says more, such a value is listed and not believed. Alone it counts, and is refused.
    """
    low, high = MPP_BOUNDS
    is_tiff = [s.source.startswith("tiff.") for s in sources]
    if all(is_tiff):
        return list(sources)
    return [
        s
        for s, is_hint in zip(sources, is_tiff, strict=True)
        if not is_hint or low <= _number(s.value) <= high
    ]


def _number(text: str) -> float:
    """The number a header states; NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _problem(values: list[float], objective_power: float | None) -> str:
    low, high = MPP_BOUNDS
    if not all(math.isfinite(v) for v in values):
        return "micrometres per pixel is not a number"
    if not all(low <= v <= high for v in values):
        return f"micrometres per pixel outside {low} to {high}"
    if max(values) > min(values) * AGREEMENT:
        return "sources of micrometres per pixel contradict each other"
    if objective_power:
        nominal = 10.0 / objective_power
        ratio = max(values[0] / nominal, nominal / values[0])
        if ratio > OBJECTIVE_AGREEMENT:
            return f"micrometres per pixel does not fit objective power {objective_power:g}"
    return ""


def check_mpp(mpp: float, *, subject: str) -> float:
    """Let a stated resolution of level 0 through when it is physically possible.

    A person may go beyond the bounds of the audit (an overview scan), not beyond a light microscope
    and a naked eye.

    Raises:
        SpecError: it is not between 0.01 and 100 um per pixel.
    """
    low, high = STATED_BOUNDS
    if not low <= mpp <= high:
        raise SpecError(
            f"{subject}: {mpp:g} um per pixel is not between {low:g} and {high:g}",
            remedy="Give micrometres (not millimetres) per pixel of the finest level",
        )
    return mpp


def resolution_error(subject: str, reason: str, fact: str) -> SlideError:
    """Build the error an audit without a result stands for, with the remedy."""
    kind = ResolutionMissing if reason == ResolutionMissing.reason else ResolutionImplausible
    return kind(
        subject,
        fact,
        remedy=f"State it once you know it: {stating_mpp(subject)}",
    )


def stating_mpp(slide_id: str) -> str:
    """The command by which a slide's resolution is stated.

    >>> stating_mpp("S1")
    "pathassets mpp set S1 MPP --who NAME --why 'where the value is from'"
    """
    return f"pathassets mpp set {slide_id} MPP --who NAME --why 'where the value is from'"
