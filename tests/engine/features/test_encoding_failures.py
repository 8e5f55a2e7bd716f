from dataclasses import replace

import numpy as np
import pytest

from pathassets.adapters.zarr.feature_writer import FeatureWriter
from pathassets.core.patches.read_plan import ReadSpec
from pathassets.engine.features.works import SlideWork, Target
from pathassets.engine.slides.open import open_slide
from pathassets.errors import (
    EncoderError,
    PathAssetsError,
    SlideUnreadable,
    StoreError,
    TileUnreadable,
)
from tests.engine.encoding_bench import SKIP, Bench, KindMeans, Means, lay, run, slide_of, wanted


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path / "features")


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
    assert len(found["b"].bad_tiles.faults) == 1
    assert bad.is_closed
    for name in "ac":
        assert np.array_equal(bench.features(f"{name}_0"), wanted(lay(40)))


def test_patches_that_cannot_be_read_are_left_out(bench):
    bad = slide_of(damaged={0: {1, 200, 250}})
    done = run([bench.work("a", 3000, [Means()], slide=bad, spec=SKIP)])["a"]
    skipped = done.bad_tiles.skipped
    assert len(done.bad_tiles.faults) == 3
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
    assert resumed.bad_tiles == whole.bad_tiles
    assert again.hashes() == once.hashes()


def test_a_share_of_bad_tiles_is_a_share_of_all_wherever_reading_begins(bench):
    bad = {0: {240, 241}}
    spec = ReadSpec(bad_tiles="skip", max_bad_tile_share=0.011)
    bench.writer("a_0", lay(3000)).write(wanted(lay(3000))[:2048])
    done = run([bench.work("a", 3000, [Means()], slide=slide_of(damaged=bad), spec=spec)])["a"]
    assert done.error is None
    assert done.bad_tiles.n_tiles == 189
    assert len(done.bad_tiles.skipped) > 0


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


def test_what_the_works_raise_is_raised(bench):
    def works():
        yield bench.work("a", 40, [Means()])
        raise PathAssetsError("the list of slides is gone")

    with pytest.raises(PathAssetsError, match="the list of slides is gone"):
        run(works())


def test_a_patch_that_one_target_has_and_can_be_read_no_more_is_kept(bench):
    locations, rows = lay(3000), wanted(lay(3000))
    bench.writer("a_1", locations).write(rows[:2048])
    work = bench.work(
        "a", 3000, [KindMeans(), KindMeans(name="b")], slide=slide_of(damaged={0: {1, 250}}),
        spec=SKIP,
    )  # fmt: skip
    done = run([work])["a"]
    assert done.target_errors == {}
    skipped = np.array(done.bad_tiles.skipped)
    assert min(skipped) < 2048 < max(skipped)
    assert np.array_equal(bench.features("a_0"), np.delete(rows, skipped, axis=0))
    late = skipped[skipped >= 2048]
    assert np.array_equal(bench.features("a_1"), np.delete(rows, late, axis=0))
