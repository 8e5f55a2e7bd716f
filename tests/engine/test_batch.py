import logging
import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from pathassets.adapters.store import STAGING, SWEEP_LOCK
from pathassets.adapters.tifffile import corrupt_tile
from pathassets.engine.batch import run_batch
from pathassets.engine.plan import plan_slides
from tests.engine.conftest import RECIPE

LONG = RECIPE.replace("patch_px: 64", "patch_px: 64, stride_px: 2")
"""Thirty thousand patches a slide: half a minute of work."""


def run(platform, planned, run_id="run"):
    return list(run_batch(platform, planned, platform.recipe.per_slide, run_id=run_id))


def states(outcome):
    return [step.state for step in outcome.steps]


def attempts(platform, run_id="run"):
    return [(a.address, a.state) for a in platform.catalog.attempts(run_id=run_id)]


def staged(platform):
    return {p.name for p in (platform.store.root / STAGING).iterdir()} - {SWEEP_LOCK}


def workers_now():
    return [
        worker
        for server in psutil.Process().children()
        if "forkserver" in " ".join(server.cmdline())
        for worker in server.children()
    ]


@pytest.fixture
def planned(platform, make_slide, register):
    return register(platform, *(make_slide(f"{name}.svs", seed=i) for i, name in enumerate("abc")))


def test_every_slide_is_made_and_recorded(platform, planned):
    outcomes = run(platform, planned)
    assert {o.slide_id for o in outcomes} == {p.slide_id for p in planned}
    assert all(states(o) == ["made"] * 3 for o in outcomes)
    for one in planned:
        for step in one.steps.values():
            record = platform.catalog.find_artifact(step.address)
            artifact = platform.store.read_checked(step.address)
            assert record.made_by == "run"
            assert record.facts == artifact.facts
            assert record.uri == str(step.address)
            assert [f.sha256 for f in record.files] == [f.sha256 for f in artifact.files]
            assert platform.catalog.parents_of(step.address) == sorted(step.parents)
    assert len(attempts(platform)) == 9
    assert staged(platform) == set()


def test_what_is_current_is_said_again_and_not_made(platform, planned):
    run(platform, planned[:1])
    again = run(platform, planned, run_id="again")
    assert [states(o) for o in again] == [["current"] * 3, ["made"] * 3, ["made"] * 3]
    step = planned[0].steps["features", "stats"]
    assert platform.catalog.find_artifact(step.address).made_by == "run"
    assert (step.address, "current") in attempts(platform, "again")


def test_one_bad_slide_is_one_bad_outcome(platform, planned, make_slide, register):
    bad = make_slide("bad.svs", seed=9)
    corrupt_tile(bad, level=0, tile_index=34)
    planned = register(platform, bad)
    outcomes = {o.slide_id: o for o in run(platform, planned)}
    assert len(outcomes) == 4
    failed = [o for o in outcomes.values() if o.failure is not None]
    assert [o.slide_id for o in failed] == [planned[-1].slide_id]
    assert states(failed[0]) == ["made", "made", "failed"]
    [attempt] = [
        a for a in platform.catalog.attempts(run_id="run") if a.state not in {"made", "current"}
    ]
    assert attempt.address == planned[-1].steps["features", "stats"].address
    assert (attempt.state, attempt.reason, attempt.is_final) == ("failed", "tile_unreadable", True)
    assert "cannot decode" in attempt.message
    assert attempt.remedy
    assert attempt.seconds > 0


def test_an_outcome_is_recorded_only_after_it_was_taken(platform, planned):
    outcomes = run_batch(platform, planned, platform.recipe.per_slide, run_id="run")
    for n_taken, outcome in enumerate(outcomes, 1):
        recorded = {address.subject for address, _ in attempts(platform)}
        assert outcome.slide_id not in recorded
        assert len(recorded) == n_taken - 1
    assert len({address.subject for address, _ in attempts(platform)}) == 3


@pytest.mark.usefixtures("planned")
def test_a_caller_that_stops_early_ends_the_workers_and_leaves_nothing_staged(
    reopen, make_slide, register
):
    platform = reopen(LONG, n_workers=2)
    planned = register(platform, make_slide("blank.svs", blank=True))
    chosen = [planned[-1], planned[0]]
    outcomes = run_batch(platform, chosen, platform.recipe.per_slide, run_id="run")
    assert next(outcomes).slide_id == planned[-1].slide_id  # no patches: the other takes longer
    assert workers_now()
    assert staged(platform)
    outcomes.close()
    assert workers_now() == []
    assert staged(platform) == set()
    assert attempts(platform) == []
    again = run_batch(platform, chosen[:1], platform.recipe.per_slide, run_id="again")
    assert [states(o) for o in again] == [["current"] * 3]
    assert len(attempts(platform, "again")) == 3


