from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches.read_plan import (
    Pass,
    Raster,
    ReadSpec,
    lay_raster,
    most_open,
    order_tiles,
    pieces_of,
    plan_pass,
    plan_read,
)
from pathassets.core.slides.tiles import TileGrid, find_touches
from tests.core.formula_slide import FormulaSlide

REAL = (1.0, 2.0005055500659967)


def at(points: list[tuple[int, int]], *, side_px0: int, patch_px: int) -> PatchLocations:
    x_px0, y_px0 = np.array(points, np.int64).reshape(-1, 2).T
    return PatchLocations(
        x_px0=x_px0, y_px0=y_px0, tissue_share=np.ones(len(points), np.float32),
        side_px0=side_px0, patch_px=patch_px, mpp=0.5,
    )  # fmt: skip


def lay(slide: FormulaSlide, locations: PatchLocations, *, fast: bool = False) -> Raster:
    read = plan_read(locations, slide.info.level_downsamples, fast=fast)
    return lay_raster(locations, slide.info, read, slide.tiles(read.level))


# ----------------------------------------------------------------------------- which level


@pytest.mark.parametrize("levels", [(1.0, 4.0001, 16.0), (1.0, 1.0, 2.0005), (1.0, 2.7, 7.3)])
def test_a_level_that_is_asked_for_is_read_as_it_is_stored(levels) -> None:
    for level, downsample in enumerate(levels):
        locations = replace(
            at([], side_px0=round(255 * downsample), patch_px=255), level=level, mpp=None
        )
        for fast in (False, True):
            read = plan_read(locations, levels, fast=fast)
            assert (read.level, read.side_px, read.patch_px) == (level, 255, 255)
            assert (read.shrink, read.is_upsampled) == (1, False)


@pytest.mark.parametrize(
    ("levels", "side_px0", "level", "side_px", "is_upsampled"),
    [
        ((1.0,), 256, 0, 256, False),
        ((1.0,), 2048, 0, 2048, False),
        ((1.0,), 128, 0, 128, True),
        (REAL, 512, 1, 256, False),
        (REAL, 256, 0, 256, False),
        (REAL, 500, 0, 500, False),
        (REAL, 1024, 1, 512, False),
        ((1.0, 2.009), 512, 1, 255, False),
        ((1.0, 2.011), 512, 0, 512, False),
        ((1.0, 4.0001, 16.0), 1023, 1, 256, False),
        ((1.0, 4.0001, 16.0), 4096, 2, 256, False),
        ((1.0, 4.0001, 16.0), 4000, 1, 1000, False),
        ((1.0, 4.0001, 16.0), 65_536, 2, 4096, False),
        ((1.0, 4.0), 254, 0, 254, True),
        ((1.0, 4.0), 255, 0, 255, False),
    ],
)
def test_the_level_read_is_the_coarsest_with_all_the_detail(
    levels, side_px0, level, side_px, is_upsampled
) -> None:
    read = plan_read(at([], side_px0=side_px0, patch_px=256), levels)
    assert (read.level, read.side_px, read.patch_px) == (level, side_px, 256)
    assert read.is_upsampled == is_upsampled
    assert read.shrink == 1


def test_a_patch_of_one_pixel_is_read() -> None:
    read = plan_read(at([], side_px0=1, patch_px=1), (1.0, 4.0))
    assert (read.level, read.side_px) == (0, 1)


@pytest.mark.parametrize(
    ("side_px0", "shrink"), [(256, 1), (500, 1), (511, 2), (512, 2), (1024, 4), (9000, 8)]
)
def test_fast_lets_the_decoder_shrink_as_far_as_all_detail_is_kept(side_px0, shrink) -> None:
    locations = at([], side_px0=side_px0, patch_px=256)
    assert plan_read(locations, (1.0,), fast=True).shrink == shrink
    assert plan_read(locations, (1.0,)).shrink == 1


