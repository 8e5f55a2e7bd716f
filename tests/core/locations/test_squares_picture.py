import numpy as np

from pathassets.core.locations.locations import PatchLocations
from pathassets.core.locations.overlay import BLUE, PALETTE
from pathassets.core.locations.squares_picture import MAX_CELLS, draw_edges, paint_cells

RED, LIME = (255, 0, 0), (0, 255, 0)


def squares(x_px0, y_px0, side_px0=100, **more):
    x, y = np.array(x_px0, np.int64), np.array(y_px0, np.int64)
    return PatchLocations(
        x_px0=x, y_px0=y, tissue_share=np.ones(len(x), np.float32), side_px0=side_px0,
        patch_px=side_px0, mpp=0.5, **more,
    )  # fmt: skip


def test_edges_lie_around_the_squares_in_the_colours_of_their_labels():
    picture = draw_edges(squares([100], [200]), width_px0=1000, height_px0=500, longest_px=100)
    assert picture.shape == (50, 100, 4)
    y, x = np.nonzero(picture[..., 3])
    assert (x.min(), x.max(), y.min(), y.max()) == (10, 19, 20, 29)
    assert len(x) == 4 * 9  # an edge, and nothing within
    assert picture[20, 10].tolist() == [*BLUE, 255]
    two = squares([100, 500], [0, 0], labels=("a", "b"), label_codes=np.array([1, 0], np.int32))
    picture = draw_edges(two, width_px0=1000, height_px0=500, longest_px=100)
    assert picture[0, 10, :3].tolist() == list(PALETTE[1])
    assert picture[0, 50, :3].tolist() == list(PALETTE[0])


def test_each_square_colours_its_cell_and_several_in_one_give_their_mean():
    boxes = squares([0, 300, 300], [0, 100, 150]).boxes_px0
    cells = paint_cells(
        boxes, np.array([RED, LIME, (0, 51, 0)], np.uint8), width_px0=400, height_px0=250
    )
    assert cells.rgba.shape == (3, 4, 4)
    assert cells.rgba[0, 0].tolist() == [*RED, 255]
    assert cells.rgba[1, 3].tolist() == [*LIME, 255]
    assert cells.rgba[2, 3].tolist() == [0, 51, 0, 255]
    assert (cells.rgba[..., 3] > 0).sum() == 3
    assert cells.size_in(0.5) == (200.0, 150.0)


def test_no_slide_has_more_cells_than_are_seen():
    x = np.arange(0, 100_000, 10)
    boxes = squares(x, x // 2, side_px0=10).boxes_px0
    colours = np.tile(np.array([RED, LIME], np.uint8), (len(x) // 2, 1))
    cells = paint_cells(boxes, colours, width_px0=100_000, height_px0=50_000)
    assert cells.rgba.shape == (MAX_CELLS / 2, MAX_CELLS, 4)
    assert cells.rgba[0, 0, :3].tolist() == [136, 119, 0] or cells.rgba[0, 0, 2] == 0
    nothing = paint_cells(boxes[:0], colours[:0], width_px0=300, height_px0=200)
    assert not nothing.rgba.any()
