import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathassets.core.slides.tiles import TileDamaged, TileFault, TileGrid, TileTouches, find_touches


@st.composite
def grids(draw) -> TileGrid:
    return TileGrid(
        width_px=draw(st.integers(1, 90)),
        height_px=draw(st.integers(1, 90)),
        tile_width_px=draw(st.integers(1, 40)),
        tile_height_px=draw(st.integers(1, 40)),
    )


corners = st.lists(st.tuples(st.integers(-60, 120), st.integers(-60, 120)), max_size=25)


def touch(grid: TileGrid, points: list[tuple[int, int]], side_px: int) -> TileTouches:
    x_px, y_px = np.array(points, np.int64).reshape(-1, 2).T
    return find_touches(grid, x_px, y_px, side_px)


def tiles_under(grid: TileGrid, x_px: int, y_px: int, side_px: int) -> set[int]:
    """The tiles of a square, pixel by pixel."""
    columns = {x // grid.tile_width_px for x in range(x_px, x_px + side_px)
               if 0 <= x < grid.width_px}  # fmt: skip
    rows = {y // grid.tile_height_px for y in range(y_px, y_px + side_px)
            if 0 <= y < grid.height_px}  # fmt: skip
    return {row * grid.n_columns + column for row in rows for column in columns}


@settings(max_examples=150)
@given(grids(), corners, st.integers(1, 70))
def test_the_tiles_of_squares_are_those_under_their_pixels(grid, points, side_px) -> None:
    found = touch(grid, points, side_px)
    wanted = [tiles_under(grid, x, y, side_px) for x, y in points]
    assert found.n_tiles.tolist() == [len(tiles) for tiles in wanted]
    assert found.tiles.tolist() == sorted(set().union(*wanted))
    assert len(found.starts) == len(found.tiles) + 1
    for i, tile in enumerate(found.tiles.tolist()):
        squares = found.squares[found.starts[i] : found.starts[i + 1]].tolist()
        assert squares == [n for n, tiles in enumerate(wanted) if tile in tiles]
    assert found.starts[-1] == len(found.squares)
    assert {a.dtype for a in (found.tiles, found.starts, found.squares, found.n_tiles)} == {
        np.dtype(np.int64)
    }


def test_a_level_of_more_tiles_than_32_bits_count_is_counted_right() -> None:
    grid = TileGrid(width_px=2**28, height_px=2**28, tile_width_px=256, tile_height_px=256)
    corner_px = 2**28 - 256
    found = touch(grid, [(corner_px, corner_px), (0, 0)], 256)
    assert found.tiles.tolist() == [0, grid.n_tiles - 1]
    assert found.squares.tolist() == [1, 0]


@given(grids())
def test_tiles_cover_each_pixel_of_a_level_once(grid) -> None:
    seen = np.zeros((grid.height_px, grid.width_px), int)
    for tile in range(grid.n_tiles):
        x_px, y_px = grid.corner_px(tile)
        part = seen[y_px : y_px + grid.tile_height_px, x_px : x_px + grid.tile_width_px]
        assert part.size
        part += 1
    assert (seen == 1).all()
    assert grid.n_tiles == grid.n_columns * grid.n_rows


@pytest.mark.parametrize(
    ("tile", "box_px"),
    [(0, (0, 0, 240, 200)), (2, (480, 0, 20, 200)), (5, (480, 200, 20, 100))],
)
def test_a_fault_names_level_tile_and_the_place_inside_the_level(tile, box_px) -> None:
    grid = TileGrid(width_px=500, height_px=300, tile_width_px=240, tile_height_px=200)
    fault = grid.fault(1, tile, TileDamaged("missing", "byte count 0"))
    assert (fault.x_px, fault.y_px, fault.width_px, fault.height_px) == box_px
    assert (fault.level, fault.tile, fault.reason) == (1, tile, "missing")
    assert str(fault) == (
        f"level 1, tile {tile} at ({box_px[0]}, {box_px[1]}), "
        f"{box_px[2]} x {box_px[3]} px: byte count 0"
    )


def test_a_fault_of_a_reader_that_knows_no_tiles_is_a_block() -> None:
    fault = TileFault(
        level=0, tile=None, x_px=1, y_px=2, width_px=3, height_px=4,
        reason="no_pixels", message="nothing stored",
    )  # fmt: skip
    assert str(fault) == "level 0, block at (1, 2), 3 x 4 px: nothing stored"
