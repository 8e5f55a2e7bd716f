import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathassets.core.slides import regions
from pathassets.core.slides.regions import read_box, read_overview, read_region, resample, shrink
from pathassets.core.slides.resolution import choose_level
from pathassets.errors import SpecError, TileUnreadable
from tests.core.formula_slide import FormulaSlide

REAL = (1.0, 2.0005055500659967)

tile_sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))
fills = st.sampled_from([(255, 255, 255), (0, 0, 0), (77, 77, 77), (7, 5, 1), (1, 2, 3)])
"""Among them colours that pixels have, such as that of (1, 0)."""


@st.composite
def slides(draw) -> FormulaSlide:
    return FormulaSlide(
        draw(st.integers(2, 120)), draw(st.integers(2, 120)), draw(st.sampled_from([(1.0,), REAL])),
        tile_px=draw(tile_sizes),
    )  # fmt: skip


def rectangles(longest_px: int) -> st.SearchStrategy[tuple[int, int, int, int]]:
    """x, y, width and height; many reach beyond the slide or are beside it."""
    corners, sides = st.integers(-150, 170), st.integers(1, longest_px)
    return st.tuples(corners, corners, sides, sides)


def means_of(image: np.ndarray, factor: int) -> np.ndarray:
    """Mean of each whole square of `factor` pixels, not rounded."""
    height_px, width_px = image.shape[0] // factor, image.shape[1] // factor
    whole = image[: height_px * factor, : width_px * factor].astype(float)
    return whole.reshape(height_px, factor, width_px, factor, 3).mean(axis=(1, 3))


# ------------------------------------------------------------------------------------- boxes


@settings(max_examples=100)
@given(slides(), rectangles(150), fills)
def test_a_box_is_the_level_inside_and_the_fill_colour_outside(slide, rectangle, fill) -> None:
    x_px, y_px, width_px, height_px = rectangle
    level = len(slide.info.level_downsamples) - 1
    box_px = (x_px, y_px, x_px + width_px, y_px + height_px)
    box = read_box(slide, level, box_px, fill=fill)
    assert box.dtype == np.uint8
    assert np.array_equal(box, slide.box(level, box_px, fill=fill))


