from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest

from pathassets.adapters.annotations.ndpa import NdpaFrame
from pathassets.adapters.annotations.reader import parse_annotations, read_annotations
from pathassets.errors import AnnotationError, SpecError

SQUARE = [(0, 0), (10, 0), (10, 10), (0, 10)]
FRAME = NdpaFrame(
    mpp_x=0.5, mpp_y=0.25, width_px0=1000, height_px0=2000, x_offset_nm=1000, y_offset_nm=-500
)


def freehand(points, closed="<closed>1</closed>", title="Tumor", unit="nanometers"):
    rows = "".join(f"<point><x>{x}</x><y>{y}</y></point>" for x, y in points)
    return (
        f'<ndpviewstate id="5"><title>{title}</title><coordformat>{unit}</coordformat>'
        f'<annotation type="freehand">{closed}<pointlist>{rows}</pointlist></annotation>'
        "</ndpviewstate>"
    )


def circle(x, y, radius):
    return (
        f'<ndpviewstate id="6"><title>c</title><annotation type="circle"><x>{x}</x><y>{y}</y>'
        f"<radius>{radius}</radius></annotation></ndpviewstate>"
    )


def ndpa(*states):
    return f"<annotations>{''.join(states)}</annotations>"


def test_ndpa_nanometres_become_level_0_pixels() -> None:
    points = [(1000, -500), (51_000, -500), (51_000, 49_500)]
    found = parse_annotations(ndpa(freehand(points)), ndpa_frame=FRAME)
    assert found.polygons[0].points.tolist() == [[500, 1000], [600, 1000], [600, 1200]]
    assert [polygon.label for polygon in found.polygons] == ["Tumor"]


def test_an_ndpa_circle_is_an_ellipse_where_pixels_are_not_square() -> None:
    outline = parse_annotations(ndpa(circle(1000, -500, 100_000)), ndpa_frame=FRAME).polygons[0]
    assert outline.polygon.bounds == pytest.approx((300, 600, 700, 1400))
    assert outline.polygon.area == pytest.approx(np.pi * 200 * 400, rel=1e-3)


def test_ndpa_lines_pins_and_views_are_counted() -> None:
    text = ndpa(
        freehand(SQUARE, "<closed>0</closed>"),
        '<ndpviewstate><annotation type="pin"><x>1</x><y>1</y></annotation></ndpviewstate>',
        '<ndpviewstate><annotation type="linearmeasure"/></ndpviewstate>',
        "<ndpviewstate><title>look</title></ndpviewstate>",
    )
    found = parse_annotations(text)
    assert found.polygons == ()
    assert found.n_left_out == {"linearmeasure": 1, "open freehand": 1, "pin": 1, "view": 1}


def test_ndpa_areas_without_a_frame_are_refused_with_what_is_needed() -> None:
    with pytest.raises(AnnotationError, match=r"ndpviewstate 1 \(5\)") as caught:
        parse_annotations(ndpa(freehand(SQUARE)))
    for word in ("NdpaFrame", "mpp", "width", "height", "hamamatsu.XOffsetFromSlideCentre",
                 "hamamatsu.YOffsetFromSlideCentre"):  # fmt: skip
        assert word in caught.value.remedy


@pytest.mark.parametrize(
    ("bad", "fact"),
    [
        (freehand(SQUARE, ""), "its <closed> is ''"),
        (freehand(SQUARE, "<closed>yes</closed>"), "its <closed> is 'yes'"),
        (freehand(SQUARE, unit="pixels"), "its coordformat is 'pixels'"),
        (freehand(SQUARE[:2]), "outline: has 2 corners"),
        (freehand([]), "outline: has no corners"),
        (freehand([*SQUARE, ("", 1)]), "point 5, x: '' is no number"),
        (freehand([*SQUARE, (1, "NaN")]), "point 5, y: 'NaN' is no number"),
        (freehand([*SQUARE, (1, "1e300")]), "no place on a slide"),
        (freehand(SQUARE).replace("<x>0</x>", "", 1), "point 1, x: None is no number"),
        (re.sub("<pointlist>.*</pointlist>", "", freehand(SQUARE)), "has no <pointlist>"),
        (circle(0, 0, 0), "its radius is 0 nm"),
        (circle(0, 0, -5), "its radius is -5 nm"),
        (circle(0, 0, ""), "radius: '' is no number"),
        (circle("", 0, 5), "x: '' is no number"),
        ("<ndpviewstate><annotation/></ndpviewstate>", "<annotation> has no type"),
    ],
)
def test_malformed_ndpa_is_refused_with_its_place(bad, fact) -> None:
    with pytest.raises(AnnotationError, match=rf"^f\.ndpa: ndpviewstate 2\b.*{fact}"):
        parse_annotations(ndpa(freehand(SQUARE), bad), source="f.ndpa", ndpa_frame=FRAME)


def test_an_ndpa_frame_is_told_by_the_slides_facts_and_properties() -> None:
    properties = {
        "openslide.mpp-x": "0.456",
        "openslide.mpp-y": "0.455",
        "hamamatsu.XOffsetFromSlideCentre": "-12345",
        "hamamatsu.YOffsetFromSlideCentre": "678",
    }
    info = SimpleNamespace(stated_mpp=None, width_px0=51_200, height_px0=38_144)
    assert NdpaFrame.of(info, properties) == NdpaFrame(
        mpp_x=0.456, mpp_y=0.455, width_px0=51_200, height_px0=38_144,
        x_offset_nm=-12345.0, y_offset_nm=678.0,
    )  # fmt: skip
    stated = NdpaFrame.of(SimpleNamespace(**(vars(info) | {"stated_mpp": 0.5})), properties)
    assert (stated.mpp_x, stated.mpp_y) == (0.5, 0.5)
    for name in properties:
        with pytest.raises(SpecError, match=f"{name} says nothing"):
            NdpaFrame.of(info, {k: v for k, v in properties.items() if k != name})
        with pytest.raises(SpecError, match=f"{name} says 'x'"):
            NdpaFrame.of(info, properties | {name: "x"})
        with pytest.raises(SpecError, match="impossible"):
            NdpaFrame.of(info, properties | {name: "nan"})
    with pytest.raises(SpecError, match=r"mpp_x=0\.0 is impossible"):
        NdpaFrame.of(info, properties | {"openslide.mpp-x": "0"})


def test_the_real_ndpa_files_are_read_and_refused(shared) -> None:
    folder = shared / "annotations"
    found = read_annotations(folder / "lazyslide_mixed.ndpa", ndpa_frame=FRAME)
    assert [polygon.label for polygon in found.polygons] == ["Tumor"]
    assert found.polygons[0].points.tolist() == [
        [-202, -998], [-2, -998], [-2, -198], [-202, -198],
    ]  # fmt: skip
    assert found.n_left_out == {"open freehand": 1, "pin": 1, "unknown": 1}
    with pytest.raises(AnnotationError, match="NdpaFrame"):
        read_annotations(folder / "lazyslide_mixed.ndpa")
    with pytest.raises(AnnotationError, match=r"malformed\.ndpa: not XML: .*line 9"):
        read_annotations(folder / "lazyslide_malformed.ndpa", ndpa_frame=FRAME)
