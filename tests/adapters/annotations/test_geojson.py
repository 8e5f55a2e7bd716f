from __future__ import annotations

import json

import numpy as np
import pytest
import shapely
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from pathassets.adapters.annotations.reader import parse_annotations, read_annotations
from pathassets.core.annotations.annotations import AnnotationPolygon, to_geojson
from pathassets.errors import AnnotationError, SpecError

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
HOLE = [[2, 2], [4, 2], [4, 4], [2, 2]]
POLYGON = {"type": "Polygon", "coordinates": [SQUARE, HOLE]}


def feature(geometry, **properties):
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def read(root, **options):
    return parse_annotations(json.dumps(root), **options)


@pytest.mark.parametrize(
    "root",
    [
        {"type": "FeatureCollection", "features": [feature(POLYGON)]},
        {"type": "FeatureCollection", "features": [POLYGON]},
        [feature(POLYGON)],
        [POLYGON],
        feature(POLYGON),
        POLYGON,
        {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE]]},
        {"type": "GeometryCollection", "geometries": [POLYGON]},
        {"type": "Feature", "geometry": POLYGON},
        {"type": "Feature", "geometry": POLYGON, "properties": None, "bbox": [0, 0, 1, 1]},
    ],
)
def test_an_area_is_read_in_whatever_it_is_wrapped(root) -> None:
    annotations = read(root)
    assert [polygon.label for polygon in annotations.polygons] == [""]
    assert annotations.polygons[0].points.tolist() == SQUARE[:-1]
    assert annotations.polygons[0].holes[0].tolist() == HOLE[:-1]
    assert annotations.polygons[0].polygon.area == 98
    assert annotations.n_left_out == {}


def test_parts_become_areas_with_the_label_of_all() -> None:
    parts = {
        "type": "GeometryCollection",
        "geometries": [
            POLYGON,
            {"type": "Point", "coordinates": [1, 1]},
            {"type": "MultiPolygon", "coordinates": [[SQUARE], [SQUARE, HOLE]]},
            {"type": "GeometryCollection", "geometries": [POLYGON]},
        ],
    }
    annotations = read(feature(parts, classification={"name": "a"}))
    assert [(p.label, len(p.holes)) for p in annotations.polygons] == [
        ("a", 1), ("a", 0), ("a", 1), ("a", 1),
    ]  # fmt: skip
    assert annotations.n_left_out == {"Point": 1}


def test_what_is_no_area_is_counted_by_kind() -> None:
    items = [
        feature({"type": "Point", "coordinates": [1, 1]}, classification={"name": "a"}),
        feature({"type": "Point", "coordinates": [1, 1]}),
        feature({"type": "MultiPoint", "coordinates": [[1, 1], [2, 2]]}),
        feature({"type": "LineString", "coordinates": [[1, 1], [2, 2]]}),
        feature({"type": "MultiLineString", "coordinates": [[[1, 1], [2, 2]]]}),
        feature({"type": "Polygon", "coordinates": []}),
        feature({"type": "MultiPolygon", "coordinates": []}),
        feature({"type": "GeometryCollection", "geometries": []}),
        feature({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 2], [0, 0]]]}),
        feature(None),
        feature(POLYGON) | {"nucleusGeometry": POLYGON},
    ]
    annotations = read(items)
    assert len(annotations.polygons) == 1
    assert annotations.n_left_out == {
        "Point": 2, "MultiPoint": 1, "LineString": 1, "MultiLineString": 1, "empty Polygon": 1,
        "empty MultiPolygon": 1, "empty GeometryCollection": 1, "no geometry": 1,
        "nucleus of a cell": 1, "without area": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("properties", "label"),
    [
        ({"classification": {"name": "Tumor", "colorRGB": -1}}, "Tumor"),
        ({"classification": {"names": ["Immune cells", "CD8"], "color": [1, 2, 3]}},
         "Immune cells: CD8"),
        ({"classification": {"name": "x", "names": ["a", "b"]}}, "a: b"),
        ({"classification": {"name": "x", "names": None}}, "x"),
        ({"classification": "Stroma"}, "Stroma"),
        ({"classification": ["a", "b"]}, "a: b"),
        ({"classification": ""}, ""),
        ({"classification": {"name": "Tumor"}, "name": "no. 5"}, "Tumor"),
        ({"classification": None, "name": "no. 5"}, "no. 5"),
        ({"classification": {}, "name": "no. 5"}, "no. 5"),
        ({"classification": {"name": None}, "name": "no. 5"}, "no. 5"),
        ({"name": "no. 5"}, "no. 5"),
        ({"name": None}, ""),
        ({"objectType": "annotation", "isLocked": True}, ""),
        ({"classification": {"name": " Tümor/[2]: 肿瘤 "}}, " Tümor/[2]: 肿瘤 "),
    ],
)  # fmt: skip
def test_the_class_is_the_label_and_the_name_where_there_is_none(properties, label) -> None:
    assert [p.label for p in read(feature(POLYGON, **properties)).polygons] == [label]


