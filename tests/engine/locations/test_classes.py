"""What users ask of one slide, and what they get or are told."""

import gc
import inspect
import json
import os
import pickle
import random
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from pathassets.adapters.annotations.reader import read_annotations
from pathassets.core.annotations.annotations import AnnotationPolygon
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.tissue.tissue_mask import TissueMask
from pathassets.engine.locations import classes as location_classes
from pathassets.engine.locations.classes import (
    LocatedPatches,
    PolygonRegionCustomPatches,
    PolygonRegionGridPatches,
    PolygonRegionRandomPatches,
    WholeImageCustomPatches,
    WholeImageGridPatches,
    WholeImageInvertedGridPatches,
    WholeImagePoissonDiskPatches,
    WholeImageRandomPatches,
)
from pathassets.errors import (
    AnnotationError,
    ResolutionMissing,
    SlideError,
    SlideUnreadable,
    SpecError,
)
from tests.formula_tiff import formula_level, write_formula_tiff

FULL = np.ones((128, 96), bool)
"""Of the formula slide's level 2, (x, y): 16 level-0 pixels each."""
BARE = np.zeros((128, 96), bool)
REGIONS = ("WholeImage", "WholeImageInverted", "PolygonRegion")
SAMPLERS = {
    "Grid": {},
    "Random": {"num_patches": 3},
    "PoissonDisk": {"poisson_spacing": 20},
    "Custom": {"points": [(0, 0), (256, 256), (700, 300)]},
}
ALL = [(region, sampler) for region in REGIONS for sampler in SAMPLERS]


def square(x, y, side, label="a", holes=()):
    corners = [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]
    return AnnotationPolygon(points=corners, label=label, holes=holes)


@pytest.fixture(scope="module")
def slide(tmp_path_factory) -> str:
    return str(write_formula_tiff(tmp_path_factory.mktemp("slide") / "formula.tiff"))


