"""A container of Azure's storage on this machine, as far as slides are read from one.

Its ETags are spelt as Azure spells them: without quotation marks in a list, with them in headers.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

WHEN = "Wed, 21 Oct 2015 07:28:00 GMT"


def etag_of(body: bytes) -> str:
    return f"0x8D{hashlib.sha256(body).hexdigest()[:13].upper()}"


class Container(ThreadingHTTPServer):
    """What is in it, and what was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.blobs: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        if "comp=list" in self.path:
            self._list()
        else:
            self.wfile.write(self._answer())

    def _list(self) -> None:
        prefix = re.search(r"prefix=([^&]*)", self.path)
        begins = prefix[1].replace("%2F", "/") if prefix else ""
        entries = "".join(
            f"<Blob><Name>{escape(key)}</Name><Properties><Creation-Time>{WHEN}</Creation-Time>"
            f"<Last-Modified>{WHEN}</Last-Modified><Etag>{etag_of(body)}</Etag>"
            f"<Content-Length>{len(body)}</Content-Length><Content-Type>image/tiff</Content-Type>"
            "</Properties></Blob>"
            for key, body in sorted(self._container.blobs.items())
            if key.startswith(begins)
        )
        said = (
            '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="box">'
            f"<Blobs>{entries}</Blobs><NextMarker/></EnumerationResults>"
        ).encode()
        self._container.asked["list"] += 1
        self._say(200, len(said))
        self.wfile.write(said)

    def _answer(self) -> bytes:
        body = self._container.blobs.get(self.path.partition("?")[0].split("/", 2)[-1])
        self._container.asked[self.command] += 1
        if body is None:
            self._say(404, 0)
            return b""
        etag = f'"{etag_of(body)}"'
        if self.headers.get("If-Match", etag) != etag:
            self._say(412, 0)
            return b""
        wanted = self.headers.get("Range") or self.headers.get("x-ms-range")
        first, last = 0, len(body) - 1
        if wanted:
            first, last = map(int, wanted.removeprefix("bytes=").split("-"))
        part = body[first : last + 1]
        of_all = f"bytes {first}-{first + len(part) - 1}/{len(body)}"
        headers = {"ETag": etag, "Last-Modified": WHEN, "Content-Range": of_all}
        self._say(206 if wanted else 200, len(part), headers)
        return part

    def _say(self, status: int, n_bytes: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ((headers or {}) | {"Content-Length": str(n_bytes)}).items():
            self.send_header(name, value)
        self.end_headers()

    @property
    def _container(self) -> Container:
        assert isinstance(self.server, Container)
        return self.server

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serve_azure() -> Iterator[Container]:
    """Serve an empty container, `az://box`, to this process and those that it starts."""
    server = Container()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    os.environ.update(
        AZURE_STORAGE_ACCOUNT_NAME="account",
        AZURE_STORAGE_ACCOUNT_KEY="a2V5",
        AZURE_STORAGE_ENDPOINT=f"http://127.0.0.1:{server.server_port}",
    )
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
