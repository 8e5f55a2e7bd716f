"""Slides read by processes: what comes is what comes by threads, byte for byte."""

import logging
import os
import threading
import time
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np
import psutil
import pytest

from pathassets.adapters.tifffile import corrupt_tile
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches.read_plan import ReadSpec
from pathassets.engine.features.encoding import encode_slides
from pathassets.engine.features.works import EncodingHow
from pathassets.engine.slides.open import open_slide
from pathassets.engine.slides.remote.reopening import SlideSource
from pathassets.engine.workers import ring
from pathassets.engine.workers.parts import schedule, stream
from pathassets.errors import SlideUnreadable, TileUnreadable, WorkerLost
from tests.engine.encoding_bench import SKIP, Bench, KindMeans, Means, lay, run
from tests.engine.patch_objects import is_alive, none_is_left, segments_now
from tests.engine.pool_tasks import workers_now
from tests.formula_tiff import write_formula_tiff

PATCH_BYTES = 16 * 16 * 3
LIMIT = ReadSpec(bad_tiles="skip", max_bad_tile_share=0.13)
DAMAGED = (3, 10, 12, 20)
PARENT = """
import sys
from functools import partial
from pathlib import Path
import numpy as np
from pathassets.engine.features.encoding import encode_slides
from pathassets.engine.features.works import EncodingHow
from pathassets.engine.slides.open import open_slide
from pathassets.engine.slides.remote.reopening import SlideSource
from tests.engine.encoding_bench import Bench, KindMeans, lay

path, folder, wanted = sys.argv[1:]
print("made", flush=True)
bench, encoder, n_seen = Bench(Path(folder)), KindMeans(32), 0

def look(batch):
    global n_seen
    n_seen += len(batch)
    if n_seen == len(batch) or 9_000 <= n_seen < 9_000 + len(batch):
        print("first" if n_seen == len(batch) else "mid", flush=True)
    return False

encoder.fails = look
works = [
    bench.work(f"s{i}", 0, [encoder], locations=lay(6000, across=128),
               open=partial(open_slide, path), source=SlideSource(path, None))
    for i in range(200)
]
for done in encode_slides(works, EncodingHow(n_processes=2, n_threads=2)):
    assert not done.error, done.error
"""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch) -> None:
    """Many small parts and slots, and little that may wait."""
    monkeypatch.setattr(ring, "SLOT_BYTES", 64 * PATCH_BYTES)
    monkeypatch.setattr(stream, "PART_PATCHES", 200)
    monkeypatch.setattr(stream, "ORDERED_PART_BYTES", 300 * PATCH_BYTES)
    for module in (schedule, stream):
        monkeypatch.setattr(module, "WAITING_BYTES", 900 * PATCH_BYTES)


@pytest.fixture(autouse=True)
def nothing_is_left():
    """Whatever becomes of the slides, no process and no memory is left."""
    before = segments_now()
    yield
    assert workers_now() == []
    assert none_is_left([], before)
    assert not [t for t in threading.enumerate() if t.name.startswith(("feed", "decode"))]


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory) -> Path:
    return write_formula_tiff(tmp_path_factory.mktemp("formula") / "formula.tiff")


@pytest.fixture
def bad_path(tmp_path) -> Path:
    path = write_formula_tiff(tmp_path / "bad.tiff")
    for tile in DAMAGED:
        corrupt_tile(path, 0, tile)
    return path


def work_on(bench, name, path, n, encoders=None, **changes):
    locations = changes.pop("locations", None) or lay(n, across=128)
    return bench.work(
        name, n, encoders or [KindMeans()], locations=locations,
        **({"open": partial(open_slide, path), "source": SlideSource(str(path), None)} | changes),
    )  # fmt: skip


def by_threads(tmp_path, make_works, **how):
    """What threads make of the same works: outcomes by name, hashes."""
    bench = Bench(tmp_path / "threads")
    return run(make_works(bench), **how), bench.hashes()


@pytest.mark.parametrize(
    ("n_processes", "n_threads"),
    [(2, 1), *(pytest.param(n, 2, marks=pytest.mark.slow) for n in (1, 2, 4))],
)
def test_the_bytes_are_those_of_threads_for_one_slide_and_for_many(
    slide_path, tmp_path, n_processes, n_threads
):
    sizes = {"a": 1400, "b": 0, "c": 9, "d": 700}

    def works(bench, names):
        encoders = [KindMeans(8, "one"), KindMeans(50, "two")]
        return [work_on(bench, name, slide_path, sizes[name], encoders) for name in names]

    bench, pids = Bench(tmp_path / "processes"), set()

    def watched():
        for work in works(bench, "abcd"):
            pids.update(process.pid for process in workers_now())
            yield work

    found = run(watched(), n_processes=n_processes, n_threads=n_threads)
    threads, hashes = by_threads(tmp_path, partial(works, names="dcba"))
    assert bench.hashes() == hashes
    assert 1 <= len(pids) <= n_processes  # they read all slides
    for name, done in found.items():
        assert (done.error, done.bad_tiles) == (None, threads[name].bad_tiles)
        assert done.stats.n_patches == sizes[name]
        assert (done.stats.reading_s > 0) == (sizes[name] > 0)


