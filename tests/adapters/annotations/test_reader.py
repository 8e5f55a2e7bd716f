"""Which format a file is in, and what becomes of files that are in none, or broken."""

from __future__ import annotations

import json
import os

import pytest

from pathassets.adapters.annotations.reader import parse_annotations, read_annotations
from pathassets.core.annotations.annotations import AnnotationPolygon, to_geojson
from pathassets.errors import AnnotationError, SpecError

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10]]
POLYGON = {"type": "Polygon", "coordinates": [SQUARE]}
GEOJSON = json.dumps(POLYGON)
ASAP = """<?xml version="1.0"?><ASAP_Annotations><Annotations>
<Annotation Name="Tümor" Type="Polygon" PartOfGroup="None"><Coordinates>
<Coordinate Order="0" X="0" Y="0"/><Coordinate Order="1" X="10" Y="0"/>
<Coordinate Order="2" X="10" Y="10"/><Coordinate Order="3" X="0" Y="10"/>
</Coordinates></Annotation></Annotations></ASAP_Annotations>"""
IMAGESCOPE = """<Annotations><Annotation Id="1" Name="Tümor"><Regions>
<Region Id="1" Type="0" NegativeROA="0"><Vertices><Vertex X="0" Y="0"/><Vertex X="10" Y="0"/>
<Vertex X="10" Y="10"/><Vertex X="0" Y="10"/></Vertices></Region></Regions></Annotation>
</Annotations>"""
SEDEEN = """<?xml version="1.0"?><session><image><overlays>
<graphic type="polygon" name="Region 0" description="Tümor"><point-list><point>0,0</point>
<point>10,0</point><point>10,10</point><point>0,10</point></point-list></graphic>
</overlays></image></session>"""
NDPA = """<annotations><ndpviewstate id="1"><title>Pin</title><annotation type="pin">
<x>1</x><y>2</y></annotation></ndpviewstate></annotations>"""
POINTS = json.dumps([{"points": SQUARE, "label": "Tümor", "holes": []}], ensure_ascii=False)

FORMATS = {
    "GeoJSON": GEOJSON,
    "JSON of points": POINTS,
    "ASAP XML": ASAP,
    "ImageScope XML": IMAGESCOPE,
    "Sedeen XML": SEDEEN,
    "NDPA": NDPA,
}


@pytest.mark.parametrize(("file_format", "text"), FORMATS.items())
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_content_tells_the_format_in_any_unicode_encoding(
    tmp_path, file_format, text, encoding
) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text, encoding=encoding)
    for found in (read_annotations(path), read_annotations(str(path))):
        assert found.file_format == file_format
        assert [polygon.points.tolist() for polygon in found.polygons] == (
            [] if file_format == "NDPA" else [SQUARE]
        )
        assert {polygon.label for polygon in found.polygons} <= {"", "Tümor"}


@pytest.mark.parametrize(("file_format", "text"), FORMATS.items())
def test_text_in_memory_is_read_as_the_file_is(file_format, text) -> None:
    assert parse_annotations(text) == parse_annotations(text.encode())
    assert parse_annotations("\ufeff" + text).file_format == file_format


def test_text_in_memory_is_unicode_whatever_its_header_says() -> None:
    text = ASAP.replace('version="1.0"', 'version="1.0" encoding="iso-8859-1"')
    assert parse_annotations(text).polygons[0].label == "Tümor"
    assert parse_annotations(text.encode("iso-8859-1")).polygons[0].label == "Tümor"


@pytest.mark.parametrize(("file_format", "text"), FORMATS.items())
def test_a_file_that_is_cut_short_anywhere_is_refused(file_format, text) -> None:
    assert file_format
    data = text.strip().encode()
    for n in range(0, len(data), 7):
        with pytest.raises(AnnotationError, match=r"slide\.any: "):
            parse_annotations(data[:n], source="slide.any")


