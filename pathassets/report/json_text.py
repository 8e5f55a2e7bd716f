"""Values -> JSON that every reader takes: what is no number (NaN, infinity) is null."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from pathassets.core.text import UNSEEN

DELETE = "\x7f"
_NOT_PLAIN = re.compile(r"[^\x00-\x7e]")


def json_text(
    value: object, *, indent: int | None = None, default: Callable[[Any], Any] | None = None
) -> str:
    r"""Write a value as JSON; `default` writes what JSON has no word for, as in `json.dumps`.

    Text stands as it is, but for what cannot be seen: that is escaped.

    >>> json_text({"share": float("nan"), "mpp": [0.5, float("inf")]})
    '{"share": null, "mpp": [0.5, null]}'
    >>> print(json_text({"Größe": "a\u202eb\n\x7f"}))
    {"Größe": "a\u202eb\n\u007f"}
    """
    write = partial(json.dumps, indent=indent, default=default, allow_nan=False, ensure_ascii=False)
    try:
        text = write(value)
    except ValueError:  # rare: nothing is looked through for it before
        text = write(_finite(value))
    return _NOT_PLAIN.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    """A character as it is, or as JSON writes it where it cannot be seen."""
    one = found[0]
    if one == DELETE:  # which `json.dumps` leaves as it is
        return "\\u007f"
    return json.dumps(one)[1:-1] if unicodedata.category(one) in UNSEEN else one


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        return None
    return value
