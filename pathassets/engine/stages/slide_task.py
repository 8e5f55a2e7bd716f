"""One slide -> the outcome of each of its steps: what a worker process does.

    SlideTask ─▶ step 1 ─▶ steps 2, 3 ─▶ …  parents before children; features of the same patches
                   │          │   │         are made together
                   made / current / failed / blocked

What a step is made from is read with its hashes compared: where it is gone or damaged, it is made
again first, and the step then. Nothing is raised out of here: an outcome is a value, and one bad
slide is one bad row.
"""

from __future__ import annotations

import shutil
import time
import traceback
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from pathassets.adapters.store.partial import Partial, hold_partials
from pathassets.adapters.store.store import Artifact, Store
from pathassets.core.address import Address
from pathassets.core.features.features import FeatureSpec
from pathassets.core.recipe import Key
from pathassets.core.slides.slide import resolution_error
from pathassets.core.stages import FEATURES
from pathassets.engine.slides.open import open_slide
from pathassets.engine.slides.source import Source, find_source
from pathassets.engine.software import software_versions
from pathassets.engine.stages.context import PREVIEW, Bench, Order
from pathassets.engine.stages.features import Made, make_features
from pathassets.engine.stages.outcomes import SlideOutcome, SlideTask, Step, StepOutcome
from pathassets.engine.stages.stages import MAKERS
from pathassets.errors import (
    AnnotationsMissing,
    ArtifactCorrupt,
    ArtifactMissing,
    PathAssetsError,
    SlideError,
    StoreError,
    shortage_of,
)


def run_slide(task: SlideTask) -> SlideOutcome:
    """Work through the steps of one slide. Never raises."""
    with closing(_LazyBench(task, Store(Path(task.store_root)))) as lazy:
        line = _Line(task, lazy)
        for steps in _groups(task.steps):
            line.run(steps)
        return lazy.outcome(line.of(task.steps), line.of(task.behind))


def _groups(steps: tuple[Step, ...]) -> Iterator[list[Step]]:
    """Steps that are made together: features of the same patches, read in the same way."""
    for _, group in groupby(steps, key=_reading):
        yield list(group)


def _reading(step: Step) -> object:
    spec = step.entry.spec
    return (step.parents, spec.reading) if isinstance(spec, FeatureSpec) else step.address


class _Line:
    """The stages of one slide, and what became of each step so far."""

    def __init__(self, task: SlideTask, lazy: _LazyBench) -> None:
        self._staging = Path(task.staging)
        self._lazy = lazy
        self._shelf = Shelf(lazy.store, set(task.doubted))
        self._known = {step.address: step for step in (*task.behind, *task.steps)}
        self._outcomes: dict[Address, StepOutcome] = {}

    def of(self, steps: Iterable[Step]) -> tuple[StepOutcome, ...]:
        """Outcomes of those steps that were come to."""
        return tuple(self._outcomes[s.address] for s in steps if s.address in self._outcomes)

    def run(self, steps: list[Step]) -> None:
        """Make steps that are made together, and once more when that mended their parents."""
        self._try(steps)
        lacking = [outcome.step for outcome in self.of(steps) if _lacks_files(outcome)]
        if lacking and self._mend_parents(lacking[0]):
            self._try(lacking)

    def _try(self, steps: list[Step]) -> None:
        failed = _failed_parent(steps[0], self._outcomes.values())
        if failed is not None:
            outcomes = [self._shelf.find(step) or _blocked(step, failed) for step in steps]
        elif steps[0].entry.stage.name == FEATURES:
            outcomes = _run_features(steps, self._lazy, self._shelf)
        else:
            outcomes = [_run_step(steps[0], self._lazy, self._shelf, self._staging)]
        self._outcomes |= {outcome.step.address: outcome for outcome in outcomes}

    def _mend_parents(self, step: Step) -> bool:
        """Make again those parents of a step whose bytes are not whole; whether there were any."""
        parents = [self._known[address] for address in step.parents if address in self._known]
        damaged = [p for p in parents if not self._lazy.store.is_intact(p.address)]
        for parent in damaged:
            self._shelf.doubted.add(parent.address)
            self.run([parent])
        return bool(damaged)


def _lacks_files(outcome: StepOutcome) -> bool:
    """Whether a step failed for what it is made from, or its own files, are not whole."""
    return outcome.reason in {ArtifactMissing.reason, ArtifactCorrupt.reason}


def _failed_parent(step: Step, outcomes: Iterable[StepOutcome]) -> StepOutcome | None:
    bad = (o for o in outcomes if o.state in {"failed", "blocked"})
    return next((o for o in bad if o.step.address in step.parents), None)


def failed_outcome(task: SlideTask, error: Exception) -> SlideOutcome:
    """Outcome of a slide whose worker gave none: steps that were published are not lost."""
    shelf = Shelf(Store(Path(task.store_root)), set(task.doubted))
    outcomes: list[StepOutcome] = []
    for step in task.steps:
        failed = next((o for o in outcomes if o.state == "failed"), None)
        if (found := shelf.find(step)) is not None:
            outcomes.append(found)
        elif failed is not None:
            outcomes.append(_blocked(step, failed))
        else:
            outcomes.append(_failed(step, error))
    return SlideOutcome(slide_id=task.slide_id, steps=tuple(outcomes))