@pytest.mark.parametrize(
    ("properties", "fact"),
    [
        ({"classification": 3}, "its class is 3"),
        ({"classification": [1]}, "its class is a list of 1"),
        ({"classification": {"name": 3}}, "its class is 3"),
        ({"classification": {"name": {"name": "a"}}}, "its class is a dict of 1"),
        ({"classification": {"names": "ab"}, "name": 3}, None),
        ({"classification": {"names": [1]}}, "its class is a list of 1"),
        ({"name": 7}, "its class is 7"),
        ({"name": "\ud800"}, "half a character"),
    ],
)
def test_what_is_no_class_is_refused(properties, fact) -> None:
    if fact is None:
        assert read(feature(POLYGON, **properties)).polygons[0].label == "ab"
        return
    with pytest.raises(AnnotationError, match=f"feature 1: .*{fact}"):
        read(feature(POLYGON, **properties))


def test_measurements_of_any_kind_do_no_harm() -> None:
    text = json.dumps(
        feature(
            POLYGON,
            measurements=[{"name": "a", "value": float("nan")}, [], {"b": {"c": [None]}}],
            metadata={"type": "Polygon", "coordinates": "?"},
        )
    )
    assert "NaN" in text
    assert len(parse_annotations(text).polygons) == 1


def ring_with(position):
    return {"type": "Polygon", "coordinates": [[position, *SQUARE[1:4]]]}


@pytest.mark.parametrize(
    ("item", "fact"),
    [
        (3, "is no feature but 3"),
        ([], "is no feature but a list of 0"),
        ("x" * 900, "is no feature but 'x+…"),
        ({}, "its geometry is a dict of 0"),
        ({"type": "Feature"}, "has no geometry"),
        ({"type": "FeatureCollection", "features": []}, "its geometry is 'FeatureCollection'"),
        (feature("Polygon"), "its geometry is 'Polygon'"),
        (feature([]), "its geometry is a list of 0"),
        (feature({"type": "Circle"}), "its geometry is 'Circle'"),
        (feature({"type": ["Polygon"]}), "its geometry is a list of 1"),
        (feature({"type": "Polygon"}), "no list of coordinates"),
        (feature({"type": "Polygon", "coordinates": None}), "no list of coordinates"),
        (feature({"type": "GeometryCollection"}), "no list of geometries"),
        (feature({"type": "GeometryCollection", "geometries": [3]}), "part 1: its geometry is 3"),
        ({"type": "Feature", "geometry": POLYGON, "properties": []}, "its properties are a list"),
        (feature({"type": "Polygon", "coordinates": SQUARE}), "outline: .*nesting|fewer than two"),
        (feature({"type": "Polygon", "coordinates": [[SQUARE]]}), "outline: .*holds list"),
        (feature({"type": "Polygon", "coordinates": [{}]}), "outline: .*nesting"),
        (feature({"type": "Polygon", "coordinates": [[]]}), "outline: has no corners"),
        (feature({"type": "Polygon", "coordinates": [SQUARE, 3]}), "hole 1: .*nesting"),
        (feature({"type": "Polygon", "coordinates": [SQUARE, []]}), "hole 1: has no corners"),
        (feature({"type": "Polygon", "coordinates": [SQUARE, HOLE, SQUARE[:2]]}),
         "hole 2: has 2 corners"),
        (feature({"type": "MultiPolygon", "coordinates": [SQUARE]}), "part 1, outline: .*nesting"),
        (feature({"type": "MultiPolygon", "coordinates": [[SQUARE], []]}), "part 2: .*rings"),
        (feature({"type": "MultiPolygon", "coordinates": [[SQUARE], 3]}), "part 2: .*rings"),
        (feature({"type": "Polygon", "coordinates": [SQUARE[:2]]}), "2 corners"),
        (feature({"type": "Polygon", "coordinates": [[[1, 1], [2, 2], [1, 1]]]}), "2 corners"),
        (feature(ring_with(["0", "0"])), "outline: a position holds str"),
        (feature(ring_with([None, 0])), "outline: a position holds NoneType"),
        (feature(ring_with([True, 0])), "outline: a position holds bool"),
        (feature(ring_with([0])), "fewer than two"),
        (feature(ring_with([])), "fewer than two"),
        (feature(ring_with({"x": 0, "y": 0})), "nesting"),
        (feature(ring_with("ab")), "nesting"),
        (feature(ring_with([float("nan"), 0])), "no place on a slide"),
        (feature(ring_with([float("-inf"), 0])), "no place on a slide"),
        (feature(ring_with([10**400, 0.5])), "outline: "),
        (feature(ring_with([10**30, 0])), "outline: "),
        (feature(ring_with([1e12, 0])), "no place on a slide"),
    ],
)  # fmt: skip
def test_what_is_malformed_is_refused_with_its_place(item, fact) -> None:
    with pytest.raises(AnnotationError, match=rf"^a\.json: feature 2\b.*({fact})") as caught:
        read([feature(POLYGON), item], source="a.json")
    assert len(str(caught.value)) < 300


