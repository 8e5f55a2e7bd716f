from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

from pathassets.core.annotations.annotations import (
    AnnotationPolygon,
    cut_out_contained,
    drop_closing_point,
    faults_of,
    outlines_of,
    select_labels,
    to_geojson,
)
from pathassets.errors import SpecError


def square(x, y, side, label="", holes=()):
    corners = [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]
    return AnnotationPolygon(points=corners, label=label, holes=holes)


SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10]]
BOW_TIE = [(0, 0), (10, 10), (10, 0), (0, 10)]


# --- what a polygon is


def test_a_polygon_is_made_of_lists_of_points_and_holes() -> None:
    polygon = AnnotationPolygon(points=SQUARE, label="tumour", holes=[[(2, 2), (4, 2), (4, 4)]])
    assert polygon.points_px0.dtype == np.float64
    assert polygon.points_px0.tolist() == SQUARE
    assert [hole.tolist() for hole in polygon.holes_px0] == [[[2, 2], [4, 2], [4, 4]]]
    assert polygon.polygon.area == 98.0
    assert polygon.data_dict == {
        "points": SQUARE,
        "label": "tumour",
        "holes": [[[2, 2], [4, 2], [4, 4]]],
    }


def test_an_outline_that_is_closed_is_the_same_as_one_that_is_not() -> None:
    closed = AnnotationPolygon(points=[*SQUARE, SQUARE[0], SQUARE[0]], holes=[SQUARE, SQUARE])
    assert closed.points.tolist() == SQUARE
    assert drop_closing_point(np.array([[1, 1], [1, 1]])).tolist() == [[1, 1]]


def test_equal_polygons_are_equal_and_hash_alike() -> None:
    one = AnnotationPolygon(points=[(0.0, -0.0), (1, 0), (1, 1)], label="a", holes=[SQUARE])
    same = AnnotationPolygon(
        points=np.array([[0, 0], [1, 0], [1, 1]]), label="a", holes=[np.array(SQUARE)]
    )
    assert one == same
    assert hash(one) == hash(same)
    assert one != dataclasses.replace(same, label="b")
    assert one != dataclasses.replace(same, holes=[])
    assert one != AnnotationPolygon(points=[(0, 0), (1, 0), (1, 2)], label="a", holes=[SQUARE])
    assert one != "a"


def test_a_polygon_does_not_change_with_the_list_it_was_made_of() -> None:
    points = np.array(SQUARE, np.float64)
    polygon = AnnotationPolygon(points=points)
    points[0] = 99
    assert polygon.points.tolist() == SQUARE
    with pytest.raises(ValueError, match="read-only"):
        polygon.points[0] = 99
    with pytest.raises(dataclasses.FrozenInstanceError):
        polygon.label = "b"


def test_a_pickled_polygon_leaves_its_outline_behind() -> None:
    polygon = square(0, 0, 10, "a", holes=[[(1, 1), (2, 1), (2, 2)]])
    small = len(pickle.dumps(polygon))
    assert polygon.polygon.area == 99.5
    assert len(pickle.dumps(polygon)) == small
    again = pickle.loads(pickle.dumps(polygon))  # noqa: S301  (our own bytes)
    assert again == polygon
    assert again.polygon.equals(polygon.polygon)


@pytest.mark.parametrize(
    ("points", "fact"),
    [
        ([], "no corners"),
        ([[]], "no corners"),
        ([(0, 0), (1, 1)], "2 corners"),
        ([(0, 0), (1, 1), (0, 0)], "2 corners"),
        ([(5, 5), (5, 5), (5, 5)], "1 corners"),
        ([(0, 0), (1, 1), (float("nan"), 0)], "no place on a slide"),
        ([(0, 0), (1, 1), (float("inf"), 0)], "no place on a slide"),
        ([(0, 0), (1, 1), (-1e300, 0)], "no place on a slide"),
        ([(0, 0), (1, 1), (10**400, 0)], "numbers|pairs"),
        ([(0, 0), (1, 1), (10**400, 0.5)], "numbers|pairs"),
        ([("0", "0"), ("1", "1"), ("2", "0")], "not all numbers"),
        ([(0, 0), (1, 1), (2, "0")], "not all numbers"),
        ([(0, 0), (1, 1), (2, None)], "not all numbers"),
        ([(0, 0), (1, 1), (2,)], "not all pairs"),
        ([(0, 0, 0), (1, 1, 0), (2, 0, 0)], "shape"),
        ([0, 1, 2, 3], "shape"),
        ([SQUARE], "shape"),
        ([(True, False), (True, True), (False, False)], "not all numbers"),
        ([(1j, 0), (1, 1), (2, 0)], "not all numbers"),
        (None, "not all numbers"),
        ("abc", "not all numbers"),
    ],
)
def test_what_is_no_outline_is_refused_as_outline_and_as_hole(points, fact) -> None:
    with pytest.raises(SpecError, match=rf"outline: .*({fact})"):
        AnnotationPolygon(points=points)
    with pytest.raises(SpecError, match=rf"hole 2: .*({fact})"):
        AnnotationPolygon(points=SQUARE, holes=[SQUARE, points])