@dataclass(frozen=True, slots=True)
class Shelf:
    """What is made already, of a slide or of many."""

    store: Store
    doubted: set[Address]
    """Artifacts that are believed only once their bytes were read."""

    def find(self, step: Step) -> StepOutcome | None:
        """Outcome of a step whose artifact is there and whole; None where it is to be made."""
        is_doubted = step.address in self.doubted
        read = self.store.read_checked if is_doubted else self.store.read_whole
        try:
            artifact = read(step.address)
            preview = _preview(artifact, self.store)
        except StoreError:
            return None
        return StepOutcome(step=step, state="current", artifact=artifact, preview=preview)


class _LazyBench:
    """A bench that is set up by the first step that has to compute; if that fails, it fails all."""

    def __init__(self, task: SlideTask, store: Store) -> None:
        self._task = task
        self.store = store
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
            store=self.store,
            device=task.device,
            n_threads=task.read_threads,
        )

    def outcome(
        self, steps: tuple[StepOutcome, ...], mended: tuple[StepOutcome, ...]
    ) -> SlideOutcome:
        """What became of the slide, and what was found out about its file."""
        outcome = SlideOutcome(slide_id=self._task.slide_id, steps=steps, mended=mended)
        if self.source is None:
            return outcome
        return replace(outcome, verified=self.source.verified, no_scratch=self.source.no_scratch)

    def close(self) -> None:
        if self._bench is not None:
            self._bench.close()
        if self.source is not None:
            self.source.close()


def _run_step(step: Step, lazy: _LazyBench, shelf: Shelf, staging: Path) -> StepOutcome:
    started = time.perf_counter()
    try:
        if (found := shelf.find(step)) is not None:
            return found
        artifact = _make(step, lazy, staging)
        return StepOutcome(
            step=step,
            state="made",
            artifact=artifact,
            preview=_preview(artifact, shelf.store),
            seconds=time.perf_counter() - started,
        )
    except Exception as error:  # noqa: BLE001 - the slide boundary (design §5)
        return replace(_told(step, lazy, error), seconds=time.perf_counter() - started)


def _run_features(steps: list[Step], lazy: _LazyBench, shelf: Shelf) -> list[StepOutcome]:
    """Make features in one pass; what is there is not made again."""
    outcomes = _found(steps, shelf)
    wanted = [step for step in steps if step.address not in outcomes]
    started = time.perf_counter()
    try:
        if wanted:
            lazy.get()  # before anything is begun: without the slide nothing can be
            with hold_partials(shelf.store, [step.address for step in wanted]) as partials:
                outcomes |= _encode(wanted, partials, lazy, shelf)
    except Exception as error:  # noqa: BLE001 - the slide boundary (design §5)
        seconds = (time.perf_counter() - started) / len(wanted)
        for step in wanted:
            outcomes.setdefault(step.address, replace(_told(step, lazy, error), seconds=seconds))
    return [outcomes[step.address] for step in steps]


def _found(steps: list[Step], shelf: Shelf) -> dict[Address, StepOutcome]:
    """Outcomes of those steps that are made already."""
    looked = ((step.address, shelf.find(step)) for step in steps)
    return {address: found for address, found in looked if found is not None}


def _encode(
    steps: list[Step], partials: list[Partial], lazy: _LazyBench, shelf: Shelf
) -> dict[Address, StepOutcome]:
    """Encode and publish; another process may have done so while this one waited."""
    found, bench = _found(steps, shelf), lazy.get()
    pairs = [(s, p) for s, p in zip(steps, partials, strict=True) if s.address not in found]
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
        raise _missing(step.lacks, step.address.partition_key)
    bench = lazy.get()
    folder = staging / uuid.uuid4().hex
    folder.mkdir(parents=True)
    try:
        facts = MAKERS[step.entry.stage.name](bench, _order(step, folder))
        bench.check_unchanged()
        return bench.store.publish(_draft(step, facts), folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _order(step: Step, folder: Path) -> Order:
    return Order(
        address=step.address,
        spec=step.entry.spec,
        parents={address.stage: address for address in step.parents},
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
    """The artifact's picture, checked; empty where the stage makes none."""
    found = [file for file in artifact.files if file.path == PREVIEW]
    return store.read_file(artifact, found[0]) if found else b""


def _failed(step: Step, error: Exception) -> StepOutcome:
    slide_id = step.address.partition_key
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
    why = f"{step.address.partition_key}: not tried, {'/'.join(failed.step.address.key)} failed"
    return StepOutcome(
        step=step, state="blocked", reason=failed.reason, remedy=failed.remedy,
        message=failed.message if failed.state == "blocked" else why,
    )  # fmt: skip
