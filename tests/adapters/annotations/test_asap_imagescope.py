"""ASAP and ImageScope: what they draw, and what is malformed in them."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import numpy as np
import pytest

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


# --- ASAP


def asap_annotation(points=SQUARE, kind="Polygon", group="None", name="Annotation 0", more=""):
    rows = "".join(f'<Coordinate Order="{i}" X="{x}" Y="{y}"/>' for i, (x, y) in enumerate(points))
    return (
        f'<Annotation Name="{name}" Type="{kind}" PartOfGroup="{group}" Color="#F4FA58">'
        f"<Coordinates>{rows}{more}</Coordinates></Annotation>"
    )


def asap(*annotations):
    body = "".join(annotations)
    return (
        f"<ASAP_Annotations><Annotations>{body}</Annotations>"
        '<AnnotationGroups><Group Name="tumour" PartOfGroup="None"/></AnnotationGroups>'
        "</ASAP_Annotations>"
    )


def test_asap_areas_are_polygons_rectangles_and_splines() -> None:
    kinds = ["Polygon", "Rectangle", "Spline", "Dot", "PointSet", "Measurement", "Dot", "Heart"]
    found = parse_annotations(asap(*(asap_annotation(kind=kind) for kind in kinds)))
    assert areas_of(found) == [100, 100, 100]
    assert found.n_left_out == {"Dot": 2, "Heart": 1, "Measurement": 1, "PointSet": 1}


@pytest.mark.parametrize(
    ("group", "name", "label"),
    [
        ("tumour", "Annotation 0", "tumour"),
        ("tumour", "left one", "tumour"),
        ("None", "Annotation 12", ""),
        ("", "Annotation 12", ""),
        ("None", "left one", "left one"),
        ("None", "", ""),
        ("none", "", "none"),
        ("a &lt; b / [Ü]", "", "a < b / [Ü]"),
    ],
)
def test_an_asap_group_is_the_label_and_a_given_name_where_there_is_none(
    group, name, label
) -> None:
    assert labels_of(parse_annotations(asap(asap_annotation(group=group, name=name)))) == [label]


def test_asap_without_group_and_name_attributes_has_no_label() -> None:
    text = asap(asap_annotation()).replace('PartOfGroup="None" Color', "Color")
    assert labels_of(parse_annotations(text.replace('Name="Annotation 0" ', ""))) == [""]


def test_asap_coordinates_come_by_their_order_and_with_decimal_commas() -> None:
    shuffled = "".join(
        f'<Coordinate Order="{i}" X="{x},5" Y="{y},25"/>'
        for i, (x, y) in [*enumerate(SQUARE)][::-1]
    )
    found = parse_annotations(asap(asap_annotation((), more=shuffled)))
    assert found.polygons[0].points.tolist() == [[x + 0.5, y + 0.25] for x, y in SQUARE]


@pytest.mark.parametrize(
    ("annotation", "fact"),
    [
        (asap_annotation(SQUARE[:2]), "outline: has 2 corners"),
        (asap_annotation(()), "outline: has no corners"),
        (asap_annotation([*SQUARE, ("NaN", 0)]), r"Coordinate 5: 'NaN' is no number"),
        (asap_annotation([*SQUARE, ("1_0", 0)]), r"Coordinate 5: '1_0' is no number"),
        (asap_annotation([*SQUARE, (0, "1e999")]), "no place on a slide"),
        (asap_annotation([*SQUARE, (0, "-inf")]), "Coordinate 5: '-inf' is no number"),
        (asap_annotation([*SQUARE, (0, "")]), "Coordinate 5: '' is no number"),
        (asap_annotation([*SQUARE, (0, "1,000.5")]), "is no number"),
        (asap_annotation([*SQUARE, (0, "٣")]), "is no number"),
        (asap_annotation(more='<Coordinate Order="4" X="1"/>'), "Coordinate 5: has no Y"),
        (
            asap_annotation(more='<Coordinate Order="x" X="1" Y="1"/>'),
            "Coordinate 5: 'x' is no number",
        ),
        ('<Annotation Name="b" Type="Polygon"/>', "has no <Coordinates>"),
        ('<Annotation Name="b"/>', "<Annotation> has no Type"),
    ],
)
def test_malformed_asap_is_refused_with_its_place(annotation, fact) -> None:
    text = asap(asap_annotation(), annotation.replace("Annotation 0", "b"))
    with pytest.raises(AnnotationError, match=rf"^f\.xml: annotation 2 \(b\).*{fact}"):
        parse_annotations(text, source="f.xml")


def test_asap_without_annotations_is_malformed() -> None:
    with pytest.raises(AnnotationError, match="<ASAP_Annotations>: has no <Annotations>"):
        parse_annotations("<ASAP_Annotations/>")


# --- ImageScope


def region(points=SQUARE, kind="0", negative="0", text="", number=1):
    rows = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in points)
    return (
        f'<Region Id="{number}" Type="{kind}" Text="{text}" NegativeROA="{negative}">'
        f"<Attributes/><Vertices>{rows}</Vertices></Region>"
    )


def layer(*regions, name="", attributes=""):
    return (
        f'<Annotation Id="7" Name="{name}" Type="4"><Attributes>{attributes}</Attributes>'
        f"<Regions><RegionAttributeHeaders/>{''.join(regions)}</Regions><Plots/></Annotation>"
    )


def imagescope(*layers):
    return f'<Annotations MicronsPerPixel="0.252">{"".join(layers)}</Annotations>'


def box(x0, y0, x1, y1):
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def test_imagescope_shapes_are_taken_by_kind_and_corners() -> None:
    outline = [(0, 0), (5, -1), (10, 0), (10, 10), (0, 10)]
    found = parse_annotations(
        imagescope(
            layer(
                region(SQUARE),
                region(SQUARE, "1"),
                region([(10, 10), (0, 0)], "1"),
                region(outline, "1"),
                region([(2000, 1000), (0, 0)], "2"),
                region(box(0, 0, 2000, 1000), "2"),
                region(outline, "2"),
                region(SQUARE[:2], "3"),
                region(SQUARE[:2], "4"),
                region(SQUARE, "5"),
            ),
            layer(),
            "<Annotation Id='9'/>",
        )
    )
    ellipse = np.pi * 1000 * 500
    assert areas_of(found) == pytest.approx([100, 100, 100, 105, ellipse, ellipse, 105], rel=1e-3)
    for place in (4, 5):
        assert found.polygons[place].polygon.bounds == pytest.approx((0, 0, 2000, 1000))
    assert found.n_left_out == {"arrow": 1, "region of type 5": 1, "ruler": 1}
    assert found.repairs == ()


@pytest.mark.parametrize(
    ("name", "attributes", "text", "label"),
    [
        ("Tumor", [("Description", "x")], "note", "Tumor"),
        ("", [("CaP", "")], "note", "CaP"),
        ("", [("CaP", "x")], "", "CaP"),
        ("", [("Description", "")], "", ""),
        ("", [("Description", "stroma")], "note", "stroma"),
        ("", [("Description", "")], "note", "note"),
        ("", [("Description", "x"), ("CaP", "")], "", "CaP"),
        ("", [], "note", "note"),
        ("", [], "", ""),
    ],
)
def test_an_imagescope_label_is_the_layers_and_else_the_regions(
    name, attributes, text, label
) -> None:
    rows = "".join(f'<Attribute Name="{n}" Id="0" Value="{v}"/>' for n, v in attributes)
    found = parse_annotations(imagescope(layer(region(text=text), name=name, attributes=rows)))
    assert labels_of(found) == [label]


def test_a_negative_region_is_a_hole_of_all_regions_that_it_lies_in() -> None:
    found = parse_annotations(
        imagescope(
            layer(
                region(box(40, 40, 60, 60), negative="1"),  # before what it is cut out of
                region(box(0, 0, 100, 100)),
                region(box(20, 20, 80, 80)),
                region(box(45, 45, 50, 50)),  # an island in the hole
                region(box(200, 0, 210, 10)),
                region(box(0, 0, 10, 10), negative="1"),  # shares a corner
            ),
            layer(region(box(0, 0, 100, 100)), name="another layer"),
        )
    )
    assert areas_of(found) == [10_000 - 400 - 100, 3600 - 400, 25, 100, 10_000]
    assert found.n_repaired == 1, "a hole along the outline is no hole to shapely"


def test_a_negative_region_over_the_edge_cuts_what_it_overlaps() -> None:
    found = parse_annotations(
        imagescope(
            layer(
                region(box(0, 0, 100, 100)),
                region(box(95, 0, 98, 3)),
                region(box(90, 0, 110, 10), negative="1"),
                region(box(500, 500, 510, 510), negative="1"),
                region(box(100, 50, 120, 60), negative="1"),  # touches it from outside
            )
        )
    )
    assert areas_of(found) == [9900, 9]
    assert found.n_left_out == {"negative region outside all areas": 2}
    assert found.n_repaired == 1


def test_a_layer_of_negative_regions_alone_has_no_areas() -> None:
    found = parse_annotations(imagescope(layer(region(negative="1"), region(negative="1"))))
    assert found.polygons == ()
    assert found.n_left_out == {"negative region outside all areas": 2}


def test_a_negative_region_as_large_as_its_area_leaves_nothing() -> None:
    found = parse_annotations(imagescope(layer(region(), region(negative="1"))))
    assert found.polygons == ()
    assert found.n_left_out == {"without area": 1}


@pytest.mark.parametrize(
    ("bad", "fact"),
    [
        (region(SQUARE[:2], number=3), "outline: has 2 corners"),
        (region(SQUARE[:2], negative="1", number=3), "outline: has 2 corners"),
        (region((), number=3), "outline: has no corners"),
        (region([(1, 1)], "2", number=3), "outline: has 1 corners"),
        (region([*SQUARE, ("x", 1)], number=3), "Vertex 5: 'x' is no number"),
        (region([*SQUARE, (1, "nan")], number=3), "Vertex 5: 'nan' is no number"),
        (region(kind="Blob", number=3), "Type 'Blob' is none of ImageScope's"),
        (region(negative="yes", number=3), "NegativeROA='yes' is neither"),
        ('<Region Id="3"/>', "has no <Vertices>"),
        ('<Region Id="3"><Vertices><Vertex X="1"/></Vertices></Region>', "Vertex 1: has no Y"),
    ],
)
def test_malformed_imagescope_is_refused_with_its_place(bad, fact) -> None:
    where = r"^f\.xml: annotation 2 \(7\), region 2 \(3\)"
    with pytest.raises(AnnotationError, match=f"{where}.*{fact}"):
        parse_annotations(imagescope(layer(), layer(region(), bad)), source="f.xml")


# --- real files


def test_the_real_asap_files_are_read_as_a_plain_look_reads_them(shared) -> None:
    folder = shared / "annotations"
    for name, n_areas, left_out in (
        ("dplabtools_asap1.xml", 3, {"Dot": 1, "Measurement": 1}),
        ("wsidicom_asap-polygon.xml", 1, {}),
        ("wsidicom_asap-pointset.xml", 0, {"PointSet": 1}),
    ):
        root = ET.parse(folder / name).getroot()  # noqa: S314  (our own file)
        rings = [
            [(float(c.get("X")), float(c.get("Y"))) for c in annotation.iter("Coordinate")]
            for annotation in root.iter("Annotation")
            if annotation.get("Type") in ("Polygon", "Rectangle", "Spline")
        ]
        found = read_annotations(folder / name)
        assert found.file_format == "ASAP XML"
        assert len(rings) == n_areas
        assert [[*map(tuple, p.points.tolist())] for p in found.polygons] == rings
        assert areas_of(found) == pytest.approx([shoelace(ring) for ring in rings])
        assert labels_of(found) == [""] * n_areas
        assert found.n_left_out == left_out
        assert found.repairs == ()


def test_the_real_imagescope_file_has_the_areas_that_it_states(shared) -> None:
    path = shared / "annotations" / "histoqc_TCGA-EJ-5518-01Z-00-DX1.imagescope.xml"
    root = ET.parse(path).getroot()  # noqa: S314  (our own file)
    regions = list(root.iter("Region"))
    found = read_annotations(path)
    assert labels_of(found) == ["CaP", "CaP", "", ""]
    assert found.n_left_out == {}
    assert len(regions) == len(found.polygons)
    for polygon, one in zip(found.polygons, regions, strict=True):
        ring = [(float(v.get("X")), float(v.get("Y"))) for v in one.iter("Vertex")]
        assert shoelace(ring) == pytest.approx(float(one.get("Area")), abs=0.1)
        if ring[-1] == ring[0]:
            ring.pop()
        assert [*map(tuple, polygon.points.tolist())] == ring
        # Loops on the way are counted by ImageScope with their direction: 0.1 % of the area.
        assert polygon.polygon.area == pytest.approx(float(one.get("Area")), rel=2e-3)
        assert polygon.polygon.is_valid
    assert [repair.split(":")[0] for repair in found.repairs] == [
        "annotation 1 (1), region 2 (3)",
        "annotation 3 (3), region 1 (1)",
        "annotation 4 (4), region 1 (1)",
    ]


@pytest.mark.parametrize(
    ("kind", "vertex"), [("Polygon", "V"), ("Ellipse", "V"), ("Polygon", "Vertex"), ("", "V")]
)
def test_halo_s_xml_is_refused_by_its_own_name_not_image_scope_s(kind, vertex):
    points = "".join(f'<{vertex} X="{x}" Y="{y}"/>' for x, y in ((0, 0), (9, 0), (9, 9)))
    text = (
        '<Annotations><Annotation LineColor="65280" Name="Tumor" Visible="True"><Regions>'
        f'<Region Type="{kind}" HasEndcaps="0" NegativeROA="0"><Vertices>{points}</Vertices>'
        "<Comments/></Region></Regions></Annotation></Annotations>"
    )
    with pytest.raises(AnnotationError, match="is HALO's XML") as caught:
        parse_annotations(text)
    assert "ImageScope" not in str(caught.value)
    assert "GeoJSON" in caught.value.remedy
