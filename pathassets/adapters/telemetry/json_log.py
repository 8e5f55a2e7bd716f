"""Log records -> a line of JSON each, by `python-json-logger`: for what gathers logs of many hosts.

What a record carries beside its text (slide, asset, run, reason) are fields of their own.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from pythonjsonlogger.json import JsonFormatter

_NAMES = {"levelname": "level", "name": "logger", "exc_info": "traceback"}


class JsonLines(JsonFormatter):
    """Formats a record as one line."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s %(message)s", rename_fields=_NAMES)

    def process_log_record(self, log_data: dict[str, object]) -> dict[str, object]:
        """Leave out what says nothing."""
        return {name: value for name, value in log_data.items() if value not in (None, "", [])}

    def add_fields(
        self,
        log_data: dict[str, object],
        record: logging.LogRecord,
        message_dict: dict[str, object],
    ) -> None:
        """Begin with when it was, in UTC."""
        log_data["time"] = datetime.fromtimestamp(record.created, UTC).isoformat()
        super().add_fields(log_data, record, message_dict)