@pytest.mark.parametrize(
    ("data", "fact"),
    [
        (b"", "is empty"),
        (b" \n\t ", "is empty"),
        (b"\xef\xbb\xbf", "is neither"),
        (b"\x89PNG\r\n", "is neither JSON nor XML"),
        (b"x,y\n1,2\n", "is neither JSON nor XML"),
        (b"null", "is neither JSON nor XML"),
        (b"{}", "neither GeoJSON nor a list"),
        (b'{"type": "Topology"}', "neither GeoJSON nor a list"),
        (b'{"points": [], "label": ""}', "neither GeoJSON nor a list"),
        (b'{"type": ["Feature"]}', "neither GeoJSON nor a list"),
        (b"<svg/>", "root <svg>"),
        (b'<Annotations xmlns="urn:x"/>', "root <{urn:x}Annotations>"),
        (b"<html><body>", "not XML: no element found"),
        (b"{" + b'"a":{' * 10, "not JSON: .*line 1 column"),
        (b'["\xe4"]', "not JSON: .*utf-8"),
        (b"<a>\xe4</a>", "not XML: not well-formed"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "not XML: "),
        (b"[" * 100_000, "nested deeper"),
        (b'{"a":' * 100_000, "nested deeper"),
        (b"[" + b"9" * 5000 + b"]", "not JSON: .*digits"),
        (b"[1, 2] 3", "not JSON: Extra data"),
    ],
)
def test_what_is_in_no_format_is_refused_with_the_reason(data, fact) -> None:
    with pytest.raises(AnnotationError, match=fact) as caught:
        parse_annotations(data, source="slide.any")
    assert caught.value.path == "slide.any"
    assert str(caught.value).startswith("slide.any: ")


@pytest.mark.parametrize("extra", [b"[" * 3000, b'{"geometries":[' * 900])
def test_depth_is_no_way_to_the_end_of_the_stack(extra) -> None:
    head = b'{"type":"GeometryCollection","geometries":' if extra[:1] == b"[" else b""
    with pytest.raises(AnnotationError):
        parse_annotations(head + extra)


def test_collections_in_collections_are_read_until_the_stack_would_end() -> None:
    def nested(depth):
        return '{"type":"GeometryCollection","geometries":[' * depth + GEOJSON + "]}" * depth

    assert len(parse_annotations(nested(20)).polygons) == 1
    with pytest.raises(AnnotationError, match="nested deeper"):
        parse_annotations(nested(800))


def test_deep_xml_is_refused_or_empty() -> None:
    deep = "<Annotation>" * 100_000 + "</Annotation>" * 100_000
    assert parse_annotations(f"<Annotations>{deep}</Annotations>").polygons == ()


BOMB = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>
<Annotations><Annotation Name="&b;"/></Annotations>"""
OUTSIDE = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/hostname">]>
<Annotations>&a;</Annotations>"""


@pytest.mark.parametrize("text", [BOMB, OUTSIDE])
def test_xml_that_defines_entities_is_refused(text) -> None:
    with pytest.raises(AnnotationError, match="defines entities"):
        parse_annotations(text)


# --- files


def test_a_missing_file_a_folder_and_a_pipe_are_refused(tmp_path) -> None:
    with pytest.raises(AnnotationError, match=r"gone\.xml: no such file"):
        read_annotations(tmp_path / "gone.xml")
    with pytest.raises(AnnotationError, match="is a folder"):
        read_annotations(tmp_path)
    os.mkfifo(tmp_path / "pipe.xml")
    with pytest.raises(AnnotationError, match="is not a regular file but a named pipe"):
        read_annotations(tmp_path / "pipe.xml")
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_annotations("a\0b.xml")
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_annotations(tmp_path / ("a" * 300))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_annotations(tmp_path / "file" / "a.xml")


def test_a_slide_of_gigabytes_given_by_mistake_is_not_read_to_its_end(tmp_path) -> None:
    path = tmp_path / "slide.svs"
    with path.open("wb") as file:
        file.write(b"II*\0")
        file.truncate(200 * 2**30)  # sparse
    with pytest.raises(AnnotationError, match="neither JSON nor XML"):
        read_annotations(path)


# --- what is in it


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"type": "FeatureCollection", "features": []}',
        "<ASAP_Annotations><Annotations/></ASAP_Annotations>",
        "<Annotations/>",
        "<session><image/></session>",
        "<annotations/>",
    ],
)
def test_a_file_without_areas_says_that_there_are_none(text) -> None:
    annotations = parse_annotations(text)
    assert annotations.polygons == ()
    assert annotations.n_left_out == {}
    assert annotations.repairs == ()


def test_what_was_repaired_and_what_has_no_area_is_told() -> None:
    shapes = [
        [(0, 0), (10, 10), (10, 0), (0, 10)], SQUARE, [(0, 0), (1, 1), (2, 2)], [(5, 5)] * 3,
    ]  # fmt: skip
    items = [{"points": points, "label": str(i)} for i, points in enumerate(shapes[:3])]
    annotations = parse_annotations(json.dumps(items))
    assert [polygon.label for polygon in annotations.polygons] == ["0", "1"]
    assert annotations.n_left_out == {"without area": 1}
    assert annotations.n_repaired == 1
    assert annotations.repairs[0].startswith("polygon 1: Self-intersection")
    with pytest.raises(AnnotationError, match="polygon 1: outline: has 1 corners"):
        parse_annotations(json.dumps([{"points": shapes[3], "label": ""}]))


