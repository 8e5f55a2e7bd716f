"""Pixels of patches in closed form, on a slide whose every pixel can be told."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches.read_plan import ReadSpec
from pathassets.core.slides.bad_tiles import BadTiles
from pathassets.engine.patches.extraction import ExtractionSpec, job_of
from pathassets.engine.patches.multi_resolution import ReadHow, read_job, read_sets
from pathassets.errors import SlideUnreadable, SpecError, TileUnreadable
from tests.core.formula_slide import FormulaSlide
from tests.formula_tiff import formula_box, formula_level, write_formula_tiff


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory) -> Path:
    return write_formula_tiff(tmp_path_factory.mktemp("formula") / "formula.tiff")


@pytest.fixture(scope="module")
def unscaled_path(tmp_path_factory) -> Path:
    return write_formula_tiff(tmp_path_factory.mktemp("formula") / "unscaled.tiff", mpp=None)


def patches_at(path, *corners, size=(256, 256), level_or_mpp=0, labels=None, **more):
    labels = labels or [""] * len(corners)
    return SimpleNamespace(
        wsi_file=str(path),
        patch_data=[(c, size, label) for c, label in zip(corners, labels, strict=True)],
        level_or_mpp=level_or_mpp,
        class_name="Foreign",
        param_info={},
        **more,
    )


def read_all(patches, spec=None, *, n_batch=3, n_threads=1, part=slice(None), **more):
    job = job_of(patches, spec or ExtractionSpec())
    return list(read_job(job, part, n_batch=n_batch, n_threads=n_threads, **more))


def test_a_patch_of_a_level_is_the_levels_pixels(slide_path):
    corners = [(0, 0), (1024, 512), (-400, 80), (1800, 1400), (-5000, 0)]
    sets = read_all(patches_at(slide_path, *corners, level_or_mpp=1))
    pixels = np.concatenate([s.pixels[0] for s in sets])
    for patch, (x, y) in zip(pixels, corners, strict=True):
        assert (patch == formula_box(1, x // 4, y // 4, 256, 256)).all()


def test_a_patch_larger_than_its_level_is_padded(slide_path):
    (only,) = read_all(patches_at(slide_path, (0, 0), level_or_mpp=2))
    assert (only.pixels[0][0] == formula_box(2, 0, 0, 256, 256)).all()
    assert (only.pixels[0][0][96:] == 255).all()


def test_micrometres_that_a_level_has_are_read_from_it_without_resampling(slide_path):
    (only,) = read_all(patches_at(slide_path, (512, 512), level_or_mpp=2.0))
    assert (only.pixels[0][0] == formula_box(1, 128, 128, 256, 256)).all()


def test_micrometres_between_levels_are_refused_without_a_resampling_mode(slide_path):
    with pytest.raises(SpecError, match=r"no level has 0\.7 um per pixel .*resampling_mode"):
        read_all(patches_at(slide_path, (512, 512), level_or_mpp=0.7))


def test_a_tile_is_resampled_from_its_own_corner(slide_path):
    (only,) = read_all(
        patches_at(slide_path, (100, 60), level_or_mpp=1.0), ExtractionSpec(resampling_mode="tile")
    )
    box = formula_box(0, 100, 60, 512, 512).astype(int)
    mean = box.reshape(256, 2, 256, 2, 3).sum(axis=(1, 3))
    assert np.abs(only.pixels[0][0].astype(int) - (mean + 2) // 4).max() == 0


def test_neighbours_have_no_seam_where_the_whole_slide_is_resampled(slide_path):
    spec = ExtractionSpec(resampling_mode="wsi")
    corners = [(280 * i, 0) for i in range(3)]
    (row,) = read_all(patches_at(slide_path, *corners, size=(200, 200), level_or_mpp=0.7), spec)
    (wide,) = read_all(patches_at(slide_path, (0, 0), size=(600, 600), level_or_mpp=0.7), spec)
    assert (np.concatenate(list(row.pixels[0]), axis=1) == wide.pixels[0][0][:200]).all()


def test_a_set_shares_one_centre(slide_path):
    spec = ExtractionSpec(levels_or_mpps=(0, 1.0, 0.75), resampling_mode="tile")
    (only,) = read_all(patches_at(slide_path, (512, 512)), spec)
    assert [c.tolist() for c in only.corners_px0] == [[[512, 512]], [[384, 384]], [[448, 448]]]
    assert (only.pixels[0][0] == formula_box(0, 512, 512, 256, 256)).all()
    level = formula_level(0)[384:896, 384:896].astype(int)
    mean = level.reshape(256, 2, 256, 2, 3).sum(axis=(1, 3))
    assert (only.pixels[1][0] == (mean + 2) // 4).all()


def test_a_set_by_level_needs_no_micrometres(unscaled_path):
    spec = ExtractionSpec(levels_or_mpps=(2, 1, 0))
    (only,) = read_all(patches_at(unscaled_path, (1024, 768), size=(64, 64)), spec)
    assert [c[0].tolist() for c in only.corners_px0] == [[544, 288], [928, 672], [1024, 768]]
    assert (only.pixels[0][0] == formula_box(2, 34, 18, 64, 64)).all()
    assert (only.pixels[1][0] == formula_box(1, 232, 168, 64, 64)).all()


def test_micrometres_of_a_slide_without_any_can_be_stated(unscaled_path):
    with pytest.raises(SpecError, match="mpp of this slide is not known"):
        read_all(patches_at(unscaled_path, (0, 0), level_or_mpp=2.0))
    (only,) = read_all(patches_at(unscaled_path, (0, 0), level_or_mpp=2.0, slide_mpp=0.5))
    assert (only.pixels[0][0] == formula_box(1, 0, 0, 256, 256)).all()


def test_patches_of_other_sizes_are_in_the_upper_left_of_their_squares(slide_path):
    patches = patches_at(slide_path, (0, 0), size=(64, 32))
    patches.patch_data.append(((512, 0), (16, 128), ""))
    job = job_of(patches, ExtractionSpec())
    (only,) = read_job(job, slice(None), n_batch=4, n_threads=1)
    assert job.slot_px == 128
    assert (only.pixels[0][1][:128, :16] == formula_box(0, 512, 0, 16, 128)).all()
    assert (job.width_px.tolist(), job.height_px.tolist()) == ([64, 16], [32, 128])


@pytest.mark.parametrize("mode", ["tile", "wsi"])
def test_content_depends_on_neither_parts_batches_nor_threads(slide_path, mode):
    rng = np.random.default_rng(4)
    corners = [(int(x), int(y)) for x, y in rng.integers(-300, 2000, (40, 2))]
    patches = patches_at(slide_path, *corners, size=(96, 96), level_or_mpp=0.7)
    spec = ExtractionSpec(resampling_mode=mode, levels_or_mpps=(0.7, 1, 3.0))
    whole = read_all(patches, spec, n_batch=40)[0]
    parts = []
    for start, stop, n_batch, n_threads in ((0, 13, 4, 2), (13, 14, 1, 1), (14, 40, 7, 3)):
        parts += read_all(
            patches, spec, part=slice(start, stop), n_batch=n_batch, n_threads=n_threads,
            budget_bytes=100_000,
        )  # fmt: skip
    assert np.concatenate([p.places for p in parts]).tolist() == list(range(40))
    for i in range(3):
        assert (np.concatenate([p.pixels[i] for p in parts]) == whole.pixels[i]).all()


def test_batches_are_read_into_what_is_given(slide_path):
    given = []

    def allocate(*shape):
        given.append(np.empty(shape, np.uint8))
        return given[-1]

    corners = [(256 * i, 0) for i in range(5)]
    for mode, mpp in (("tile", 0.5), ("wsi", 0.7)):
        given.clear()
        sets = read_all(
            patches_at(slide_path, *corners, level_or_mpp=mpp),
            ExtractionSpec(resampling_mode=mode),
            n_batch=2,
            allocate=allocate,
        )
        assert all(any(np.shares_memory(s.pixels[0], g) for g in given) for s in sets)


@pytest.mark.parametrize("n_batch", [1, 3, 64])
@pytest.mark.parametrize("mode", ["tile", "wsi"])
def test_a_set_that_touches_a_bad_tile_at_any_resolution_is_left_out(n_batch, mode):
    slide = FormulaSlide(2048, 1536, (1.0, 4.0), damaged={0: {0, 9}, 1: {3}}, mpp=0.5)
    corners = [(x, y) for y in range(0, 1536, 256) for x in range(0, 2048, 256)]
    spec = ExtractionSpec(levels_or_mpps=(0, 1, 2.6), resampling_mode=mode)
    job = job_of(patches_at("formula.svs", *corners, size=(64, 64)), spec)
    bad_tiles = BadTiles()
    policy = ReadSpec(bad_tiles="skip", max_bad_tile_share=0.5)
    how = ReadHow(n_batch=n_batch, spec=policy)
    sets = list(read_sets(slide, job, how, bad_tiles=bad_tiles))
    kept = np.concatenate([s.places for s in sets]).tolist()
    bad = {(0, 0), (256, 256)}

    def touches(x, y):
        # Around the centre 64 level-1 pixels are 256 px0, and tile 3 of level 1 is (1024, 1024).
        left, top = x + 32 - 128, y + 32 - 128
        wide = max(256, round(64 * 5.2) + 2)
        low, high = 32 - wide // 2 - 8, 32 + wide // 2 + 8
        near = x + high > 1024 and y + high > 1024 and x + low < 2048 and y + low < 2048
        sure = left + 256 > 1024 and top + 256 > 1024 and left < 2048 and top < 2048
        return near, sure

    for place, (x, y) in enumerate(corners):
        near, sure = touches(x, y)
        if (x, y) in bad or sure:
            assert place not in kept
        elif not near:
            assert place in kept
    assert sorted({*range(len(corners))} - {*kept}) == bad_tiles.skipped
    assert {(f.level, f.tile) for f in bad_tiles.in_order()} == {(0, 0), (0, 9), (1, 3)}
    for s in sets:
        for place, patch in zip(s.places.tolist(), s.pixels[0], strict=True):
            x, y = corners[place]
            assert (patch == slide.box(0, (x, y, x + 64, y + 64))).all()


def test_a_bad_tile_fails_the_job_unless_it_may_be_skipped():
    slide = FormulaSlide(512, 512, damaged={0: {3}})
    job = job_of(patches_at("formula.svs", (0, 0), (256, 256)), ExtractionSpec())
    with pytest.raises(TileUnreadable):
        list(read_sets(slide, job, ReadHow(n_batch=1)))


def test_labels_are_filtered_and_the_index_is_the_one_before(slide_path):
    patches = patches_at(slide_path, *[(0, 0)] * 4, labels=["a", "", "b", "a"])
    kept = job_of(patches, ExtractionSpec(included_labels=("a",)))
    left = job_of(patches, ExtractionSpec(excluded_labels=("",)))
    none = job_of(patches, ExtractionSpec(included_labels=("A",)))
    assert (kept.index.tolist(), left.index.tolist(), len(none)) == ([0, 3], [0, 2, 3], 0)
    assert [left.labels[c] for c in left.label_codes] == ["a", "b", "a"]
    assert list(read_job(none, slice(None), n_batch=2, n_threads=1)) == []


def test_locations_are_taken_as_arrays_where_there_are_any(slide_path):
    locations = PatchLocations(
        x_px0=np.array([0, 256]), y_px0=np.array([0, 0]), tissue_share=np.ones(2, np.float32),
        side_px0=256, patch_px=256, mpp=0.5, level=0,
        labels=("", "tumour"), label_codes=np.array([1, 0], np.int32),
    )  # fmt: skip
    patches = patches_at(slide_path, locations=locations)
    job = job_of(patches, ExtractionSpec(included_labels=("tumour",)))
    assert (job.x_px0.tolist(), job.width_px.tolist(), job.index.tolist()) == ([0], [256], [0])


def test_a_job_is_small_and_can_be_sent(slide_path):
    patches = patches_at(slide_path, *[(i, i) for i in range(1000)])
    data = pickle.dumps(job_of(patches, ExtractionSpec()))
    assert len(data) < 60 * 1000
    assert len(pickle.loads(data)) == 1000  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    "bad",
    [
        {"included_labels": ("a",), "excluded_labels": ("b",)},
        {"resampling_mode": "lanczos"},
        {"levels_or_mpps": ()},
        {"levels_or_mpps": (0, True)},
        {"levels_or_mpps": (0.0,)},
        {"levels_or_mpps": (-1,)},
        {"levels_or_mpps": ("0",)},
    ],
)
def test_an_impossible_spec_is_refused(bad):
    with pytest.raises(SpecError):
        ExtractionSpec(**bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"patch_data": [((0, 0), (0, 8), "")]},
        {"patch_data": [((0.5, 0), (8, 8), "")]},
        {"patch_data": [((0, 0), (8, 8))]},
        {"patch_data": None},
        {"level_or_mpp": -1},
        {"level_or_mpp": True},
    ],
)
def test_an_object_that_holds_no_patches_is_refused(slide_path, bad):
    patches = patches_at(slide_path, (0, 0))
    vars(patches).update(bad)
    with pytest.raises(SpecError):
        job_of(patches, ExtractionSpec())


def test_a_level_that_is_not_there_is_refused(slide_path):
    with pytest.raises(SpecError, match="no level 3"):
        read_all(patches_at(slide_path, (0, 0), level_or_mpp=3))


def test_a_slide_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SlideUnreadable, match="gone"):
        read_all(patches_at(tmp_path / "gone.svs", (0, 0)))
