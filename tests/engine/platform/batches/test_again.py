from __future__ import annotations

import errno
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from pathassets.adapters.tifffile import corrupt_tile
from pathassets.core.address import Address
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.batches.again import tried_again
from pathassets.engine.settings import read_settings
from pathassets.engine.stages import step_group
from pathassets.engine.stages.outcomes import SlideOutcome, Step, StepOutcome, failed
from pathassets.errors import ResourcesShort, SpecError, StoreError, WorkerLost

PAUSES_S = (10.0, 60.0, 240.0)


@pytest.fixture(name="step")
def make_step(platform) -> Step:
    """Any step; it is that of every slide here."""
    entry = platform.recipe.per_slide[0]
    return Step(entry=entry, address=Address(*entry.key, "slide", "0" * 16), parents=())


def try_again(step: Step, error: Exception | None, n_failures: int) -> tuple[list[str], int, list]:
    """States told of a slide that fails so often, how often it was tried, and the pauses."""
    tries: list[Collection[str]] = []
    pauses_s: list[float] = []

    def work(slide_ids: Collection[str]) -> Iterator[SlideOutcome]:
        tries.append([*slide_ids])
        is_failing = error is not None and len(tries) <= n_failures
        one = failed(step, error) if is_failing else StepOutcome(step=step, state="made")
        yield SlideOutcome(slide_id="slide", steps=(one,))
        if not slide_ids:
            made = StepOutcome(step=step, state="made")
            yield SlideOutcome(slide_id="other", steps=(made,))

    told = list(tried_again(work, PAUSES_S, lambda _: None, pauses_s.append))
    states = {one.slide_id: one.steps[0].state for one in told}
    assert states["other"] == "made"
    assert len(told) == 2
    return states["slide"], len(tries), pauses_s


def cause(error: Exception, of: Exception) -> Exception:
    of.__cause__ = error
    return of


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.ESTALE, "Stale file handle"),
        ResourcesShort("no thread"),
        cause(OSError(errno.EIO, "Input/output error"), StoreError("store", "cannot be read")),
    ],
)
def test_what_may_pass_is_tried_again_after_longer_and_longer_pauses(step, error):
    assert try_again(step, error, 2) == ("made", 3, [10.0, 60.0])
    assert try_again(step, error, 9) == ("failed", 4, [10.0, 60.0, 240.0])


def test_a_slide_that_loses_its_worker_twice_is_not_tried_a_third_time(step):
    assert try_again(step, WorkerLost("ended with code -9"), 1) == ("made", 2, [10.0])
    assert try_again(step, WorkerLost("ended with code -9"), 9) == ("failed", 2, [10.0])


def test_what_does_not_pass_is_told_at_once(step):
    late = WorkerLost("no result within 9 s")
    late.is_late = True
    for error in (late, StoreError("store", "is damaged"), FileNotFoundError("a.svs"), None):
        state = "made" if error is None else "failed"
        assert try_again(step, error, 9) == (state, 1, [])


@pytest.mark.usefixtures("here")
def test_a_disk_that_is_full_for_a_while_costs_no_slide(reopen, get_ready, monkeypatch):
    publish, n_full = step_group.publish, [0]

    def publish_when_there_is_room(store, job, result):
        is_features = job.step.entry.stage.name == "features"
        if is_features and n_full[0] < 2 and (n_full.__setitem__(0, n_full[0] + 1) or True):
            raise OSError(errno.ENOSPC, "No space left on device")
        return publish(store, job, result)

    monkeypatch.setattr(step_group, "publish", publish_when_there_is_room)
    platform = reopen(retry_pauses_s=(0.0,))
    planned = get_ready(platform, 3)
    said: list[str] = []
    entries = platform.recipe.per_slide
    outcomes = list(run_batch(platform, planned, entries, run_id="run", tell=said.append))
    assert [[one.state for one in slide.steps] for slide in outcomes] == [["made"] * 3] * 3
    assert n_full == [2]
    assert [line for line in said if "tried again" in line] == [
        "2 to be tried again in 0 s, for what may pass: os_error"
    ]
    attempts = platform.catalog.attempts(run_id="run")
    assert sorted(one.state for one in attempts) == ["made"] * 9  # each told once, as it ended


@pytest.mark.usefixtures("here")
def test_a_bad_slide_is_never_tried_again(reopen, make_slide, register):
    platform = reopen(retry_pauses_s=(3600.0,))
    bad: Path = make_slide("bad.svs", seed=1)
    corrupt_tile(bad, 0, 34)
    planned = register(platform, bad)
    [outcome] = run_batch(platform, planned, platform.recipe.per_slide, run_id="run")
    assert outcome.failure is not None


@pytest.mark.parametrize("text", ["soon", "-1", "10,,20", "1e9", "nan"])
def test_pauses_are_seconds(monkeypatch, text):
    monkeypatch.setenv("PATHASSETS_RETRY_PAUSES_S", text)
    with pytest.raises(SpecError, match="PATHASSETS_RETRY_PAUSES_S"):
        read_settings()


def test_by_default_a_run_is_patient_for_five_minutes(monkeypatch):
    monkeypatch.delenv("PATHASSETS_RETRY_PAUSES_S")
    assert read_settings().retry_pauses_s == PAUSES_S