def test_the_users_own_rule_makes_the_labels() -> None:
    def labels(text, get_label):
        return [p.label for p in parse_annotations(text, get_label=get_label).polygons]

    feature = {"type": "Feature", "geometry": POLYGON, "properties": {"stage": "pT2"}}
    assert labels(json.dumps(feature), lambda f: f["properties"]["stage"]) == ["pT2"]
    assert labels(GEOJSON, lambda f: f["type"]) == ["Polygon"]
    assert labels(ASAP, lambda f: f["PartOfGroup"] + f["Name"]) == ["NoneTümor"]
    assert labels(SEDEEN, lambda f: f["name"]) == ["Region 0"]
    assert labels(IMAGESCOPE, lambda f: f["annotation"]["Id"] + f["region"]["Type"]) == ["10"]
    assert labels(POINTS, lambda f: f["label"].lower()) == ["tümor"]
    for text in (GEOJSON, ASAP, SEDEEN, IMAGESCOPE, POINTS):
        with pytest.raises(AnnotationError, match="label: None is no text"):
            labels(text, lambda _: None)


def test_the_users_own_rule_may_name_what_it_wants_by_keyword() -> None:
    def labels(text, get_label):
        return [p.label for p in parse_annotations(text, get_label=get_label).polygons]

    assert labels(SEDEEN, lambda name, **_: name) == ["Region 0"]
    assert labels(SEDEEN, lambda **facts: facts["name"]) == ["Region 0"]
    assert labels(ASAP, lambda PartOfGroup, Name: PartOfGroup + Name) == ["NoneTümor"]  # noqa: N803
    assert labels(ASAP, lambda *, Name, nothing="-": Name + nothing) == ["Tümor-"]  # noqa: N803
    assert labels(POINTS, lambda label, **_: label.lower()) == ["tümor"]
    assert labels(SEDEEN, lambda *facts: facts[0]["name"]) == ["Region 0"]


def test_a_users_rule_that_fails_fails_as_it_does() -> None:
    with pytest.raises(ZeroDivisionError):
        parse_annotations(ASAP, get_label=lambda _: 1 / 0)
    with pytest.raises(KeyError):
        parse_annotations(ASAP, get_label=lambda f: f["nothing"])
    with pytest.raises(SpecError):  # and not `AnnotationError: not JSON`
        parse_annotations(GEOJSON, get_label=lambda _: _raise(SpecError("mine")))


def _raise(error):
    raise error


# --- plain lists of points


def test_a_list_of_points_is_read_as_it_was_written() -> None:
    polygons = [
        AnnotationPolygon(points=SQUARE, label="a", holes=[[(1, 1), (2, 1), (2, 2)]]),
        AnnotationPolygon(points=SQUARE, label=""),
    ]
    text = json.dumps([polygon.data_dict for polygon in polygons])
    assert parse_annotations(text).polygons == tuple(polygons)
    assert parse_annotations(json.dumps(to_geojson(polygons))).polygons == tuple(polygons)


@pytest.mark.parametrize(
    ("item", "fact"),
    [
        (3, "polygon 2: is no"),
        ({"points": SQUARE}, "polygon 2: is no"),
        ({"label": ""}, "polygon 2: is no"),
        ({"points": SQUARE, "label": 1}, "polygon 2: label: 1 is no text"),
        ({"points": SQUARE, "label": None}, "polygon 2: label: None is no text"),
        ({"points": 5, "label": ""}, "polygon 2, outline: its nesting"),
        ({"points": [SQUARE], "label": ""}, "polygon 2, outline: .* holds list"),
        ({"points": SQUARE[:2], "label": ""}, "polygon 2: outline: has 2 corners"),
        ({"points": SQUARE, "label": "", "holes": 4}, "polygon 2: its holes"),
        ({"points": SQUARE, "label": "", "holes": SQUARE}, "polygon 2, hole 1: its nesting"),
        ({"points": SQUARE, "label": "", "holes": [SQUARE, [[1, 1]]]}, "polygon 2: hole 2"),
        ({"points": [["0", "1"]] * 3, "label": ""}, "polygon 2, outline: .* holds str"),
    ],
)
def test_what_is_no_polygon_in_a_list_of_points_is_refused(item, fact) -> None:
    with pytest.raises(AnnotationError, match=fact):
        parse_annotations(json.dumps([{"points": SQUARE, "label": ""}, item]))
