import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import zarr

from pathassets.adapters.feature_store import FeatureWriter
from pathassets.core.colour_stats import ColourStats
from pathassets.core.encoder import COLOUR_STATS_CARD
from pathassets.core.locations import PatchLocations
from pathassets.core.patches import ReadSpec
from pathassets.engine.encoding import (
    EncodingHow,
    SlideEncoded,
    SlideWork,
    Target,
    encode_slides,
)
from pathassets.engine.slides import open_slide
from pathassets.errors import (
    EncoderError,
    PathAssetsError,
    SlideUnreadable,
    StoreError,
    TileUnreadable,
)
from tests.core.formula_slide import FormulaSlide
from tests.formula_tiff import write_formula_tiff

SIDE_PX = 16


class Means:
    """Mean colour of each patch and its corner; notes what it is given."""

    def __init__(self, rows: int = 8, name: str = "means", dim: int = 6) -> None:
        self.card = replace(COLOUR_STATS_CARD, name=name, dim=dim, feature_names=())
        self.rows = rows
        self.sizes: list[int] = []
        self.threads: set[int] = set()
        self.pause_s = 0.0
        self.fails: Callable[[np.ndarray], bool] = lambda _: False
        self.spoils: Callable[[np.ndarray], np.ndarray] = lambda batch: np.zeros(len(batch), bool)
        self.n_begun = self.most_begun = 0

    def encode(self, batch: np.ndarray) -> np.ndarray:
        self.sizes.append(len(batch))
        self.threads.add(threading.get_ident())
        time.sleep(self.pause_s)
        if self.fails(batch):
            raise EncoderError(self.card.name, "the device is gone")
        means = batch.reshape(len(batch), -1, 3).astype(np.float64).mean(axis=1)
        rows = np.concatenate([means, batch[:, 0, 0]], axis=1).astype(np.float32)
        rows[self.spoils(batch), 1] = np.nan
        return rows

    def begin(self, batch: np.ndarray) -> Callable[[], np.ndarray]:
        self.n_begun += 1
        self.most_begun = max(self.most_begun, self.n_begun)
        mine = batch.copy()
        batch[:] = 7  # it is the caller's again: nobody else may look at it
        result: list[np.ndarray] = []
        error: list[Exception] = []
        try:
            result.append(self.encode(mine))
        except EncoderError as failed:
            error.append(failed)

        def wait() -> np.ndarray:
            self.n_begun -= 1
            if error:
                raise error[0]
            return result[0]

        return wait


class KindMeans(Means):
    """Leaves the batch as it is, for others that look at it."""

    def begin(self, batch: np.ndarray) -> Callable[[], np.ndarray]:
        rows = self.encode(batch)
        return lambda: rows