def test_a_spec_reads_exactly_and_fails_on_a_bad_tile_unless_told_otherwise() -> None:
    spec = ReadSpec()
    assert (spec.fast, spec.bad_tiles, spec.max_bad_tile_share) == (False, "fail", 0.01)


@pytest.mark.parametrize(
    "wrong", [{"bad_tiles": "white"}, {"max_bad_tile_share": 1.01}, {"fast": 1}, {"quick": True}]
)
def test_a_spec_of_what_cannot_be_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ReadSpec(**wrong)


# ------------------------------------------------------------------------------ the raster


def test_squares_on_whole_pixels_of_the_result_are_read_from_shrunk_tiles() -> None:
    slide = FormulaSlide(500, 301, tile_px=(64, 32))
    raster = lay(slide, at([(8, 4), (64, 128), (-4, 296)], side_px0=64, patch_px=16))
    assert (raster.decode_shrink, raster.area_shrink, raster.side_px) == (1, 4, 16)
    assert raster.grid == TileGrid(width_px=125, height_px=76, tile_width_px=16, tile_height_px=8)
    assert raster.grid.n_columns == slide.tiles(0).grid.n_columns
    assert (raster.x_px.tolist(), raster.y_px.tolist()) == ([2, 16, -1], [1, 32, 74])


@pytest.mark.parametrize(
    ("points", "side_px0", "patch_px", "tile_px"),
    [
        ([(8, 4), (9, 4)], 64, 16, (64, 32)),  # one square is off
        ([(8, 4), (8, 2)], 64, 16, (64, 32)),
        ([(8, 4)], 64, 16, (64, 30)),  # tiles are no whole number of pixels
        ([(8, 4)], 64, 16, (62, 32)),
        ([(8, 4)], 66, 16, (64, 32)),  # no whole factor
        ([(8, 4)], 16, 16, (64, 32)),  # nothing to shrink
        ([(8, 4)], 12, 16, (64, 32)),  # enlarged
    ],
)
def test_other_squares_are_read_from_the_level_itself(points, side_px0, patch_px, tile_px) -> None:
    slide = FormulaSlide(500, 300, tile_px=tile_px)
    raster = lay(slide, at(points, side_px0=side_px0, patch_px=patch_px))
    assert (raster.decode_shrink, raster.area_shrink, raster.side_px) == (1, 1, side_px0)
    assert raster.grid == slide.tiles(0).grid
    assert [*zip(raster.x_px, raster.y_px, strict=True)] == points


def test_the_decoder_shrinks_only_where_it_can_and_is_told_to() -> None:
    locations = at([(9, 5)], side_px0=64, patch_px=16)
    able, unable = FormulaSlide(500, 300, can_shrink=True), FormulaSlide(500, 300)
    assert lay(able, locations, fast=True).decode_shrink == 4
    assert lay(able, locations).decode_shrink == 1
    assert lay(unable, locations, fast=True).decode_shrink == 1


@pytest.mark.parametrize(
    ("tile_px", "shrink"), [((64, 64), 4), ((62, 64), 2), ((64, 62), 2), ((63, 64), 1)]
)
def test_the_decoder_shrinks_tiles_to_whole_pixels(tile_px, shrink) -> None:
    slide = FormulaSlide(500, 300, tile_px=tile_px, can_shrink=True)
    raster = lay(slide, at([(9, 5)], side_px0=64, patch_px=16), fast=True)
    assert raster.decode_shrink == shrink
    assert raster.grid.tile_width_px * shrink == tile_px[0]
    assert raster.grid.tile_height_px * shrink == tile_px[1]