def test_each_target_goes_on_where_it_stopped(slide_path, tmp_path):
    whole = Bench(tmp_path / "whole")
    run([work_on(whole, "a", slide_path, 3000, [KindMeans(), KindMeans(name="b")])])
    rows = whole.features("a_0")
    bench = Bench(tmp_path / "again")
    for i, n_done in enumerate((1024, 2048)):
        bench.writer(f"a_{i}", lay(3000, across=128)).write(rows[:n_done])
    encoders = [KindMeans(), KindMeans(name="b")]
    done = run([work_on(bench, "a", slide_path, 3000, encoders)], n_processes=1)["a"]
    assert (sum(encoders[0].sizes), sum(encoders[1].sizes)) == (3000 - 1024, 3000 - 2048)
    assert done.stats.n_patches == 3000 - 1024
    assert bench.hashes() == whole.hashes()


@pytest.mark.parametrize("n_done", [1024, pytest.param(0, marks=pytest.mark.slow)])
def test_what_cannot_be_read_is_left_out_as_by_threads(bad_path, tmp_path, n_done):
    whole, bench = Bench(tmp_path / "threads"), Bench(tmp_path / "processes")
    threads = run([work_on(whole, "a", bad_path, 6000, spec=SKIP)])["a"]
    skipped = threads.bad_tiles.skipped
    assert len(threads.bad_tiles.faults) == len(DAMAGED)
    assert len(skipped) == 256 * len(DAMAGED) - 16  # the last row ends before the last one
    begun = bench.writer("a_0", lay(6000, across=128))
    begun.leave_out(skipped if n_done else [])
    begun.write(whole.features("a_0")[:n_done])
    done = run([work_on(bench, "a", bad_path, 6000, spec=SKIP)], n_processes=2)["a"]
    assert done.bad_tiles == threads.bad_tiles
    assert bench.hashes() == whole.hashes()


@pytest.mark.slow
def test_bad_tiles_are_judged_as_those_of_the_whole_slide(slide_path, bad_path, tmp_path):
    """And a slide that cannot be read costs no other."""

    def works(bench):
        return [
            work_on(bench, name, path, 4000, spec=spec)
            for name, path, spec in (
                ("a", slide_path, ReadSpec()), ("fail", bad_path, ReadSpec()),
                ("limit", bad_path, LIMIT), ("c", slide_path, LIMIT),
            )
        ]  # fmt: skip

    threads, _ = by_threads(tmp_path, works)
    bench = Bench(tmp_path / "processes")
    found = run(works(bench), n_processes=2)
    for name in ("fail", "limit"):
        error, wanted = found[name].error, threads[name].error
        assert isinstance(error, TileUnreadable)
        assert (error.message, error.remedy) == (wanted.message, wanted.remedy)
        assert found[name].bad_tiles.faults == threads[name].bad_tiles.faults
    assert len(found["limit"].bad_tiles.faults) > 1
    assert [found[name].error for name in "ac"] == [None, None]
    assert np.array_equal(bench.features("c_0"), bench.features("a_0"))


def test_a_slide_that_a_process_cannot_open_fails_alone_and_what_is_enlarged_is_said_once(
    slide_path, tmp_path, caplog, capfd
):
    gone = SlideSource(str(tmp_path / "gone.tiff"), None)
    n = 900
    fine = PatchLocations(
        x_px0=np.arange(n) % 128 * 8, y_px0=np.arange(n) // 128 * 8,
        tissue_share=np.ones(n, np.float32), side_px0=8, patch_px=16, mpp=0.25,
    )  # fmt: skip
    bench = Bench(tmp_path)
    works = [work_on(bench, "a", slide_path, 500),
             work_on(bench, "b", slide_path, 500, source=gone),
             work_on(bench, "c", slide_path, n, locations=fine)]  # fmt: skip
    with caplog.at_level(logging.WARNING):
        found = run(works, n_processes=1)
    assert isinstance(found["b"].error, SlideUnreadable)
    assert [found[name].error for name in "ac"] == [None, None]
    assert [found[name].bad_tiles.is_upsampled for name in "ac"] == [False, True]
    assert caplog.text.count("has fewer pixels than asked for") == 1
    assert "fewer pixels" not in capfd.readouterr().err


FEWER = {0: "read by threads", 1: "read by 1 processes, and no more"}


