"""A process that hangs, as at the disk of a server that is gone, is not waited for without end."""

import pytest

from pathassets.engine.patches.extraction import ExtractionSpec, job_of
from pathassets.engine.patches.memory.streaming import Stream
from pathassets.engine.workers import ring
from pathassets.engine.workers.parts import stream as streaming
from pathassets.engine.workers.parts.stream import TIMEOUT_S, StreamSpec
from pathassets.errors import WorkerLost
from tests.engine.patch_objects import grid_on
from tests.engine.pool_tasks import workers_now
from tests.formula_tiff import write_formula_tiff


@pytest.mark.slow
@pytest.mark.parametrize("is_ordered", [True, False])
def test_it_is_ended_and_costs_its_slide_alone(tmp_path, monkeypatch, is_ordered):
    monkeypatch.setattr(ring, "SLOT_BYTES", 8 * 16 * 16 * 3)
    monkeypatch.setattr(streaming, "PART_PATCHES", 100)
    path = write_formula_tiff(tmp_path / "a.tiff")
    jobs = [job_of(grid_on(path, n=1200), ExtractionSpec()) for _ in range(3)]
    spec = StreamSpec(
        n_processes=1, n_threads=1, is_ordered=is_ordered, on_error="collect", timeout_s=25.0
    )  # fmt: skip
    assert TIMEOUT_S == 600.0  # where a pool is asked for, which tells no other
    stream = Stream(jobs, spec)
    seen = [0, 0, 0]
    for job, sets in stream.run():
        if not any(seen):
            [worker] = workers_now()
            worker.suspend()
        seen[job] += len(sets.places)
    assert seen[0] < seen[1] == seen[2] == 1200
    [(job, error)] = stream.progress.errors.items()
    assert job == 0
    assert isinstance(error, WorkerLost)
    assert error.message == f"{path}: its reading process said nothing for 25 s, and was ended"
