"""Batches whose features are made on lines, with real processes that die in many ways."""

import hashlib
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
import zarr

from pathassets.adapters.store.partial import PARTIAL
from pathassets.adapters.store.staging import STAGING, SWEEP_LOCK
from pathassets.adapters.tifffile import PyramidSpec
from pathassets.adapters.zarr.feature_writer import CHUNK_ROWS
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.plan import plan_slides
from tests.engine.line_encoders import LOG, NAME, write_marked
from tests.engine.pool_tasks import is_worker, workers_now
from tests.engine.workers_here import workers_here

GOLDEN = "5191db668b7076111acb34e85d6da8f9ca26f84282a937c6838371a379f6c157"
"""SHA-256 of all features and embeddings below, as each worker made them before there were lines:
of colour statistics, which have the same bytes on any machine."""
RECIPE = """\
tissue_mask:
  otsu: {mpp: 8.0}
patch_locations:
  grid: {tissue_mask: otsu, patch_px: 16, mpp: 0.5}
features:
  own: {patch_locations: grid, encoder: {name: FACTORY}}
slide_embedding:
  mean: {features: own}
"""
ARRAYS = {"features": "features.zarr", "slide_embedding": "embedding.zarr"}
N_STEPS = 4
PATIENCE_S = 25.0
"""In which a line starts, opens its encoder and writes a slide to a busy disk; 6 s were not."""


def with_way(way, text=RECIPE):
    return text.replace("FACTORY", f"'{NAME}', version: '1', kwargs: {{way: {way}}}")


def run(platform, planned, run_id="run"):
    return list(run_batch(platform, planned, platform.recipe.per_slide, run_id=run_id))


def states(outcome):
    return [step.state for step in outcome.steps]


def content(platform, planned):
    return {
        step.address: platform.store.read_checked(step.address).content_sha256
        for one in planned
        for step in one.steps.values()
    }


def digest(platform, planned):
    """SHA-256 of all numbers of all slides, without what files say of software."""
    told = hashlib.sha256()
    for step in (step for one in planned for step in one.steps.values()):
        if step.address.stage in ARRAYS:
            folder = platform.store.path_of(step.address) / ARRAYS[step.address.stage]
            group = zarr.open_group(folder, mode="r")
            for name in sorted(group.array_keys()):
                told.update(np.ascontiguousarray(group[name][...]).tobytes())
    return told.hexdigest()


def left_in(platform):
    """What is neither published nor a lock."""
    root = platform.store.root
    staged = {path.name for path in (root / STAGING).iterdir()} - {SWEEP_LOCK}
    return staged | {path.parent.name for path in (root / PARTIAL).glob("*/files")}


@contextmanager
def nothing_left():
    """Hold that shared memory and processes are, in the end, as they were."""
    memory = Path("/dev/shm")  # noqa: S108  (where Linux has one)
    before = set(memory.glob("psm_*")) | set(memory.glob("pathassets*"))
    yield
    assert workers_now() == []
    assert set(memory.glob("psm_*")) | set(memory.glob("pathassets*")) <= before


@pytest.fixture
def logged(tmp_path, monkeypatch):
    """Process of each encoder that was opened."""
    log = tmp_path / "opened"
    monkeypatch.setenv(LOG, str(log))
    return lambda: log.read_text().split() if log.exists() else []


@pytest.fixture
def slides(make_slide):
    """Files of three slides, whose pixels are stored as they are."""
    spec = PyramidSpec(tile_px=64, lossless=True)
    return [make_slide(f"{name}.svs", seed=i, spec=spec) for i, name in enumerate("abc")]


@pytest.fixture
def with_marked(reopen, tmp_path, register, slides):
    """A platform with three slides, and after the first one at which the encoder does its deed."""

    def with_marked(way, **settings):
        platform = reopen(with_way(way), **settings)
        marked = write_marked(tmp_path / "scans" / "marked.svs")
        first, *others = register(platform, *slides, marked)
        return platform, [first, others.pop(), *others]

    return with_marked


def assert_lost_alone(platform, outcomes, marked, said):
    found = {outcome.slide_id: outcome for outcome in outcomes}
    assert len(found) == len(outcomes) == 4
    bad = found.pop(marked.slide_id)
    assert states(bad) == ["made", "made", "failed", "blocked"]
    assert said in bad.failure.message
    assert marked.slide_id in bad.failure.message
    assert [states(one) for one in found.values()] == [["made"] * N_STEPS] * 3
    assert all(marked.slide_id in name for name in left_in(platform))
    return bad.failure.reason


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("way", "said"), [("kill", "code -9"), ("hang", "no result within 25 s")])
def test_the_slide_that_kills_or_hangs_its_line_is_lost_alone(with_marked, logged, way, said):
    platform, planned = with_marked(way, n_workers=1, slide_timeout_s=PATIENCE_S)
    with nothing_left():
        outcomes = run(platform, planned)
        reason = assert_lost_alone(platform, outcomes, planned[1], said)
    assert reason == "worker_lost"
    assert 2 <= len(logged()) <= 5  # none for each slide
    attempts = platform.catalog.attempts(run_id="run")
    assert len(attempts) == len({one.address for one in attempts}) == 4 * N_STEPS


