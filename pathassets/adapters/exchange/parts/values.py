"""Values of a stranger's file -> what may be kept of them: few, short, plain."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pathassets.core.text import header_text

MAX_VALUES = 32


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and texts by name; others as text, and what is no number at all as None.

    >>> plain_values({"a": float("nan"), "b": [1, 2], "c": "x" * 3})
    {'a': None, 'b': '[1, 2]', 'c': 'xxx'}
    """
    names = sorted(values)[:MAX_VALUES]
    return {header_text(name): _plain(values[name]) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    return header_text(str(value))
