import dataclasses

import numpy as np
import pytest

from pathassets.core.annotations.annotations import AnnotationPolygon
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.locations.overlay import (
    BLUE,
    PALETTE,
    PREVIEW_PX,
    RED,
    draw_grid,
    draw_mask,
    draw_outlines,
    label_colours,
    shrink_to,
)
from pathassets.core.tissue.tissue_mask import TissueMask

PAPER = 240


def paper(width_px: int, height_px: int) -> np.ndarray:
    return np.full((height_px, width_px, 3), PAPER, np.uint8)


def mask_of(tissue: np.ndarray) -> TissueMask:
    return TissueMask(tissue=tissue, downsample=32.0, slide_mpp=0.25)


def at(points: list[tuple[int, int]], side_px0: int) -> PatchLocations:
    x_px0, y_px0 = np.array(points, np.int64).reshape(-1, 2).T
    return PatchLocations(
        x_px0=x_px0, y_px0=y_px0, tissue_share=np.ones(len(points), np.float32),
        side_px0=side_px0, patch_px=256, mpp=0.5,
    )  # fmt: skip


def box(x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float]]:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def is_drawn(preview: np.ndarray) -> np.ndarray:
    return (preview != PAPER).any(axis=-1)


def frame(is_in: np.ndarray, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    """Add the one-pixel frame of a box, its last row and column included."""
    is_in[y0 : y1 + 1, [x0, x1]] = True
    is_in[[y0, y1], x0 : x1 + 1] = True
    return is_in


@pytest.mark.parametrize(
    ("width_px", "height_px", "longest_px", "size_px"),
    [
        (1000, 500, 256, (256, 128)),
        (500, 1000, 256, (128, 256)),
        (257, 256, 256, (256, 255)),
        (256, 256, 256, (256, 256)),
        (10, 20, 256, (10, 20)),
        (10_000, 10, 256, (256, 1)),
        (1, 1, 256, (1, 1)),
        (100, 50, 10, (10, 5)),
    ],
)
def test_a_preview_is_bounded_and_keeps_its_shape(width_px, height_px, longest_px, size_px) -> None:
    preview = shrink_to(paper(width_px, height_px), longest_px)
    assert preview.shape == (size_px[1], size_px[0], 3)
    assert preview.dtype == np.uint8
    assert (preview == PAPER).all()


def test_a_preview_is_the_mean_of_what_it_shows() -> None:
    overview = paper(2 * PREVIEW_PX, 2 * PREVIEW_PX)
    overview[::2, ::2] = 0
    assert (shrink_to(overview) == PAPER * 3 // 4).all()


def test_the_outline_is_where_the_mask_has_its_edge() -> None:
    tissue = np.zeros((150, 200), bool)
    tissue[40:100, 50:150] = True
    preview = draw_mask(paper(200, 150), mask_of(tissue))
    edge = frame(np.zeros((150, 200), bool), 50, 40, 149, 99)
    near = frame(frame(edge.copy(), 49, 39, 150, 100), 51, 41, 148, 98)
    assert is_drawn(preview)[edge].all()
    assert not is_drawn(preview)[~near].any()
    red, green, blue = preview[edge].mean(axis=0)
    assert green > max(red, blue) + 50


def test_a_hole_has_an_outline_too() -> None:
    tissue = np.ones((100, 100), bool)
    tissue[40:60, 40:60] = False
    drawn = is_drawn(draw_mask(paper(100, 100), mask_of(tissue)))
    assert drawn[39, 45:55].all()
    assert drawn[60, 45:55].all()
    assert drawn[45:55, 39].all()
    assert drawn[45:55, 60].all()
    assert not drawn[42:58, 42:58].any()
    assert not drawn[5:35, 5:95].any()


def test_the_outline_shrinks_with_the_overview() -> None:
    tissue = np.zeros((600, 1024), bool)
    tissue[200:400, 400:800] = True
    preview = draw_mask(paper(1024, 600), mask_of(tissue))
    assert preview.shape == (150, PREVIEW_PX, 3)
    drawn = is_drawn(preview)
    assert drawn[50, 100:200].all()
    assert drawn[99, 100:200].all()
    assert drawn[50:100, 100].all()
    assert drawn[50:100, 199].all()
    assert not drawn[53:97, 103:197].any()


def test_a_slide_without_tissue_has_no_outline() -> None:
    assert not is_drawn(draw_mask(paper(300, 200), mask_of(np.zeros((200, 300), bool)))).any()


def test_every_patch_has_its_rectangle_in_its_place() -> None:
    # 3200 px0 become 200 px: a patch of 320 px0 is 20 px.
    preview = draw_grid(paper(200, 100), at([(0, 0), (1600, 640)], 320), width_px0=3200)
    wanted = frame(frame(np.zeros((100, 200), bool), 0, 0, 19, 19), 100, 40, 119, 59)
    assert np.array_equal(is_drawn(preview), wanted)
    assert (preview[wanted] == BLUE).all()


def test_rectangles_shrink_with_the_overview() -> None:
    preview = draw_grid(paper(1024, 512), at([(5120, 2560)], 1280), width_px0=10_240)
    assert preview.shape == (128, PREVIEW_PX, 3)
    wanted = frame(np.zeros((128, PREVIEW_PX), bool), 128, 64, 159, 95)
    assert np.array_equal(is_drawn(preview), wanted)


def test_rectangles_of_a_narrow_slide_are_in_place_down_to_its_end() -> None:
    # 30 x 5000 become 1.5 x 256 px, rounded to 2: across and down the scales differ.
    preview = draw_grid(paper(30, 5000), at([(0, 79_000)], 900), width_px0=480)
    rows = np.flatnonzero(is_drawn(preview).any(axis=1))
    assert preview.shape == (256, 2, 3)
    assert (rows[0], rows[-1]) == (round(79_000 / 80_000 * 256), 255)


def test_a_patch_smaller_than_a_pixel_is_a_dot() -> None:
    preview = draw_grid(paper(100, 100), at([(5000, 2000)], 10), width_px0=10_000)
    assert np.argwhere(is_drawn(preview)).tolist() == [[20, 50]]


def test_no_patch_draws_nothing() -> None:
    assert not is_drawn(draw_grid(paper(300, 200), at([], 320), width_px0=3200)).any()


@pytest.mark.parametrize("width_px", [100, 1000])
def test_what_is_drawn_on_is_a_copy(width_px) -> None:
    overview = paper(width_px, 100)
    mask = mask_of(np.zeros((100, width_px), bool))
    mask.tissue[20:80, 20:80] = True
    locations = at([(0, 0), (320, 320)], 320)
    before = overview.copy(), mask.tissue.copy(), locations.boxes_px0
    assert is_drawn(draw_mask(overview, mask)).any()
    assert is_drawn(draw_grid(overview, locations, width_px0=width_px * 16)).any()
    after = overview, mask.tissue, locations.boxes_px0
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_small_preview_is_a_copy_as_well() -> None:
    overview = paper(10, 10)
    shrink_to(overview)[:] = 0
    assert (overview == PAPER).all()


def test_patches_of_one_label_have_one_colour_and_those_of_more_each_their_own() -> None:
    plain = at([(0, 0), (640, 0), (1280, 0)], 320)
    codes = np.array([0, 1, 0], np.int32)
    one = dataclasses.replace(plain, labels=("tumour",))
    two = dataclasses.replace(plain, labels=("tumour", "necrosis"), label_codes=codes)
    preview = draw_grid(paper(200, 100), one, width_px0=3200)
    assert np.array_equal(preview, draw_grid(paper(200, 100), plain, width_px0=3200))
    preview = draw_grid(paper(200, 100), two, width_px0=3200)
    # In the order of the alphabet: necrosis, tumour.
    assert [tuple(preview[0, x].tolist()) for x in (5, 45, 85)] == [
        PALETTE[1], PALETTE[0], PALETTE[1]
    ]  # fmt: skip


def test_labels_have_the_same_colours_on_patches_and_outlines_whatever_their_order() -> None:
    polygons = [
        AnnotationPolygon(points=box(x, 1600, x + 320, 1900), label=label)
        for x, label in ((0, "b"), (640, "c"), (1280, "a"))
    ]
    codes = np.array([2, 0, 1], np.int32)
    locations = dataclasses.replace(
        at([(0, 0), (640, 0), (1280, 0)], 320), labels=("c", "a", "b"), label_codes=codes
    )
    picture = draw_grid(paper(200, 200), locations, width_px0=3200)
    picture = draw_outlines(picture, polygons, width_px0=3200, height_px0=3200)
    for x in (5, 45, 85):
        assert tuple(picture[0, x]) == tuple(picture[100, x])
    assert len({tuple(picture[0, x].tolist()) for x in (5, 45, 85)}) == 3


def test_more_labels_than_colours_share_some() -> None:
    colours = label_colours(f"{i:03d}" for i in range(20))
    assert len(colours) == 20
    assert set(colours.values()) == set(PALETTE)
    assert label_colours(["x", "x"]) == {}


def test_outlines_and_their_holes_are_drawn_where_they_are() -> None:
    polygon = AnnotationPolygon(
        points=box(160, 160, 1600, 1280), holes=[box(480, 480, 960, 800)], label="tumour"
    )
    picture = draw_outlines(paper(200, 100), [polygon], width_px0=3200, height_px0=1600)
    wanted = frame(frame(np.zeros((100, 200), bool), 10, 10, 100, 80), 30, 30, 60, 50)
    assert np.array_equal(is_drawn(picture), wanted)
    assert (picture[wanted] == RED).all()


def test_outlines_are_drawn_on_the_picture_that_others_made() -> None:
    # 1000 x 305 overview -> 256 x 78 preview: across and down the scales differ.
    preview = shrink_to(paper(1000, 305))
    polygon = AnnotationPolygon(points=box(0, 15_000, 4000, 15_200))
    picture = draw_outlines(preview, [polygon], width_px0=50_000, height_px0=15_250)
    assert picture.shape == (78, 256, 3)
    rows = np.flatnonzero(is_drawn(picture).any(axis=1))
    assert (rows[0], rows[-1]) == (int(15_000 / 15_250 * 78), int(15_200 / 15_250 * 78))
    overview = draw_outlines(paper(1000, 305), [polygon], width_px0=50_000, height_px0=15_250)
    assert np.array_equal(overview, picture)


def test_an_outline_beyond_the_slide_is_drawn_as_far_as_the_slide_goes() -> None:
    for far in (1e5, 1e7, 1e9):
        polygon = AnnotationPolygon(points=box(-far, 800, far, far))
        picture = draw_outlines(paper(200, 100), [polygon], width_px0=3200, height_px0=1600)
        assert is_drawn(picture)[50].all()
        assert is_drawn(picture).sum() == 200


def test_outlines_are_drawn_on_a_copy_and_none_draws_nothing() -> None:
    before = paper(200, 100)
    polygon = AnnotationPolygon(points=box(160, 160, 1600, 1280))
    assert is_drawn(draw_outlines(before, [polygon], width_px0=3200, height_px0=1600)).any()
    assert not is_drawn(before).any()
    assert not is_drawn(draw_outlines(before, [], width_px0=3200, height_px0=1600)).any()


def test_an_outline_smaller_than_a_pixel_is_a_dot() -> None:
    polygon = AnnotationPolygon(points=[(805, 403), (806, 403), (806, 404)])
    picture = draw_outlines(paper(200, 100), [polygon], width_px0=3200, height_px0=1600)
    assert np.argwhere(is_drawn(picture)).tolist() == [[25, 50]]