@pytest.fixture(scope="module")
def no_mpp(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("no_mpp") / "formula.tiff"
    return str(write_formula_tiff(path, mpp=None))


def make(region: str, sampler: str, slide: str, mask=FULL, **more) -> LocatedPatches:
    arguments = {"wsi_file": slide, "mask_data": mask} | SAMPLERS[sampler]
    if region != "WholeImage":
        arguments["polygon_data"] = [square(100, 100, 1200)]
    return getattr(location_classes, f"{region}{sampler}Patches")(**arguments | more)


def grid(slide: str, mask=FULL, **more) -> LocatedPatches:
    return WholeImageGridPatches(wsi_file=slide, mask_data=mask, **more)


def polygons(slide: str, *areas, mask=FULL, **more) -> LocatedPatches:
    return PolygonRegionGridPatches(
        wsi_file=slide, mask_data=mask, polygon_data=list(areas), **more
    )


def custom(slide: str, points, mask=FULL, **more) -> LocatedPatches:
    return WholeImageCustomPatches(wsi_file=slide, mask_data=mask, points=points, **more)


def corners(patches) -> list[tuple[int, int]]:
    return [corner for corner, _, _ in patches.patch_data]


def row_major(xs, ys) -> list[tuple[int, int]]:
    return [(x, y) for y in ys for x in xs]


# ------------------------------------------------------------------------------ signatures

SLIDE_PARAMETERS = {
    "wsi_file", "mask_data", "patch_size", "level_or_mpp", "foreground_ratio", "overlap_ratio",
    "polygon_buffer", "patch_size_um", "polygon_buffer_um", "within_bound", "slide_mpp",
}  # fmt: skip
OWN_PARAMETERS = {
    "WholeImage": {"weak_label"},
    "WholeImageInverted": {"polygon_data", "weak_label", "included_labels", "excluded_labels"},
    "PolygonRegion": {"polygon_data", "check_polygons", "included_labels", "excluded_labels"},
    "Grid": {"patch_stride"},
    "Random": {"num_patches", "seed"},
    "PoissonDisk": {"poisson_spacing", "poisson_spacing_um", "seed"},
    "Custom": {"points"},
}


@pytest.mark.parametrize(("region", "sampler"), ALL)
def test_a_class_takes_what_is_documented_by_keyword_alone(region, sampler):
    kind = getattr(location_classes, f"{region}{sampler}Patches")
    parameters = inspect.signature(kind).parameters
    wanted = SLIDE_PARAMETERS | OWN_PARAMETERS[region] | OWN_PARAMETERS[sampler]
    assert set(parameters) == wanted
    assert {p.kind for p in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    with pytest.raises(TypeError):
        kind("a.svs", FULL)


def test_an_unknown_and_a_missing_parameter_are_told_with_the_class(slide):
    with pytest.raises(TypeError, match=r"WholeImageGridPatches: .*'stride'"):
        grid(slide, stride=1)
    with pytest.raises(TypeError, match=r"WholeImageRandomPatches: .*'num_patches'"):
        WholeImageRandomPatches(wsi_file=slide, mask_data=FULL)
    with pytest.raises(TypeError, match=r"PolygonRegionGridPatches: .*'polygon_data'"):
        PolygonRegionGridPatches(wsi_file=slide, mask_data=FULL)
    with pytest.raises(TypeError, match=r"'mask_data'"):
        WholeImageGridPatches(wsi_file=slide)


@pytest.mark.parametrize(("region", "sampler"), ALL)
def test_every_class_finds_patches_and_tells_of_them(slide, region, sampler):
    patches = make(region, sampler, slide, patch_size=64)
    assert patches.patch_count == len(patches) == len(patches.patch_data) > 0
    label = "a" if region == "PolygonRegion" else ""
    assert patches.patch_info == {label: patches.patch_count}
    assert (patches.patch_labels, patches.polygon_labels) == ([label], [label])
    assert patches.class_name == type(patches).__name__ == f"{region}{sampler}Patches"
    assert (patches.wsi_file, patches.level_or_mpp, patches.patch_size) == (slide, 0, 64)
    assert patches.mask_shape == (128, 96)
    assert isinstance(patches.locations, PatchLocations)
    assert len(patches.shapely_polygons) == 1
    assert {size for _, size, _ in patches.patch_data} == {(64, 64)}
    assert json.dumps(patches.param_info)
    assert repr(patches).startswith(f"{region}{sampler}Patches({slide!r}, {patches.patch_count} pa")


# ------------------------------------------------------------------------------ resolution


@pytest.mark.parametrize(
    "value", [True, False, 0.0, -1, -0.5, float("nan"), float("inf"), "1", None, np.bool_(1), 1j]
)
def test_a_resolution_that_is_none_is_refused_with_the_slide(slide, value):
    with pytest.raises(SpecError, match="neither a level nor micrometres") as raised:
        grid(slide, level_or_mpp=value)
    assert slide in str(raised.value)


@pytest.mark.parametrize("level", [3, 99, np.int64(3)])
def test_a_level_beyond_the_pyramid_is_refused_with_those_there_are(slide, level):
    with pytest.raises(SpecError, match=f"no level {level}.*0 to 2") as raised:
        grid(slide, level_or_mpp=level)
    assert slide in str(raised.value)


def test_numbers_of_numpy_are_numbers(slide):
    plain = grid(slide, level_or_mpp=1, patch_size=64)
    numpy = grid(slide, level_or_mpp=np.int32(1), patch_size=np.uint16(64))
    assert numpy.patch_data == plain.patch_data
    assert (type(numpy.level_or_mpp), type(numpy.patch_size)) == (int, int)
    by_mpp = grid(slide, level_or_mpp=np.float64(2.0), patch_size=64)
    assert by_mpp.patch_data == plain.patch_data
    assert type(by_mpp.level_or_mpp) is float
    half = grid(slide, foreground_ratio=np.float32(0.5), patch_stride=np.int64(1))
    assert half.patch_count == 48
    assert json.dumps(numpy.param_info)


def test_a_level_works_without_a_resolution_and_micrometres_do_not(slide, no_mpp):
    for level in (0, 1, 2):
        patches = grid(no_mpp, level_or_mpp=level, patch_size=32)
        assert patches.patch_data == grid(slide, level_or_mpp=level, patch_size=32).patch_data
        assert (patches.locations.level, patches.locations.mpp) == (level, None)
    for asked in (
        {"level_or_mpp": 0.7}, {"patch_size_um": 100.0}, {"polygon_buffer_um": 3.0},
    ):  # fmt: skip
        with pytest.raises(ResolutionMissing, match="slide_mpp="):
            grid(no_mpp, **asked)
    with pytest.raises(ResolutionMissing):
        WholeImagePoissonDiskPatches(wsi_file=no_mpp, mask_data=FULL, poisson_spacing_um=9)


def test_a_stated_resolution_stands_in_and_goes_before_the_files(slide, no_mpp):
    stated = grid(no_mpp, level_or_mpp=0.7, patch_size=200, slide_mpp=0.5)
    assert stated.patch_data == grid(slide, level_or_mpp=0.7, patch_size=200).patch_data
    assert (stated.slide_mpp, stated.locations.mpp) == (0.5, 0.7)
    assert grid(slide).slide_mpp is None
    finer = grid(slide, level_or_mpp=0.5, slide_mpp=0.25, patch_size=128)
    assert finer.locations.side_px0 == 256
    for impossible in (0.0, -1.0, float("nan"), 1000.0, True, "0.5"):
        with pytest.raises(SpecError) as raised:
            grid(slide, slide_mpp=impossible)
        assert slide in str(raised.value)


def test_the_locations_say_what_the_pixels_are(slide):
    by_level, by_mpp = grid(slide, level_or_mpp=1, patch_size=64), grid(slide, level_or_mpp=0.7)
    assert (by_level.locations.level, by_level.locations.mpp) == (1, 2.0)
    assert (by_mpp.locations.level, by_mpp.locations.mpp) == (None, 0.7)
    assert (by_level.locations.side_px0, by_mpp.locations.side_px0) == (256, round(256 * 1.4))
    assert by_level.locations.tissue_share.dtype == np.float32
    assert by_level.locations.x_px0.dtype == by_level.locations.y_px0.dtype == np.int64


# ----------------------------------------------------------------------------------- sizes


def test_sizes_in_micrometres_are_those_in_pixels(slide):
    assert grid(slide, patch_size_um=128).patch_data == grid(slide, patch_size=256).patch_data
    at_level = grid(slide, patch_size_um=128, level_or_mpp=1)
    assert at_level.patch_size == 64
    assert at_level.patch_data == grid(slide, patch_size=64, level_or_mpp=1).patch_data
    assert grid(slide, patch_size_um=100, level_or_mpp=0.7).patch_size == round(100 / 0.7)
    area = square(500, 500, 300)
    for mask_px in (3, -3, [2]):
        um = [8.0 * n for n in mask_px] if isinstance(mask_px, list) else 8.0 * mask_px
        by_um = polygons(slide, area, patch_size=50, polygon_buffer_um=um)
        by_px = polygons(slide, area, patch_size=50, polygon_buffer=mask_px)
        assert by_um.patch_data == by_px.patch_data
    by_um = make("WholeImage", "PoissonDisk", slide, poisson_spacing=None, poisson_spacing_um=160)
    assert by_um.patch_data == make("WholeImage", "PoissonDisk", slide).patch_data


@pytest.mark.parametrize(
    ("region", "sampler", "more"),
    [
        ("WholeImage", "Grid", {"patch_size": 256, "patch_size_um": 128.0}),
        ("PolygonRegion", "Grid", {"polygon_buffer": 0, "polygon_buffer_um": 0}),
        ("WholeImage", "PoissonDisk", {"poisson_spacing_um": 9}),
    ],
)
def test_a_length_in_both_units_is_refused(slide, region, sampler, more):
    with pytest.raises(SpecError, match="are both given"):
        make(region, sampler, slide, **more)


@pytest.mark.parametrize(
    ("sampler", "name", "value"),
    [
        ("Grid", "patch_size", 0),
        ("Grid", "patch_size", -256),
        ("Grid", "patch_size", 256.0),
        ("Grid", "patch_size", "256"),
        ("Grid", "patch_size", True),
        ("Grid", "patch_size", [256]),
        ("Grid", "patch_size_um", 0.0),
        ("Grid", "patch_size_um", float("inf")),
        ("Grid", "patch_stride", 0),
        ("Grid", "patch_stride", -1),
        ("Grid", "patch_stride", 5.01),
        ("Grid", "patch_stride", float("nan")),
        ("Grid", "patch_stride", [1, 0]),
        ("Grid", "patch_stride", True),
        ("Grid", "patch_stride", 0.001),
        ("Grid", "foreground_ratio", 1.01),
        ("Grid", "foreground_ratio", -0.1),
        ("Grid", "overlap_ratio", "1"),
        ("Grid", "overlap_ratio", float("nan")),
        ("Grid", "overlap_ratio", None),
        ("Grid", "polygon_buffer", "1"),
        ("Grid", "polygon_buffer", float("inf")),
        ("Grid", "within_bound", 1),
        ("Grid", "weak_label", None),
        ("Random", "num_patches", -1),
        ("Random", "num_patches", 1.5),
        ("Random", "num_patches", None),
        ("Random", "seed", -1),
        ("Random", "seed", "x"),
        ("PoissonDisk", "poisson_spacing", 0),
        ("PoissonDisk", "poisson_spacing", -1),
        ("PoissonDisk", "poisson_spacing", 0.01),
        ("PoissonDisk", "seed", 0.5),
        ("Custom", "points", [(1, 2, 3)]),
        ("Custom", "points", [(1, 2), (3,)]),
        ("Custom", "points", [(float("nan"), 2)]),
        ("Custom", "points", [(1e300, 2)]),
        ("Custom", "points", "ab"),
        ("Custom", "points", None),
        ("Custom", "points", (1, 2)),
    ],
)
def test_an_impossible_value_is_refused_with_slide_and_name(slide, sampler, name, value):
    with pytest.raises(SpecError, match=name) as raised:
        make("WholeImage", sampler, slide, **{name: value})
    assert slide in str(raised.value)


def test_the_least_and_greatest_strides_are_taken(slide):
    assert corners(grid(slide, patch_size=128, patch_stride=5)) == row_major(
        range(0, 2048, 640), range(0, 1536, 640)
    )
    point = np.zeros((128, 96), bool)
    point[10, 10] = True
    least = grid(slide, point, patch_size=4, patch_stride=0.25)
    assert corners(least) == row_major(range(160, 173), range(160, 173))


# ------------------------------------------------------------------------------------ glass


@pytest.mark.parametrize(("region", "sampler"), ALL)
def test_a_mask_without_foreground_gives_no_patches(slide, region, sampler):
    patches = make(region, sampler, slide, BARE)
    assert (patches.patch_count, patches.patch_data) == (0, [])
    assert set(patches.patch_info.values()) == {0}
    assert len(patches.locations) == 0
    assert pickle.loads(pickle.dumps(patches)).patch_data == []  # noqa: S301 - our own bytes


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_polygons_give_no_patches_and_leave_nothing_out(slide, sampler):
    none = make("PolygonRegion", sampler, slide, polygon_data=[])
    assert (none.patch_count, none.patch_info, none.patch_labels) == (0, {}, [])
    assert none.polygon_labels == none.shapely_polygons == []
    filtered = make("PolygonRegion", sampler, slide, included_labels=["no such"])
    assert filtered.patch_count == 0
    inverted = make("WholeImageInverted", "Grid", slide, polygon_data=[])
    assert inverted.patch_data == grid(slide).patch_data


def test_polygons_are_heeded_on_bare_glass_where_no_foreground_is_asked_for(slide):
    found = polygons(slide, square(256, 256, 512), mask=BARE, foreground_ratio=0)
    assert corners(found) == row_major((256, 512), (256, 512))


def test_an_area_that_shrinks_to_nothing_gives_no_patches_and_keeps_its_label(slide):
    found = polygons(
        slide, square(0, 0, 64, "gone"), square(512, 512, 512, "kept"), polygon_buffer=[-3, 0]
    )
    assert found.patch_info == {"gone": 0, "kept": 4}
    assert found.polygon_labels == ["gone", "kept"]
    random = PolygonRegionRandomPatches(
        wsi_file=slide, mask_data=FULL, polygon_data=[square(0, 0, 64)], polygon_buffer=-3,
        num_patches=5,
    )  # fmt: skip
    assert random.patch_count == 0


def test_too_many_random_patches_are_refused_with_the_slide(slide):
    speck = np.zeros((128, 96), bool)
    speck[0, 0] = True
    with pytest.raises(SpecError) as raised:
        WholeImageRandomPatches(wsi_file=slide, mask_data=speck, num_patches=5)
    assert slide in str(raised.value)


# ------------------------------------------------------------------------- lists by polygon


def test_lists_hold_one_value_for_each_polygon_that_is_left(slide):
    areas = [square(0, 0, 400, "a"), square(500, 0, 400, "b"), square(1000, 0, 400, "a")]
    found = polygons(
        slide, *areas, patch_size=100, patch_stride=[1, 2], foreground_ratio=[0.5, 0.9],
        overlap_ratio=(1.0, 0.2), polygon_buffer=np.array([0, -1]), excluded_labels=["b"],
    )  # fmt: skip
    first = row_major(range(0, 400, 100), range(0, 400, 100))
    second = row_major((1016, 1216), (16, 216))
    assert corners(found) == [*first, *second]
    assert found.polygon_labels == ["a", "a"]


@pytest.mark.parametrize(
    "name", ["patch_stride", "foreground_ratio", "overlap_ratio", "polygon_buffer"]
)
def test_a_list_of_another_length_is_refused_with_both(slide, name):
    with pytest.raises(SpecError, match=f"{name}: a list of 3 for 2 areas"):
        polygons(
            slide, square(0, 0, 400), square(500, 0, 400), square(0, 500, 9, "b"),
            excluded_labels=["b"], **{name: [0.5, 0.5, 0.5]},
        )  # fmt: skip
    with pytest.raises(SpecError, match=f"{name}: a list of 2 for 1 areas"):
        grid(slide, **{name: [0.5, 0.5]})
    with pytest.raises(SpecError, match=f"{name}: a list of 0 for 1 areas"):
        grid(slide, **{name: []})


def test_random_numbers_and_spacings_may_differ_by_polygon(slide):
    areas = [square(0, 0, 600, "a"), square(700, 0, 600, "b")]
    drawn = make(
        "PolygonRegion", "Random", slide, polygon_data=areas, num_patches=[5, 2], patch_size=64
    )
    assert drawn.patch_info == {"a": 5, "b": 2}
    assert [label for *_, label in drawn.patch_data] == ["a"] * 5 + ["b"] * 2
    spread = make(
        "PolygonRegion", "PoissonDisk", slide, polygon_data=areas, poisson_spacing=[4, 30],
        patch_size=32,
    )  # fmt: skip
    assert spread.patch_info["a"] > 5 * spread.patch_info["b"] > 0


@pytest.mark.parametrize("region", ["WholeImageInverted", "PolygonRegion"])
def test_labels_are_included_or_excluded_but_not_both(slide, region):
    for more in (
        {"included_labels": ["a"], "excluded_labels": ["b"]},
        {"included_labels": "a"},
        {"excluded_labels": [1]},
        {"included_labels": None},
    ):
        with pytest.raises(SpecError, match="labels") as raised:
            make(region, "Grid", slide, **more)
        assert slide in str(raised.value)


def test_what_is_no_path_is_refused():
    for value in (None, 5, b"a.svs"):
        with pytest.raises(SpecError, match="wsi_file"):
            grid(value)


@pytest.mark.parametrize("value", [None, 5, [(0, 0), (1, 1)], ["a"], {}])
def test_what_are_no_polygons_is_refused(slide, value):
    with pytest.raises(SpecError, match="polygon_data"):
        make("PolygonRegion", "Grid", slide, polygon_data=value)


def test_polygons_come_from_a_file_as_well(slide, tmp_path):
    ring = [[256, 256], [768, 256], [768, 768], [256, 768], [256, 256]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"classification": {"name": "tumour"}},
    }
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    listed = [{"points": ring[:-1], "label": "tumour", "holes": []}]
    read = read_annotations(path)
    for given in (path, str(path), path.read_text(), json.dumps(listed), read, read.polygons):
        found = make("PolygonRegion", "Grid", slide, polygon_data=given)
        assert corners(found) == row_major((256, 512), (256, 512))
        assert found.patch_info == {"tumour": 4}
    path.write_text("{")
    with pytest.raises(AnnotationError, match=r"a\.geojson"):
        make("PolygonRegion", "Grid", slide, polygon_data=path)


# --------------------------------------------------------------------------------- geometry


def test_all_of_a_patch_can_be_asked_for_where_the_masks_downsample_is_not_whole(slide):
    mask = np.zeros((127, 95), bool)  # 2048 / 127 level-0 pixels each
    mask[8:-8, 8:-8] = True
    start = 8 * 2048 / 127
    rectangle = AnnotationPolygon(
        points=[(start, start), (start + 1024, start), (start + 1024, start + 512),
                (start, start + 512)], label="a"
    )  # fmt: skip
    everywhere = grid(slide, mask, patch_size=128, foreground_ratio=1, overlap_ratio=1)
    drawn = PolygonRegionGridPatches(
        wsi_file=slide, mask_data=mask, polygon_data=[rectangle], patch_size=128,
        foreground_ratio=1, overlap_ratio=1,
    )  # fmt: skip
    x, y = ([round(start + i * 128) for i in range(n)] for n in (13, 9))
    assert corners(everywhere) == [(a, b) for b in y for a in x]
    assert corners(drawn) == [(a, b) for b in y[:4] for a in x[:8]]
    again = WholeImageCustomPatches(
        wsi_file=slide, mask_data=mask, patch_size=128, points=corners(everywhere),
        foreground_ratio=1, overlap_ratio=1,
    )  # fmt: skip
    assert corners(again) == corners(everywhere)


def test_a_grid_begins_at_the_foreground_and_not_at_the_slide(slide):
    mask = BARE.copy()
    mask[10:58, 7:55] = True
    assert corners(grid(slide, mask)) == row_major((160, 416, 672), (112, 368, 624))


def test_what_reaches_left_of_the_slide_counts_as_what_reaches_right_of_it(slide):
    ratios = {"foreground_ratio": 0.5, "overlap_ratio": 0.5, "patch_size": 128}
    points = [(-64, 0), (1984, 0), (0, -64), (0, 1472), (-65, 0), (1985, 0), (0, -65), (0, 1473)]
    assert corners(custom(slide, points, **ratios)) == points[:4]
    assert corners(custom(slide, points, within_bound=True, **ratios)) == []


def test_only_patches_within_the_slide_are_left_where_that_is_asked_for(slide):
    loose = grid(slide, patch_size=300, foreground_ratio=0.1, overlap_ratio=0.1)
    bound = grid(slide, patch_size=300, foreground_ratio=0.1, overlap_ratio=0.1, within_bound=True)
    assert corners(loose)[6] == (1800, 0)
    assert corners(bound) == row_major(range(0, 1749, 300), range(0, 1237, 300))


def test_an_inverted_image_leaves_out_polygons_with_all_that_they_enclose(slide):
    hole = [(400, 400), (900, 400), (900, 900), (400, 900)]
    for holes in ((), (hole,)):
        found = make(
            "WholeImageInverted", "Grid", slide, polygon_data=[square(256, 256, 1024, holes=holes)],
            weak_label="rest",
        )  # fmt: skip
        inside = row_major(range(256, 1280, 256), range(256, 1280, 256))
        every = row_major(range(0, 2048, 256), range(0, 1536, 256))
        assert corners(found) == [corner for corner in every if corner not in inside]
        assert found.patch_info == {"rest": 32}


def test_an_inverted_image_leaves_out_what_any_of_the_chosen_polygons_covers(slide):
    areas = [square(0, 0, 512, "a"), square(256, 0, 768, "b"), square(1536, 768, 512, "c")]
    chosen = make("WholeImageInverted", "Grid", slide, polygon_data=areas, excluded_labels=["c"])
    every = row_major(range(0, 2048, 256), range(0, 1536, 256))
    covered = {(x, y) for x, y in every if y < 768 and 0 < x < 1024} | {(0, 0), (0, 256)}
    assert corners(chosen) == [corner for corner in every if corner not in covered]


def test_a_polygon_within_another_is_cut_out_of_it_unless_that_is_declined(slide):
    areas = [square(0, 0, 1024, "outer"), square(256, 256, 256, "inner")]
    assert polygons(slide, *areas).patch_info == {"inner": 1, "outer": 15}
    whole = polygons(slide, *areas, check_polygons=False)
    assert whole.patch_info == {"inner": 1, "outer": 16}
    alone = polygons(slide, *areas, included_labels=["outer"])
    assert alone.patch_info == {"outer": 16}


def test_polygons_that_overlap_are_told_of(slide, caplog):
    polygons(slide, square(0, 0, 1024), square(512, 0, 1024, "b"))
    (record,) = caplog.records
    assert "1 or more pairs of polygons overlap" in record.getMessage()
    assert slide in record.getMessage()
    caplog.clear()
    polygons(slide, square(0, 0, 1024), square(1000, 0, 512, "b"))  # 24 x 512: less than a patch
    polygons(slide, square(0, 0, 1024), square(512, 0, 1024, "b"), check_polygons=False)
    assert not caplog.records


def test_an_area_grows_before_patches_are_sought(slide):
    area = square(512, 512, 480)
    assert corners(polygons(slide, area)) == [(512, 512)]
    assert corners(polygons(slide, area, polygon_buffer=1)) == row_major((496, 752), (496, 752))
    assert corners(polygons(slide, area, polygon_buffer=-7)) == [(624, 624)]
    assert polygons(slide, area, polygon_buffer=-8).patch_count == 0


def test_one_place_and_label_is_one_patch(slide):
    same = [square(0, 0, 512), square(0, 0, 512)]
    assert polygons(slide, *same, check_polygons=False).patch_info == {"a": 4}
    other = [square(0, 0, 512), square(0, 0, 512, "b")]
    found = polygons(slide, *other, check_polygons=False)
    assert found.patch_info == {"a": 4, "b": 4}
    assert corners(custom(slide, [(9, 9), (9, 9), (5, 5), (9, 9)])) == [(9, 9), (5, 5)]


def test_given_points_are_taken_in_their_order_to_the_nearest_pixel(slide):
    points = np.array([[700.4, 300.0], [10.5, 11.5], [0, 0]])
    assert corners(custom(slide, points)) == [(700, 300), (10, 12), (0, 0)]
    assert custom(slide, []).patch_count == 0
    area = [square(0, 0, 512, "a"), square(256, 0, 512, "b")]
    both = PolygonRegionCustomPatches(
        wsi_file=slide, mask_data=FULL, polygon_data=area, points=[(256, 0), (512, 0), (0, 0)]
    )
    assert both.patch_data == [
        ((256, 0), (256, 256), "a"), ((0, 0), (256, 256), "a"),
        ((256, 0), (256, 256), "b"), ((512, 0), (256, 256), "b"),
    ]  # fmt: skip


def test_a_mask_is_indexed_by_x_where_it_is_an_array_and_by_y_where_it_is_a_tissue_mask(slide):
    array = BARE.copy()
    array[64:, :] = True  # the right half
    right = row_major(range(1024, 2048, 256), range(0, 1536, 256))
    assert corners(grid(slide, array)) == right
    mask = TissueMask(tissue=np.ascontiguousarray(array.T), downsample=16.0, slide_mpp=0.5)
    assert grid(slide, mask).patch_data == grid(slide, array).patch_data
    assert grid(slide, mask).mask_shape == (128, 96)
    with pytest.raises(SpecError) as raised:
        grid(slide, array.T)
    assert slide in str(raised.value)


# ------------------------------------------------------------------------------------ draws


def drawn(slide: str, sampler: str = "Random", **more) -> list[tuple[int, int]]:
    given = {"Random": {"num_patches": 12}, "PoissonDisk": {"poisson_spacing": 12}}[sampler]
    return corners(make("WholeImage", sampler, slide, **{"patch_size": 64} | given | more))


@pytest.mark.parametrize("sampler", ["Random", "PoissonDisk"])
def test_a_draw_depends_on_seed_parameters_and_file_name_alone(slide, tmp_path, sampler):
    first = drawn(slide, sampler)
    random.seed(1), np.random.seed(1)  # noqa: NPY002 - what must not matter
    assert drawn(slide, sampler) == first
    state = random.getstate()
    drawn(slide, sampler)
    assert random.getstate() == state
    (tmp_path / "far").mkdir()
    assert drawn(shutil.copy(slide, tmp_path / "far"), sampler) == first
    assert drawn(Path(slide), sampler, seed=0) == first
    assert drawn(slide, sampler, foreground_ratio=[0.95], weak_label="other") == first
    others = [
        drawn(slide, sampler, seed=1),
        drawn(slide, sampler, foreground_ratio=0.5),
        drawn(slide, sampler, patch_size=65),
        drawn(shutil.copy(slide, tmp_path / "other.tiff"), sampler),
    ]
    assert all(other != first for other in others)
    assert len({tuple(other) for other in others}) == len(others)


def test_random_patches_are_as_many_as_asked_for(slide):
    assert len(drawn(slide, num_patches=40)) == 40
    assert drawn(slide, num_patches=0) == []


# ------------------------------------------------------------------------------- the object


def test_patches_read_as_the_list_they_stand_for(slide):
    patches = grid(slide, weak_label="w")
    wanted = [
        (corner, (256, 256), "w") for corner in row_major(range(0, 2048, 256), range(0, 1536, 256))
    ]
    assert patches.patch_data == wanted
    assert wanted == patches.patch_data
    assert list(patches.patch_data) == list(patches.patch_data) == wanted
    assert patches.patch_data[-1] == wanted[-1]
    assert patches.patch_data[5:9] == wanted[5:9]
    (x, y), (width, _), label = patches.patch_data[3]
    assert [type(n) for n in (x, y, width, label)] == [int, int, int, str]


def test_patches_are_told_in_mask_pixels_as_well(slide):
    patches = grid(slide, patch_size=100)
    (x, y), size, label = patches.patch_data_mask_level[21]
    assert patches.patch_data[21] == ((100, 100), (100, 100), "")
    assert ((x, y), size, label) == ((6.25, 6.25), (6.25, 6.25), "")
    assert len(patches.patch_data_mask_level) == patches.patch_count


def test_the_object_is_small_and_goes_to_another_process(slide):
    rng = np.random.default_rng(3)
    mask = rng.random((2048, 1536)) < 0.999
    patches = grid(slide, mask, patch_size=2, patch_stride=3, foreground_ratio=0.5)
    assert patches.patch_count > 80_000
    assert patches.wsi_slide.info.width_px0 == 2048
    sent = pickle.dumps(patches)
    assert len(sent) < patches.patch_count * 30
    again = pickle.loads(sent)  # noqa: S301 - our own bytes
    assert again.patch_data == patches.patch_data
    assert again.patch_info == patches.patch_info
    assert again.shapely_polygons == patches.shapely_polygons
    assert again.wsi_slide.info == patches.wsi_slide.info


def n_open(path: str) -> int:
    """How many of this process's files are open at a path."""
    here = list(Path("/proc/self/fd").iterdir())
    return sum(os.path.realpath(file) == os.path.realpath(path) for file in here)


def test_the_slide_is_opened_when_asked_for_and_closed_with_the_object(slide):
    patches = grid(slide, slide_mpp=0.25)
    assert n_open(slide) == 0
    opened = patches.wsi_slide
    assert patches.wsi_slide is opened
    assert (opened.info.mpp, n_open(slide) > 0) == (0.25, True)
    del patches
    gc.collect()
    assert n_open(slide) == 0


def test_nothing_that_was_given_is_held_on_to_or_changed(slide):
    mask, areas, labels = FULL.copy(), [square(256, 256, 512)], ["a"]
    found = polygons(slide, *areas, mask=mask, included_labels=labels)
    told = json.dumps(found.param_info)
    mask[:], labels[:] = False, ["b"]
    assert json.dumps(found.param_info) == told
    assert found.patch_count == 4
    assert (FULL.all(), len(areas)) == (True, 1)


def test_parameters_are_told_in_words_that_can_be_printed(slide):
    told = polygons(slide, square(256, 256, 512), patch_size_um=64, overlap_ratio=[0.5]).param_info
    assert told == {
        "patch_stride": 1.0,
        "polygon_data": "list of 1",
        "check_polygons": True,
        "included_labels": [],
        "excluded_labels": [],
        "wsi_file": slide,
        "mask_data": "array of shape (128, 96)",
        "patch_size": 128,
        "level_or_mpp": 0,
        "foreground_ratio": 0.95,
        "overlap_ratio": [0.5],
        "patch_size_um": 64,
        "within_bound": False,
    }


@pytest.mark.parametrize("kind", [WholeImageGridPatches, WholeImageInvertedGridPatches])
def test_a_slide_that_cannot_be_read_is_told_as_such(tmp_path, kind):
    more = {"polygon_data": []} if kind is WholeImageInvertedGridPatches else {}
    with pytest.raises(SlideUnreadable, match=r"gone\.svs: no such file"):
        kind(wsi_file=tmp_path / "gone.svs", mask_data=FULL, **more)
    (tmp_path / "text.svs").write_text("no slide")
    with pytest.raises(SlideError, match=r"text\.svs"):
        kind(wsi_file=tmp_path / "text.svs", mask_data=FULL, **more)


# ----------------------------------------------------------------------------------- preview

RED, LIME, BLUE, TEAL, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 128, 128), (0, 0, 0)
NONE = dict.fromkeys(("patch_color", "bbox_color", "polygon_color", "holes_color", "buffer_color"))