@given(
    st.integers(60, 300), st.lists(st.integers(-70, 310), min_size=1, max_size=20),
    st.integers(16, 60), st.integers(1, 8),
)  # fmt: skip
def test_a_square_inside_the_level_is_inside_the_raster_of_the_decoder(
    length_px, starts, side_px0, factor
) -> None:
    slide = FormulaSlide(length_px, length_px, tile_px=(32, 32), can_shrink=True)
    locations = at([(s, s) for s in starts], side_px0=side_px0, patch_px=max(1, side_px0 // factor))
    raster = lay(slide, locations, fast=True)
    assert raster.width_px * raster.decode_shrink <= length_px or raster.decode_shrink == 1
    assert raster.grid.n_columns == slide.tiles(0).grid.n_columns
    for start, x_px, is_cut in zip(starts, raster.x_px, raster.is_cut, strict=True):
        assert abs(x_px - start / raster.decode_shrink) < 1.5
        if 0 <= start <= length_px - side_px0:
            assert not is_cut


@given(st.lists(st.tuples(st.integers(-300, 900), st.integers(-300, 900)), max_size=40))
def test_near_together_is_an_order_of_all_squares_in_rows(points) -> None:
    raster = lay(FormulaSlide(800, 800), at(points, side_px0=100, patch_px=100))
    order = raster.near_together()
    assert sorted(order.tolist()) == list(range(len(points)))
    keys = [(points[i][1] // 256, points[i][0], points[i][1]) for i in order]
    assert keys == sorted(keys)


# -------------------------------------------------------------------------------- the pass


@st.composite
def passes(draw) -> tuple[Raster, Pass]:
    grid = TileGrid(
        width_px=draw(st.integers(1, 120)), height_px=draw(st.integers(1, 120)),
        tile_width_px=draw(st.integers(5, 40)), tile_height_px=draw(st.integers(5, 40)),
    )  # fmt: skip
    points = draw(st.lists(st.tuples(st.integers(-50, 130), st.integers(-50, 130)), max_size=20))
    x_px, y_px = np.array(points, np.int64).reshape(-1, 2).T
    raster = Raster(
        grid=grid, width_px=grid.width_px, height_px=grid.height_px, decode_shrink=1,
        area_shrink=1, x_px=x_px, y_px=y_px, side_px=draw(st.integers(1, 60)),
    )  # fmt: skip
    return raster, plan_pass(raster, slice(0, len(points)))


def touched_by(plan: Pass, place: int) -> list[int]:
    return plan.squares[plan.starts[place] : plan.starts[place + 1]].tolist()


@settings(max_examples=100)
@given(passes())
def test_a_pass_reads_each_tile_once_in_the_order_of_the_squares(case) -> None:
    raster, plan = case
    touches = find_touches(raster.grid, raster.x_px, raster.y_px, raster.side_px)
    assert sorted(plan.tiles.tolist()) == touches.tiles.tolist()
    first_squares = [touched_by(plan, place)[0] for place in range(len(plan.tiles))]
    assert first_squares == sorted(first_squares)
    for square, n_tiles in enumerate(touches.n_tiles.tolist()):
        places = [i for i in range(len(plan.tiles)) if square in touched_by(plan, i)]
        assert len(places) == n_tiles == plan.n_tiles[square]
        assert plan.first[square] == (places[0] if places else len(plan.tiles))
        assert plan.last[square] == (places[-1] if places else -1)


@settings(max_examples=100)
@given(passes(), st.integers(1, 7))
def test_the_pieces_of_a_pass_cover_each_pixel_of_a_square_in_the_level_once(case, run) -> None:
    raster, plan = case
    seen = np.zeros((len(raster.x_px), raster.side_px, raster.side_px, 2), int)
    seen[:] = -1
    for start in range(0, len(plan.tiles), run):
        tiles = slice(start, min(start + run, len(plan.tiles)))
        rows = pieces_of(raster, plan, tiles, 0).tolist()
        owners = [
            plan.tiles[i] for i in range(tiles.start, tiles.stop) for _ in touched_by(plan, i)
        ]
        for tile, (square, x0, y0, x1, y1, x, y) in zip(owners, rows, strict=True):
            left, top = raster.grid.corner_px(int(tile))
            place = seen[square, y : y + y1 - y0, x : x + x1 - x0]
            assert place.shape[:2] == (y1 - y0, x1 - x0)
            assert place.size
            assert (place == -1).all()
            place[:] = np.stack(np.meshgrid(np.arange(left + x0, left + x1),
                                            np.arange(top + y0, top + y1)), axis=-1)  # fmt: skip
    for square, (x_px, y_px) in enumerate(zip(raster.x_px, raster.y_px, strict=True)):
        x, y = np.meshgrid(x_px + np.arange(raster.side_px), y_px + np.arange(raster.side_px))
        inside = (x >= 0) & (y >= 0) & (x < raster.grid.width_px) & (y < raster.grid.height_px)
        wanted = np.where(inside[..., None], np.stack([x, y], axis=-1), -1)
        assert np.array_equal(seen[square], wanted)
        assert raster.is_cut[square] == (not inside.all())


def test_the_pieces_of_a_part_of_the_squares_are_those_of_the_whole() -> None:
    slide = FormulaSlide(400, 300, tile_px=(48, 40))
    raster = lay(slide, at([(7 * i, 5 * i) for i in range(50)], side_px0=30, patch_px=30))
    part, alone = slice(20, 33), replace(raster, x_px=raster.x_px[20:33], y_px=raster.y_px[20:33])
    plan = plan_pass(raster, part)
    tiles = slice(0, len(plan.tiles))
    of_alone = pieces_of(alone, plan_pass(alone, slice(0, 13)), tiles, 0)
    assert np.array_equal(pieces_of(raster, plan, tiles, 20), of_alone)


def most_open_by_hand(plan: Pass, n_batch: int, *, in_order: bool) -> int:
    """Play the pass tile by tile, and count what is open while each is read."""
    batches = [range(s, min(s + n_batch, len(plan.n_tiles)))
               for s in range(0, len(plan.n_tiles), n_batch)]  # fmt: skip
    left = plan.n_tiles.tolist()
    begun, delivered, most = set(), set(), 0
    for place in range(len(plan.tiles)):
        squares = touched_by(plan, place)
        begun |= {square // n_batch for square in squares}
        most = max(most, len(begun - delivered))
        for square in squares:
            left[square] -= 1
        for number, squares_of in enumerate(batches):
            if any(left[s] for s in squares_of):
                if in_order:
                    break
            else:
                delivered.add(number)
    return most


@settings(max_examples=100)
@given(passes(), st.integers(1, 8), st.booleans())
def test_the_most_batches_open_are_foretold(case, n_batch, in_order) -> None:
    _, plan = case
    wanted = most_open_by_hand(plan, n_batch, in_order=in_order)
    foretold = most_open(plan, n_batch, in_order=in_order)
    n_beside = sum(
        not plan.n_tiles[s : s + n_batch].any() for s in range(0, len(plan.n_tiles), n_batch)
    )
    # Batches all beside the level are never begun; they are counted as if they were, at the end.
    assert wanted <= foretold <= max(1, wanted + n_beside)


def test_a_grid_keeps_about_a_row_of_patches_open() -> None:
    points = [(x, y) for y in range(100, 6000, 256) for x in range(100, 6000, 256)]
    for n_rows in (4, 12, 24):
        some = points[: n_rows * 24]
        raster = lay(FormulaSlide(6200, 6200), at(some, side_px0=256, patch_px=256))
        plan = plan_pass(raster, slice(0, len(some)))
        assert most_open(plan, 8, in_order=True) <= 2 * 24 // 8 + 1


def test_nothing_to_read_is_a_pass_of_no_tiles() -> None:
    raster = lay(FormulaSlide(100, 100), at([], side_px0=10, patch_px=10))
    plan = order_tiles(find_touches(raster.grid, raster.x_px, raster.y_px, 10))
    assert (len(plan.tiles), plan.starts.tolist()) == (0, [0])
    assert most_open(plan, 4, in_order=True) == 0
    assert not len(pieces_of(raster, plan, slice(0, 0), 0))
