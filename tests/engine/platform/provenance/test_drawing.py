from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from pathassets.core.address import Address
from pathassets.engine.platform.provenance.drawing import graph_of, to_dot, to_svg
from pathassets.engine.platform.provenance.lineage import Relative

HOSTILE = 'a"]; x [label="<b>&\\\n\x1b[2J'
SVG = "{http://www.w3.org/2000/svg}"


def relative(stage: str, key: str = "s", **more: object) -> Relative:
    facts = more.pop("facts", {})
    return Relative(address=Address(stage, "x", key, "d"), facts=facts, **more)  # type: ignore[arg-type]


def tree() -> Relative:
    """A grid of a slide whose mask is gone, from which 40 features were made; two are shown."""
    slide = Relative(address=Address.of_slide(HOSTILE, "v"), facts={})
    mask = relative("tissue_mask", parents=(slide,), facts={"damaged": "it is gone"})
    features = tuple(relative("features", f"s{n}") for n in range(2))
    return relative(
        "patch_locations", parents=(mask, slide), children=features, more_children={"features": 38}
    )


def test_each_thing_is_one_box_and_each_edge_one_arrow() -> None:
    graph = graph_of(tree())
    assert [node.lines[0] for node in graph.nodes] == [
        "patch_locations/x", "tissue_mask/x", "slide", "features/x", "features/x", "38 more",
    ]  # fmt: skip
    assert set(graph.edges) == {(1, 0), (2, 1), (2, 0), (0, 3), (0, 4), (0, 5)}
    assert [node.is_root for node in graph.nodes] == [True, *[False] * 5]
    assert [node.is_damaged for node in graph.nodes] == [False, True, *[False] * 4]


def test_what_came_first_is_left_of_what_was_made_of_it() -> None:
    svg = ET.fromstring(to_svg(graph_of(tree())))  # noqa: S314 - our own
    boxes = [one for one in svg.iter(f"{SVG}rect") if one.get("rx")]
    places = [int(one.get("x", "")) for one in boxes]
    grid, mask, slide, *features = places
    assert slide < mask < grid < min(features)
    assert len({(one.get("x"), one.get("y")) for one in boxes}) == len(boxes)
    assert int(svg.get("width", "")) > max(places)


def test_no_label_ends_its_box() -> None:
    graph = graph_of(tree())
    svg = ET.fromstring(to_svg(graph))  # noqa: S314 - our own
    texts = [one.text for one in svg.iter(f"{SVG}text")]
    assert any(str(text).startswith('a"]; x [label="<b>&\\') for text in texts)
    dot = to_dot(graph)
    assert not {"\x1b"} & {*dot}
    boxes = [line for line in dot.splitlines() if re.match(r"  n\d+ \[", line)]
    label = r'  n\d+ \[label="(?:[^"\\]|\\.)*"(?:, [a-z]+=[a-z\d]+)*\];'
    assert len(boxes) == len(graph.nodes)
    assert [line for line in boxes if not re.fullmatch(label, line)] == []