@pytest.mark.slow
def test_features_have_the_bytes_that_workers_made_before_there_were_lines(
    reopen, register, slides, tmp_path, logged
):
    one = reopen(with_way("well"), n_workers=1)
    planned = register(one, *slides)
    expected = None
    for n_workers in (1, 2, 4):
        folder = tmp_path / f"by {n_workers}"
        (folder / STAGING).mkdir(parents=True)
        platform = reopen(n_workers=n_workers, store=folder)
        with nothing_left():
            assert [states(o) for o in run(platform, planned)] == [["made"] * N_STEPS] * 3
        if n_workers == 1:
            assert len(logged()) == 1  # for all slides
        assert digest(platform, planned) == GOLDEN
        expected = expected or content(platform, planned)
        assert content(platform, planned) == expected
    (tmp_path / "alone" / STAGING).mkdir(parents=True)
    alone = reopen(store=tmp_path / "alone")
    with workers_here():
        for slide in planned:
            run(alone, [slide])
    assert content(alone, planned) == expected


FINE = RECIPE.replace("patch_px: 16", "patch_px: 16, stride_px: 6")
"""Thousands of patches a slide: several chunks."""


class Killer:
    """Kills a process at each of some moments of a batch, seconds apart."""

    def __init__(self, choose, moments_s):
        self._choose, self._moments_s = choose, moments_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.n_killed = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        self._thread.join()

    def _run(self):
        for moment_s in self._moments_s:
            if self._is_over.wait(moment_s):
                return
            while not (chosen := [one for one in workers_now() if self._choose(one)]):
                if self._is_over.wait(0.01):
                    return
            with suppress(psutil.Error):  # it has just ended
                chosen[0].kill()
                self.n_killed += 1


@pytest.fixture
def make_killed(reopen, register, slides, tmp_path):
    """Two slides, made once, and run after run while processes are killed; the bytes are one."""

    def make_killed(choose, runs):
        once = reopen(with_way("well", FINE), n_workers=1)
        planned = register(once, *slides[:2])
        with workers_here():
            run(once, planned)
        (tmp_path / "killed" / STAGING).mkdir(parents=True)
        killed = reopen(n_workers=2, store=tmp_path / "killed")
        n_killed = 0
        for n_run, moments_s in enumerate(runs):
            with Killer(choose, moments_s) as killer:
                outcomes = run(killed, planned, run_id=f"run {n_run}")
            n_killed += killer.n_killed
            reasons = [one.failure.reason for one in outcomes if one.failure is not None]
            assert len(outcomes) == 2
            assert set(reasons) <= {"worker_lost"}
        outcomes = run(killed, planned, run_id="last")
        assert [one.failure for one in outcomes] == [None] * 2
        assert content(killed, planned) == content(once, planned)
        assert left_in(killed) == set()
        return n_killed

    return make_killed


@pytest.mark.slow
def test_where_lines_are_killed_at_ten_moments_runs_come_to_the_same_bytes(make_killed, logged):
    def is_line(process):
        """Whether it has opened the encoder."""
        return str(process.pid) in logged()

    runs = [[0.0, 0.1, 0.3, 0.5, 0.7], [0.2, 0.4, 0.6], [0.05, 0.15]]
    with nothing_left():
        assert make_killed(is_line, runs) >= 6


@pytest.mark.slow
def test_where_workers_are_killed_runs_come_to_the_same_bytes(make_killed):
    runs = [[0.0, 0.05, 0.1], [0.1, 0.2, 0.3, 0.4]]
    with nothing_left():
        assert make_killed(is_worker, runs) >= 4


@pytest.mark.slow
def test_a_slide_whose_line_was_killed_goes_on_from_its_whole_chunks(
    reopen, tmp_path, register, logged
):
    platform = reopen(with_way("nap", FINE), n_workers=1)
    planned = register(platform, write_marked(tmp_path / "scans" / "marked.svs"))
    chunks = f"{PARTIAL}/*/files/features.zarr/features/c/*"

    def is_line_with_a_noted_chunk(process):
        # The second is begun once the first is whole and noted.
        has_chunk = len(list(platform.store.root.glob(chunks))) > 1
        return has_chunk and str(process.pid) in logged()

    with nothing_left(), Killer(is_line_with_a_noted_chunk, [0.0]) as killer:
        [outcome] = run(platform, planned)
    assert killer.n_killed == 1
    assert states(outcome) == ["made"] * N_STEPS
    features = outcome.steps[2]
    n_all = features.artifact.facts["n_patches"]
    assert 0 < features.stats.n_patches <= n_all - CHUNK_ROWS
    assert left_in(platform) == set()


BATCH = """
import sys
from dataclasses import replace
from pathlib import Path
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.platform import open_platform
from tests.engine.conftest import settings_of

with open_platform(replace(settings_of(Path(sys.argv[1])), n_workers=1)) as platform:
    print("begun", flush=True)
    for _ in run_batch(platform, plan_slides(platform), platform.recipe.per_slide, run_id="run"):
        print("one", flush=True)
"""


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_where_the_parent_is_killed_at_ten_moments_the_next_run_goes_on(
    reopen, register, slides, start_python, tmp_path
):
    platform = reopen(with_way("well", FINE), n_workers=2)
    planned = register(platform, *slides)
    with nothing_left():
        for moment_s in (0.0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.1, 2.4, 2.8):
            process = start_python(BATCH, platform.settings.home)
            assert process.stdout.readline() == "begun\n"
            threading.Event().wait(moment_s)
            family = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.wait()
            until_s = time.monotonic() + 10
            while any(one.is_running() and one.status() != "zombie" for one in family):
                assert time.monotonic() < until_s
        outcomes = run(platform, plan_slides(platform), run_id="last")
    assert [one.failure for one in outcomes] == [None] * 3
    assert left_in(platform) == set()
    (tmp_path / "once" / STAGING).mkdir(parents=True)
    once = reopen(store=tmp_path / "once")
    with workers_here():
        run(once, planned)
    assert content(once, planned) == content(platform, planned)