@pytest.mark.parametrize("label", [None, 3, b"a", ["a"], "\ud800"])
def test_what_is_no_label_is_refused(label) -> None:
    with pytest.raises(SpecError, match="label"):
        AnnotationPolygon(points=SQUARE, label=label)


# --- outlines


@pytest.mark.parametrize(
    ("points", "holes", "area", "n_parts"),
    [
        pytest.param(SQUARE, [], 100, 1, id="square"),
        pytest.param(SQUARE[::-1], [], 100, 1, id="the other way round"),
        pytest.param(BOW_TIE, [], 50, 2, id="bow-tie"),
        pytest.param([*SQUARE, *SQUARE], [], 100, 1, id="drawn twice"),
        pytest.param([(0, 3), (10, 3), (1, 9), (5, 0), (8, 9)], [], 30.9978275, 1, id="pentagram"),
        pytest.param([(0, 0), (10, 0), (10, 20), (10, 10), (0, 10)], [], 100, 1, id="spike"),
        pytest.param(SQUARE, [[(5, 5), (15, 5), (15, 6), (5, 6)]], 95, 1, id="hole over the edge"),
        pytest.param(SQUARE, [[(20, 20), (25, 20), (25, 25)]], 100, 1, id="hole outside"),
        pytest.param(SQUARE, [SQUARE], 0, 1, id="hole as large"),
        pytest.param(
            SQUARE,
            [[(2, 2), (5, 2), (5, 5), (2, 5)], [(4, 4), (7, 4), (7, 7), (4, 7)]],
            83, 1, id="holes overlap",
        ),
        pytest.param(
            SQUARE,
            [[(2, 2), (8, 2), (8, 8), (2, 8)], [(4, 4), (6, 4), (6, 6), (4, 6)]],
            64, 1, id="hole in a hole",
        ),
        pytest.param(SQUARE, [[(2, 2), (6, 6), (6, 2), (2, 6)]], 92, 1, id="bow-tie hole"),
        pytest.param(SQUARE, [[(2, 2), (3, 3), (4, 4)]], 100, 1, id="hole of nothing"),
        pytest.param([(0, 0), (1, 1), (2, 2)], [], 0, 1, id="line"),
        pytest.param([(0, 0), (0, 0), (1, 1), (0, 0)], [SQUARE], 0, 1, id="line with a hole"),
    ],
)  # fmt: skip
def test_outlines_are_valid_areas_whatever_was_drawn(points, holes, area, n_parts) -> None:
    outline = AnnotationPolygon(points=points, holes=holes).polygon
    assert isinstance(outline, shapely.Polygon | shapely.MultiPolygon)
    assert outline.is_valid
    assert outline.area == pytest.approx(area)
    assert outline.is_empty == (area == 0)
    assert len(shapely.get_parts(outline)) == n_parts


def winding_of(points, place):
    """How often a closed line runs around a place."""
    angle = np.unwrap(np.arctan2(*(np.array([*points, points[0]]) - place).T))
    return round((angle[-1] - angle[0]) / (2 * np.pi))


@given(
    st.lists(st.tuples(*[st.integers(0, 8)] * 2), min_size=3, max_size=9),
    st.lists(st.tuples(*[st.floats(0.01, 7.99)] * 2), min_size=1, max_size=20),
)
def test_an_outline_encloses_exactly_what_it_winds_around(points, places) -> None:
    assume(len(drop_closing_point(np.array(points))) >= 3)
    outline = AnnotationPolygon(points=points).polygon
    border = shapely.LinearRing(points)
    for place in places:
        if border.distance(shapely.Point(place)) > 1e-6:
            assert shapely.contains_xy(outline, *place) == (winding_of(points, place) != 0)


def test_the_place_within_a_ring_drawn_as_an_overlapping_c_is_left_out() -> None:
    c_shape = [(0, 0), (10, 0), (10, 10), (0, 10), (0, 3), (3, 3), (3, 7), (7, 7), (7, 4), (-1, 4)]
    outline = AnnotationPolygon(points=[*c_shape, (-1, 0)]).polygon
    assert not outline.contains(shapely.Point(5, 5))
    assert outline.contains(shapely.Point(1, 3.5)), "where the ends overlap"


