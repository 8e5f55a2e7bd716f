"""Request -> let through, or refused: no page but Dagster's own may drive it.

Loopback is no wall. Any page in a browser on this machine can send requests to 127.0.0.1, open
WebSockets to it and frame it, and any name can be made to resolve to it; Dagster's webserver asks
for nothing. What a browser says of where a request comes from, a page cannot change: that is asked
here. Programs, such as `dagster` or curl, say nothing of it and are let through, for whoever can
run one on this machine can drive Dagster anyway.
"""

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pathassets.errors import SpecError

LOOPBACK = "127.0.0.1"
HOST_NAMES = (LOOPBACK, "localhost")
"""What a person may call this machine in the address bar; the page listens on IPv4 alone."""

HEADERS = {
    # The page's own policy stays; of two, each must allow. An image is what Markdown can load.
    "Content-Security-Policy": "frame-ancestors 'none'; form-action 'self'; "
    "img-src 'self' data: blob:",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
"""Headers of every answer: nobody frames it, embeds it or keeps a handle of its window."""

POLICY_VIOLATION = 1008
"""Code that closes a WebSocket; before the handshake it makes the answer a 403."""


def own_origins(port: int, public: Iterable[str] = ()) -> frozenset[str]:
    """Where the page is at home: on this machine, and under the addresses that a proxy gives it.

    >>> sorted(own_origins(3000, ["https://slides.example"]))
    ['http://127.0.0.1:3000', 'http://localhost:3000', 'https://slides.example']
    """
    bare = HOST_NAMES if port == 80 else ()  # noqa: PLR2004 - HTTP's own is left out
    names = [*(f"{name}:{port}" for name in HOST_NAMES), *bare]
    return frozenset({f"http://{name}" for name in names} | {*public})


def origin_of(url: str) -> str:
    """The origin of a page that a proxy shows.

    >>> origin_of("https://Slides.example/")
    'https://slides.example'

    Raises:
        SpecError: it is no address of a page at the top of a host.
    """
    try:
        parts = urlsplit(url)
        is_page = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        is_page = False
    if not is_page or "@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
        raise SpecError(
            f"--public-url: {url!r} is no address of a page",
            remedy="Name scheme and host, such as https://slides.example",
        )
    return f"{parts.scheme}://{parts.netloc.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """ASGI application around another one."""

    app: ASGIApp
    origins: frozenset[str]
    """Where the page is at home: scheme, name and port, as a browser says them."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refused = _foreign(scope, self.origins) or _graphql_by_get(scope)
        if refused and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": refused})
        elif refused:
            answer = PlainTextResponse(f"refused: {refused}\n", status_code=403)
            await answer(scope, receive, _sealed(send))
        else:
            await self.app(scope, receive, _sealed(send))


def _foreign(scope: Scope, own: frozenset[str]) -> str:
    """Why a request is not one of this page's own, or of a program; empty where it is."""
    headers = Headers(scope=scope)
    named = headers.getlist("host")
    meant = {origin for origin in own if [origin.partition("://")[2]] == [*map(str.lower, named)]}
    if not meant:
        hosts = sorted({origin.partition("://")[2] for origin in own})
        return f"the address is not one of {', '.join(hosts)}"
    origins = headers.getlist("origin")
    if origins and (len(origins) > 1 or origins[0] not in meant):
        return "another page sent it"
    if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return "" if _is_link(scope, headers) else "another page sent it"
    return ""


def _is_link(scope: Scope, headers: Headers) -> bool:
    """Whether a person followed a link of another page, into a tab and not into a frame."""
    kind = (scope.get("method"), headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest"))
    return kind == ("GET", "navigate", "document")


def _graphql_by_get(scope: Scope) -> str:
    """Why a request is not one the page sends: it asks by POST, an image or a link by GET."""
    # By its beginning: Starlette's pattern for /graphql takes a line feed behind it, too.
    is_asked = scope["path"].startswith("/graphql") and scope["query_string"]
    return "GraphQL is asked by POST" if is_asked and scope.get("method") in {"GET", "HEAD"} else ""


def _sealed(send: Send) -> Send:
    """Add the headers to what is sent."""

    async def sealed(message: Message) -> None:
        if message["type"] == "http.response.start":
            _seal(message)
        await send(message)

    return sealed


def _seal(message: MutableMapping[str, Any]) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        if name == "Content-Security-Policy":
            headers.append(name, value)
        else:
            headers[name] = value
