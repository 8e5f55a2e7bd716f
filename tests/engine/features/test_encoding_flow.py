import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest

from pathassets.engine.features.encoding import encode_slides
from pathassets.engine.features.works import EncodingHow, EncodingUsage
from pathassets.engine.workers.prefetch import MOST_HELD
from pathassets.engine.workers.writing import MOST_WAITING
from pathassets.errors import StoreError
from tests.chaos import wait_until
from tests.engine.encoding_bench import SIDE_PX, Bench, KindMeans, Means, lay, run, slide_of, wanted


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path / "features")


def test_little_waits_however_slow_the_encoder(bench):
    slide = slide_of()
    encoder = Means(32)
    patch_bytes = 3 * SIDE_PX**2
    seen = []

    def look(_: np.ndarray) -> bool:
        time.sleep(0.01)  # 1 s in all, and 0.1 s is enough to read them
        seen.append(len({tile for _, tile, _ in slide.reads}) * 16 - sum(encoder.sizes))
        return False

    encoder.fails = look
    run([bench.work("a", 3000, [encoder], slide=slide)], waiting_bytes=300 * patch_bytes)
    assert max(seen) < 2000
    assert len(bench.features("a_0")) == 3000


def test_nothing_is_read_ahead_while_memory_is_short_and_there_is_progress(bench, monkeypatch):
    percents = []

    class Short:
        percent = 95.0

    def short() -> Short:
        percents.append(threading.current_thread().name)
        return Short()

    monkeypatch.setattr(psutil, "virtual_memory", short)
    slides = [slide_of(), slide_of()]
    encoder = Means(32)
    opened = []

    def look(_: np.ndarray) -> bool:
        time.sleep(0.02)
        opened.append(bool(slides[1].reads))
        return False

    encoder.fails = look
    works = [bench.work(f"s{i}", 200, [encoder], slide=slide) for i, slide in enumerate(slides)]
    run(works, memory_threshold=90.0)
    assert set(percents) == {"feed"}
    assert not any(opened[:5])
    for i in range(2):
        assert np.array_equal(bench.features(f"s{i}_0"), wanted(lay(200)))


def test_the_next_slide_is_opened_while_the_last_one_is_encoded(bench):
    slides = [slide_of(), slide_of()]
    encoder = Means(32)
    seen = []

    def look(_: np.ndarray) -> bool:
        until_s = time.monotonic() + 20
        while not seen and not slides[1].reads and time.monotonic() < until_s:
            time.sleep(0.001)
        seen.append(bool(slides[1].reads))
        return False

    encoder.fails = look
    run([bench.work(f"s{i}", 200, [encoder], slide=slide) for i, slide in enumerate(slides)])
    assert seen[0]


def test_a_slide_is_done_though_the_next_work_is_long_in_coming(bench):
    is_done = threading.Event()
    encoder = Means(32)

    def works():
        yield bench.work("a", 10, [encoder])
        assert is_done.wait(20), "the first slide waits for the second"
        yield bench.work("b", 10, [encoder])

    names = []
    for done in encode_slides(works()):
        names.append(done.work.name)
        is_done.set()
    assert names == ["a", "b"]


def test_an_encoder_that_the_next_slide_does_not_use_is_not_kept_waiting(bench):
    names = [
        done.work.name
        for done in encode_slides([bench.work(name, 10, [Means(32)]) for name in "abc"])
    ]
    assert names == ["a", "b", "c"]


def test_closing_ends_threads_and_slides(bench):
    slide = slide_of()
    encoder = Means(8)
    works = [bench.work("a", 9, [encoder]), bench.work("b", 3000, [encoder], slide=slide)]
    encoding = encode_slides(works, EncodingHow(n_threads=2, waiting_bytes=60_000))
    assert next(encoding).work.name == "a"
    encoding.close()
    assert not [t for t in threading.enumerate() if t.name.startswith(("feed", "decode"))]
    assert slide.is_closed or not slide.reads
    never = encode_slides(works)
    never.close()


def test_slides_without_patches_are_not_begun_far_ahead(bench):
    n_begun = 0

    def works():
        nonlocal n_begun
        for i in range(300):
            n_begun = i + 1
            yield bench.work(f"s{i}", 0, [encoder])

    encoder = Means()
    encoding = encode_slides(works())
    next(encoding)
    time.sleep(0.5)
    assert n_begun <= MOST_HELD + 3
    assert len(list(encoding)) == 299