@pytest.mark.usefixtures("planned")
def test_a_worker_killed_during_a_slide_costs_that_slide_alone(reopen):
    platform = reopen(LONG, n_workers=1)
    slow = plan_slides(platform)
    killed = threading.Thread(target=_kill_at_features, args=(platform,))
    killed.start()
    outcomes = run_batch(platform, slow[:1], platform.recipe.per_slide, run_id="run")
    [outcome] = outcomes
    killed.join()
    assert states(outcome) == ["current", "current", "failed"]
    assert outcome.failure.reason == "worker_lost"
    assert slow[0].slide_id in outcome.failure.message
    assert "code -9" in outcome.failure.message
    assert staged(platform) == set()
    assert platform.catalog.find_artifact(outcome.steps[1].step.address) is not None
    assert len(attempts(platform)) == 3


def _kill_at_features(platform, within_s=60):
    until_s = time.monotonic() + within_s
    while not list(platform.store.root.glob(f"{STAGING}/run/*/features.zarr")):
        assert time.monotonic() < until_s
        time.sleep(0.01)
    for worker in workers_now():
        os.kill(worker.pid, signal.SIGKILL)


@pytest.mark.usefixtures("planned")
def test_a_slide_that_takes_too_long_is_given_up_and_what_it_made_is_kept(reopen):
    platform = reopen(LONG, n_workers=1, slide_timeout_s=4.0)
    [outcome] = run_batch(
        platform, plan_slides(platform)[:1], platform.recipe.per_slide, run_id="run"
    )
    assert states(outcome) == ["current", "current", "failed"]
    assert outcome.failure.reason == "worker_lost"
    assert "no result within 4 s" in outcome.failure.message


def content(platform, planned):
    return {
        step.address: platform.store.read_checked(step.address).content_sha256
        for one in planned
        for step in one.steps.values()
    }


def test_artifacts_have_the_same_bytes_however_they_are_made(
    platform, planned, reopen, settings, tmp_path
):
    run(platform, planned)
    expected = content(platform, planned)
    four = reopen(n_workers=4, store=tmp_path / "four")
    run(four, planned)
    assert content(four, planned) == expected
    alone = reopen(n_workers=1, store=tmp_path / "alone")
    for one in reversed(planned):
        for entry in alone.recipe.per_slide:
            [outcome] = run_batch(alone, [one], [entry], run_id="run")
            assert states(outcome) == ["made"]
    assert content(alone, planned) == expected
    assert settings.n_workers == 2


@pytest.mark.slow
def test_features_of_a_model_have_the_same_bytes_however_they_are_made(
    reopen, make_slide, register, tmp_path
):
    recipe = RECIPE.replace("colour_stats", "resnet18").replace("patch_px: 64", "patch_px: 96")
    two = reopen(recipe)
    planned = register(two, *(make_slide(f"{i}.svs", seed=i) for i in range(3)))
    run(two, planned)
    alone = reopen(n_workers=1, store=tmp_path / "alone")
    for one in planned:
        run(alone, [one])
    assert content(alone, planned) == content(two, planned)


def test_what_a_killed_run_left_is_swept_by_the_next(platform, planned):
    left = platform.store.root / STAGING / "dead" / "half"
    left.mkdir(parents=True)
    run(platform, planned[:1])
    assert staged(platform) == set()


def test_no_slides_are_no_outcomes(platform):
    assert run(platform, []) == []


def test_each_slide_is_one_line_of_the_log(platform, planned, caplog):
    Path(planned[1].paths[0].path).unlink()
    with caplog.at_level(logging.INFO, logger="pathassets.engine.batch"):
        run(platform, planned)
    lines = [r for r in caplog.records if r.name == "pathassets.engine.batch"]
    assert [r.n_done for r in lines] == [1, 2, 3]
    assert {r.n_slides for r in lines} == {3}
    [bad] = [r for r in lines if r.is_failed]
    assert bad.levelno == logging.WARNING
    assert "failed at tissue_mask/otsu" in bad.getMessage()
    assert planned[1].slide_id in bad.getMessage()
    assert sum("made 3 in" in r.getMessage() for r in lines) == 2
