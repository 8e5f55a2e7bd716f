import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pathassets.core.annotations.annotations import outlines_of
from pathassets.core.annotations.mask_outlines import outline_mask, rasterise
from pathassets.core.tissue.tissue_mask import TissueMask


def mask_of(tissue, downsample=1.0) -> TissueMask:
    return TissueMask(tissue=np.asarray(tissue, bool), downsample=downsample, slide_mpp=0.5)


def back(mask: TissueMask) -> np.ndarray:
    return rasterise(
        outlines_of(outline_mask(mask)),
        shape=mask.tissue.shape, downsample=mask.downsample, slide_mpp=mask.slide_mpp,
    ).tissue  # fmt: skip


@given(
    tissue=arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)),
    downsample=st.sampled_from([1.0, 2.0005055, 7.3, 16.0]),
)
def test_outlines_drawn_again_are_the_mask(tissue, downsample):
    mask = mask_of(tissue, downsample)
    outlines = outlines_of(outline_mask(mask))
    assert (back(mask) == mask.tissue).all()
    assert all(shapely.is_valid(outlines))
    assert sum(shapely.area(outlines)) == pytest.approx(tissue.sum() * downsample**2)


def test_a_hole_is_a_hole_and_an_island_in_it_a_piece():
    tissue = np.ones((9, 9), bool)
    tissue[2:7, 2:7] = False
    tissue[4, 4] = True
    ring, island = outline_mask(mask_of(tissue, 2.0))
    assert (len(ring.points), len(ring.holes), len(island.holes)) == (4, 1, 0)
    assert island.polygon.bounds == (8.0, 8.0, 10.0, 10.0)


def test_pieces_that_touch_at_a_corner_are_two():
    pieces = outline_mask(mask_of([[1, 0], [0, 1]]))
    assert [p.polygon.bounds for p in pieces] == [(0, 0, 1, 1), (1, 1, 2, 2)]


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_a_ring_that_closes_at_a_corner_only_has_a_hole_and_is_valid(is_mirrored):
    tissue = np.array([[1, 1, 1, 0], [1, 0, 0, 1], [1, 1, 1, 1]], bool)
    tissue = tissue[:, ::-1] if is_mirrored else tissue
    (piece,) = outline_mask(mask_of(tissue))
    assert [len(hole) for hole in piece.holes] == [4]
    drawn = shapely.Polygon(piece.points, piece.holes)
    assert drawn.is_valid
    assert drawn.area == tissue.sum()


def test_holes_that_touch_at_a_corner_are_two():
    tissue = np.ones((4, 4), bool)
    tissue[1, 1] = tissue[2, 2] = False
    (piece,) = outline_mask(mask_of(tissue))
    assert [len(hole) for hole in piece.holes] == [4, 4]
    assert shapely.Polygon(piece.points, piece.holes).is_valid


def test_a_straight_side_has_two_corners_however_long():
    (piece,) = outline_mask(mask_of(np.ones((50, 70))))
    assert len(piece.points) == 4


def test_bare_glass_has_no_outline_and_none_gives_bare_glass():
    assert outline_mask(mask_of(np.zeros((5, 5)))) == []
    none = rasterise([], shape=(3, 4), downsample=1.0, slide_mpp=None)
    assert not none.tissue.any()
    assert none.tissue.shape == (3, 4)


@given(
    corners=st.lists(
        st.tuples(st.floats(-5, 25), st.floats(-5, 25)), min_size=3, max_size=7, unique=True
    ),
    downsample=st.sampled_from([0.7, 1.0, 3.1]),
)
def test_a_pixel_is_tissue_when_its_centre_lies_inside(corners, downsample):
    area = shapely.convex_hull(shapely.MultiPoint(corners))
    if area.geom_type != "Polygon":
        return
    seen = rasterise([area], shape=(20, 22), downsample=downsample, slide_mpp=0.5).tissue
    y, x = (np.mgrid[:20, :22] + 0.5) * downsample
    centres = shapely.points(x, y)
    near_border = shapely.distance(area.exterior, centres) < 1e-9
    expected = shapely.contains_xy(area, x, y)
    assert ((seen == expected) | near_border).all()


def test_areas_that_overlap_are_united_and_their_way_round_does_not_matter():
    one = shapely.Polygon([(0, 0), (6, 0), (6, 6), (0, 6)])
    two = shapely.Polygon([(3, 3), (3, 9), (9, 9), (9, 3)])
    seen = rasterise([one, two], shape=(10, 10), downsample=1.0, slide_mpp=None).tissue
    expected = np.zeros((10, 10), bool)
    expected[:6, :6] = expected[3:9, 3:9] = True
    assert (seen == expected).all()


def test_an_area_beyond_the_mask_is_cut_off():
    wide = shapely.box(-50, -50, 5, 500)
    seen = rasterise([wide], shape=(10, 10), downsample=1.0, slide_mpp=None).tissue
    assert seen[:, :5].all()
    assert not seen[:, 5:].any()
