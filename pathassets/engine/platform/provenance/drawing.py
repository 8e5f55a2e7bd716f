"""A lineage -> text for Graphviz, or a picture: columns from what came first to what came last.

The stages of the chain have their order, so that each is a column, and no layout is to be searched
for; the text for Graphviz is for who wants another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from pathassets.core.address import SLIDE_STAGE, Address
from pathassets.core.stages import ANNOTATIONS, STAGES
from pathassets.core.text import shortened, visible
from pathassets.engine.platform.provenance.lineage import Relative
from pathassets.engine.platform.provenance.origin import PATIENT_STAGE, RELEASE_STAGE

_COLUMNS = [PATIENT_STAGE, SLIDE_STAGE, ANNOTATIONS, *(s for s in STAGES if s != ANNOTATIONS)]
_COLUMNS.append(RELEASE_STAGE)
_BOX_PX = (190, 44)
_STEP_PX = (250, 64)
_MARGIN_PX = 20
_LABEL_CHARS = 26
"""Of 7 px each, in a box."""
_FONT = 'font-family="sans-serif" font-size="12"'
_TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
    'orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One box."""

    address: Address | None
    """None: it stands for those that are not shown."""
    lines: tuple[str, ...]
    column: int
    is_root: bool = False
    is_damaged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Boxes, and arrows between their numbers, from what was there to what was made of it."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int], ...]


def graph_of(root: Relative) -> Graph:
    """Each thing once, with all arrows that the tree shows."""
    return _Drawing().draw(root)


def to_dot(graph: Graph) -> str:
    """Text for Graphviz."""
    lines = ["digraph lineage {", "  rankdir=LR;", "  node [shape=box, fontname=sans];"]
    for number, node in enumerate(graph.nodes):
        label = "\\n".join(map(_dot_text, node.lines))
        look = ", penwidth=2" if node.is_root else ""
        look += ", color=red" if node.is_damaged else ""
        look += ", style=dashed" if node.address is None else ""
        lines.append(f'  n{number} [label="{label}"{look}];')
    lines += [f"  n{start} -> n{end};" for start, end in graph.edges]
    return "\n".join([*lines, "}", ""])


def to_svg(graph: Graph) -> str:
    """A picture that has nothing but boxes, arrows and text."""
    places = _places(graph)
    width = max(x for x, _ in places) + _BOX_PX[0] + _MARGIN_PX
    height = max(y for _, y in places) + _BOX_PX[1] + _MARGIN_PX
    body = [*_arrows(graph, places), *_boxes(graph, places)]
    size = f'width="{width}" height="{height}"'
    paper = f'<rect {size} fill="white"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height}" {_FONT}>'
    return "\n".join([head, _TIP, paper, *body, "</svg>", ""])


class _Drawing:
    """Collects what a tree shows."""

    def __init__(self) -> None:
        self._numbers: dict[Address, int] = {}
        self._nodes: list[Node] = []
        self._edges: dict[tuple[int, int], None] = {}

    def draw(self, root: Relative) -> Graph:
        """Go through the tree, both ways."""
        self._add(root, is_root=True)
        return Graph(nodes=tuple(self._nodes), edges=tuple(self._edges))

    def _add(self, one: Relative, *, is_root: bool = False) -> int:
        known = self._numbers.get(one.address)
        if known is not None and not is_root:
            return known
        number = self._put(_node(one, is_root=is_root))
        self._numbers[one.address] = number
        for parent in one.parents:
            self._edges[self._add(parent), number] = None
        for child in one.children:
            self._edges[number, self._add(child)] = None
        for stage, n in one.more_parents.items():
            self._edges[self._put(_rest(stage, n)), number] = None
        for stage, n in one.more_children.items():
            self._edges[number, self._put(_rest(stage, n))] = None
        return number

    def _put(self, node: Node) -> int:
        self._nodes.append(node)
        return len(self._nodes) - 1


def _node(one: Relative, *, is_root: bool) -> Node:
    address = one.address
    kind = "/".join(part for part in address.key if part)
    lines = (kind, address.partition_key, address.digest)
    return Node(
        address=address,
        lines=tuple(visible(shortened(line, _LABEL_CHARS)) for line in lines if line),
        column=_column(address.stage),
        is_root=is_root,
        is_damaged="damaged" in one.facts,
    )


def _rest(stage: str, n: int) -> Node:
    """A box for those that are not shown."""
    return Node(address=None, lines=(f"{n} more", stage), column=_column(stage))


def _column(stage: str) -> int:
    return _COLUMNS.index(stage) if stage in _COLUMNS else len(_COLUMNS)


def _dot_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _places(graph: Graph) -> list[tuple[int, int]]:
    """The corner of each box: columns that are empty take no room."""
    used = sorted({node.column for node in graph.nodes})
    filled = dict.fromkeys(used, 0)
    places = []
    for node in graph.nodes:
        row = filled[node.column]
        filled[node.column] += 1
        x = _MARGIN_PX + used.index(node.column) * _STEP_PX[0]
        places.append((x, _MARGIN_PX + row * _STEP_PX[1]))
    return places


def _arrows(graph: Graph, places: list[tuple[int, int]]) -> Iterator[str]:
    width, height = _BOX_PX
    for start, end in graph.edges:
        (x0, y0), (x1, y1) = places[start], places[end]
        yield (
            f'<path d="M{x0 + width} {y0 + height // 2} C{x0 + width + 40} {y0 + height // 2} '
            f'{x1 - 40} {y1 + height // 2} {x1} {y1 + height // 2}" fill="none" stroke="gray" '
            'marker-end="url(#tip)"/>'
        )


def _boxes(graph: Graph, places: list[tuple[int, int]]) -> Iterator[str]:
    width, height = _BOX_PX
    for node, (x, y) in zip(graph.nodes, places, strict=True):
        stroke = "red" if node.is_damaged else "black"
        look = ' stroke-dasharray="4"' if node.address is None else ""
        look += ' stroke-width="2"' if node.is_root else ""
        yield (
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" fill="white" '
            f'stroke="{stroke}"{look}/>'
        )
        for n, line in enumerate(node.lines):
            yield f'<text x="{x + 6}" y="{y + 13 + 13 * n}">{escape(line)}</text>'