def test_a_small_slide_holds_no_more_memory_than_its_patches(bench):
    held = []
    encoder = KindMeans(32)
    encoder.fails = lambda batch: held.append((batch if batch.base is None else batch.base).nbytes)
    run([bench.work("a", 3, [encoder])])
    assert held == [3 * SIDE_PX * SIDE_PX * 3]


def test_a_halved_batch_is_told_of_the_slide_that_it_was_halved_at(bench):
    is_begun = threading.Event()

    def open_second():
        is_begun.set()
        return slide_of()

    encoder = KindMeans(32)
    encoder.n_halved = 0

    def halve(_: np.ndarray) -> bool:
        if not encoder.n_halved:
            assert is_begun.wait(20)
            encoder.n_halved = 1
        return False

    encoder.fails = halve
    works = [bench.work("a", 64, [encoder]), bench.work("b", 64, [encoder], open=open_second)]
    found = run(works)
    assert [found[name].stats.n_halved for name in "ab"] == [1, 0]


class Clocked(KindMeans):
    """Returns at once and knows how long its device took, as an encoder on a GPU does."""

    busy_s = 0.0

    def begin(self, batch):
        rows = self.encode(batch)

        def wait():
            self.busy_s += 10.0
            return rows

        return wait


def test_how_long_a_device_computed_is_what_it_says_itself_where_it_knows(tmp_path):
    encoder, usage = Clocked(rows=32), EncodingUsage()
    bench = Bench(tmp_path)
    encoder.busy_s = 500.0  # for others, before
    works = [bench.work("a", 64, [encoder]), bench.work("b", 32, [encoder])]
    done = list(encode_slides(iter(works), EncodingHow(), usage))
    assert usage.computing_s == 30
    assert usage.n_patches == 96
    assert sum(one.stats.computing_s for one in done) < 10
    assert done[-1].stats.busy_share == 1.0


def test_what_a_pipeline_waited_is_of_the_time_since_its_first_patch(tmp_path):
    def open_slowly():
        time.sleep(0.3)
        return slide_of()

    encoder, usage, bench = KindMeans(rows=32), EncodingUsage(), Bench(tmp_path)
    slow = [bench.work(name, 64, [encoder], open=open_slowly) for name in "ab"]
    list(encode_slides(iter(slow), EncodingHow(), usage))
    now = usage.copy()
    assert 0.2 < now.waiting_s < 0.55  # of b alone
    assert now.waiting_s + now.computing_s + now.writing_s <= now.wall_s


def test_a_slow_disk_is_written_to_while_the_next_rows_are_computed(tmp_path):
    encoder, bench = KindMeans(rows=32), Bench(tmp_path)
    work = bench.work("a", 32 * 12, [encoder])
    writer = work.targets[0].writer
    is_open, written, write = threading.Event(), [], writer.write

    def write_once_it_may(rows):
        is_open.wait(20)
        written.append(threading.get_ident())
        write(rows)

    writer.write = write_once_it_may
    encoded = encode_slides([work])
    runner = ThreadPoolExecutor(1)
    done = runner.submit(list, encoded)
    wait_until(lambda: len(encoder.sizes) > MOST_WAITING, limit_s=20, what="computing")
    assert written == []  # computing went on
    is_open.set()
    (outcome,) = done.result(20)
    assert (outcome.error, outcome.target_errors) == (None, {})
    assert len(set(written)) == 1
    assert not encoder.threads & set(written)
    assert writer.n_done + len(written) > 0
    runner.shutdown()


def test_what_cannot_be_written_is_the_error_of_its_target_alone(tmp_path):
    encoder, bench = KindMeans(rows=32), Bench(tmp_path)
    bad, good = bench.work("bad", 128, [encoder]), bench.work("good", 64, [encoder])

    def full(_rows):
        raise StoreError(tmp_path, "no space left", remedy="make room")

    bad.targets[0].writer.write = full
    first, second = encode_slides([bad, good])
    assert isinstance(first.target_errors[0], StoreError)
    assert (second.error, second.target_errors) == (None, {})
    good.targets[0].writer.finish()
