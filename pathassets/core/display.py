"""Objects -> what a person sees of them: a line, a small table, a picture; never whole arrays.

Labels and paths come from files of others: a line has an end and no line break, whatever they hold,
and a table is escaped. A picture is text, too: files of pictures are the adapters' affair.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import MISSING, Field, fields
from html import escape
from itertools import islice
from typing import Any

import numpy as np

from pathassets.core.text import visible

LINE_CHARS = 240
"""Longest line."""
_MINUTE_S = 60
_STEPS_S = ((36_000, 3600), (3600, 600), (600, 60), (0, 10))
"""From so many seconds on, what they are rounded to."""
TEXT_CHARS = 120
"""Longest text of another in a line; of a path, which says most at its end, the end is kept."""
N_LABELS = 5
N_ROWS = 5
"""Rows of a table that are shown."""
GLASS, TISSUE = "#ffffff", "#be508c"
PICTURE_PX = 512
"""Longest side of a picture."""
MASK_SIDE = 192
"""Most squares along a side of a mask's picture."""
HALF = 127


def line(shown: object, *facts: str) -> str:
    """What `repr` gives: the class, and what a person wants to know of the object.

    >>> line(1.5, "a", "", "b")
    'float(a, b)'
    """
    text = f"{type(shown).__name__}({', '.join(fact for fact in facts if fact)})"
    text = visible(text)
    return text if len(text) <= LINE_CHARS else f"{text[: LINE_CHARS - 2]}…)"


def path(name: object) -> str:
    """A path, quoted; of a long one its end."""
    text = str(name)
    return repr(text if len(text) <= TEXT_CHARS else f"…{text[1 - TEXT_CHARS :]}")


def label(name: str) -> str:
    """A label, quoted; of a long one its beginning."""
    return repr(name if len(name) <= TEXT_CHARS // 4 else f"{name[: TEXT_CHARS // 4]}…")


def labels(names: Sequence[str]) -> str:
    """Some labels; nothing where there is but the empty one.

    >>> labels(["a", "b"]), labels([""]), labels(list("abcdefg"))
    ("labels 'a', 'b'", '', "labels 'a', 'b', 'c', 'd', 'e', … 7")
    """
    if not any(names):
        return ""
    more = f", … {len(names)}" if len(names) > N_LABELS else ""
    return f"labels {', '.join(map(label, names[:N_LABELS]))}{more}"


def count(n: int, what: str) -> str:
    """How many, in words.

    >>> count(1, "patch"), count(1200, "patch"), count(0, "slide")
    ('1 patch', '1,200 patches', '0 slides')
    """
    return f"{n:,} {what}" + ("" if n == 1 else "es" if what.endswith("ch") else "s")


def resolution(level: int | None, mpp: float | None) -> str:
    """A level, or micrometres per pixel."""
    if level is not None:
        return f"level {level}"
    return "" if mpp is None else f"{mpp:.4g} um/px"


def spec_line(spec: Any) -> str:
    """A spec by what of it differs from the defaults."""
    given = ((field.name, getattr(spec, field.name), field) for field in fields(spec))
    return line(spec, *(f"{name}={value!r}" for name, value, f in given if value != _default(f)))


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    default = field.default
    return getattr(default, "default", default)  # pydantic's, where it has one of its own


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]], n_rows: int) -> str:
    """A table's first rows as HTML, all of it escaped."""
    shown = list(islice(rows, N_ROWS))
    body = "".join(_row("td", row) for row in shown)
    more = f"<p>… {escape(count(n_rows, 'row'))}</p>" if n_rows > len(shown) else ""
    return f"<div><p>{escape(caption)}</p><table>{_row('th', head)}{body}</table>{more}</div>"


def _row(kind: str, cells: Sequence[object]) -> str:
    texts = (str(cell)[:TEXT_CHARS] for cell in cells)
    return f"<tr>{''.join(f'<{kind}>{escape(text)}</{kind}>' for text in texts)}</tr>"


def mask_svg(mask: np.ndarray) -> str:
    """A mask, bool (y, x), as an SVG of `MASK_SIDE` squares at most: tissue in colour, on white.

    A few kB; 330 of noise. What is half tissue or more of a square is tissue.
    """
    height, width = mask.shape
    scale = min(1.0, MASK_SIDE / max(height, width))
    columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
    import cv2  # noqa: PLC0415 - 0.1 s, and few who import this draw

    shares = cv2.resize(mask.astype(np.uint8) * 255, (columns, rows), interpolation=cv2.INTER_AREA)
    steps = np.diff(np.pad(shares > HALF, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (y, x0), (_, x1) = np.nonzero(steps == 1), np.nonzero(steps == -1)
    runs = "".join(f"M{x} {y}h{n}v1h-{n}z" for x, y, n in zip(x0, y, x1 - x0, strict=True))
    side = PICTURE_PX / max(columns, rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {columns} {rows}" '
        f'width="{round(columns * side)}" height="{round(rows * side)}" '
        f'shape-rendering="crispEdges"><rect width="{columns}" height="{rows}" fill="{GLASS}"/>'
        f'<path fill="{TISSUE}" d="{runs}"/></svg>'
    )


def span(seconds: float) -> str:
    """How long something will take, no more exactly than it is known.

    >>> [span(s) for s in (0.2, 47, 95, 754, 3570, 7790, 400_000)]
    ['1 s', '47 s', '1 min 40 s', '13 min', '1 h', '2 h 10 min', '111 h']
    """
    if seconds < _MINUTE_S:
        return f"{max(1, round(seconds))} s"
    step_s = next(step_s for least_s, step_s in _STEPS_S if seconds >= least_s)
    whole_s = round(seconds / step_s) * step_s
    hours, minutes, rest_s = whole_s // 3600, whole_s % 3600 // 60, whole_s % 60
    parts = ((hours, "h"), (minutes, "min"), (rest_s, "s"))
    return " ".join(f"{n} {unit}" for n, unit in parts if n)