@given(slides(), rectangles(90))
def test_a_box_decodes_the_tiles_under_it_and_each_once(slide, rectangle) -> None:
    x_px, y_px, width_px, height_px = rectangle
    read_box(slide, 0, (x_px, y_px, x_px + width_px, y_px + height_px))
    grid = slide.tiles(0).grid
    wanted = {
        (y // grid.tile_height_px) * grid.n_columns + x // grid.tile_width_px
        for y in range(max(0, y_px), min(y_px + height_px, grid.height_px))
        for x in range(max(0, x_px), min(x_px + width_px, grid.width_px))
    }
    assert sorted(slide.tile_counts.elements()) == sorted(wanted)


def test_a_bad_tile_is_an_error_that_names_path_level_tile_place_and_remedy() -> None:
    slide = FormulaSlide(500, 400, (1.0, 2.0), tile_px=(64, 48), damaged={1: {6}})
    read_box(slide, 0, (0, 0, 500, 400))
    read_box(slide, 1, (0, 0, 128, 48))
    with pytest.raises(TileUnreadable) as caught:
        read_box(slide, 1, (0, 0, 250, 200))
    assert caught.value.message == (
        "formula.svs: level 1, tile 6 at (128, 48), 64 x 48 px: the decoder says no"
    )
    assert caught.value.path == "formula.svs"
    assert caught.value.remedy


def test_the_place_of_a_bad_tile_is_filled_where_someone_takes_the_faults() -> None:
    slide = FormulaSlide(100, 90, tile_px=(32, 32), damaged={0: {0, 5, 11}})
    faults = []
    box = read_box(slide, 0, (10, 20, 110, 100), fill=(1, 2, 3), on_fault=faults.append)
    assert [(f.tile, f.x_px, f.y_px, f.width_px, f.height_px) for f in faults] == [
        (0, 0, 0, 32, 32), (5, 32, 32, 32, 32), (11, 96, 64, 4, 26),
    ]  # fmt: skip
    wanted = slide.box(0, (10, 20, 110, 100), fill=(1, 2, 3))
    wanted[0:12, 0:22] = wanted[12:44, 22:54] = wanted[44:70, 86:90] = (1, 2, 3)
    assert np.array_equal(box, wanted)


# ----------------------------------------------------------------------------------- regions


@settings(max_examples=80)
@given(slides(), rectangles(100), fills)
def test_a_region_of_a_level_is_the_level(slide, rectangle, fill) -> None:
    x_px0, y_px0, width_px, height_px = rectangle
    for level, downsample in enumerate(slide.info.level_downsamples):
        region = read_region(
            slide, x_px0, y_px0, level=level, width_px=width_px, height_px=height_px, fill=fill
        )
        x_px, y_px = round(x_px0 / downsample), round(y_px0 / downsample)
        box_px = (x_px, y_px, x_px + width_px, y_px + height_px)
        assert np.array_equal(region, slide.box(level, box_px, fill=fill))


@settings(max_examples=80)
@given(slides(), rectangles(60), st.floats(0.1, 4.0), fills)
def test_a_region_at_a_resolution_is_resampled_from_the_level_that_suffices(
    slide, rectangle, mpp, fill
) -> None:
    x_px0, y_px0, width_px, height_px = rectangle
    region = read_region(
        slide, x_px0, y_px0, mpp=mpp, width_px=width_px, height_px=height_px, fill=fill
    )
    choice = choose_level(slide.info.level_downsamples, mpp / 0.5)
    assert {level for level, *_ in slide.reads} <= {choice.level}
    downsample = slide.info.level_downsamples[choice.level]
    x_px, y_px = round(x_px0 / downsample), round(y_px0 / downsample)
    right_px = x_px + max(1, round(width_px * mpp / 0.5 / downsample))
    bottom_px = y_px + max(1, round(height_px * mpp / 0.5 / downsample))
    box = slide.box(choice.level, (x_px, y_px, right_px, bottom_px), fill=fill)
    assert np.array_equal(region, resample(box, width_px=width_px, height_px=height_px))
    assert region.shape == (height_px, width_px, 3)


def test_a_region_at_half_resolution_is_the_mean_of_squares_of_two() -> None:
    slide = FormulaSlide(300, 200, tile_px=(48, 32))
    region = read_region(slide, 20, 10, mpp=1.0, width_px=100, height_px=60)
    assert np.abs(region - means_of(slide.box(0, (20, 10, 220, 130)), 2)).max() <= 0.5


def test_a_region_of_nothing_said_is_of_level_0() -> None:
    slide = FormulaSlide(50, 40, (1.0, 2.0))
    region = read_region(slide, 3, 4, width_px=20, height_px=10)
    assert np.array_equal(region, slide.box(0, (3, 4, 23, 14)))


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ({"width_px": 0, "height_px": 5}, "0 x 5 px is no size"),
        ({"width_px": 5, "height_px": -1}, "5 x -1 px is no size"),
        ({"width_px": 5, "height_px": 5, "level": 0, "mpp": 0.5}, "both given"),
        ({"width_px": 5, "height_px": 5, "level": 2}, "no level 2"),
        ({"width_px": 5, "height_px": 5, "level": -1}, "no level -1"),
        ({"width_px": 5, "height_px": 5, "mpp": 0.0}, "not above 0"),
        ({"width_px": 5, "height_px": 5, "mpp": float("nan")}, "not above 0"),
        ({"width_px": 5, "height_px": 5, "fill": (256, 0, 0)}, r"\(256, 0, 0\)"),
        ({"width_px": 5, "height_px": 5, "fill": (0, -1, 0)}, r"\(0, -1, 0\)"),
        ({"width_px": 5, "height_px": 5, "fill": (0, 0)}, r"\(0, 0\)"),
    ],
)
def test_an_impossible_region_is_refused_before_anything_is_read(size, message) -> None:
    slide = FormulaSlide(50, 40, (1.0, 2.0))
    with pytest.raises(SpecError, match=message):
        read_region(slide, 0, 0, **size)
    assert slide.reads == []


def test_a_region_at_a_resolution_needs_one_of_the_slide() -> None:
    slide = FormulaSlide(50, 40, mpp=None)
    with pytest.raises(SpecError, match="mpp of this slide is not known") as caught:
        read_region(slide, 0, 0, mpp=0.5, width_px=5, height_px=5)
    assert caught.value.remedy


def test_a_region_over_a_bad_tile_is_an_error() -> None:
    slide = FormulaSlide(100, 90, tile_px=(32, 32), damaged={0: {5}})
    read_region(slide, 0, 0, width_px=32, height_px=90)
    with pytest.raises(TileUnreadable, match="tile 5"):
        read_region(slide, 0, 0, width_px=33, height_px=90)


# -------------------------------------------------------------------------------- resampling


def to(region: np.ndarray, side_px: int) -> np.ndarray:
    return resample(region, width_px=side_px, height_px=side_px)


def test_a_region_of_the_right_size_keeps_its_bytes() -> None:
    region = FormulaSlide(32, 32).level(0)
    assert np.array_equal(to(region, 32), region)


