"""Values -> JSON that every reader takes: what is no number (NaN, infinity) is null."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any


def json_text(
    value: object, *, indent: int | None = None, default: Callable[[Any], Any] | None = None
) -> str:
    """Write a value as JSON; `default` writes what JSON has no word for, as in `json.dumps`.

    Text stands as it is, but for what cannot be seen: that is escaped.

    >>> json_text({"share": float("nan"), "mpp": [0.5, float("inf")]})
    '{"share": null, "mpp": [0.5, null]}'
    """
    write = partial(json.dumps, indent=indent, default=default, allow_nan=False, ensure_ascii=False)
    try:
        text = write(value)
    except ValueError:  # rare: nothing is looked through for it before
        text = write(_finite(value))
    return "".join(map(_escaped, text)) if _UNSEEN.search(text) else text


def _escaped(one: str) -> str:
    return json.dumps(one)[1:-1] if _UNSEEN.match(one) else one


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        return None
    return value
