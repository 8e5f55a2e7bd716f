"""Where patches are, in numbers that another program found for the same requests.

It was asked once, by hand, for the formula slide and the real one. What it finds otherwise, and
why, is told at the end.
"""

from typing import Any, NamedTuple

import numpy as np
import pytest

from pathassets.core.annotations.annotations import AnnotationPolygon
from pathassets.engine.locations import classes as location_classes
from tests.formula_tiff import write_formula_tiff


class Case(NamedTuple):
    """A request, and what both found."""

    name: str
    kind: str
    mask: tuple[str, int]
    """Its shape, and the level whose size it has."""
    asked: dict[str, Any]
    sums: tuple[int, int, int, int]
    """Patches; sums of their x, of their y, and of i * (x + 3 * y) over their places i."""
    info: dict[str, int]
    is_real: bool = False


def full(width, height):
    return np.ones((width, height), bool)


def blob(width, height):
    mask = np.zeros((width, height), bool)
    mask[width // 8 : width // 2, height // 6 : height * 3 // 4] = True
    mask[width // 4 : width // 3, height // 3 : height // 2] = False
    return mask


def disk(width, height):
    x, y = np.mgrid[:width, :height]
    return (x - width * 0.5) ** 2 + (y - height * 0.5) ** 2 < (min(width, height) * 0.4) ** 2


MASKS = {"full": full, "blob": blob, "disk": disk}
SIZES = ((2048, 1536), (512, 384), (128, 96))


def corners_of(x, y, side):
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]


def square(x, y, side, label, holes=()):
    return AnnotationPolygon(points=corners_of(x, y, side), label=label, holes=holes)


ONE = [square(256, 256, 1024, "a")]
NESTED = [square(100, 100, 1200, "t"), square(400, 400, 300, "n")]
TRIANGLE = [AnnotationPolygon(points=[(100, 100), (1500, 300), (500, 1400)], label="tri")]
HOLED = [square(200, 200, 1000, "h", [corners_of(500, 500, 300)])]
THREE = [square(100, 100, 600, "a"), square(800, 200, 700, "b"), square(300, 900, 500, "a")]
CROSSED = [square(100, 100, 800, "a"), square(500, 500, 800, "b")]

CASES = [
    Case("a full mask", "WholeImageGrid", ("full", 2), {}, (48, 43008, 30720, 4101120), {"": 48}),
    Case(
        "a full mask of level 1",
        "WholeImageGrid",
        ("full", 1),
        {},
        (48, 43008, 30720, 4101120),
        {"": 48},
    ),
    Case(
        "half a stride at level 1",
        "WholeImageGrid",
        ("full", 2),
        {"patch_size": 128, "level_or_mpp": 1, "patch_stride": 0.5},
        (35, 26880, 17920, 1783040),
        {"": 35},
    ),
    Case(
        "between levels",
        "WholeImageGrid",
        ("full", 2),
        {"patch_size": 200, "level_or_mpp": 0.7},
        (35, 29400, 19600, 1950200),
        {"": 35},
    ),
    Case(
        "between levels, half ratios",
        "WholeImageGrid",
        ("full", 2),
        {"patch_size": 200, "level_or_mpp": 0.7, "overlap_ratio": 0.5, "foreground_ratio": 0.5},
        (35, 29400, 19600, 1950200),
        {"": 35},
    ),
    Case(
        "a stride beyond the side",
        "WholeImageGrid",
        ("full", 2),
        {"patch_stride": 1.3},
        (24, 19968, 11982, 845961),
        {"": 24},
    ),
    Case(
        "an odd side at level 2",
        "WholeImageGrid",
        ("full", 2),
        {"patch_size": 33, "level_or_mpp": 2, "patch_stride": 0.3},
        (70, 49896, 33260, 6585812),
        {"": 70},
    ),
    Case("a piece with a hole", "WholeImageGrid", ("blob", 2), {}, (8, 4096, 4096, 70144), {"": 8}),
    Case(
        "half foreground",
        "WholeImageGrid",
        ("blob", 2),
        {"foreground_ratio": 0.5},
        (8, 4096, 4096, 70144),
        {"": 8},
    ),
    Case(
        "half foreground, half overlap",
        "WholeImageGrid",
        ("blob", 2),
        {"foreground_ratio": 0.5, "overlap_ratio": 0.5},
        (11, 5632, 7168, 167424),
        {"": 11},
    ),
    Case(
        "a side across mask pixels",
        "WholeImageGrid",
        ("blob", 1),
        {"foreground_ratio": 0.5, "overlap_ratio": 0.5, "patch_size": 100},
        (70, 42520, 46020, 7368760),
        {"": 70},
    ),
    Case(
        "a disk",
        "WholeImageGrid",
        ("disk", 2),
        {"patch_size": 128, "foreground_ratio": 0.75},
        (66, 63552, 46656, 7766144),
        {"": 66},
    ),
    Case(
        "a disk of level 1",
        "WholeImageGrid",
        ("disk", 1),
        {"patch_size": 128, "foreground_ratio": 0.75},
        (64, 60544, 44160, 7123456),
        {"": 64},
    ),
    Case(
        "no foreground asked",
        "WholeImageGrid",
        ("disk", 2),
        {"patch_size": 128, "foreground_ratio": 0},
        (81, 75168, 54432, 11473920),
        {"": 81},
    ),
    Case(
        "grown",
        "WholeImageGrid",
        ("blob", 2),
        {"polygon_buffer": 4, "foreground_ratio": 0.5, "overlap_ratio": 0.5, "patch_size": 128},
        (51, 29376, 32704, 3836800),
        {"": 51},
    ),
    Case(
        "shrunk",
        "WholeImageGrid",
        ("blob", 2),
        {"polygon_buffer": -4, "foreground_ratio": 0.5, "overlap_ratio": 0.5, "patch_size": 128},
        (29, 16704, 18624, 1182720),
        {"": 29},
    ),
    Case(
        "points",
        "WholeImageCustom",
        ("full", 2),
        {
            "points": [
                (0, 0),
                (10, 20),
                (1792, 1280),
                (1793, 1280),
                (1900, 100),
                (-5, 0),
                (-100, -100),
                (0, 0),
            ]
        },
        (5, 3590, 2580, 28213),
        {"": 5},
    ),
    Case(
        "a polygon",
        "PolygonRegionGrid",
        ("full", 2),
        {"polygon_data": ONE},
        (16, 10240, 10240, 373760),
        {"a": 16},
    ),
    Case(
        "a polygon at level 1",
        "PolygonRegionGrid",
        ("full", 2),
        {
            "patch_size": 50,
            "level_or_mpp": 1,
            "patch_stride": 0.5,
            "overlap_ratio": 0.7,
            "polygon_data": ONE,
        },
        (81, 53136, 53136, 10013760),
        {"a": 81},
    ),
    Case(
        "one within another",
        "PolygonRegionGrid",
        ("full", 2),
        {"patch_size": 100, "polygon_data": NESTED},
        (144, 93600, 93600, 32073900),
        {"n": 9, "t": 135},
    ),
    Case(
        "one within another, unchecked",
        "PolygonRegionGrid",
        ("full", 2),
        {"patch_size": 100, "check_polygons": False, "polygon_data": NESTED},
        (153, 98100, 98100, 35788800),
        {"n": 9, "t": 144},
    ),
    Case(
        "one label of two",
        "PolygonRegionGrid",
        ("full", 2),
        {"patch_size": 100, "included_labels": ["t"], "polygon_data": NESTED},
        (144, 93600, 93600, 33118800),
        {"t": 144},
    ),
    Case(
        "a triangle",
        "PolygonRegionGrid",
        ("full", 2),
        {"patch_size": 64, "overlap_ratio": 0.5, "polygon_data": TRIANGLE},
        (215, 143036, 121660, 65755728),
        {"tri": 215},
    ),
    Case(
        "a triangle at 1 um",
        "PolygonRegionGrid",
        ("full", 2),
        {"patch_size": 50, "level_or_mpp": 1.0, "overlap_ratio": 0.8, "polygon_data": TRIANGLE},
        (73, 47600, 41000, 7323500),
        {"tri": 73},
    ),
    Case(
        "a hole",
        "PolygonRegionGrid",
        ("full", 2),
        {"patch_size": 100, "polygon_data": HOLED},
        (91, 59600, 59600, 12931200),
        {"h": 91},
    ),
    Case(
        "a hole, grown",
        "PolygonRegionGrid",
        ("full", 2),
        {"patch_size": 100, "polygon_buffer": 3, "polygon_data": HOLED},
        (114, 74028, 74028, 20394928),
        {"h": 114},
    ),
    Case(
        "lists by polygon",
        "PolygonRegionGrid",
        ("full", 2),
        {
            "patch_size": 100,
            "patch_stride": [1, 0.5, 2],
            "overlap_ratio": [0.95, 0.5, 0.2],
            "foreground_ratio": [0.9, 0.5, 0.1],
            "polygon_buffer": [0, 2, -1],
            "polygon_data": THREE,
        },
        (269, 267326, 138326, 107853244),
        {"a": 45, "b": 224},
    ),
    Case(
        "lists after filtering",
        "PolygonRegionGrid",
        ("full", 2),
        {
            "patch_size": 100,
            "patch_stride": [1, 2],
            "excluded_labels": ["b"],
            "polygon_data": THREE,
        },
        (45, 17100, 22500, 2461500),
        {"a": 45},
    ),
    Case(
        "two that overlap",
        "PolygonRegionGrid",
        ("full", 2),
        {"patch_size": 100, "polygon_data": CROSSED},
        (128, 83200, 83200, 26089600),
        {"a": 64, "b": 64},
    ),
    Case(
        "inverted",
        "WholeImageInvertedGrid",
        ("full", 2),
        {"patch_size": 100, "polygon_data": THREE},
        (190, 206000, 145400, 75182700),
        {"": 190},
    ),
    Case(
        "inverted, one label of two",
        "WholeImageInvertedGrid",
        ("full", 2),
        {"patch_size": 100, "included_labels": ["a"], "weak_label": "w", "polygon_data": THREE},
        (239, 259900, 169900, 113289300),
        {"w": 239},
    ),
    Case(
        "inverted, with a hole",
        "WholeImageInvertedGrid",
        ("full", 2),
        {"patch_size": 100, "overlap_ratio": 0.5, "polygon_data": HOLED},
        (200, 220000, 145000, 82092500),
        {"": 200},
    ),
    Case(
        "points, inverted",
        "WholeImageInvertedCustom",
        ("full", 2),
        {
            "patch_size": 64,
            "points": [(0, 0), (256, 256), (200, 256), (190, 256), (1300, 0)],
            "polygon_data": ONE,
        },
        (3, 1490, 256, 3558),
        {"": 3},
    ),
    Case(
        "points in polygons",
        "PolygonRegionCustom",
        ("full", 2),
        {
            "patch_size": 64,
            "points": [(100, 100), (400, 400), (800, 200), (700, 700), (300, 900)],
            "overlap_ratio": 0.5,
            "polygon_data": THREE,
        },
        (4, 1600, 1600, 13400),
        {"a": 3, "b": 1},
    ),
    Case(
        "the real slide",
        "WholeImageGrid",
        ("full", 0),
        {},
        (88, 78848, 112640, 23654400),
        {"": 88},
        is_real=True,
    ),
    Case(
        "the real slide, half a stride",
        "WholeImageGrid",
        ("full", 0),
        {"patch_stride": 0.5},
        (352, 337920, 473088, 396391424),
        {"": 352},
        is_real=True,
    ),
    Case(
        "the real slide, half ratios",
        "WholeImageGrid",
        ("full", 0),
        {"foreground_ratio": 0.5, "overlap_ratio": 0.5},
        (107, 108544, 149248, 38279936),
        {"": 107},
        is_real=True,
    ),
    Case(
        "the real slide, a disk at 0.8 um",
        "WholeImageGrid",
        ("disk", 0),
        {"level_or_mpp": 0.8, "patch_size": 100, "foreground_ratio": 0.6, "overlap_ratio": 0.6},
        (97, 99391, 135572, 28009589),
        {"": 97},
        is_real=True,
    ),
]


@pytest.fixture(scope="module")
def slide(tmp_path_factory) -> str:
    return str(write_formula_tiff(tmp_path_factory.mktemp("slide") / "formula.tiff"))


def find(slide, kind, mask, **asked):
    return getattr(location_classes, f"{kind}Patches")(wsi_file=slide, mask_data=mask, **asked)


def corners(patches) -> list[tuple[int, int]]:
    return [corner for corner, _, _ in patches.patch_data]


def sums_of(patches) -> tuple[int, int, int, int]:
    x, y = np.array(corners(patches), np.int64).reshape(-1, 2).T
    return len(x), int(x.sum()), int(y.sum()), int((np.arange(len(x)) * (x + 3 * y)).sum())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_patches_are_where_the_other_program_found_them(slide, case, request):
    shape, level = case.mask
    size = SIZES[level]
    if case.is_real:
        slide = str(request.getfixturevalue("shared") / "slides" / "CMU-1-Small-Region.svs")
        size = (2220, 2967)
    patches = find(slide, case.kind, MASKS[shape](*size), **case.asked)
    assert (sums_of(patches), patches.patch_info) == (case.sums, case.info)


# ----------------------------------------------------- what the other program finds otherwise


def test_a_grid_ends_with_its_area(slide):
    """The other one goes a step further: 8 of its 20 patches lie wholly beyond the slide."""
    patches = find(
        slide, "WholeImageGrid", full(128, 96), patch_size=512, foreground_ratio=0, overlap_ratio=0
    )
    assert corners(patches) == [(x, y) for y in (0, 512, 1024) for x in (0, 512, 1024, 1536)]


def test_foreground_left_of_a_patch_that_begins_before_the_slide_counts(slide):
    """The other one scores it 0, and (-64, 0) and (-64, -64) are not kept: 3 are left of 5."""
    points = [(0, 0), (-64, 0), (-64, -64), (1856, 0), (1856, 1344), (2000, 0)]
    patches = find(
        slide, "WholeImageCustom", full(128, 96), points=points,
        foreground_ratio=0.5, overlap_ratio=0.5,
    )  # fmt: skip
    assert corners(patches) == points[:5]


def test_parts_of_mask_pixels_are_counted_exactly(slide):
    """The other one rounds a patch to whole mask pixels, and keeps 4 of 116 with 0.44 to 0.5."""
    patches = find(
        slide, "PolygonRegionGrid", blob(128, 96), polygon_data=THREE, patch_size=64,
        foreground_ratio=0.5, overlap_ratio=0.5,
    )  # fmt: skip
    assert patches.patch_info == {"a": 72, "b": 40}
    found = set(corners(patches))
    assert not found & {(548, 484), (612, 484), (484, 548), (484, 612)}
    assert sums_of(patches)[0] == 116 - 4


def test_polygons_that_reach_beyond_the_foreground_leave_nothing_new_to_sample(slide):
    """The other one mends its holes into areas beyond the foreground, and finds 42 patches."""
    patches = find(
        slide, "WholeImageInvertedGrid", blob(128, 96), polygon_data=CROSSED, patch_size=64,
        foreground_ratio=0.3, overlap_ratio=0.5,
    )  # fmt: skip
    assert corners(patches)[:2] == [(896, 256), (960, 256)]
    assert sums_of(patches)[0] == 24