def test_outlines_keep_the_order_whatever_was_made_before() -> None:
    polygons = [
        square(0, 0, 1), AnnotationPolygon(points=BOW_TIE),
        AnnotationPolygon(points=[(0, 0), (1, 1), (2, 2)]), square(0, 0, 4),
    ]  # fmt: skip
    assert polygons[3].polygon.area == 16
    assert shapely.area(outlines_of(polygons)).tolist() == [1, 50, 0, 16]
    assert shapely.area(outlines_of(polygons[::-1])).tolist() == [16, 0, 50, 1]
    assert outlines_of(polygons)[0] is polygons[0].polygon
    assert outlines_of([]).shape == (0,)


def test_faults_say_which_outlines_are_not_valid_as_drawn() -> None:
    faults = faults_of([square(0, 0, 1), AnnotationPolygon(points=BOW_TIE)])
    assert list(faults) == [1]
    assert "Self-intersection" in faults[1]
    assert "5 5" in faults[1]
    assert faults_of([]) == {}


# --- labels


def test_labels_select_letter_by_letter() -> None:
    polygons = [square(0, 0, 1, label) for label in ("a", "A", "", "ab", "a")]
    assert select_labels(polygons) == polygons
    assert [p.label for p in select_labels(polygons, ["a"])] == ["a", "a"]
    assert [p.label for p in select_labels(polygons, [""])] == [""]
    assert [p.label for p in select_labels(polygons, [], ["a", ""])] == ["A", "ab"]
    assert select_labels(polygons, ["c"]) == []
    assert select_labels([], (), ("a",)) == []


@pytest.mark.parametrize(("included", "excluded"), [(["a"], ["b"]), ("a", []), ((), "a")])
def test_labels_that_contradict_each_other_or_are_no_list_are_refused(included, excluded) -> None:
    with pytest.raises(SpecError, match="labels"):
        select_labels([square(0, 0, 1, "a")], included, excluded)


# --- contained areas


def cut_areas(*polygons):
    outlines = cut_out_contained(polygons)
    assert shapely.is_valid(outlines).all()
    assert set(shapely.get_type_id(outlines)) <= {3, 6}
    return shapely.area(outlines).tolist()


def test_an_area_within_another_is_a_hole_of_it_and_stays_an_area() -> None:
    assert cut_areas(square(0, 0, 10), square(2, 2, 3)) == [91, 9]
    assert cut_areas(square(2, 2, 3), square(0, 0, 10)) == [9, 91]


def test_nested_areas_are_holes_each_of_its_own_container() -> None:
    rings = [square(i, i, 20 - 2 * i) for i in range(10)]
    expected = [(20 - 2 * i) ** 2 - (18 - 2 * i) ** 2 for i in range(9)] + [4]
    assert cut_areas(*rings) == expected
    assert cut_areas(*rings[::-1]) == expected[::-1]


def test_areas_with_the_same_border_do_not_erase_each_other() -> None:
    shifted = AnnotationPolygon(points=SQUARE[2:] + SQUARE[:2])
    inner = square(3, 3, 2)
    assert cut_areas(square(0, 0, 10), shifted, square(0, 0, 10), inner) == [96, 96, 96, 4]
    assert cut_areas(square(0, 0, 10), square(3, 3, 2), inner) == [96, 4, 4]


@pytest.mark.parametrize(
    ("inner", "rest"),
    [
        pytest.param(square(0, 0, 5), 75, id="corner"),
        pytest.param(square(0, 2, 5), 75, id="side"),
        pytest.param(AnnotationPolygon(points=[(0, 0), (10, 0), (10, 5), (0, 5)]), 50, id="half"),
        pytest.param(AnnotationPolygon(points=[(0, 5), (5, 0), (10, 5), (5, 10)]), 50, id="points"),
    ],
)  # fmt: skip
def test_an_area_that_touches_the_border_from_within_is_cut_out(inner, rest) -> None:
    assert cut_areas(square(0, 0, 10), inner) == [rest, 100 - rest]


def test_areas_that_touch_or_overlap_from_outside_are_left_as_they_are() -> None:
    assert cut_areas(square(0, 0, 10), square(10, 0, 10), square(5, 5, 10)) == [100, 100, 100]


def test_contained_areas_that_touch_and_overlap_each_other_are_cut_out_together() -> None:
    assert cut_areas(square(0, 0, 10), square(1, 1, 4), square(3, 3, 4), square(7, 7, 1)) == [
        100 - 16 - 16 + 4 - 1, 16, 16, 1,
    ]  # fmt: skip


def test_an_area_in_two_overlapping_ones_is_a_hole_of_both() -> None:
    assert cut_areas(square(0, 0, 10), square(5, 5, 10), square(6, 6, 2)) == [96, 96, 4]


def test_an_area_that_others_fill_is_empty_and_keeps_its_place() -> None:
    halves = [AnnotationPolygon(points=[(x, 0), (x + 5, 0), (x + 5, 10), (x, 10)]) for x in (0, 5)]
    assert cut_areas(halves[0], square(0, 0, 10), halves[1]) == [50, 0, 50]


