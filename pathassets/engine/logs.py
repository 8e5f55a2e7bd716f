"""Logs of a process -> lines on standard error: text, or JSON where the settings ask for it.

What a record tells of others (a path, a cell, what somebody else's error says) is in its arguments,
and makes no line of its own; lines of a message's own text, of an error that has some, and of a
traceback stay lines.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import copy
from numbers import Number
from typing import Any

from pathassets.core.text import one_line, paragraph, visible
from pathassets.engine.settings import logs_as_json
from pathassets.errors import EncoderError, PathAssetsError, SpecError

_OF_LINES = {EncoderError.reason, "unexpected"}
"""Reasons of which a message has lines anywhere: they list what torch says, or are a traceback."""


def told(message: str, reason: str) -> str:
    r"""A message with a line break only where one is meant, by its reason.

    >>> print(told("new\nline.svs: is gone", "slide_unreadable"))
    new\nline.svs: is gone
    """
    if reason in _OF_LINES:
        return message
    return one_line(message) if reason == SpecError.reason else visible(message)


class TextLines(logging.Formatter):
    """Formats a record as one line, or as lines of which none can be taken for another record."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        shown = copy(record)
        if isinstance(record.args, Mapping):
            shown.args = _ShownMapping(record.args)
        elif record.args:
            shown.args = tuple(map(_shown, record.args))
        return paragraph(visible(super().format(shown), keep="\n\t"))


class _Shown:
    """An argument of a record, in a text that has no line too many."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __str__(self) -> str:
        said = self._value
        if isinstance(said, PathAssetsError):
            return told(str(said), said.reason)
        return visible(str(said), keep="\t")

    def __repr__(self) -> str:
        return repr(self._value)

    def __int__(self) -> int:
        return int(self._value)

    def __float__(self) -> float:
        return float(self._value)


class _ShownMapping(dict[str, Any]):
    """Arguments by name, as the mapping itself gives them."""

    def __init__(self, named: Mapping[str, Any]) -> None:
        super().__init__(named)
        self._named = named

    def __getitem__(self, name: str) -> Any:
        return _shown(self._named[name])


def _shown(value: Any) -> Any:
    """The argument itself where it is a number or plain text, so that it is written as ever."""
    return value if isinstance(value, Number) or str(value).isprintable() else _Shown(value)


def log_as_told() -> bool:
    """Begin to log as JSON where that is asked for; whether it is. Asked twice it does it once."""
    if not logs_as_json():
        if logging.lastResort is not None:  # what Python writes with where nobody says how
            logging.lastResort.setFormatter(TextLines())
        return False
    from pathassets.adapters.telemetry.json_log import JsonLines  # noqa: PLC0415 - seldom asked for

    root = logging.getLogger()
    if not any(isinstance(handler.formatter, JsonLines) for handler in root.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(JsonLines())
        root.addHandler(handler)
        logging.getLogger("pathassets").setLevel(logging.INFO)
    return True


def log_to_stderr() -> bool:
    """Show warnings of all modules as text, or all that is logged as JSON; whether it is that."""
    if log_as_told():
        return True
    handler = logging.StreamHandler()
    handler.setFormatter(TextLines("%(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    return False
