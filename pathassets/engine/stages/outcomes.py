"""What is asked of one slide, and what became of it: values that go to a worker and come back."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pathassets.adapters.store.store import Artifact
from pathassets.core.address import Address
from pathassets.core.recipe import Entry, Key
from pathassets.errors import (
    ArtifactMissing,
    PathAssetsError,
    ResourcesShort,
    SlideError,
    TileUnreadable,
    is_passing,
    shortage_of,
)
from pathassets.errors.wording import with_remedy

if TYPE_CHECKING:  # they bring along what opens slides and writes arrays
    from pathassets.engine.features.works import EncodingStats
    from pathassets.engine.slides.scratch import Scratch
    from pathassets.engine.slides.source import SlidePath

State = Literal["made", "current", "failed", "blocked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One artifact that is wanted of a slide."""

    entry: Entry
    address: Address
    parents: tuple[Address, ...]
    """What it is made from: another step's artifact, an annotation, and the slide itself; of each
    stage one at most."""
    annotations: tuple[Address, ...] = ()
    """All that was drawn that it goes back to, by itself or by its parents."""
    tool: str = ""
    """Which other tool made it, where it was imported; empty where a run makes it."""
    lacks: Key | None = None
    """Annotations without which nothing can be made, and that are not recorded for this slide."""

    @property
    def is_external(self) -> bool:
        """Whether it was imported: no run can make it again."""
        return bool(self.tool)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideTask:
    """All that a worker needs to know about one slide."""

    slide_id: str
    fingerprint: str
    paths: tuple[SlidePath, ...]
    slide_mpp: float | None
    """Micrometres per level-0 pixel in force; None where the audit gave none."""
    resolution_reason: str
    resolution_fact: str
    steps: tuple[Step, ...]
    """Wanted ones only, parents first."""
    store_root: str
    """Folder or URL of the store."""
    staging: str
    store_work: str = ""
    """Folder of this machine for what of a bucket's store is under way, or copied."""
    scratch: Scratch | None = None
    """Where a slide on a slow disk is copied to before it is read."""
    behind: tuple[Step, ...] = ()
    """Ancestors of the wanted ones that are not wanted and were made once: they are read, and made
    again where they are gone or damaged."""
    doubted: frozenset[Address] = frozenset()
    """Artifacts that are believed only once their bytes were read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Why something was not made, or is not whole: all empty where it was and is."""

    reason: str = ""
    """Documented code, for machines."""
    message: str = ""
    remedy: str = ""
    is_final: bool = False
    """Whether the same work on the same content would fail the same way."""
    is_passing: bool = False
    """Whether it may be otherwise in a while, with nobody's help."""

    @property
    def told(self) -> str:
        """Message and remedy."""
        return with_remedy(self.message, self.remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome(Explained):
    """What became of a step."""

    step: Step
    state: State
    artifact: Artifact | None = None
    """For `made` and `current`."""
    bad_tiles: tuple[Mapping[str, Any], ...] = ()
    """Of one that failed: those that were met, as an artifact's facts list them."""
    preview: bytes = b""
    """JPEG of a few kB; empty where the stage has none."""
    seconds: float | None = None
    """For how long it was worked on; its share of that where steps are made together (what it took,
    and an equal part of the rest), or slides are encoded together. None where nothing was done."""
    stats: EncodingStats | None = None
    """What encoding its patches took, maybe by several encoders at once."""
    waits_for_room: bool = False
    """Of one that failed: whether it can be made once others give their copies back."""
    own_s: float = 0.0
    """What this step alone took of the time of those that are made together, where that is known:
    of encoders, computing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideOutcome:
    """What became of a slide in one run."""

    slide_id: str
    steps: tuple[StepOutcome, ...]
    verified: SlidePath | None = None
    """A file that did not look as registered, but was hashed and holds what was: its new look."""
    no_scratch: str = ""
    """Why it was read where it is though there is a scratch folder; empty where it was not."""
    mended: tuple[StepOutcome, ...] = ()
    """What was not asked for, but gone or damaged, and needed."""

    @property
    def all_steps(self) -> tuple[StepOutcome, ...]:
        """What was asked for, and what had to be mended for it first."""
        return (*self.mended, *self.steps)

    @property
    def waits_for_room(self) -> bool:
        """Whether all that failed of it can be made once others give their copies back."""
        failures = [one for one in self.all_steps if one.state == "failed"]
        return bool(failures) and all(one.waits_for_room for one in failures)

    @property
    def failure(self) -> StepOutcome | None:
        """The first step that failed."""
        return next((s for s in self.all_steps if s.state == "failed"), None)


def failed(step: Step, error: Exception) -> StepOutcome:
    """Outcome of a step that raised."""
    slide_id = step.address.partition_key
    error = shortage_of(error) or error
    passing = is_passing(error)
    if isinstance(error, PathAssetsError):
        return StepOutcome(
            step=step, state="failed", reason=error.reason, message=_message(error, slide_id),
            remedy=error.remedy, is_final=error.is_final, is_passing=passing,
            bad_tiles=error.tiles if isinstance(error, TileUnreadable) else (),
            waits_for_room=isinstance(error, ResourcesShort) and error.is_for_now,
        )  # fmt: skip
    if isinstance(error, OSError):
        return StepOutcome(
            step=step, state="failed", reason="os_error", message=f"{slide_id}: {error}",
            remedy="Look at the disk: is it full, or gone?", is_passing=passing,
        )  # fmt: skip
    trace = "".join(traceback.format_exception(error)[-4:])
    return StepOutcome(
        step=step, state="failed", reason="unexpected",
        message=f"{slide_id}: {type(error).__name__}: {error}\n{trace}",
        remedy="This is a fault of pathassets: report it with this text",
    )  # fmt: skip


def blocked(step: Step, parent: StepOutcome) -> StepOutcome:
    """Outcome of a step that was not tried, for a parent that failed or was blocked itself."""
    why = f"{step.address.partition_key}: not tried, {'/'.join(parent.step.address.key)} failed"
    return StepOutcome(
        step=step, state="blocked", reason=parent.reason, remedy=parent.remedy,
        message=parent.message if parent.state == "blocked" else why,
    )  # fmt: skip


def import_again(address: Address, tool: str) -> str:
    """Remedy where imported features are gone or damaged."""
    name, slide_id = address.name, address.partition_key
    return (
        f"No run can make it: import it again, pathassets import {tool} FOLDER --features {name} "
        f"(pathassets lineage {address} names its files); or let it be computed here, "
        f"pathassets unimport --features {name} --slides {slide_id} --who NAME --why …"
    )


def require_own(step: Step) -> None:
    """Refuse to make what was imported from another tool.

    Raises:
        ArtifactMissing: it was, and is gone or damaged.
    """
    if step.is_external:
        raise ArtifactMissing(
            step.address,
            f"was imported from {step.tool}, and is gone or damaged",
            remedy=import_again(step.address, step.tool),
        )


def _message(error: PathAssetsError, slide_id: str) -> str:
    """What went wrong; whatever the error is about, the slide is named."""
    if isinstance(error, SlideError) and error.path != slide_id:
        return f"{slide_id} ({error.path}): {error.fact}"
    return error.message if slide_id in error.message else f"{slide_id}: {error.message}"
