import logging
import os
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pathassets.adapters.files import stamp_of
from pathassets.adapters.store.partial import PARTIAL
from pathassets.adapters.store.staging import STAGING, SWEEP_LOCK
from pathassets.adapters.tifffile import corrupt_tile
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.plan import path_record, plan_slides, recorded_stamp
from pathassets.engine.platform.platform import open_platform
from pathassets.engine.slides import source
from pathassets.engine.slides.scratch import LOCK
from pathassets.engine.slides.scratch_copy import FILES
from pathassets.engine.stages.slide_task import run_slide
from pathassets.errors import StoreError
from tests.engine.conftest import RECIPE
from tests.engine.pool_tasks import workers_now
from tests.engine.workers_here import workers_here

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


@pytest.fixture
def planned(platform, get_ready):
    """Three slides; their files are shared, and not to be changed."""
    return get_ready(platform, 3)


@pytest.fixture(scope="module")
def expected(ready_home):
    """What two workers made of the three slides."""
    with open_platform(ready_home(3, is_run=True)) as ready:
        return content(ready, plan_slides(ready))


@pytest.fixture
def own(platform, make_slide, register):
    """Three slides whose files the test may change."""
    return register(platform, *(make_slide(f"{name}.svs", seed=i) for i, name in enumerate("abc")))


def test_every_slide_is_made_and_recorded_with_the_same_bytes_by_more_workers(
    reopen, planned, settings, expected
):
    assert settings.n_workers == 2
    platform = reopen(n_workers=4)
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
    assert content(platform, planned) == expected


@pytest.mark.usefixtures("here")
def test_what_is_current_is_said_again_and_not_made(platform, planned):
    run(platform, planned[:1])
    again = run(platform, planned, run_id="again")
    assert [states(o) for o in again] == [["current"] * 3, ["made"] * 3, ["made"] * 3]
    step = planned[0].steps["features", "stats"]
    assert platform.catalog.find_artifact(step.address).made_by == "run"
    assert (step.address, "current") in attempts(platform, "again")


@pytest.mark.usefixtures("here")
def test_of_a_store_in_the_words_of_0_1_0_only_what_is_gone_is_made(platform, planned):
    run(platform, planned[:1])
    for path in platform.store.root.rglob("artifact.json"):
        old = path.read_text().replace('"stage"', '"section"')
        path.write_text(old.replace('"partition_key"', '"subject"'))
    shutil.rmtree(platform.store.path_of(planned[0].steps["features", "stats"].address))
    [outcome] = run(platform, planned[:1], run_id="again")
    assert states(outcome) == ["current", "current", "made"]


@pytest.mark.usefixtures("here")
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
    assert "level 0" in attempt.message
    assert attempt.remedy
    assert attempt.seconds > 0


@pytest.mark.usefixtures("here")
def test_an_outcome_is_recorded_only_after_it_was_taken(platform, planned):
    outcomes = run_batch(platform, planned, platform.recipe.per_slide, run_id="run")
    for n_taken, outcome in enumerate(outcomes, 1):
        recorded = {address.partition_key for address, _ in attempts(platform)}
        assert outcome.slide_id not in recorded
        assert len(recorded) == n_taken - 1
    assert len({address.partition_key for address, _ in attempts(platform)}) == 3


def _kill_at_features(platform, within_s=60):
    until_s = time.monotonic() + within_s
    while not list(platform.store.root.glob(f"{PARTIAL}/*/files/features.zarr")):
        assert time.monotonic() < until_s
        time.sleep(0.01)
    for worker in workers_now():
        os.kill(worker.pid, signal.SIGKILL)


@pytest.mark.usefixtures("planned")
def test_a_slide_that_takes_too_long_is_given_up_and_what_was_made_is_kept(reopen):
    platform = reopen(LONG, n_workers=1)
    slow, entries = plan_slides(platform)[:1], platform.recipe.per_slide
    with workers_here():
        [outcome] = run_batch(platform, slow, entries[:2], run_id="before")
    assert states(outcome) == ["made", "made"]
    platform = reopen(LONG, n_workers=1, slide_timeout_s=2.0)
    [outcome] = run_batch(platform, slow, entries, run_id="run")
    assert states(outcome) == ["current", "current", "failed"]
    assert outcome.failure.reason == "worker_lost"
    assert "no result within 2 s" in outcome.failure.message