def test_a_feature_is_called_by_its_id_too() -> None:
    bad = {"type": "Feature", "id": "6423a977", "geometry": 3}
    with pytest.raises(AnnotationError, match=r"feature 1 \(id 6423a977\): its geometry"):
        read(bad)
    with pytest.raises(AnnotationError, match="a FeatureCollection without a list"):
        read({"type": "FeatureCollection", "features": {"0": bad}})
    with pytest.raises(AnnotationError, match="a FeatureCollection without a list"):
        read({"type": "FeatureCollection"})


def test_heights_are_no_part_of_an_outline() -> None:
    with_z = [[x, y, 7] for x, y in SQUARE]
    ring = read({"type": "Polygon", "coordinates": [[*with_z[:2], *SQUARE[2:]]]}).polygons[0]
    assert ring.points.tolist() == SQUARE[:-1]


# --- there and back

numbers = st.floats(-1e6, 1e6) | st.integers(-(10**6), 10**6)
rings = st.lists(st.tuples(numbers, numbers), min_size=3, max_size=8)
labels = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=50)
@given(st.lists(st.tuples(rings, labels, st.lists(rings, max_size=2)), max_size=5))
def test_polygons_read_back_from_geojson_are_equal(drawn) -> None:
    polygons = []
    for points, label, holes in drawn:
        try:
            polygons.append(AnnotationPolygon(points=points, label=label, holes=holes))
        except SpecError:  # fewer than three corners after the closing ones
            reject()
    kept = [polygon for polygon in polygons if not polygon.polygon.is_empty]
    annotations = parse_annotations(json.dumps(to_geojson(polygons)))
    assert list(annotations.polygons) == kept
    assert sum(annotations.n_left_out.values()) == len(polygons) - len(kept)
    plain = parse_annotations(json.dumps([polygon.data_dict for polygon in polygons]))
    assert list(plain.polygons) == kept


# --- real files


def test_real_qupath_files_hold_what_a_plain_look_finds(shared) -> None:
    expected = {
        "dlup_qupath05.geojson": ["UT", "I", "I"],
        "histoqc_holed.geojson": [""],
        "wsidicom_qupath-polygon.json": ["polygon"],
        "wsidicom_qupath-polygon-cell-classified.json": None,
        "histoqc_geojson_example.json": None,
    }
    for name, names in expected.items():
        path = shared / "annotations" / name
        root = json.loads(path.read_text())
        features = root.get("features", [root]) if isinstance(root, dict) else root
        rows = []
        for item in features:
            geometry, properties = item["geometry"], item["properties"]
            classification = properties.get("classification", {})
            label = classification.get("name", properties.get("name", ""))
            parts = geometry["coordinates"]
            parts = [parts] if geometry["type"] == "Polygon" else parts
            assert geometry["type"] in ("Polygon", "MultiPolygon")
            rows += [(label, part) for part in parts]
        annotations = read_annotations(path)
        assert annotations.file_format == "GeoJSON"
        assert annotations.n_left_out == {}
        assert annotations.repairs == ()
        assert len(annotations.polygons) == len(rows)
        for polygon, (label, part) in zip(annotations.polygons, rows, strict=True):
            assert polygon.label == label
            assert polygon.polygon.equals(shapely.Polygon(part[0], part[1:]))
            assert len(polygon.holes) == len(part) - 1
            areas = [shoelace(ring) for ring in part]
            assert polygon.polygon.area == pytest.approx(areas[0] - sum(areas[1:]))
        if names is not None:
            assert [polygon.label for polygon in annotations.polygons] == names


def test_real_files_have_the_counts_and_classes_that_were_counted_by_hand(shared) -> None:
    folder = shared / "annotations"
    example = read_annotations(folder / "histoqc_geojson_example.json").polygons
    assert [p.label for p in example].count("Tumor") == 3
    assert [p.label for p in example].count("Invborder") == 5
    cells = read_annotations(folder / "wsidicom_qupath-polygon-cell-classified.json").polygons
    assert [p.label for p in cells] == ["Cell", "Cell", "Nucleus", "Nucleus"]
    holed = read_annotations(folder / "histoqc_holed.geojson").polygons[0]
    assert len(holed.points) == 4
    assert holed.polygon.area < (13369 - 10098) * (19491 - 16763)


def shoelace(ring):
    x, y = np.array(ring, np.float64).T
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