def preview(patches, tmp_path, **more) -> np.ndarray:
    patches.save_preview_image(str(tmp_path / "preview.png"), **NONE | more)
    assert [path.name for path in tmp_path.iterdir()] == ["preview.png"]
    return cv2.imread(str(tmp_path / "preview.png"))[..., ::-1]


def where(rgb: np.ndarray, colour) -> set[tuple[int, int]]:
    y, x = np.nonzero((rgb == np.array(colour)).all(-1))
    return set(zip(x.tolist(), y.tolist(), strict=True))


def ring(x0, y0, x1, y1) -> set[tuple[int, int]]:
    across, down = range(x0, x1 + 1), range(y0, y1 + 1)
    return {(x, y) for x in across for y in (y0, y1)} | {(x, y) for y in down for x in (x0, x1)}


def test_a_preview_has_the_slide_under_the_patches(slide, tmp_path):
    patches = custom(slide, [(256, 256), (1024, 512)])
    rgb = preview(patches, tmp_path, patch_color="red", thickness=1)
    red = ring(16, 16, 32, 32) | ring(64, 32, 80, 48)
    assert where(rgb, RED) == red
    rest = rgb.copy()
    plain = formula_level(2)
    for x, y in red:
        rest[y, x] = plain[y, x]
    assert (rest == plain).all()


