"""How a line reads: by threads, and where there are many cores by processes."""

from pathlib import Path

import psutil
import pytest

from pathassets.engine.platform.batch import run_batch
from pathassets.engine.settings import MOST_THREADS
from pathassets.engine.stages.line import how_to_read
from tests.engine.patch_objects import none_is_left, segments_now
from tests.engine.pool_tasks import is_worker
from tests.engine.stages.chains import TWO_ENCODERS


@pytest.mark.parametrize("n_threads", [1, 2, 3, MOST_THREADS, MOST_THREADS + 1, 16, 17])
def test_it_has_as_many_threads_as_it_may_and_never_too_many_in_a_process(n_threads):
    how = how_to_read(n_threads, 60.0)
    assert how.n_threads <= MOST_THREADS
    n_all = how.n_threads * max(1, how.n_processes)
    assert n_threads <= n_all < n_threads + max(1, how.n_processes)
    assert (how.n_processes > 1) == (n_threads > MOST_THREADS)
    assert how.silence_s == 30.0


def test_a_variable_overrules_the_number_of_processes(monkeypatch):
    monkeypatch.setenv("PATHASSETS_READ_PROCESSES", "2")
    how = how_to_read(2, 60.0)
    assert (how.n_processes, how.n_threads) == (2, 1)
    monkeypatch.setenv("PATHASSETS_READ_PROCESSES", "0")
    assert how_to_read(64, 60.0).n_threads == 64


def readers_of_lines() -> set[int]:
    """Worker processes of workers of this one."""
    lines = [worker for worker in psutil.Process().children() if is_worker(worker)]
    return {own.pid for line in lines for own in line.children() if is_worker(own)}


@pytest.mark.slow
def test_a_batch_has_the_same_bytes_and_leaves_no_process(
    reopen, register, make_slide, settings, monkeypatch
):
    """By lines that read by processes, and by threads: of two slides."""
    before, found = segments_now(), []
    paths = [make_slide(f"{name}.svs", seed=seed) for seed, name in enumerate("ab")]
    for n_processes in ("2", "0"):
        monkeypatch.setenv("PATHASSETS_READ_PROCESSES", n_processes)
        store = Path(settings.home / f"store{n_processes}")
        catalog_url = f"sqlite:///{store / 'catalog.sqlite'}"
        platform = reopen(TWO_ENCODERS, store=store, catalog_url=catalog_url)
        planned = register(platform, *paths)
        readers = set()
        for outcome in run_batch(platform, planned, platform.recipe.per_slide, run_id="r"):
            assert outcome.failure is None
            readers |= readers_of_lines()
        assert bool(readers) == (n_processes != "0")
        found.append({
            str(path.relative_to(store)): path.read_bytes()
            for path in store.rglob("c/*/*") if path.is_file()
        })  # fmt: skip
    assert len(found[0]) >= 6
    assert found[0] == found[1]
    family = psutil.Process().children(recursive=True)
    assert none_is_left([process for process in family if is_worker(process)], before)
