"""Objects -> what a person sees of them: a line, a small table, a picture; never whole arrays.

Labels and paths come from files of others: a line has an end and no line break, whatever they hold,
and a table is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import MISSING, Field, fields
from html import escape
from itertools import islice
from typing import Any

import cv2
import numpy as np

from pathassets.core.text import visible

LINE_CHARS = 240
"""Longest line."""
TEXT_CHARS = 120
"""Longest text of another in a line; of a path, which says most at its end, the end is kept."""
N_LABELS = 5
N_ROWS = 5
"""Rows of a table that are shown."""
GLASS_RGB, TISSUE_RGB = np.array([255, 255, 255]), np.array([190, 80, 140])
PICTURE_PX = 512
"""Longest side of a picture."""


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


def png(rgb: np.ndarray) -> bytes:
    """RGB uint8 (y, x, 3) as a PNG of `PICTURE_PX` at most: the one picture that all pages take."""
    return cv2.imencode(".png", np.ascontiguousarray(_shrunk(rgb)[..., ::-1]))[1].tobytes()


def mask_png(mask: np.ndarray) -> bytes:
    """A mask, bool (y, x), as such a picture: tissue in colour, on white."""
    share = _shrunk(np.where(mask, np.uint8(255), np.uint8(0)))[..., None] / 255.0
    return png(np.rint(share * TISSUE_RGB + (1 - share) * GLASS_RGB).astype(np.uint8))


def _shrunk(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = min(1.0, PICTURE_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return picture if scale == 1 else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