def test_a_preview_draws_each_thing_in_its_colour(slide, tmp_path):
    hole = [(512, 512), (768, 512), (768, 768), (512, 768)]
    patches = polygons(
        slide, square(256, 256, 1024, holes=[hole]), patch_size=128, polygon_buffer=2
    )
    one = {"thickness": 1}
    assert where(preview(patches, tmp_path, bbox_color="lime", **one), LIME) == ring(14, 14, 82, 82)
    assert where(preview(patches, tmp_path, polygon_color="blue", **one), BLUE) == ring(
        16, 16, 80, 80
    )
    assert where(preview(patches, tmp_path, holes_color="teal", **one), TEAL) == ring(
        32, 32, 48, 48
    )
    moved = where(preview(patches, tmp_path, buffer_color="#ff00fe", **one), (255, 0, 254))
    assert {(14, 40), (82, 40), (40, 14), (34, 40), (46, 40)} <= moved
    assert not moved & ring(16, 16, 80, 80)
    still = pickle.loads(  # noqa: S301 - our own bytes
        pickle.dumps(polygons(slide, square(256, 256, 1024)))
    )
    assert not where(preview(still, tmp_path, buffer_color="#ff00fe", **one), (255, 0, 254))


def test_a_preview_shows_some_labels_alone(slide, tmp_path):
    patches = polygons(slide, square(0, 0, 256, "a"), square(1024, 1024, 256, "b"))
    both, one = ring(0, 0, 16, 16) | ring(64, 64, 80, 80), ring(64, 64, 80, 80)
    thin = {"patch_color": "red", "thickness": 1}
    assert where(preview(patches, tmp_path, **thin), RED) == both
    assert where(preview(patches, tmp_path, drawn_labels=["b"], **thin), RED) == one
    assert where(preview(patches, tmp_path, drawn_patches_labels=["b"], **thin), RED) == one
    thin = {"polygon_color": "blue", "thickness": 1}
    assert where(preview(patches, tmp_path, drawn_patches_labels=["b"], **thin), BLUE) == both
    assert where(preview(patches, tmp_path, drawn_labels=["b"], **thin), BLUE) == one
    assert not where(preview(patches, tmp_path, drawn_labels=["c"], **thin), BLUE)


