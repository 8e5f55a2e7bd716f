import gc
import logging
import os
import shutil
import signal
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathassets.adapters.tifffile import corrupt_tile
from pathassets.engine.patches.extraction import ExtractionSpec, job_of
from pathassets.engine.patches.memory.streaming import Stream
from pathassets.engine.workers import ring
from pathassets.engine.workers.parts import schedule as parts
from pathassets.engine.workers.parts import stream as streaming
from pathassets.engine.workers.parts.job import ReadSet
from pathassets.engine.workers.parts.schedule import Delivered, End, Part, ReorderBuffer, Schedule
from pathassets.engine.workers.parts.stream import StreamSpec
from pathassets.errors import PathAssetsError, SlideUnreadable, TileUnreadable, WorkerLost
from tests.engine.patch_objects import grid_on, is_alive, none_is_left, pixels_at, segments_now
from tests.engine.pool_tasks import workers_now
from tests.formula_tiff import write_formula_tiff

PARENT = """
import sys, time
from types import SimpleNamespace
from pathassets.engine.patches.memory.extractors import MemPatchExtractorPool

path, moment = sys.argv[1:]
corners = [(x, y) for y in range(0, 1536, 16) for x in range(0, 2048, 16)]
patches = SimpleNamespace(
    wsi_file=path, patch_data=[(c, (16, 16), "") for c in corners], level_or_mpp=0,
    class_name="", param_info={},
)
print("made", flush=True)
pool = MemPatchExtractorPool(
    patches_pool=[patches] * 20, proc_num_workers=2, thread_num_workers=2,
    ordered=moment == "ordered",
)
print("started", flush=True)
for n, patch in enumerate(pool.patch_list):
    if n in (0, 3_000):
        print(n, flush=True)
    if n == 6_000 and moment == "idle":
        print(n, flush=True)
        time.sleep(600)
"""


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory) -> Path:
    return write_formula_tiff(tmp_path_factory.mktemp("formula") / "formula.tiff")


@pytest.fixture
def small_parts(monkeypatch) -> None:
    """Many small parts and slots, and little that may wait."""
    monkeypatch.setattr(ring, "SLOT_BYTES", 8 * 16 * 16 * 3)
    monkeypatch.setattr(streaming, "PART_PATCHES", 100)
    monkeypatch.setattr(streaming, "ORDERED_PART_BYTES", 70 * 16 * 16 * 3)
    for module in (parts, streaming):
        monkeypatch.setattr(module, "WAITING_BYTES", 90 * 16 * 16 * 3)


def stream_of(*patches, n=2, is_ordered=False, on_error="raise", n_threads=1):
    jobs = [job_of(one, ExtractionSpec()) for one in patches]
    spec = StreamSpec(
        n_processes=n, n_threads=n_threads, is_ordered=is_ordered, on_error=on_error
    )  # fmt: skip
    return Stream(jobs, spec)


def read(stream) -> list[tuple[int, int, bytes]]:
    """(job, place, pixels) as they come."""
    return [
        (job, place, pixels.tobytes())
        for job, sets in stream.run()
        for place, pixels in zip(sets.places.tolist(), sets.pixels[0], strict=True)
    ]


def wanted_of(*patches) -> list[tuple[int, int, bytes]]:
    return [
        (job, place, pixels_at(*corner, size[0]).tobytes())
        for job, one in enumerate(patches)
        for place, (corner, size, _) in enumerate(one.patch_data)
    ]


# -------------------------------------------------------------------------------------- parts


