import time
from contextlib import closing
from itertools import pairwise

import numpy as np
import psutil
import pytest

from pathassets.engine.workers import ring
from pathassets.engine.workers.parts import schedule, stream
from pathassets.engine.workers.parts.stream import n_batch_of
from pathassets.errors import PathAssetsError, WorkerLost
from tests.engine.part_jobs import SIDE_PX, job_of, readers_of, stream_of
from tests.engine.patch_objects import none_is_left, segments_now

PATCH_BYTES = 3 * SIDE_PX**2


@pytest.fixture(autouse=True, scope="module")
def small_parts():
    """Many small parts and slots, and little that may wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ring, "SLOT_BYTES", 8 * PATCH_BYTES)
        patch.setattr(stream, "PART_PATCHES", 20)
        patch.setattr(stream, "ORDERED_PART_BYTES", 30 * PATCH_BYTES)
        for module in (schedule, stream):
            patch.setattr(module, "WAITING_BYTES", 60 * PATCH_BYTES)
        yield


@pytest.fixture(scope="module")
def readers(small_parts):
    """The same for all tests that leave them as they are, or whole again."""
    del small_parts
    yield from lend_readers()


@pytest.fixture
def own_readers():
    yield from lend_readers()


def lend_readers():
    before = segments_now()
    made = readers_of()
    yield made
    family = [psutil.Process(worker.process.pid) for worker in made.workers]
    made.end()
    assert none_is_left(family, before)


def read(jobs, readers, on_told=None, **changes) -> list[tuple[int, int, int]]:
    """(job, place, colour) as they come."""
    return [
        (job, place, int(pixels[0, 0, 0]))
        for job, sets in stream_of(jobs, readers, on_told, **changes).run()
        for place, pixels in zip(sets.places.tolist(), sets.pixels[0], strict=True)
    ]


def wanted(*sizes) -> list[tuple[int, int, int]]:
    return [(job, i, i % 251) for job, n in enumerate(sizes) for i in range(n)]


def test_processes_that_are_used_again_are_started_once_and_open_a_source_once(readers, tmp_path):
    jobs = [job_of(n, name, tmp_path) for n, name in ((300, "a"), (170, "b"), (1, "c"))]
    for job in jobs:
        assert read([job], readers) == wanted(len(job))
    pids = {worker.process.pid for worker in readers.workers}
    assert len(pids) == 2
    opened = (tmp_path / "opened").read_text().splitlines()
    assert len(set(opened)) == len(opened) <= 6
    assert {int(line.split()[1]) for line in opened} == pids


def test_what_a_part_tells_is_heard_before_the_rows_that_come_after_it(readers):
    heard, seen = [], []
    told = stream_of([job_of(300)], readers, lambda part, said: heard.append((part.number, said)))
    for _, sets in told.run():
        firsts = [said for _, said in heard if said != "end"]
        assert firsts[-1] == sets.places[0]
        seen += sets.places.tolist()
    assert seen == list(range(300))
    n_parts = heard[-1][0] + 1
    assert n_parts > 4
    assert [number for number, said in heard if said == "end"] == list(range(n_parts))
    assert all(a <= b for (a, _), (b, _) in pairwise(heard))


def test_what_the_hearer_raises_ends_the_stream_and_leaves_the_processes_to_others(readers):
    def refuse(_part, said):
        if said != "end" and said > 100:
            raise PathAssetsError("too much")

    with pytest.raises(PathAssetsError, match="too much"):
        read([job_of(300)], readers, refuse)
    assert all(worker.part is None for worker in readers.workers)
    assert read([job_of(90)], readers) == wanted(90)


def test_a_process_that_hangs_is_ended_after_the_timeout_and_costs_its_job(readers):
    assert read([job_of(90)], readers) == wanted(90)  # they have started
    jobs = [job_of(90), job_of(90, "b", hangs_at=40), job_of(90, "c")]
    began_s = time.monotonic()
    seen = stream_of(jobs, readers, on_error="collect", timeout_s=6.0)
    found = [job for job, sets in seen.run() for _ in sets.places]
    assert 6.0 <= time.monotonic() - began_s < 60
    assert [found.count(job) for job in (0, 2)] == [90, 90]
    assert found.count(1) < 41
    [(job, error)] = seen.progress.errors.items()
    assert job == 1
    assert isinstance(error, WorkerLost)
    assert error.is_late
    assert error.message == "b: its reading process said nothing for 6 s, and was ended"
    assert read([job_of(90)], readers) == wanted(90)


def test_one_that_waits_for_its_receiver_is_not_taken_for_one_that_hangs(readers):
    assert read([job_of(90)], readers) == wanted(90)  # they have started
    seen = []
    for n, (_, sets) in enumerate(stream_of([job_of(400)], readers, timeout_s=2.0).run()):
        if n == 5:
            time.sleep(3.0)
        seen += sets.places.tolist()
    assert seen == list(range(400))


def test_a_process_that_dies_costs_its_job_and_is_replaced(readers):
    with pytest.raises(WorkerLost, match="b: worker process ended with code -9") as info:
        read([job_of(90, "b", dies_at=50)], readers)
    assert not info.value.is_late
    assert read([job_of(90)], readers) == wanted(90)


def test_a_source_that_cannot_be_opened_fails_alone(readers):
    with pytest.raises(PathAssetsError, match="missing: FileNotFoundError"):
        read([job_of(90, "missing")], readers)
    assert read([job_of(90)], readers) == wanted(90)


def test_closing_early_ends_who_has_a_part_and_no_other(readers):
    with closing(stream_of([job_of(3000)], readers).run()) as events:
        next(events)
        assert len(readers.workers) == 2
    assert all(worker.part is None for worker in readers.workers)
    assert read([job_of(90)], readers) == wanted(90)


def test_larger_patches_have_larger_slots(own_readers):
    assert read([job_of(90)], own_readers) == wanted(90)
    large = job_of(60, side_px=40)
    own_readers.fit(large.patch_bytes)
    assert own_readers.workers == []
    assert read([large], own_readers) == wanted(60)
    own_readers.fit(PATCH_BYTES)
    assert len(own_readers.workers) > 0


def test_who_is_stopped_by_another_goes_on_at_once(own_readers):
    events = stream_of([job_of(300, hangs_at=4)], own_readers).run()
    own_readers.add(job_of(1).source)
    own_readers.stop()
    with pytest.raises(WorkerLost):
        next(events)


@pytest.mark.parametrize(
    ("batch_bytes", "n_rows", "n"), [(41, 1, 41), (41, 32, 32), (41, 64, 41), (130, 32, 128)]
)
def test_batches_are_whole_multiples_of_what_their_receiver_takes(batch_bytes, n_rows, n):
    assert n_batch_of(job_of(9), batch_bytes * PATCH_BYTES, n_rows) == n


def test_parts_and_batches_are_whole_multiples_too(readers):
    sizes = [
        len(sets.places) for _, sets in stream_of([job_of(305)], readers, n_rows=8).run()
    ]  # fmt: skip
    assert sizes == [8] * 38 + [1]
    assert np.sum(sizes) == 305