def test_a_preview_has_the_size_that_is_asked_for(slide, tmp_path):
    patches = grid(slide)
    for asked, width_px in (
        (None, 128),
        (0, 2048),
        (1, 512),
        (100, 512),
        (385, 2048),
        (5000, 2048),
    ):
        rgb = preview(patches, tmp_path, level_or_minsize=asked)
        assert rgb.shape[1] == width_px
    for level in (3, -1, 99):
        with pytest.raises(SpecError, match=f"no level {level}"):
            preview(patches, tmp_path, level_or_minsize=level)


def test_a_preview_marks_the_corners_of_patches(slide, tmp_path):
    patches = custom(slide, [(512, 512)])
    rgb = preview(patches, tmp_path, patch_color="red", patch_markers=True)
    assert {(32, 32), (35, 35), (33, 34)} <= where(rgb, RED)


def test_a_preview_of_nothing_is_the_slide(slide, tmp_path):
    for patches in (grid(slide, BARE), polygons(slide)):
        patches.save_preview_image(str(tmp_path / "preview.png"))
        rgb = cv2.imread(str(tmp_path / "preview.png"))[..., ::-1]
        assert (rgb == formula_level(2)).all()


def test_a_preview_that_cannot_be_written_leaves_nothing(slide, tmp_path):
    patches = grid(slide)
    with pytest.raises(SpecError, match="colour: 'reddish'"):
        patches.save_preview_image(tmp_path / "a.png", patch_color="reddish")
    for name in ("a.xyz", "a"):
        with pytest.raises(SpecError, match="no image of kind"):
            patches.save_preview_image(tmp_path / name)
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match="no such folder"):
        patches.save_preview_image(tmp_path / "no such folder" / "a.png")
