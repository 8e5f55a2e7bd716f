"""Logs of a process -> lines of JSON on standard error, where the settings ask for them."""

from __future__ import annotations

import logging

from pathassets.engine.settings import logs_as_json


def log_as_told() -> bool:
    """Begin to log as JSON where that is asked for; whether it is. Asked twice it does it once."""
    if not logs_as_json():
        return False
    from pathassets.adapters.telemetry.json_log import JsonLines  # noqa: PLC0415 - seldom asked for

    root = logging.getLogger()
    if not any(isinstance(handler.formatter, JsonLines) for handler in root.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(JsonLines())
        root.addHandler(handler)
        logging.getLogger("pathassets").setLevel(logging.INFO)
    return True