@pytest.mark.parametrize("n_rings", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_where_shared_memory_is_short_fewer_processes_read_or_threads(
    slide_path, tmp_path, monkeypatch, caplog, n_rings
):
    real, made = os.posix_fallocate, []

    def short(*args):
        if len(made) == n_rings:
            raise OSError(28, "No space left on device")
        made.append(real(*args))

    monkeypatch.setattr(os, "posix_fallocate", short)
    work = work_on(Bench(tmp_path), "a", slide_path, 1500)
    with caplog.at_level(logging.WARNING):
        done = run([work], n_processes=2)["a"]
    assert (done.error, done.stats.n_patches) == (None, 1500)
    assert FEWER[n_rings] in caplog.text


def one_that_reads(spoil, at=(0,)):
    """An encoder that does something to the processes that read, at some of its batches."""
    encoder = KindMeans(32)
    numbers = iter(range(10**6))

    def look(_: np.ndarray) -> bool:
        if next(numbers) in at:
            for process in workers_now():
                spoil(process)
        return False

    encoder.fails = look
    return encoder


@pytest.mark.parametrize("n_processes", [2, pytest.param(1, marks=pytest.mark.slow)])
def test_processes_that_are_killed_cost_the_slide_that_they_read(slide_path, tmp_path, n_processes):
    encoder = one_that_reads(lambda process: process.kill())
    bench = Bench(tmp_path / "killed")
    works = [work_on(bench, name, slide_path, 3000, [encoder]) for name in "ab"]
    found = run(works, n_processes=n_processes, waiting_bytes=100 * PATCH_BYTES)
    assert isinstance(found["a"].error, WorkerLost)
    assert str(found["a"].error).startswith("a: worker process ended with code -9")
    assert found["b"].error is None
    assert len(bench.features("b_0")) == 3000


@pytest.mark.slow
def test_a_process_that_hangs_is_ended_and_costs_its_slide(slide_path, tmp_path):
    encoder = one_that_reads(lambda process: process.suspend())
    works = [work_on(Bench(tmp_path), name, slide_path, 3000, [encoder]) for name in "ab"]
    found = run(works, n_processes=1, silence_s=25.0, waiting_bytes=100 * PATCH_BYTES)
    error = found["a"].error
    assert isinstance(error, WorkerLost)
    assert error.is_late
    assert found["b"].error is None


def test_closing_early_ends_processes_that_would_not_end(slide_path, tmp_path):
    encoder = KindMeans(32)
    works = [work_on(Bench(tmp_path), "a", slide_path, 40, [Means(8)]),
             work_on(Bench(tmp_path), "b", slide_path, 9000, [encoder])]  # fmt: skip
    encoding = encode_slides(works, EncodingHow(n_processes=2, waiting_bytes=100 * PATCH_BYTES))
    assert next(encoding).work.name == "a"
    workers = workers_now()
    assert 1 <= len(workers) <= 2
    for worker in workers:
        worker.suspend()
    began_s = time.monotonic()
    encoding.close()
    assert time.monotonic() - began_s < 10
    assert not any(map(is_alive, workers))


def test_a_slide_that_only_this_process_can_open_is_read_by_its_threads(slide_path, tmp_path):
    seen = []
    encoder = one_that_reads(seen.append, at=range(99))
    done = run([work_on(Bench(tmp_path), "a", slide_path, 500, [encoder], source=None)],
               n_processes=2)["a"]  # fmt: skip
    assert (done.error, seen) == (None, [])


MOMENTS = [("made", 0.0), ("made", 0.3), ("made", 0.6), ("made", 1.0), ("first", 0.0),
           ("first", 0.02), ("first", 0.1), ("mid", 0.0), ("mid", 0.2), ("mid", 0.05)]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "wait_s"),
    [(*one, ) if one == ("mid", 0.05) else pytest.param(*one, marks=pytest.mark.slow)
     for one in MOMENTS],
)  # fmt: skip
def test_nothing_is_left_of_an_encoding_process_that_is_killed(
    start_python, slide_path, tmp_path, said, wait_s
):
    before = segments_now()
    process = start_python(PARENT, slide_path, tmp_path, said)
    while process.stdout.readline().strip() != said:
        assert process.poll() is None, process.stderr.read()
    time.sleep(wait_s)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    assert process.wait(10) == -9
    assert none_is_left(family, before)


@pytest.mark.slow
def test_processes_may_be_killed_again_and_again(slide_path, tmp_path):
    """Slides lose their processes at many moments, and are encoded once more: the same bytes."""
    bench, whole = Bench(tmp_path / "killed"), Bench(tmp_path / "whole")
    names = [f"s{i}" for i in range(5)]
    run([work_on(whole, name, slide_path, 3000) for name in names])
    moments, n_killed = cycle(range(0, 90, 9)), 0
    while names:
        encoder = one_that_reads(lambda process: process.kill(), at={next(moments)})
        works = [work_on(bench, names[0], slide_path, 3000, [encoder])]
        [(name, done)] = run(works, n_processes=2, waiting_bytes=100 * PATCH_BYTES).items()
        if done.error is None:
            names.remove(name)
        else:
            assert isinstance(done.error, WorkerLost)
            n_killed += 1
            assert n_killed < 20
    assert n_killed >= 3  # a process that had read its last part costs nothing
    assert bench.hashes() == whole.hashes()