@pytest.mark.usefixtures("here")
def test_a_file_that_was_only_touched_is_hashed_once_and_then_known_by_its_new_look(
    platform, own, make_task, monkeypatch
):
    file = Path(own[0].paths[0].path)
    file.chmod(0o600)
    [outcome] = run_batch(platform, own[:1], platform.recipe.per_slide[:1], run_id="run")
    assert outcome.verified is not None
    [again] = [p for p in plan_slides(platform) if p.slide_id == own[0].slide_id]
    assert recorded_stamp(again.paths[0]) == stamp_of([file])
    monkeypatch.delattr(source, "fingerprint_of")  # hashing it would be a failure
    outcome = run_slide(make_task(platform, again))
    assert states(outcome) == ["current", "made", "made"]
    assert outcome.verified is None


@pytest.fixture
def make_far(far_folder):
    """Let slides be where another disk is, and only there."""

    def make(planned):
        files = [Path(shutil.copy(one.paths[0].path, far_folder)) for one in planned]
        return [
            replace(one, paths=(path_record(file, one.slide_id, stamp_of([file])),))
            for one, file in zip(planned, files, strict=True)
        ]

    return make


@pytest.fixture
def near(reopen, tmp_path):
    """The platform with a scratch folder and an empty store."""
    return reopen(store=tmp_path / "near", scratch=tmp_path / "scratch")


def left_in(scratch):
    return {path.name for path in scratch.iterdir()} - {LOCK}


@pytest.mark.slow
def test_slides_on_another_disk_are_read_from_copies_of_which_none_is_left(
    planned, make_far, near, expected, caplog
):
    scratch, far = near.settings.scratch, make_far(planned)
    copied = set()
    with caplog.at_level(logging.WARNING):
        for outcome in run_batch(near, far, near.recipe.per_slide, run_id="run"):
            assert states(outcome) == ["made"] * 3
            copied |= {path.name for path in scratch.glob(f"*/{FILES}/*")}
    assert copied == {"a.svs", "b.svs", "c.svs"}
    assert left_in(scratch) == set()
    assert content(near, far) == expected
    assert caplog.messages == []


@pytest.mark.usefixtures("here")
def test_slides_on_the_same_disk_are_read_where_they_are(planned, near):
    for outcome in run_batch(near, planned, near.recipe.per_slide, run_id="run"):
        assert states(outcome) == ["made"] * 3
        assert not list(near.settings.scratch.glob(f"*/{FILES}"))


@pytest.mark.usefixtures("here")
def test_slides_that_do_not_fit_are_read_where_they_are_which_is_said_once(
    planned, make_far, reopen, tmp_path, caplog
):
    near = reopen(scratch=tmp_path / "scratch", scratch_bytes=1000)
    with caplog.at_level(logging.WARNING):
        outcomes = run(near, make_far(planned))
    assert [states(o) for o in outcomes] == [["made"] * 3] * 3
    [said] = caplog.messages
    assert "PATHASSETS_SCRATCH_GB" in said


@pytest.mark.usefixtures("here")
def test_a_slide_that_changed_on_its_slow_disk_is_found_out_while_it_is_copied(
    planned, make_far, near
):
    [far] = make_far(planned[:1])
    file = Path(far.paths[0].path)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    [outcome] = run(near, [far])
    assert states(outcome) == ["failed", "blocked", "blocked"]
    assert outcome.failure.reason == "slide_changed"
    assert str(file) in outcome.failure.message
    assert left_in(near.settings.scratch) == set()


@pytest.mark.usefixtures("here")
def test_what_is_wrong_with_a_copy_is_said_of_the_slide(make_far, near, make_slide, register):
    bad = make_slide("bad.svs", seed=9)
    corrupt_tile(bad, level=0, tile_index=34)
    [far] = make_far(register(near, bad))
    [outcome] = run(near, [far])
    assert outcome.failure.reason == "tile_unreadable"
    assert far.paths[0].path in outcome.failure.message
    assert str(near.settings.scratch) not in outcome.failure.message


@pytest.mark.slow
@pytest.mark.usefixtures("planned")
def test_a_caller_that_stops_early_ends_the_workers_and_leaves_nothing_staged_or_copied(
    make_far, reopen, make_slide, register, tmp_path
):
    scratch = tmp_path / "scratch"
    near = reopen(LONG, n_workers=2, scratch=scratch)
    with workers_here():
        planned = make_far(register(near, make_slide("blank.svs", blank=True)))
    chosen = [planned[-1], planned[0]]
    outcomes = run_batch(near, chosen, near.recipe.per_slide, run_id="run")
    assert next(outcomes).slide_id == planned[-1].slide_id  # no patches: the other takes longer
    assert workers_now()
    assert staged(near)
    assert len(left_in(scratch)) > 1  # a copy that is being read, and the batch's sign of life
    outcomes.close()
    assert workers_now() == []
    assert staged(near) == set()
    assert left_in(scratch) == set()
    assert attempts(near) == []
    with workers_here():
        again = run_batch(near, chosen[:1], near.recipe.per_slide, run_id="again")
        assert [states(o) for o in again] == [["current"] * 3]
    assert len(attempts(near, "again")) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("planned")
