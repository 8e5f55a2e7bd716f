import threading

import numpy as np
import pytest

from pathassets.core.features.colour_stats import ColourStats
from pathassets.engine.slides.open import open_slide
from tests.engine.encoding_bench import Bench, KindMeans, Means, lay, run, slide_of, wanted
from tests.formula_tiff import write_formula_tiff


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path / "features")


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


@pytest.mark.parametrize("crop_px", [(16, 16), (7, 16), (16, 1), (3, 5)])
def test_patches_may_be_cropped_to_their_upper_left(bench, crop_px):
    run([bench.work("a", 50, [Means()], crop_px=crop_px)])
    assert np.array_equal(bench.features("a_0"), wanted(lay(50), crop_px))


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