@pytest.mark.parametrize("side_px", [16, 32, 40])
def test_what_is_resampled_into_a_given_place_is_the_same(side_px) -> None:
    region = FormulaSlide(32, 32).level(0)
    places = np.full((3, side_px, side_px, 3), 9, np.uint8)
    resample(region, width_px=side_px, height_px=side_px, out=places[1])
    assert np.array_equal(places[1], to(region, side_px))
    assert (places[[0, 2]] == 9).all()


@pytest.mark.parametrize("factor", [2, 3, 4, 7])
def test_shrinking_by_a_whole_number_gives_the_mean_of_each_block(factor) -> None:
    region = FormulaSlide(16 * factor, 16 * factor).level(0)
    assert np.abs(to(region, 16) - means_of(region, factor)).max() <= 0.5
    constant = np.kron(region[:16, :16], np.ones((factor, factor, 1), np.uint8))
    assert np.array_equal(to(constant, 16), region[:16, :16])


def test_shrinking_by_a_fraction_weighs_pixels_by_their_area() -> None:
    # Three pixels become two: each takes a whole pixel and half of the middle one.
    line = np.array([30, 90, 240], np.uint8)
    region = np.broadcast_to(line[:, None], (3, 3, 3)).copy()
    assert to(region, 2)[0, :, 0].tolist() == [50, 190]


def test_shrinking_one_side_only_averages_too() -> None:
    line = np.array([30, 90, 240, 0], np.uint8)
    region = np.broadcast_to(line[:, None], (4, 4, 3)).copy()
    assert resample(region, width_px=2, height_px=4)[3, :, 0].tolist() == [60, 120]


@pytest.mark.parametrize("side_px", [100, 255, 257, 300, 511])
def test_one_colour_stays_that_colour_at_any_size(side_px) -> None:
    region = np.broadcast_to(np.array([7, 130, 254], np.uint8), (side_px, side_px, 3)).copy()
    patch = to(region, 256)
    assert patch.shape == (256, 256, 3)
    assert np.unique(patch.reshape(-1, 3), axis=0).tolist() == [[7, 130, 254]]


def test_enlarging_invents_no_values_beyond_the_ones_read() -> None:
    region = np.zeros((2, 2, 3), np.uint8)
    region[:, 1] = 100
    assert to(region, 4)[0, :, 0].tolist() == [0, 25, 75, 100]


def test_shrinking_a_block_by_one_is_the_block() -> None:
    block = FormulaSlide(5, 4).level(0)
    assert np.array_equal(shrink(block, 1), block)


@pytest.mark.parametrize("factor", [2, 3, 4, 5, 8])
def test_shrinking_a_whole_gives_the_bytes_of_shrinking_its_parts(factor) -> None:
    whole = FormulaSlide(24 * factor, 16 * factor).level(0)
    parts = [
        np.hstack([shrink(whole[y : y + 8 * factor, x : x + 6 * factor], factor)
                   for x in range(0, 24 * factor, 6 * factor)])
        for y in range(0, 16 * factor, 8 * factor)
    ]  # fmt: skip
    assert np.array_equal(shrink(whole, factor), np.vstack(parts))


# ---------------------------------------------------------------------------------- overviews


@pytest.mark.parametrize("tile_px", [(256, 256), (240, 240), (64, 48)])
@pytest.mark.parametrize(
    "case",
    [
        ((640, 480), (1.0,), 1.0, (0, 1), (640, 480)),
        ((640, 480), (1.0,), 8.0, (0, 8), (80, 60)),
        ((647, 487), (1.0,), 8.0, (0, 8), (80, 60)),
        ((640, 480), (1.0,), 8.9, (0, 8), (80, 60)),
        ((640, 480), (1.0,), 0.5, (0, 1), (640, 480)),
        ((640, 480), (1.0, 4.0), 4.0, (1, 1), (160, 120)),
        ((640, 480), (1.0, 4.0), 16.0, (1, 4), (40, 30)),
        ((640, 480), (1.0, 4.0), 3.9, (0, 3), (213, 160)),
        ((1443, 1167), REAL, 2.0, (1, 1), (721, 583)),
        ((1443, 1167), REAL, 32.0, (1, 15), (48, 38)),
    ],
)
def test_an_overview_is_the_mean_of_whole_blocks_of_the_nearest_level(case, tile_px) -> None:
    size_px0, levels, asked, (level, factor), size_px = case
    slide = FormulaSlide(*size_px0, levels, tile_px=tile_px)
    overview, downsample = read_overview(slide, downsample=asked)
    assert overview.shape == (size_px[1], size_px[0], 3)
    assert overview.dtype == np.uint8
    assert downsample == levels[level] * factor
    assert downsample <= max(1.0, asked * 1.005)
    assert {r[0] for r in slide.reads} == {level}
    assert np.abs(overview - means_of(slide.level(level), factor)).max() <= 0.5


