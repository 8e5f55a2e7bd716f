from __future__ import annotations

from xml.etree import ElementTree as ET

import numpy as np
import pytest
import shapely

from pathassets.adapters.annotations.reader import parse_annotations, read_annotations
from pathassets.errors import AnnotationError

SQUARE = [(0, 0), (10, 0), (10, 10), (0, 10)]


def shoelace(points):
    x, y = np.array(points, np.float64).T
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def labels_of(annotations):
    return [polygon.label for polygon in annotations.polygons]


def areas_of(annotations):
    return [polygon.polygon.area for polygon in annotations.polygons]


def box(x0, y0, x1, y1):
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def graphic(points=SQUARE, kind="polygon", name="Region 0", description="", more=""):
    rows = "".join(f"<point>{x},{y}</point>" for x, y in points)
    return (
        f'<graphic type="{kind}" name="{name}" description="{description}">'
        f'<pen color="#00ff00ff"/><point-list>{rows}{more}</point-list></graphic>'
    )


def sedeen(*graphics):
    overlays = f"<overlays>{''.join(graphics)}</overlays>"
    return f'<session software="PathCore"><image identifier="a.svs">{overlays}</image></session>'


def test_sedeen_areas_are_polygons_rectangles_and_ellipses() -> None:
    kinds = ["polygon", "rectangle", "polyline", "text", "point", "ruler", "arrow", "point"]
    drawn = [*(graphic(kind=kind) for kind in kinds), graphic(box(0, 0, 800, 400), "ellipse")]
    found = parse_annotations(sedeen(*drawn))
    assert areas_of(found) == pytest.approx([100, 100, np.pi * 400 * 200], rel=2e-3)
    assert found.n_left_out == {"arrow": 1, "point": 2, "polyline": 1, "ruler": 1, "text": 1}


def test_a_turned_ellipse_touches_the_sides_of_its_turned_box() -> None:
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
    corners = (np.array(box(-500, -200, 500, 200)) @ turn + 1000).tolist()
    ellipse = parse_annotations(sedeen(graphic(corners, "ellipse"))).polygons[0].polygon
    frame = shapely.Polygon(corners)
    assert ellipse.area == pytest.approx(np.pi * 500 * 200, rel=1e-3)
    assert frame.buffer(1e-6).contains(ellipse)
    middles = [(np.array(corners[i]) + corners[(i + 1) % 4]) / 2 for i in range(4)]
    assert max(ellipse.distance(shapely.Point(m)) for m in middles) < 0.3


@pytest.mark.parametrize("radius", [0.01, 0.2, 0.26, 1.0, 10.0, 1000.0, 40_000.0])
def test_an_ellipse_is_never_a_pixel_off(radius) -> None:
    drawn = graphic(box(-radius, -radius, radius, radius), "ellipse")
    points = parse_annotations(sedeen(drawn)).polygons[0].points
    assert np.hypot(*points.T) == pytest.approx(radius)
    middles = (points + np.roll(points, 1, 0)) / 2
    assert radius - np.hypot(*middles.T).min() < 0.26
    assert 16 <= len(points) <= 1440


@pytest.mark.parametrize(
    ("name", "description", "label"),
    [("Region 0", "test", "test"), ("a", "b", "b"), ("a", "", "a"), ("Region 10", "", "")],
)
def test_a_sedeen_label_is_the_description_and_else_a_given_name(name, description, label) -> None:
    drawn = graphic(name=name, description=description)
    assert labels_of(parse_annotations(sedeen(drawn))) == [label]


@pytest.mark.parametrize(
    ("bad", "fact"),
    [
        (graphic(SQUARE[:2], name="b"), "outline: has 2 corners"),
        (graphic((), name="b"), "outline: has no corners"),
        (graphic(SQUARE[:3], "rectangle", name="b"), "is a rectangle of 3 points, not 4"),
        (graphic([*SQUARE, (1, 1)], "ellipse", name="b"), "is a ellipse of 5 points, not 4"),
        (graphic(name="b", more="<point>5</point>"), "point 5: '5' is no x,y"),
        (graphic(name="b", more="<point/>"), "point 5: None is no x,y"),
        (graphic(name="b", more="<point>1,2,3</point>"), "point 5: '1,2,3' is no x,y"),
        (graphic(name="b", more="<point>1,NaN</point>"), "point 5: 'NaN' is no number"),
        ('<graphic name="b"/>', "<graphic> has no type"),
        ('<graphic type="polygon" name="b"/>', "has no <point-list>"),
    ],
)
def test_malformed_sedeen_is_refused_with_its_place(bad, fact) -> None:
    with pytest.raises(AnnotationError, match=rf"^f\.xml: graphic 2 \(b\).*{fact}"):
        parse_annotations(sedeen(graphic(), bad), source="f.xml")


def test_a_sedeen_session_of_several_images_or_none_is_refused() -> None:
    image = sedeen(graphic()).removeprefix('<session software="PathCore">')
    image = image.removesuffix("</session>")
    with pytest.raises(AnnotationError, match="annotations on 2 images"):
        parse_annotations(f"<session>{image}{image}</session>")
    assert len(parse_annotations(f"<session><image/>{image}</session>").polygons) == 1
    with pytest.raises(AnnotationError, match="<session>: has no <image>"):
        parse_annotations("<session/>")


def test_the_real_sedeen_file_is_read_as_a_plain_look_reads_it(shared) -> None:
    path = shared / "annotations" / "dplabtools_sedeen1.xml"
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    root = ET.fromstring(path.read_text(encoding="utf-8-sig"))  # noqa: S314  (our own file)
    rings = {
        graphic.get("description"): [
            [*map(float, point.text.split(","))] for point in graphic.iter("point")
        ]
        for graphic in root.iter("graphic")
    }
    found = read_annotations(path)
    assert labels_of(found) == ["test 0", "test 1", "test 2", "test 3"]
    for polygon in found.polygons:
        ring = rings[polygon.label]
        if polygon.label == "test 2":
            assert polygon.polygon.area == pytest.approx(np.pi / 4 * shoelace(ring), rel=1e-3)
            assert polygon.polygon.bounds == (7893, 20074, 9493, 22058)
        else:
            assert polygon.points.tolist() == ring
            assert polygon.polygon.area == pytest.approx(shoelace(ring))
    assert found.n_left_out == {"arrow": 1, "point": 1, "polyline": 1, "ruler": 1, "text": 1}