def test_outer_borders_decide_what_lies_within() -> None:
    ring = square(0, 0, 10, holes=[[(2, 2), (8, 2), (8, 8), (2, 8)]])
    assert cut_areas(ring, square(4, 4, 2)) == [64, 4], "in its hole: nothing to cut"
    assert cut_areas(ring, square(7, 7, 2)) == [61, 4], "half in its hole"
    assert cut_areas(square(-5, -5, 20), ring) == [300, 64], "the hole of the ring goes, too"


def test_areas_of_several_parts_contain_and_are_contained() -> None:
    tie = AnnotationPolygon(points=[(0, 0), (100, 100), (100, 0), (0, 100)])
    assert cut_areas(tie, square(5, 48, 4)) == [5000 - 16, 16]
    assert cut_areas(square(-10, -10, 120), tie) == [14400 - 5000, 5000]
    assert cut_areas(tie, square(40, 40, 20)) == [5000, 400], "beside its waist lies no tie"


def test_an_area_in_the_hole_of_a_part_is_told_by_the_outer_border() -> None:
    island = shapely.MultiPolygon(
        [shapely.box(0, 0, 10, 10) - shapely.box(2, 2, 8, 8), shapely.box(4, 4, 6, 6)]
    )
    outlines = np.array([island, shapely.box(3, 3, 3.5, 3.5)], object)
    assert shapely.area(cut_out_contained(outlines)).tolist() == [68, 0.25]


def test_empty_outlines_and_no_outlines_pass() -> None:
    line = AnnotationPolygon(points=[(1, 1), (2, 2), (3, 3)])
    assert cut_areas(line, square(0, 0, 10), square(2, 2, 2), line) == [0, 96, 4, 0]
    assert cut_out_contained([]).shape == (0,)
    assert cut_areas(line) == [0]


def test_what_is_given_is_not_changed() -> None:
    outlines = outlines_of([square(0, 0, 10), square(2, 2, 2)])
    cut_out_contained(outlines)
    assert shapely.area(outlines).tolist() == [100, 4]


boxes = st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 12)] * 2)


@given(st.lists(boxes, min_size=1, max_size=9))
def test_any_areas_are_cut_as_one_by_one(drawn) -> None:
    shapes = [shapely.box(x, y, x + w, y + h) for x, y, w, h in drawn]
    outlines = cut_out_contained(np.array([*shapes, None], object)[:-1])
    for shape, outline in zip(shapes, outlines, strict=True):
        inner = [s for s in shapes if shape.contains(s) and not s.contains(shape)]
        expected = shape - shapely.union_all(inner)
        assert outline.is_valid
        assert outline.symmetric_difference(expected).area == pytest.approx(0, abs=1e-9)


def many_cells(n):
    """Cells that lie apart, on a grid of 30 px."""
    rng = np.random.default_rng(5)
    n_columns = int(np.ceil(n**0.5))
    centres = np.stack(np.divmod(np.arange(n), n_columns), 1) * 30.0 + 100
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    return centres[:, None] + rng.uniform(5, 14, (n, 1, 1)) * ring, n_columns * 30 + 200


def test_thousands_of_areas_are_cut_out_of_one() -> None:
    cells, side = many_cells(20_000)
    polygons = [square(0, 0, side), *(AnnotationPolygon(points=cell) for cell in cells)]
    outlines = cut_out_contained(polygons)
    assert outlines[0].area == pytest.approx(side**2 - shapely.area(outlines[1:]).sum())
    assert len(shapely.get_parts(outlines[0])) == 1


def test_each_of_many_nested_areas_keeps_the_ring_between_it_and_the_next() -> None:
    nested = [square(i, i, 4000 - 2 * i) for i in range(1000)]
    areas = shapely.area(cut_out_contained(nested))
    assert areas[0] == 4000**2 - 3998**2


# --- GeoJSON


def test_geojson_is_a_feature_collection_with_closed_rings_and_classes() -> None:
    polygons = [square(0, 0, 2, "tumour", [[(0.5, 0.5), (1, 0.5), (1, 1)]]), square(5, 5, 1)]
    assert to_geojson(polygons) == {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [
                        [[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]],
                        [[0.5, 0.5], [1, 0.5], [1, 1], [0.5, 0.5]],
                    ],
                },
                "properties": {
                    "objectType": "annotation",
                    "classification": {"name": "tumour"},
                },
            },
            {
                "type": "Feature",
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [[[5, 5], [6, 5], [6, 6], [5, 6], [5, 5]]],
                },
                "properties": {"objectType": "annotation"},
            },
        ],
    }
    assert to_geojson([]) == {"type": "FeatureCollection", "features": []}