def lay(n: int, *, x0: int = 0, side_px: int = SIDE_PX, across: int = 12) -> PatchLocations:
    i = np.arange(n)
    return PatchLocations(
        x_px0=x0 + (i % across) * side_px, y_px0=(i // across) * side_px,
        tissue_share=np.ones(n, np.float32), side_px0=side_px, patch_px=side_px, mpp=0.5,
    )  # fmt: skip


def slide_of(**changes) -> FormulaSlide:
    given = {"width_px0": 256, "height_px0": 4096, "tile_px": (64, 64)} | changes
    return OpenableSlide(**given)


class OpenableSlide(FormulaSlide):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def wanted(locations: PatchLocations, crop_px=None) -> np.ndarray:
    height, width = crop_px or (locations.patch_px,) * 2
    slide = slide_of()
    rows = []
    for x, y in zip(locations.x_px0.tolist(), locations.y_px0.tolist(), strict=True):
        rgb = slide.box(0, (x, y, x + width, y + height))
        means = rgb.reshape(1, -1, 3).astype(np.float64).mean(axis=1)[0]
        rows.append([*means, *rgb[0, 0]])
    return np.array(rows, np.float32).reshape(len(rows), 6)


class Bench:
    """Makes works whose features go under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def work(self, name: str, n: int, encoders, **changes) -> SlideWork:
        locations = changes.pop("locations", None) or lay(n)
        slide = changes.pop("slide", None) or slide_of()
        targets = tuple(
            Target(encoder=e, writer=self.writer(f"{name}_{i}", locations, e.card.dim))
            for i, e in enumerate(encoders)
        )
        return SlideWork(
            name=name, locations=locations, targets=targets,
            **({"open": lambda: slide} | changes),
        )  # fmt: skip

    def writer(self, name: str, locations: PatchLocations, dim: int = 6) -> FeatureWriter:
        return FeatureWriter(
            self.folder / name, shape=(dim,), boxes={"coordinates": locations.boxes_px0},
            attributes={"name": name},
        )  # fmt: skip

    def features(self, name: str) -> np.ndarray:
        return zarr.open_group(self.folder / name, mode="r")["features"][:]

    def hashes(self) -> dict[str, str]:
        files = sorted(p for p in self.folder.rglob("*") if p.is_file())
        return {
            str(p.relative_to(self.folder)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in files
        }


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path / "features")


def run(works, *, finish: bool = True, **how) -> dict[str, SlideEncoded]:
    """Encode, finish what is sound, by name."""
    found = {}
    for done in encode_slides(works, EncodingHow(**how)):
        found[done.work.name] = done
        if finish and done.error is None:
            for i, target in enumerate(done.work.targets):
                if i not in done.target_errors:
                    target.writer.finish()
    assert not [t for t in threading.enumerate() if t.name.startswith(("feed", "decode"))]
    return found


@pytest.mark.parametrize("n", [1, 7, 8, 64, 65, 300])
@pytest.mark.parametrize("rows", [1, 8, 50])
def test_every_patch_has_its_features_in_order(bench, n, rows):
    encoder = Means(rows)
    done = run([bench.work("a", n, [encoder])])["a"]
    assert np.array_equal(bench.features("a_0"), wanted(lay(n)))
    assert done.error is None
    assert done.target_errors == {}
    assert done.stats.n_patches == n
    assert encoder.threads == {threading.get_ident()}


def test_passes_are_filled_across_the_ends_of_slides(bench):
    encoder = Means(8)
    sizes = [5, 40, 1, 0, 33, 64]
    run([bench.work(f"s{i}", n, [encoder]) for i, n in enumerate(sizes)])
    assert encoder.sizes == [32, 32, 32, 32, 15]
    for i, n in enumerate(sizes):
        assert np.array_equal(bench.features(f"s{i}_0"), wanted(lay(n)))


def test_a_batch_is_begun_before_the_last_one_is_waited_for(bench):
    encoder = Means(32)
    run([bench.work("a", 200, [encoder])])
    assert (encoder.most_begun, encoder.n_begun) == (2, 0)


def test_patches_of_different_sizes_never_meet_in_a_pass(bench):
    encoder = Means(8)
    large = lay(20, side_px=32, across=6)
    run([bench.work("a", 20, [encoder]), bench.work("b", 20, [encoder], locations=large),
         bench.work("c", 20, [encoder])])  # fmt: skip
    assert encoder.sizes == [20, 20, 20]
    assert np.array_equal(bench.features("b_0"), wanted(large))


def test_encoders_of_one_slide_share_one_decoding(bench):
    slide = slide_of()
    encoders = [KindMeans(8, "a"), KindMeans(50, "b"), KindMeans(3, "c")]
    run([bench.work("a", 150, encoders, slide=slide)])
    assert set(slide.tile_counts.values()) == {1}
    for i in range(3):
        assert np.array_equal(bench.features(f"a_{i}"), wanted(lay(150)))
    assert slide.is_closed


def test_each_target_goes_on_where_it_stopped_and_nothing_before_is_read(bench):
    locations = lay(3000)
    writers = [bench.writer(f"a_{i}", locations) for i in range(2)]
    rows = wanted(locations)
    writers[0].write(rows[:1024])
    writers[1].write(rows[:2048])
    slide = slide_of()
    first, second = KindMeans(8, "a"), KindMeans(8, "b")
    work = bench.work("a", 3000, [first, second], slide=slide)
    done = run([work])["a"]
    assert (sum(first.sizes), sum(second.sizes)) == (3000 - 1024, 3000 - 2048)
    assert done.stats.n_patches == 3000 - 1024
    row_of_tiles = min(tile for _, tile, _ in slide.reads) // 4
    assert row_of_tiles == lay(3000).y_px0[1024] // 64
    for i in range(2):
        assert np.array_equal(bench.features(f"a_{i}"), rows)


def test_the_bytes_are_the_same_for_any_threads_order_and_neighbours(tmp_path):
    sizes = {"a": 130, "b": 1500, "c": 9}
    found = []
    for number, (names, threads) in enumerate([("abc", 1), ("cba", 2), ("bac", 3)]):
        bench, encoder = Bench(tmp_path / str(number)), ColourStats()
        works = [bench.work(name, sizes[name], [encoder]) for name in names]
        run(works, n_threads=threads, waiting_bytes=100_000 * threads)
        found.append(bench.hashes())
    alone, encoder = Bench(tmp_path / "alone"), ColourStats()
    for name in "abc":
        run([alone.work(name, sizes[name], [encoder])])
    assert found[0] == found[1] == found[2] == alone.hashes()


def test_a_slide_without_locations_is_done_without_being_opened(bench):
    def never():
        raise AssertionError("it was opened")

    done = run([bench.work("a", 0, [Means()], open=never)])["a"]
    assert done.error is None
    assert bench.features("a_0").shape == (0, 6)
    assert run([]) == {}


def test_what_is_done_already_is_not_encoded_again(bench):
    bench.writer("a_0", lay(1024)).write(wanted(lay(1024)))
    encoder = Means()
    assert run([bench.work("a", 1024, [encoder])])["a"].stats.n_patches == 0
    assert encoder.sizes == []
    assert len(bench.features("a_0")) == 1024


def test_a_slide_that_cannot_be_opened_stops_no_other(bench, tmp_path):
    encoder = Means()

    def missing():
        return open_slide(tmp_path / "no.svs")

    works = [bench.work("a", 40, [encoder]), bench.work("b", 40, [encoder], open=missing),
             bench.work("c", 40, [encoder])]  # fmt: skip
    found = run(works)
    assert isinstance(found["b"].error, SlideUnreadable)
    assert [found[name].error for name in "ac"] == [None, None]
    assert np.array_equal(bench.features("c_0"), wanted(lay(40)))


def test_a_slide_that_cannot_be_read_stops_no_other_and_is_closed(bench):
    encoder = Means()
    bad = slide_of(damaged={0: {9}})
    works = [bench.work("a", 40, [encoder]), bench.work("b", 200, [encoder], slide=bad),
             bench.work("c", 40, [encoder])]  # fmt: skip
    found = run(works)
    assert isinstance(found["b"].error, TileUnreadable)
    assert len(found["b"].ledger.faults) == 1
    assert bad.is_closed
    for name in "ac":
        assert np.array_equal(bench.features(f"{name}_0"), wanted(lay(40)))


SKIP = ReadSpec(bad_tiles="skip", max_bad_tile_share=0.5)


def test_patches_that_cannot_be_read_are_left_out(bench):
    bad = slide_of(damaged={0: {1, 200, 250}})
    done = run([bench.work("a", 3000, [Means()], slide=bad, spec=SKIP)])["a"]
    skipped = done.ledger.skipped
    assert len(done.ledger.faults) == 3
    assert 16 < len(skipped) <= 48
    assert np.array_equal(bench.features("a_0"), np.delete(wanted(lay(3000)), skipped, axis=0))


def test_who_goes_on_lists_the_same_bad_tiles_and_has_the_same_bytes(tmp_path):
    once, again = Bench(tmp_path / "once"), Bench(tmp_path / "again")
    damaged = {0: {1, 40, 200, 250}}

    def work(bench: Bench, encoders) -> SlideWork:
        return bench.work("a", 3000, encoders, slide=slide_of(damaged=damaged), spec=SKIP)

    whole = run([work(once, [KindMeans(), KindMeans(name="b")])])["a"]
    stopping = KindMeans()
    n_seen = []
    stopping.fails = lambda batch: n_seen.append(len(batch)) or sum(n_seen) > 1500
    stopped = run([work(again, [stopping, KindMeans(name="b")])], finish=False)["a"]
    assert isinstance(stopped.target_errors[0], EncoderError)
    resumed = run([work(again, [KindMeans(), KindMeans(name="b")])])["a"]
    assert 0 < resumed.stats.n_patches < 2100
    assert resumed.ledger == whole.ledger
    assert again.hashes() == once.hashes()


def test_a_share_of_bad_tiles_is_a_share_of_all_wherever_reading_begins(bench):
    bad = {0: {240, 241}}
    spec = ReadSpec(bad_tiles="skip", max_bad_tile_share=0.011)
    bench.writer("a_0", lay(3000)).write(wanted(lay(3000))[:2048])
    done = run([bench.work("a", 3000, [Means()], slide=slide_of(damaged=bad), spec=spec)])["a"]
    assert done.error is None
    assert done.ledger.n_tiles == 189
    assert len(done.ledger.skipped) > 0


@pytest.mark.parametrize("rows", [8, 64])
def test_features_that_are_not_finite_fail_one_target_of_one_slide(bench, rows):
    bad, good = KindMeans(rows, "bad"), KindMeans(rows, "good")
    target = wanted(lay(2000))[1300]
    bad.spoils = lambda batch: (
        (batch[:, 0, 0] == target[3:]).all(axis=1)
        & (np.abs(batch.reshape(len(batch), -1, 3).mean(axis=1) - target[:3]) < 1e-3).all(axis=1)
    )
    locations = lay(2000)
    works = [bench.work("a", 100, [bad, good]), bench.work("b", 2000, [bad, good]),
             bench.work("c", 100, [bad, good])]  # fmt: skip
    found = run(works)
    assert found["a"].target_errors == found["c"].target_errors == {}
    assert list(found["b"].target_errors) == [0]
    error = found["b"].target_errors[0]
    assert isinstance(error, EncoderError)
    x, y = locations.x_px0[1300], locations.y_px0[1300]
    assert f"encoder bad: features of patch 1300 at level-0 point ({x}, {y}) are not" in str(error)
    assert np.array_equal(bench.features("b_1"), wanted(locations))
    assert bench.writer("b_0", locations).n_done == 1024
    for name in "ac":
        for i in range(2):
            assert np.array_equal(bench.features(f"{name}_{i}"), wanted(lay(100)))


def test_who_shares_a_pass_with_a_bad_patch_does_not_suffer(bench):
    encoder = Means(64)
    locations = lay(10, x0=3)
    corner = wanted(locations)[0][3:]
    encoder.fails = lambda batch: bool((batch[:, 0, 0] == corner).all(axis=1).any())
    works = [bench.work("a", 10, [encoder]),
             bench.work("b", 10, [encoder], locations=locations),
             bench.work("c", 10, [encoder])]  # fmt: skip
    found = run(works)
    assert isinstance(found["b"].target_errors[0], EncoderError)
    for name in "ac":
        assert found[name].target_errors == {}
        assert np.array_equal(bench.features(f"{name}_0"), wanted(lay(10)))


def test_a_slide_nobody_wants_any_more_is_not_read_to_its_end(bench):
    encoder = Means(8)
    encoder.fails = lambda _: True
    slide = slide_of()
    done = run([bench.work("a", 3000, [encoder], slide=slide)], waiting_bytes=60_000)["a"]
    assert list(done.target_errors) == [0]
    assert len(slide.reads) < 100


@pytest.mark.parametrize("n_slides", [1, 2])
def test_an_encoder_that_gives_too_few_rows_fails(bench, n_slides):
    encoder = Means(8)
    whole = encoder.encode
    encoder.encode = lambda batch: whole(batch)[1:]
    found = run([bench.work(f"s{i}", 10, [encoder]) for i in range(n_slides)])
    for done in found.values():
        assert "rows of features for 10 patches" in str(done.target_errors[0])


class FullDisk(FeatureWriter):
    def write(self, rows):
        if self.n_done:
            raise StoreError("disk", "cannot be written: No space left on device")
        super().write(rows)


def test_a_full_disk_fails_the_target_that_it_is_of(bench, tmp_path):
    encoders = [KindMeans(8, "a"), KindMeans(8, "b")]
    work = bench.work("a", 2000, encoders)
    full = FullDisk(
        tmp_path / "full", shape=(6,), boxes={"coordinates": lay(2000).boxes_px0}, attributes={}
    )
    work = replace(work, targets=(Target(encoder=encoders[0], writer=full), work.targets[1]))
    done = run([work, bench.work("b", 9, encoders)])
    assert isinstance(done["a"].target_errors[0], StoreError)
    assert np.array_equal(bench.features("a_1"), wanted(lay(2000)))
    assert np.array_equal(bench.features("b_0"), wanted(lay(9)))


@pytest.mark.parametrize("crop_px", [(16, 16), (7, 16), (16, 1), (3, 5)])
def test_patches_may_be_cropped_to_their_upper_left(bench, crop_px):
    run([bench.work("a", 50, [Means()], crop_px=crop_px)])
    assert np.array_equal(bench.features("a_0"), wanted(lay(50), crop_px))


def test_little_waits_however_slow_the_encoder(bench):
    slide = slide_of()
    encoder = Means(32)
    patch_bytes = 3 * SIDE_PX**2
    seen = []

    def look(_: np.ndarray) -> bool:
        time.sleep(0.02)
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
        time.sleep(0.05)
        seen.append(bool(slides[1].reads))
        return False

    encoder.fails = look
    run([bench.work(f"s{i}", 200, [encoder], slide=slide) for i, slide in enumerate(slides)])
    assert any(seen[:6])


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


def test_what_the_works_raise_is_raised(bench):
    def works():
        yield bench.work("a", 40, [Means()])
        raise PathAssetsError("the list of slides is gone")

    with pytest.raises(PathAssetsError, match="the list of slides is gone"):
        run(works())


def test_the_numbers_are_of_this_slide(bench, tmp_path):
    path = write_formula_tiff(tmp_path / "a.tiff")
    encoder = Means(8)
    encoder.pause_s = 0.01
    locations = lay(200, side_px=32)
    work = bench.work("a", 200, [encoder], locations=locations, open=lambda: open_slide(path))
    stats = run([work, bench.work("b", 3, [encoder])])["a"].stats
    assert stats.n_patches == 200
    assert stats.wall_s > stats.computing_s > 0.06
    assert 0 < stats.reading_s < 10
    assert stats.waiting_s > 0
    assert stats.peak_bytes > 10_000_000
    assert stats.n_halved == 0


KILLED_TEN_TIMES = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
from tests.core.formula_slide import FormulaSlide
from pathassets.adapters.feature_store import FeatureWriter, is_finished
from pathassets.core.colour_stats import ColourStats
from pathassets.core.locations import PatchLocations
from pathassets.core.patches import ReadSpec
from pathassets.engine.encoding import EncodingHow, SlideWork, Target, encode_slides

class Slide(FormulaSlide):
    def __enter__(self):
        return self
    def __exit__(self, *_):
        pass

class Noting(ColourStats):
    def begin(self, batch):
        os.write(log, b"." * len(batch))
        return super().begin(batch)

n, folder = 12_000, Path(sys.argv[1])
i = np.arange(n)
locations = PatchLocations(
    x_px0=i % 60 * 4, y_px0=i // 60 * 16, tissue_share=np.ones(n, np.float32), side_px0=16,
    patch_px=16, mpp=0.5,
)

def encode(path):
    writer = FeatureWriter(
        path, shape=(25,), boxes={"coordinates": locations.boxes_px0}, attributes={}
    )
    slide = Slide(256, 4096, tile_px=(64, 64), damaged={0: {5, 100}})
    work = SlideWork(
        name="a", open=lambda: slide, locations=locations,
        targets=(Target(encoder=Noting(), writer=writer),),
        spec=ReadSpec(bad_tiles="skip", max_bad_tile_share=0.5),
    )
    for done in encode_slides([work], EncodingHow(n_threads=2)):
        assert not done.error and not done.target_errors, done
        writer.finish(**done.ledger.facts())
    return len(done.ledger.skipped)

def n_noted():
    return (folder / "log").stat().st_size

def content(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}

folder.mkdir(exist_ok=True)
log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
n_skipped = encode(folder / "once")
assert n_skipped > 0
whole, n_killed = n_noted(), 0
assert whole == n - n_skipped
rng = random.Random(5)
for _ in range(10):
    before = n_noted()
    pid = os.fork()
    if not pid:
        encode(folder / "killed")
        os._exit(0)
    stop = rng.randrange(200, 2600)
    is_over = False
    while not is_over and n_noted() - before < stop:
        time.sleep(0.0005)
        is_over = os.waitpid(pid, os.WNOHANG)[0] == pid
    if not is_over:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        n_killed += 1
    if is_finished(folder / "killed"):
        break
else:
    encode(folder / "killed")
again = n_noted() - 2 * whole
assert 0 < again <= n_killed * (1024 + 128), (again, n_killed)
assert content(folder / "killed") == content(folder / "once")
print(n_killed)
"""


def test_killed_ten_times_inside_a_slide_it_recomputes_a_chunk_each_and_has_the_same_bytes(
    tmp_path, start_python
):
    process = start_python(KILLED_TEN_TIMES, tmp_path / "f")
    out, said = process.communicate()
    assert process.returncode == 0, said
    assert int(out) >= 5
