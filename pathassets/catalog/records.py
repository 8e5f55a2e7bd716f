"""What goes into the catalog and comes out of it.

Fields ending `_at` are UTC and stamped by the catalog; they take no part in comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from pathassets.core.address import Address
from pathassets.core.slides.slide import MppSource

UNSTAMPED = datetime.min.replace(tzinfo=UTC)
"""Time of a record that the catalog has not stored."""

AttemptState = Literal["made", "current", "failed", "blocked"]
"""Blocked: not tried, because a parent failed in the same attempt."""
Subject = Literal["slide", "patient", "label"]
"""Of what something is said; of the labels of one name that they are of a kind."""
LabelKind = Literal["category", "number", "boolean", "text"]
VerdictWord = Literal["accept", "reject", "review"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideRecord:
    """One registered slide: facts of its file, and of the cohort it belongs to."""

    slide_id: str
    fingerprint: str
    """SHA-256 of its content, 64 hex characters."""
    size_bytes: int
    vendor: str
    reader: str
    """Which reader opened it, with its version."""
    width_px0: int
    height_px0: int
    n_levels: int
    level_downsamples: tuple[float, ...]
    """Level-0 pixels per pixel of each level, finest first."""
    mpp: float | None
    """Audited micrometres per pixel of level 0, before any override."""
    mpp_sources: tuple[MppSource, ...]
    resolution_reason: str = ""
    """`resolution_missing`, `resolution_implausible`, or empty."""
    resolution_message: str = ""
    objective_power: float | None = None
    patient: str | None = None
    label: str | None = None
    scanner: str | None = None
    """Maker and model, where the file says so."""
    stain: str | None = None
    """As the file names it, or a cohort table: what a person stated goes first."""
    codec: str | None = None
    """Of level 0, such as `jpeg`; None where the file's format has none that is known here."""
    registered_at: datetime = field(default=UNSTAMPED, compare=False)
    """First registration; later ones keep it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """What became of a registration."""

    slide_id: str
    """The slide that has this content: the one that was given, or one that was there before."""
    is_new: bool
    """Whether the content was not known before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedSlide:
    """An id that a slide had before its content was found to be another slide's, too."""

    slide_id: str
    into_slide_id: str
    patient: str | None
    """What was stated of it; None where nothing was."""
    label: str | None
    into_patient: str | None
    """What was stated of the slide that it was merged into."""
    into_label: str | None
    merged_at: datetime = field(default=UNSTAMPED, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRecord:
    """One file that holds a slide, as it was when last seen."""

    path: str
    """Absolute, or the URL of an object."""
    slide_id: str
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    """0 where it is not known: the catalog did not always keep it."""
    etag: str = ""
    """Of an object, what its storage calls this version; empty of a file."""
    seen_at: datetime = field(default=UNSTAMPED, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedFile:
    """One file that could not be registered, and why."""

    path: str
    """Absolute, or the URL of an object."""
    reason: str
    message: str
    remedy: str
    size_bytes: int
    mtime_ns: int
    ctime_ns: int = 0
    """0 where it is not known."""
    etag: str = ""
    """Of an object, what its storage calls this version; empty of a file."""
    rejected_at: datetime = field(default=UNSTAMPED, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortFacts:
    """What the cohort's table says of one slide; None where it says nothing."""

    slide_id: str
    patient: str | None
    label: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedBy:
    """Who changed what is known of slides and patients, and from which file."""

    who: str = ""
    file: str = ""
    """The table; empty where somebody stated it by hand."""
    sha256: str = ""
    """Of that file's content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortChange:
    """One thing that is said of a slide or a patient, before and after."""

    subject: Subject
    key: str
    """Slide id, patient, or name of labels."""
    field: str
    """`patient`, `stain`, `mpp`, `tag` or `cohort` of a slide; `site` of a patient; `label` and
    `label.NAME` of both; `kind` of labels."""
    old: str | None
    """None where there was nothing. Tags and cohorts are many: there it is the one that goes."""
    new: str | None
    """None where nothing is left."""
    kind: LabelKind | None = None
    """Of a label; None for all else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastChange:
    """A change that was made."""

    change: CohortChange
    by: ChangedBy
    at: datetime = field(default=UNSTAMPED, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortState:
    """What is said of slides and patients now, each by the fields of `CohortChange`."""

    slides: Mapping[str, Mapping[str, str]]
    """Of every slide that was asked for; `mpp` is what is in force, as Python writes it."""
    patients: Mapping[str, Mapping[str, str]]
    """Of every patient that a slide has, or of whom something is said."""
    tags: Mapping[str, frozenset[str]]
    """Of slides that have any."""
    cohorts: Mapping[str, frozenset[str]]
    """Cohorts of slides that are in any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What is said of a slide or a patient under a name."""

    name: str
    value: str
    kind: LabelKind
    source: str = ""
    """The file that it is from; empty where somebody stated it by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadTileRecord:
    """One tile of a slide that cannot be read, or not be believed."""

    slide_id: str
    level: int
    x_px: int
    """Left edge, in pixels of the level."""
    y_px: int
    width_px: int
    height_px: int
    tile: int | None
    """Number of the tile in its level; None where the reader does not know tiles."""
    reason: str
    message: str
    found_by: str
    """The stage that met it, or `check`, which reads every tile."""
    found_at: datetime = field(default=UNSTAMPED, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What a person stated of a slide: the newest is in force, all are kept."""

    slide_id: str
    who: str
    why: str
    made_at: datetime = field(default=UNSTAMPED, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MppOverride(Stated):
    """A resolution."""

    mpp: float
    """Micrometres per pixel of level 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict(Stated):
    """Whether a slide is fit for use, as a person sees it."""

    verdict: VerdictWord
    file: str = ""
    """Table that it is from; empty where it was stated by hand."""
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationRecord(Stated):
    """What a person drew on a slide, or that it counts no more."""

    name: str
    """Entry of the recipe's `annotations`."""
    digest: str
    """Of its content, as in the address of its artifact; empty where it was withdrawn."""
    file: str
    """Name of the file that it came in; empty where it was withdrawn."""
    sha256: str
    """Of that file; empty where it was withdrawn."""
    n_polygons: int
    labels: Mapping[str, int]
    """Polygons of each label; "" is no label."""
    frame: str = ""
    """What its coordinates were, of a slide that has bounds: `level0`, `bounds`, or `glass` where
    the file lies there by itself. Empty where the slide has none."""

    @property
    def is_withdrawn(self) -> bool:
        """Whether nothing is drawn under this name any more."""
        return not self.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSelection:
    """Slides that somebody gave a name: whichever match when it is asked."""

    name: str
    text: str
    """As it was typed."""
    who: str
    made_at: datetime = field(default=UNSTAMPED, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """One file of an artifact."""

    path: str
    """Relative to the artifact's folder."""
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRecord:
    """One published artifact."""

    address: Address
    uri: str
    """Its folder, relative to the store, with forward slashes."""
    spec: Mapping[str, Any]
    code_version: str
    facts: Mapping[str, Any]
    """What is worth knowing without opening it, such as n_patches; plain JSON."""
    files: tuple[FileRecord, ...]
    made_by: str
    """Run that made it."""
    made_at: datetime = field(default=UNSTAMPED, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded:
    """An artifact that is not the one that is wanted: of it what tells why."""

    address: Address
    spec: str
    """Canonical JSON: of a whole cohort there are few, and none is read twice."""
    code_version: str
    wanted: str
    """Digest of the one that is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """What became of one slide, or all, at one stage in one run."""

    run_id: str
    address: Address
    state: AttemptState
    reason: str = ""
    """Documented code of the failure; empty where there is none."""
    message: str = ""
    remedy: str = ""
    is_final: bool = False
    """Whether the same work would fail the same way."""
    seconds: float | None = None
    """Wall-clock time spent, None where nothing was tried."""
    at: datetime = field(default=UNSTAMPED, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptTotal:
    """All attempts at one stage that ended alike."""

    key: tuple[str, str]
    """Stage and name."""
    state: AttemptState
    n: int
    seconds: float
    """Wall-clock time spent on them."""
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderRecord:
    """What an encoder declares of itself; of one name there may be several weights."""

    name: str
    version: str
    weights_sha256: str
    """Empty where it has none, or where only the open model can tell."""
    dim: int | None
    input_px: int | None
    mpp: float | None
    """Micrometres per pixel that it was trained at."""
    pooling: str
    precision: str
    weights: str
    """`none`, `trained` or `untrained`."""
    licence: str
    is_gated: bool
    """Whether its weights are given only to who asks for them."""
    source: str
    description: str
    seen_at: datetime = field(default=UNSTAMPED, compare=False)