@given(
    st.lists(st.integers(0, 5000), max_size=8), st.integers(1, 3000), st.integers(1, 5),
    st.booleans(),
)  # fmt: skip
def test_parts_are_all_patches_once_in_order_and_none_is_small(sizes, least, n, fixed) -> None:
    schedule = Schedule(sizes, lambda _, n_left: least if fixed else max(least, -(-n_left // n)))
    cut = list(iter(schedule.next, None))
    assert [part.number for part in cut] == list(range(len(cut)))
    for job, size in enumerate(sizes):
        mine = [part.squares for part in cut if part.job == job]
        assert (mine[0].start, mine[-1].stop) == (0, size)
        assert all(a.stop == b.start for a, b in pairwise(mine))
        assert all(s.stop - s.start >= min(size, least // 2) for s in mine)
    assert [part.job for part in cut] == sorted(part.job for part in cut)


def test_one_slide_is_dealt_in_shares_that_get_smaller() -> None:
    schedule = Schedule([20_000], lambda _, n_left: max(1000, -(-n_left // 2)))
    sizes = [part.squares.stop - part.squares.start for part in iter(schedule.next, None)]
    assert sizes == [10_000, 5_000, 2_500, 1_250, 1_250]


def test_what_is_left_of_a_bad_job_is_dropped_and_no_other() -> None:
    schedule = Schedule([30, 30], lambda *_: 10)
    assert schedule.next().squares == slice(0, 10)
    schedule.drop(1)
    schedule.drop(0)
    schedule.drop(0)
    assert [(part.number, part.job) for part in iter(schedule.next, None)] == [
        (1, 1), (2, 1), (3, 1),
    ]  # fmt: skip


def sets_of(n_bytes):
    return ReadSet(np.zeros(1, int), (), (np.zeros(n_bytes, np.uint8),))


def test_what_comes_too_early_waits_for_its_turn(monkeypatch) -> None:
    monkeypatch.setattr(parts, "WAITING_BYTES", 25)
    line = ReorderBuffer(is_ordered=True)
    events = {number: Delivered(number, sets_of(10)) for number in range(3)}
    line.put(2, events[2])
    line.put(2, End(Part(2, 2, slice(0)), 0, None))
    line.put(1, events[1])
    assert (list(line.ready()), line.is_full) == ([], False)
    line.put(1, events[1])
    assert line.is_full
    line.put(0, events[0])
    assert [event.job for event in line.ready()] == [0]
    line.put(0, End(Part(0, 0, slice(0)), 0, None))
    assert [type(event) for event in line.ready()] == [End, Delivered, Delivered]
    assert (line.turn, line.is_full) == (1, False)
    line.put(1, End(Part(1, 1, slice(0)), 0, None))
    assert [type(event) for event in line.ready()] == [End, Delivered, End]


# ---------------------------------------------------------------------------------- what comes


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.usefixtures("small_parts")
def test_ordered_gives_the_input_order_for_any_number_of_workers(slide_path, n) -> None:
    patches = [
        grid_on(slide_path, n=700), grid_on(slide_path, n=0), grid_on(slide_path, n=30, start=99),
        grid_on(slide_path, n=500, side_px=24),
    ]  # fmt: skip
    stream = stream_of(*patches, n=n, is_ordered=True)
    assert len(workers_now()) == n
    assert read(stream) == wanted_of(*patches)
    assert len(stream.progress.pids) == 4
    assert len(set(stream.progress.pids)) <= n
    assert workers_now() == []


@pytest.mark.usefixtures("small_parts")
def test_every_patch_comes_once_in_any_order(slide_path) -> None:
    patches = [grid_on(slide_path, n=700), grid_on(slide_path, n=130, side_px=40)]
    seen = read(stream_of(*patches, n=2, n_threads=2))
    assert sorted(seen) == sorted(wanted_of(*patches))


def test_two_workers_share_one_slide_and_a_slide_that_is_small_has_one(slide_path) -> None:
    with closing(stream_of(grid_on(slide_path, n=499)).run()):
        assert len(workers_now()) == 1
    stream = stream_of(grid_on(slide_path, n=600))
    with closing(stream.run()) as events:
        assert len(workers_now()) == 2
        first = {sets.places[0] // 300 for _, sets in events}
    assert first == {0, 1}


def test_no_slides_give_nothing_and_start_nothing() -> None:
    assert read(stream_of()) == []
    assert workers_now() == []


def test_a_patch_larger_than_a_slot_has_a_larger_slot(slide_path, monkeypatch) -> None:
    monkeypatch.setattr(ring, "SLOT_BYTES", 100)
    patches = grid_on(slide_path, n=3, side_px=400)
    assert sorted(read(stream_of(patches))) == wanted_of(patches)


@pytest.mark.usefixtures("small_parts")
def test_workers_read_no_further_ahead_than_their_slots(slide_path) -> None:
    stream = stream_of(grid_on(slide_path), n=1)
    with closing(stream.run()) as events:
        next(events)
        [worker] = stream._workers
        n_waiting = 0
        n_sure = stream._shape.n_slots // 2
        while worker.pipe.poll(0.3 if n_waiting >= n_sure else 60.0):  # no slot is given back
            worker.pipe.recv_bytes()
            n_waiting += 1
        assert n_sure <= n_waiting <= stream._shape.n_slots


@pytest.mark.usefixtures("small_parts")
def test_buffers_are_used_again_and_what_is_kept_is_left_alone(slide_path) -> None:
    stream = stream_of(grid_on(slide_path, n=2000), n=1)
    kept = []
    for n, (_, sets) in enumerate(stream.run()):
        if n % 20 == 0:
            kept.append((sets.places, sets.pixels[0], sets.pixels[0].copy()))
    assert len(stream._buffers._arrays) < len(kept) + 8
    assert all(np.array_equal(pixels, copy) for _, pixels, copy in kept)


@pytest.mark.usefixtures("small_parts")
def test_what_waits_for_its_turn_is_bounded(slide_path) -> None:
    """The first part's worker is stopped: the other fills what may wait, and waits itself."""
    stream = stream_of(grid_on(slide_path, n=3000), n=2, is_ordered=True)
    with closing(stream.run()) as events:
        next(events)
        first = next(w for w in stream._workers if w.part and w.part.number == stream._reorder.turn)
        first.process.send_signal(signal.SIGSTOP)
        timer = time.monotonic() + 60.0
        while time.monotonic() < timer and not stream._reorder.is_full:
            for worker in stream._workers:
                if worker is not first and worker.part and worker.pipe.poll(0.01):
                    stream._hear(worker)
                    stream._employ()
        assert stream._reorder.is_full
        waiting = stream._reorder._waiting_bytes
        assert waiting <= parts.WAITING_BYTES + stream._shape.slot_bytes
        first.process.send_signal(signal.SIGCONT)
        assert stream._heard() == [first]


# ------------------------------------------------------------------------------------ bad slides


@pytest.fixture
def bad_path(tmp_path, slide_path) -> Path:
    """A slide with one bad tile, under the squares 1536 and more of a row of squares."""
    path = Path(shutil.copy(slide_path, tmp_path / "bad.tiff"))
    corrupt_tile(path, 0, 6 + 2 * 8)
    return path


def kill_reader(stream, job):
    """Kill the worker that reads a job."""
    [worker] = [w for w in stream._workers if w.part is not None and w.part.job == job]
    worker.process.kill()
    worker.process.wait()


@pytest.mark.usefixtures("small_parts")
def test_a_worker_that_is_killed_costs_its_slide_alone_and_is_replaced(slide_path) -> None:
    patches = [grid_on(slide_path, n=1200), grid_on(slide_path, n=1100)]
    stream = stream_of(*patches, n=1, on_error="collect")
    seen = []
    with closing(stream.run()) as events:
        for job, sets in events:
            if not seen:
                kill_reader(stream, 0)
            seen += [(job, place) for place in sets.places.tolist()]
    of_bad = [place for job, place in seen if job == 0]
    assert 0 < len(of_bad) < 1200
    assert of_bad == list(range(len(of_bad)))
    assert [place for job, place in seen if job == 1] == list(range(1100))
    [(job, error)] = stream.progress.errors.items()
    assert job == 0
    assert isinstance(error, WorkerLost)
    assert error.message == f"{slide_path}: worker process ended with code -9"
    assert stream.progress.n_missing == 1200 - len(of_bad)
    assert len(stream.progress.pids) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("is_ordered", [False, True])
def test_workers_may_be_killed_again_and_again(slide_path, is_ordered) -> None:
    patches = [grid_on(slide_path, n=60, start=i) for i in range(13)]
    stream = stream_of(*patches, n=2, is_ordered=is_ordered, on_error="collect")
    seen: dict[int, list[int]] = {}
    n_killed = 0
    for n, (job, sets) in enumerate(stream.run()):
        seen.setdefault(job, []).extend(sets.places.tolist())
        if n % 30 == 10:
            stream._workers[n % 2].process.kill()
            n_killed += 1
    assert n_killed > 2
    whole = [job for job, places in seen.items() if len(places) == 60]
    assert len(whole) >= 13 - n_killed
    assert all(places == list(range(len(places))) for places in seen.values())
    assert len(stream.progress.pids) == len(whole) == 13 - len(stream.progress.errors)


def test_a_worker_that_is_killed_before_its_first_part_costs_nothing(slide_path) -> None:
    patches = grid_on(slide_path, n=2400)
    stream = stream_of(patches)
    for worker in workers_now():
        worker.kill()
        worker.wait()
    assert sorted(read(stream)) == wanted_of(patches)


@pytest.mark.parametrize("is_ordered", [False, True])
def test_raise_stops_all_and_names_the_slide(slide_path, tmp_path, is_ordered) -> None:
    gone = tmp_path / "gone.svs"
    stream = stream_of(grid_on(slide_path, n=10), grid_on(gone, n=10), grid_on(slide_path, n=10),
                       n=1, is_ordered=is_ordered)  # fmt: skip
    seen = []
    with pytest.raises(SlideUnreadable, match=r"gone\.svs") as info:
        seen.extend(job for job, _ in stream.run())
    assert set(seen) == {0}
    assert not hasattr(info.value, "__notes__")  # it says itself what is wrong
    assert workers_now() == []


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("n", [1, 3])
def test_if_ordered_all_before_the_fault_comes_first_for_any_number_of_workers(
    slide_path, bad_path, n
) -> None:
    patches = [grid_on(slide_path, n=900), grid_on(bad_path), grid_on(slide_path, n=900)]
    stream = stream_of(*patches, n=n, is_ordered=True)
    seen = []
    with pytest.raises(TileUnreadable, match=r"bad\.tiff"):
        seen.extend((job, sets.places.tolist()) for job, sets in stream.run())
    assert {job for job, _ in seen} == {0, 1}
    assert sum(len(places) for job, places in seen if job == 0) == 900
    before = [place for job, places in seen if job == 1 for place in places]
    assert before == list(range(len(before)))
    assert 0 < len(before) <= 32 * 128 + 96


def test_skip_goes_on_and_logs(slide_path, bad_path, caplog) -> None:
    patches = [grid_on(slide_path, n=300), grid_on(bad_path), grid_on(slide_path, n=200)]
    stream = stream_of(*patches, n=1, on_error="skip")
    with caplog.at_level(logging.WARNING):
        seen = [(job, len(sets.places)) for job, sets in stream.run()]
    assert [sum(n for j, n in seen if j == job) for job in (0, 2)] == [300, 200]
    assert "bad.tiff" in caplog.text
    assert stream.progress.errors == {}
    assert stream.progress.n_missing == 12_288 - sum(n for j, n in seen if j == 1)


def test_an_error_of_another_kind_is_told_as_a_fault_with_the_slides_name(slide_path) -> None:
    patches = grid_on(slide_path, n=5)
    stream = stream_of(patches)
    object.__setattr__(stream._jobs[0], "levels_or_mpps", ("three",))
    with pytest.raises(PathAssetsError, match=r"formula\.tiff") as info:
        read(stream)
    assert info.value.remedy


# ------------------------------------------------------------------------------------- the end


@pytest.mark.timeout(60)
def test_closing_it_early_ends_busy_workers_at_once(slide_path) -> None:
    stream = stream_of(grid_on(slide_path), n=2)
    events = stream.run()
    next(events)
    workers = workers_now()
    assert len(workers) == 2
    for worker in workers:
        worker.suspend()  # it would never finish its part
    events.close()
    assert not any(map(is_alive, workers))


def test_dropping_it_ends_its_workers_whether_it_ran_or_not(slide_path) -> None:
    idle = stream_of(grid_on(slide_path), n=1)
    events = stream_of(grid_on(slide_path), n=1).run()
    next(events)
    workers = workers_now()
    assert len(workers) == 2
    del idle, events
    gc.collect()
    assert not any(map(is_alive, workers))


def test_who_goes_on_after_it_was_ended_is_told(slide_path) -> None:
    stream = stream_of(grid_on(slide_path), n=1)
    events = stream.run()
    next(events)
    stream.end()
    with pytest.raises(WorkerLost, match="closed before all"):
        next(events)
    with pytest.raises(WorkerLost, match="closed before all"):
        next(stream.run())


@pytest.mark.usefixtures("small_parts")
def test_a_copy_of_the_process_that_ends_takes_no_worker_along(slide_path) -> None:
    """As the workers of a DataLoader are made."""
    patches = grid_on(slide_path, n=2000)
    stream = stream_of(patches, n=2)
    events = stream.run()
    seen = [next(events)]
    pid = os.fork()
    if not pid:
        events.close()
        os._exit(0)
    assert os.waitpid(pid, 0) == (pid, 0)
    seen += events
    places = np.concatenate([sets.places for _, sets in seen])
    assert sorted(places.tolist()) == list(range(2000))


def test_where_there_is_no_shared_memory_nothing_is_left(slide_path, monkeypatch) -> None:
    def no_room(*_):
        raise OSError(28, "No space left on device")

    made = []
    real = os.posix_fallocate
    monkeypatch.setattr(
        os, "posix_fallocate", lambda *a: no_room() if made else made.append(real(*a))
    )
    before = segments_now()
    with pytest.raises(PathAssetsError, match="shared memory"):
        stream_of(grid_on(slide_path), n=2)
    assert none_is_left(workers_now(), before)


# ------------------------------------------------------------------------- a parent that is killed


@pytest.mark.parametrize(
    ("moment", "said", "wait_s"),
    [
        ("made", "made", 0.02),
        ("started", "started", 0.0),
        ("mid", "3000", 0.05),
        ("idle", "6000", 0.3),
        *(
            pytest.param(*moment, marks=pytest.mark.slow)
            for moment in (
                ("made", "made", 0.0),
                ("made", "made", 0.2),
                ("started", "started", 0.1),
                ("first", "0", 0.0),
                ("mid", "3000", 0.0),
                ("ordered", "3000", 0.0),
            )
        ),
    ],
)
def test_nothing_is_left_of_a_parent_that_is_killed(
    start_python, slide_path, moment, said, wait_s
) -> None:
    before = segments_now()
    process = start_python(PARENT, slide_path, moment)
    while process.stdout.readline().strip() != said:
        assert process.poll() is None, process.stderr.read()
    time.sleep(wait_s)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    assert process.wait(10) == -9
    assert none_is_left(family, before)
