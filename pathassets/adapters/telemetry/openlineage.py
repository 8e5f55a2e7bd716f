"""Events of OpenLineage -> a file, one a line, or an HTTP endpoint, such as Marquez or DataHub.

The client library of OpenLineage is not needed for it: an event is a JSON object of the published
schema (https://openlineage.io/spec/2-0-2/OpenLineage.json), which the tests hold against that
library. It would try each event again for half a minute; here an endpoint that fails is let go.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

logger = logging.getLogger(__name__)

TIMEOUT_S = 2.0
API = "/api/v1/lineage"
"""Where an endpoint takes events, unless its URL says otherwise."""
Event = Mapping[str, Any]


class Events:
    """Sends events until one cannot be sent: what is told of a run must not keep it from its work.

    Whoever sends many loses `TIMEOUT_S` once, and reads one warning.
    """

    def __init__(self, target: str) -> None:
        """`target` is `file:PATH`, or an http or https URL."""
        kind, _, rest = target.partition(":")
        self._sink = _File(Path(rest)) if kind == "file" else _Endpoint(_url_of(target))
        self._is_lost = False

    def send(self, event: Event) -> None:
        """Send an event, or say once why none is sent any more."""
        if self._is_lost:
            return
        try:
            self._sink.send(json.dumps(event, ensure_ascii=True).encode())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._is_lost = True
            logger.warning(
                "OpenLineage: %s takes no event (%s); this run tells it no more", self._sink,
                _cause(error),
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _File:
    path: Path

    def send(self, data: bytes) -> None:
        """Append a line, whole: several processes may write at once."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, data + b"\n")
        finally:
            os.close(handle)

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class _Endpoint:
    url: str

    def send(self, data: bytes) -> None:
        request = urllib.request.Request(  # noqa: S310 - the settings let http and https through
            self.url, data, {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310 - the same
            pass

    def __str__(self) -> str:
        """Without a query, which may hold a key."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _url_of(target: str) -> str:
    parts = urlsplit(target)
    return parts._replace(path=API).geturl() if parts.path in {"", "/"} else target


def _cause(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}"
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return f"{type(reason).__name__}: {reason}"