def test_a_worker_killed_during_a_slide_costs_that_slide_alone_and_leaves_no_copy(
    make_far, reopen, tmp_path
):
    scratch = tmp_path / "scratch"
    platform = reopen(LONG, n_workers=1, scratch=scratch)
    [slow] = make_far(plan_slides(platform)[:1])
    killed = threading.Thread(target=_kill_at_features, args=(platform,))
    killed.start()
    [outcome] = run(platform, [slow])
    killed.join()
    assert states(outcome) == ["current", "current", "failed"]
    assert outcome.failure.reason == "worker_lost"
    assert slow.slide_id in outcome.failure.message
    assert "code -9" in outcome.failure.message
    assert staged(platform) == set()
    assert left_in(scratch) == set()
    assert platform.catalog.find_artifact(outcome.steps[1].step.address) is not None
    assert len(attempts(platform)) == 3


@pytest.mark.usefixtures("here")
def test_a_scratch_folder_that_cannot_be_made_is_said_before_any_work(planned, reopen, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="scratch folder cannot be used") as e:
        run(reopen(scratch=tmp_path / "file" / "scratch"), planned)
    assert "PATHASSETS_SCRATCH" in e.value.remedy


def content(platform, planned):
    return {
        step.address: platform.store.read_checked(step.address).content_sha256
        for one in planned
        for step in one.steps.values()
    }


@pytest.mark.usefixtures("here")
def test_artifacts_have_the_same_bytes_made_one_by_one_in_another_order(reopen, planned, expected):
    alone = reopen(n_workers=1)
    for entry in alone.recipe.per_slide:
        for some in (planned[2:], planned[1::-1]):
            for outcome in run_batch(alone, some, [entry], run_id="run"):
                assert states(outcome) == ["made"]
    assert content(alone, planned) == expected


@pytest.mark.slow
def test_features_of_a_model_have_the_same_bytes_however_they_are_made(
    reopen, make_slide, register, tmp_path
):
    recipe = RECIPE.replace("colour_stats", "resnet18").replace("patch_px: 64", "patch_px: 96")
    two = reopen(recipe)
    planned = register(two, *(make_slide(f"{i}.svs", seed=i) for i in range(3)))
    run(two, planned)
    (tmp_path / "alone" / STAGING).mkdir(parents=True)  # a store, though the catalog knows another
    alone = reopen(n_workers=1, store=tmp_path / "alone")
    for one in planned:
        run(alone, [one])
    assert content(alone, planned) == content(two, planned)


@pytest.mark.usefixtures("here")
def test_what_a_killed_run_left_is_swept_by_the_next(platform, planned):
    left = platform.store.root / STAGING / "dead" / "half"
    left.mkdir(parents=True)
    run(platform, planned[:1])
    assert staged(platform) == set()


def test_no_slides_are_no_outcomes(platform):
    assert run(platform, []) == []


@pytest.mark.usefixtures("here")
def test_each_slide_is_one_line_of_the_log(platform, own, caplog):
    Path(own[1].paths[0].path).unlink()
    with caplog.at_level(logging.INFO, logger="pathassets.engine.platform.batch"):
        run(platform, own)
    lines = [r for r in caplog.records if r.name == "pathassets.engine.platform.batch"]
    assert [r.n_done for r in lines] == [1, 2, 3]
    assert {(r.n_slides, r.run_id) for r in lines} == {(3, "run")}
    assert sorted(r.slide_id for r in lines) == sorted(one.slide_id for one in own)
    assert {len(r.made) for r in lines} == {0, 3}
    [bad] = [r for r in lines if r.is_failed]
    assert bad.levelno == logging.WARNING
    assert "failed at tissue_mask/otsu" in bad.getMessage()
    assert own[1].slide_id in bad.getMessage()
    assert (bad.asset, bad.reason) == ("tissue_mask/otsu", "file_missing")
    assert sum("made 3 in" in r.getMessage() for r in lines) == 2
