"""One slide -> the outcome of each of its steps: what a worker process does.

    SlideTask ─▶ step 1 ─▶ steps 2, 3 ─▶ …  parents before children; features of the same patches
                   │          │   │         are made together
                   made / current / failed / blocked

Nothing is raised out of here: an outcome is a value, and one bad slide is one bad row.
"""

from __future__ import annotations

import shutil
import time
import traceback
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from pathassets.adapters.partial import Partial, hold_partials
from pathassets.adapters.store import Artifact, Store
from pathassets.core.address import Address
from pathassets.core.features import FeatureSpec
from pathassets.core.recipe import Entry, Key
from pathassets.core.sections import FEATURES
from pathassets.core.slide import resolution_error
from pathassets.engine.bench import PREVIEW, Bench, Order
from pathassets.engine.encoding import EncodingStats
from pathassets.engine.feature_stations import Made, make_features
from pathassets.engine.scratch import Scratch
from pathassets.engine.slides import open_slide
from pathassets.engine.software import software_versions
from pathassets.engine.source import SlidePath, Source, find_source
from pathassets.engine.stations import MAKERS
from pathassets.errors import (
    AnnotationsMissing,
    PathAssetsError,
    SlideError,
    StoreError,
    shortage_of,
)

State = Literal["made", "current", "failed", "blocked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One artifact that is wanted of a slide."""

    entry: Entry
    address: Address
    parents: tuple[Address, ...]
    """What it is made from: another step's artifact, a drawing, and the slide itself; of each
    section one at most."""
    drawings: tuple[Address, ...] = ()
    """All that was drawn that it goes back to, by itself or by its parents."""
    lacks: Key | None = None
    """Annotations without which nothing can be made, and that are not recorded for this slide."""


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
    staging: str
    device: str
    read_threads: int
    """Threads that decode the slide's tiles."""
    scratch: Scratch | None = None
    """Where a slide on a slow disk is copied to before it is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """What became of a step."""

    step: Step
    state: State
    artifact: Artifact | None = None
    """For `made` and `current`."""
    preview: bytes = b""
    """JPEG of a few kB; empty where the station has none."""
    seconds: float | None = None
    """Time it took, its share of it where steps are made together; None where nothing was done."""
    stats: EncodingStats | None = None
    """What the pass took that encoded its patches."""
    reason: str = ""
    message: str = ""
    remedy: str = ""
    is_final: bool = False
    """Whether the same work on the same content would fail the same way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideOutcome:
    """What became of a slide in one run."""

    slide_id: str
    steps: tuple[StepOutcome, ...]
    verified: SlidePath | None = None
    """A file that did not look as registered, but was hashed and holds what was: its new look."""
    no_scratch: str = ""
    """Why it was read where it is though there is a scratch folder; empty where it was not."""

    @property
    def failure(self) -> StepOutcome | None:
        """The first step that failed."""
        return next((s for s in self.steps if s.state == "failed"), None)


def run_slide(task: SlideTask) -> SlideOutcome:
    """Work through the steps of one slide. Never raises."""
    store = Store(Path(task.store_root))
    outcomes: list[StepOutcome] = []
    with closing(_LazyBench(task, store)) as lazy:
        for steps in _groups(task.steps):
            failed = _failed_parent(steps[0], outcomes)
            if failed is not None:
                outcomes += [_blocked(step, failed) for step in steps]
            elif steps[0].entry.section.name == FEATURES:
                outcomes += _run_features(steps, lazy, store)
            else:
                outcomes.append(_run_step(steps[0], lazy, store, Path(task.staging)))
        return lazy.outcome(outcomes)


def _groups(steps: tuple[Step, ...]) -> Iterator[list[Step]]:
    """Steps that are made together: features of the same patches, read in the same way."""
    for _, group in groupby(steps, key=_reading):
        yield list(group)


def _reading(step: Step) -> object:
    spec = step.entry.spec
    return (step.parents, spec.reading) if isinstance(spec, FeatureSpec) else step.address


def _failed_parent(step: Step, outcomes: list[StepOutcome]) -> StepOutcome | None:
    bad = (o for o in outcomes if o.state in {"failed", "blocked"})
    return next((o for o in bad if o.step.address in step.parents), None)


def failed_outcome(task: SlideTask, error: Exception) -> SlideOutcome:
    """Outcome of a slide whose worker gave none: steps that were published are not lost."""
    store = Store(Path(task.store_root))
    outcomes: list[StepOutcome] = []
    for step in task.steps:
        failed = next((o for o in outcomes if o.state == "failed"), None)
        if store.has(step.address):
            outcomes.append(current_outcome(step, store))
        elif failed is not None:
            outcomes.append(_blocked(step, failed))
        else:
            outcomes.append(_failed(step, error))
    return SlideOutcome(slide_id=task.slide_id, steps=tuple(outcomes))


def current_outcome(step: Step, store: Store) -> StepOutcome:
    """Outcome of a step whose artifact is there already: current, or failed if it is damaged."""
    try:
        artifact = store.read(step.address)
        preview = _preview(artifact, store)
    except StoreError as error:
        return _failed(step, error)
    return StepOutcome(step=step, state="current", artifact=artifact, preview=preview)


class _LazyBench:
    """A bench that is set up by the first step that has to compute; if that fails, it fails all."""

    def __init__(self, task: SlideTask, store: Store) -> None:
        self._task = task
        self._store = store
        self.source: Source | None = None
        self._bench: Bench | None = None
        self._error: PathAssetsError | None = None

    def get(self) -> Bench:
        if self._error is not None:
            raise self._error
        if self._bench is None:
            try:
                self._bench = self._set_up()
            except PathAssetsError as error:
                self._error = error
                raise
        return self._bench

    def _set_up(self) -> Bench:
        task = self._task
        if task.slide_mpp is None:
            raise resolution_error(task.slide_id, task.resolution_reason, task.resolution_fact)
        self.source = find_source(task.slide_id, task.fingerprint, task.paths, task.scratch)
        return Bench(
            slide_id=task.slide_id,
            slide=open_slide(self.source.path, mpp=task.slide_mpp),
            members=self.source.members,
            stamp=self.source.stamp,
            fingerprint=task.fingerprint,
            slide_mpp=task.slide_mpp,
            store=self._store,
            device=task.device,
            n_threads=task.read_threads,
        )

    def outcome(self, steps: list[StepOutcome]) -> SlideOutcome:
        """What became of the slide, and what was found out about its file."""
        outcome = SlideOutcome(slide_id=self._task.slide_id, steps=tuple(steps))
        if self.source is None:
            return outcome
        return replace(outcome, verified=self.source.verified, no_scratch=self.source.no_scratch)

    def close(self) -> None:
        if self._bench is not None:
            self._bench.close()
        if self.source is not None:
            self.source.close()


def _run_step(step: Step, lazy: _LazyBench, store: Store, staging: Path) -> StepOutcome:
    started = time.perf_counter()
    try:
        if store.has(step.address):
            return current_outcome(step, store)
        artifact = _make(step, lazy, staging)
        return StepOutcome(
            step=step,
            state="made",
            artifact=artifact,
            preview=_preview(artifact, store),
            seconds=time.perf_counter() - started,
        )
    except Exception as error:  # noqa: BLE001 - the slide boundary (design §5)
        return replace(_told(step, lazy, error), seconds=time.perf_counter() - started)


def _run_features(steps: list[Step], lazy: _LazyBench, store: Store) -> list[StepOutcome]:
    """Make features in one pass; what is there is not made again."""
    outcomes = {s.address: current_outcome(s, store) for s in steps if store.has(s.address)}
    wanted = [step for step in steps if step.address not in outcomes]
    started = time.perf_counter()
    try:
        if wanted:
            bench = lazy.get()
            with hold_partials(store, [step.address for step in wanted]) as partials:
                outcomes |= _encode(wanted, partials, lazy, bench)
    except Exception as error:  # noqa: BLE001 - the slide boundary (design §5)
        seconds = (time.perf_counter() - started) / len(wanted)
        for step in wanted:
            outcomes.setdefault(step.address, replace(_told(step, lazy, error), seconds=seconds))
    return [outcomes[step.address] for step in steps]


def _encode(
    steps: list[Step], partials: list[Partial], lazy: _LazyBench, bench: Bench
) -> dict[Address, StepOutcome]:
    """Encode and publish; another process may have done so while this one waited."""
    pairs = [(s, p) for s, p in zip(steps, partials, strict=True) if not bench.store.has(s.address)]
    todo = {step.address for step, _ in pairs}
    found = {s.address: current_outcome(s, bench.store) for s in steps if s.address not in todo}
    if not pairs:
        return found
    started = time.perf_counter()
    orders = [_order(step, partial.files) for step, partial in pairs]
    results = make_features(bench, orders, [partial for _, partial in pairs])
    try:
        bench.check_unchanged()
    except SlideError:
        for _, partial in pairs:
            partial.remove()  # what was read of it may be anything
        raise
    for (step, partial), made in zip(pairs, results, strict=True):
        outcome = _publish(step, partial, made, lazy, bench)
        share_s = (time.perf_counter() - started) / len(pairs)
        found[step.address] = replace(outcome, seconds=share_s)
    return found


def _publish(
    step: Step, partial: Partial, made: Made | Exception, lazy: _LazyBench, bench: Bench
) -> StepOutcome:
    try:
        if isinstance(made, Exception):
            raise made  # noqa: TRY301 - as if it were raised where it happened
        artifact = bench.store.publish(_draft(step, made.facts), partial.files)
        partial.remove()
        preview = _preview(artifact, bench.store)
    except Exception as error:  # noqa: BLE001 - one encoder that fails stops no other
        outcome = _told(step, lazy, error)
        if outcome.is_final:
            partial.remove()  # it would end there again
        return outcome
    return StepOutcome(
        step=step, state="made", artifact=artifact, preview=preview, stats=made.stats,
    )  # fmt: skip


def _told(step: Step, lazy: _LazyBench, error: Exception) -> StepOutcome:
    return _failed(step, error if lazy.source is None else lazy.source.named(error))


def _missing(key: Key, slide_id: str) -> AnnotationsMissing:
    return AnnotationsMissing(
        slide_id,
        f"no {'/'.join(key)} is recorded for it",
        remedy=f"Record it: pathassets annotations set {slide_id} FILE --name {key[1]} --who NAME "
        "--why 'where it is from'; an empty FeatureCollection states that there is nothing",
    )


def _make(step: Step, lazy: _LazyBench, staging: Path) -> Artifact:
    if step.lacks is not None:
        raise _missing(step.lacks, step.address.subject)
    bench = lazy.get()
    folder = staging / uuid.uuid4().hex
    folder.mkdir(parents=True)
    try:
        facts = MAKERS[step.entry.section.name](bench, _order(step, folder))
        bench.check_unchanged()
        return bench.store.publish(_draft(step, facts), folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _order(step: Step, folder: Path) -> Order:
    return Order(
        address=step.address,
        spec=step.entry.spec,
        parents={address.section: address for address in step.parents},
        folder=folder,
        weights_sha256=step.entry.weights_sha256,
    )


def _draft(step: Step, facts: dict[str, Any]) -> Artifact:
    return Artifact(
        address=step.address,
        spec=step.entry.parameters,
        code_version=step.entry.code_version,
        weights_sha256=step.entry.weights_sha256,
        parents=step.parents,
        facts=facts,
        software=software_versions(),
    )


def _preview(artifact: Artifact, store: Store) -> bytes:
    """The artifact's picture, checked; empty where the station makes none."""
    found = [file for file in artifact.files if file.path == PREVIEW]
    return store.read_file(artifact, found[0]) if found else b""


def _failed(step: Step, error: Exception) -> StepOutcome:
    slide_id = step.address.subject
    error = shortage_of(error) or error
    if isinstance(error, PathAssetsError):
        return StepOutcome(
            step=step, state="failed", reason=error.reason, message=_message(error, slide_id),
            remedy=error.remedy, is_final=error.is_final,
        )  # fmt: skip
    if isinstance(error, OSError):
        return StepOutcome(
            step=step, state="failed", reason="os_error", message=f"{slide_id}: {error}",
            remedy="Look at the disk: is it full, or gone?",
        )  # fmt: skip
    trace = "".join(traceback.format_exception(error)[-4:])
    return StepOutcome(
        step=step, state="failed", reason="unexpected",
        message=f"{slide_id}: {type(error).__name__}: {error}\n{trace}",
        remedy="This is a fault of pathassets: report it with this text",
    )  # fmt: skip


def _message(error: PathAssetsError, slide_id: str) -> str:
    """What went wrong; whatever the error is about, the slide is named."""
    if isinstance(error, SlideError) and error.path != slide_id:
        return error.about(f"{slide_id} ({error.path})").message
    return error.message if slide_id in error.message else f"{slide_id}: {error.message}"


def _blocked(step: Step, failed: StepOutcome) -> StepOutcome:
    why = f"{step.address.subject}: not tried, {'/'.join(failed.step.address.key)} failed"
    return StepOutcome(
        step=step, state="blocked", reason=failed.reason, remedy=failed.remedy,
        message=failed.message if failed.state == "blocked" else why,
    )  # fmt: skip