@pytest.mark.parametrize(
    ("tile_px", "downsample"),
    [((256, 256), 1.0), ((256, 256), 15.0), ((240, 240), 16.0), ((240, 200), 7.0), ((32, 64), 3.0)],
)
def test_an_overview_decodes_each_tile_once_where_a_block_can_hold_whole_ones(
    tile_px, downsample
) -> None:
    slide = FormulaSlide(4500, 2300, tile_px=tile_px)
    read_overview(slide, downsample=downsample)
    assert set(slide.tile_counts.values()) == {1}


@pytest.mark.parametrize(
    ("tile_px", "downsample"), [((256, 256), 17.0), ((251, 251), 32.0), ((512, 512), 5000.0)]
)
def test_an_overview_is_right_where_blocks_cut_tiles(tile_px, downsample) -> None:
    slide = FormulaSlide(2600, 900, tile_px=tile_px)
    overview, true = read_overview(slide, downsample=downsample)
    assert true == downsample
    assert max(slide.tile_counts.values()) <= 4
    if downsample < 900:
        assert np.abs(overview - means_of(slide.level(0), int(downsample))).max() <= 0.5
    else:
        assert np.abs(overview - slide.level(0).mean(axis=(0, 1))).max() <= 0.5


@pytest.mark.parametrize("downsample", [1.0, 3.0, 50.0])
def test_blocks_leave_no_seams(monkeypatch, downsample) -> None:
    slide = FormulaSlide(1201, 903)
    whole, _ = read_overview(slide, downsample=downsample)
    n_whole = len(slide.reads)
    monkeypatch.setattr(regions, "BLOCK_PX", 100)
    monkeypatch.setattr(regions, "MAX_BLOCK_PX", 100)
    in_blocks, _ = read_overview(slide, downsample=downsample)
    assert len(slide.reads) > 100 + n_whole
    assert np.array_equal(in_blocks, whole)


@pytest.mark.parametrize("downsample", [1.0, 7.0, 16.0, 17.0, 300.0])
@pytest.mark.parametrize("tile_px", [(256, 256), (240, 240)])
def test_blocks_are_bounded(monkeypatch, tile_px, downsample) -> None:
    boxes = []

    def noted(slide, level, box_px, **options):
        boxes.append(box_px)
        return read_box(slide, level, box_px, **options)

    monkeypatch.setattr(regions, "read_box", noted)
    read_overview(FormulaSlide(9000, 40, tile_px=tile_px), downsample=downsample)
    assert max(x1 - x0 for x0, _, x1, _ in boxes) <= 4096
    # Each pixel of the overview is read once, and none beyond it.
    n_px = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes)
    assert (
        n_px == min(40, max(1, 40 // downsample) * downsample) * (9000 // downsample) * downsample
    )


@pytest.mark.parametrize(("width_px0", "height_px0"), [(3, 400), (400, 3), (3, 5), (1, 1)])
def test_a_slide_narrower_than_a_pixel_of_the_overview_is_not_mixed_with_what_is_beside_it(
    width_px0, height_px0
) -> None:
    slide = FormulaSlide(width_px0, height_px0)
    overview, downsample = read_overview(slide, downsample=16.0)
    assert downsample == 16.0
    assert overview.shape == (max(1, height_px0 // 16), max(1, width_px0 // 16), 3)
    wanted = [
        [slide.level(0)[y : y + 16, x : x + 16].mean(axis=(0, 1)) for x in columns]
        for columns in [range(0, max(1, width_px0 // 16) * 16, 16)]
        for y in range(0, max(1, height_px0 // 16) * 16, 16)
    ]
    assert np.abs(overview - np.array(wanted)).max() <= 0.5


def test_a_bad_tile_ends_an_overview_or_is_white_where_someone_takes_the_faults() -> None:
    slide = FormulaSlide(640, 480, tile_px=(64, 64), damaged={0: {11}})
    with pytest.raises(TileUnreadable, match="tile 11"):
        read_overview(slide, downsample=8.0)
    faults = []
    overview, _ = read_overview(slide, downsample=8.0, on_fault=faults.append)
    assert [f.tile for f in faults] == [11]
    wanted = slide.level(0)
    wanted[64:128, 64:128] = 255
    assert np.abs(overview - means_of(wanted, 8)).max() <= 0.5


def test_an_overview_tells_of_a_bad_tile_once_for_each_time_it_is_decoded() -> None:
    slide = FormulaSlide(2600, 300, tile_px=(256, 256), damaged={0: {7}})
    faults = []
    read_overview(slide, downsample=17.0, on_fault=faults.append)
    assert {f.tile for f in faults} == {7}
    assert len(faults) == slide.tile_counts[7] == 2
