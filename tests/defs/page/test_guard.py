"""What the guard lets through, and what it refuses, asked as a browser and as programs ask."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pathassets.defs.page.guard import Guard, own_origins

PORT = 3000
OWN = f"127.0.0.1:{PORT}"
Headers = list[tuple[str, str]]


async def answers(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    """An application that says yes to everything, with a policy of its own."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    policy = (b"content-security-policy", b"object-src 'none'")
    await send({"type": "http.response.start", "status": 200, "headers": [policy]})
    await send({"type": "http.response.body", "body": b"yes"})


def ask(
    headers: Headers,
    *,
    kind: str = "http",
    method: str = "POST",
    url: str = "/graphql",
    origins: frozenset[str] = own_origins(PORT),
) -> list[dict[str, Any]]:
    path, _, query = url.partition("?")
    scope: dict[str, Any] = {
        "type": kind,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }
    if kind == "http":
        scope["method"] = method
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    asyncio.run(Guard(app=answers, origins=origins)(scope, receive, send))
    return sent


def is_answered(headers: Headers, **asked: Any) -> bool:
    first = ask(headers, **asked)[0]
    if first["type"].startswith("websocket"):
        return bool(first["type"] == "websocket.accept")
    assert first["status"] in {200, 403}
    return bool(first["status"] == 200)


def page(name: str, *more: tuple[str, str], origin: str = "") -> Headers:
    """Headers of a request of the page itself, or of a page of that origin."""
    return [("host", name), ("origin", origin or f"http://{name}"), *more]


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("name", [OWN, f"localhost:{PORT}", f"LOCALHOST:{PORT}"])
def test_the_page_under_its_own_names_is_answered(kind: str, name: str) -> None:
    assert is_answered(page(name, origin=f"http://{name.lower()}"), kind=kind)


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_program_that_says_nothing_of_an_origin_is_answered(kind: str) -> None:
    assert is_answered([("host", OWN)], kind=kind)


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("host", "")],
        [("host", "rebound.example:3000")],
        [("host", "127.0.0.1")],
        [("host", "127.0.0.1:3001")],
        [("host", f"{OWN}.rebound.example")],
        [("host", f"localhost.:{PORT}")],
        [("host", OWN), ("host", "rebound.example")],
        [("host", OWN), ("host", OWN)],
    ],
    ids=str,
)
def test_another_host_is_refused(kind: str, headers: Headers) -> None:
    assert not is_answered(headers, kind=kind)
    assert not is_answered(headers, kind=kind, method="GET", url="/assets")


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil.example",
        "http://127.0.0.1:8000",
        "http://127.0.0.1",
        f"https://{OWN}",
        f"http://localhost:{PORT}",
        f"http://{OWN}.evil.example",
        f"http://{OWN}/",
        f"http://{OWN} http://evil.example",
    ],
)
def test_another_origin_is_refused(kind: str, origin: str) -> None:
    assert not is_answered(page(OWN, origin=origin), kind=kind)
    assert not is_answered([*page(OWN), ("origin", origin)], kind=kind)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "a word of tomorrow"])
def test_what_the_browser_calls_another_site_is_refused(site: str) -> None:
    # A page on another port of 127.0.0.1 is the same site; an image of it sends no Origin.
    image = [("host", OWN), ("sec-fetch-site", site), ("sec-fetch-mode", "no-cors")]
    assert not is_answered(image, method="GET", url="/favicon.png")
    frame = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")]
    assert not is_answered([("host", OWN), ("sec-fetch-site", site), *frame], method="GET")


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_what_the_browser_calls_its_own_is_answered(site: str) -> None:
    assert is_answered([("host", OWN), ("sec-fetch-site", site)], method="GET", url="/favicon.png")


def test_a_link_of_another_page_opens_in_a_tab_and_posts_nothing() -> None:
    link = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]
    headers = [("host", OWN), ("sec-fetch-site", "cross-site"), *link]
    assert is_answered(headers, method="GET", url="/assets/slide?view=events")
    assert not is_answered(headers, method="POST")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "/graphql\n"])
def test_nothing_is_asked_of_graphql_by_get(method: str, path: str) -> None:
    mutation = "query=mutation+{+wipeAssets+{+__typename+}+}"
    for headers in ([("host", OWN)], page(OWN)):
        assert not is_answered(headers, method=method, url=f"{path}?{mutation}")
        assert not is_answered(headers, method=method, url=f"{path}?{mutation[6:]}")
    assert is_answered([("host", OWN)], method=method, url=path)
    assert is_answered([("host", OWN)], method=method, url=f"/runs?{mutation}")


@pytest.mark.parametrize("origin", [f"http://{OWN}", "http://evil.example"])
def test_no_answer_can_be_framed_or_embedded(origin: str) -> None:
    start = ask(page(OWN, origin=origin))[0]
    said = [(name.decode().lower(), value.decode()) for name, value in start["headers"]]
    policies = [value for name, value in said if name == "content-security-policy"]
    assert any("frame-ancestors 'none'" in policy for policy in policies)
    assert ("object-src 'none'" in policies) is is_answered(page(OWN, origin=origin))
    assert ("x-frame-options", "DENY") in said
    assert ("cross-origin-resource-policy", "same-origin") in said


def test_a_refused_websocket_is_closed_before_the_handshake() -> None:
    (only,) = ask(page(OWN, origin="http://evil.example"), kind="websocket")
    assert only["type"] == "websocket.close"


def test_the_start_and_end_of_the_server_pass() -> None:
    seen: list[str] = []

    async def notes(scope: dict[str, Any], _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(Guard(app=notes, origins=own_origins(PORT))({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]


def test_the_port_of_http_may_be_left_out() -> None:
    assert own_origins(80) >= {"http://127.0.0.1", "http://localhost", "http://localhost:80"}


PUBLIC = "https://slides.example"


@pytest.mark.parametrize(
    ("host", "origin", "is_let_in"),
    [
        ("slides.example", PUBLIC, True),
        ("slides.example", "", True),
        ("slides.example", "http://slides.example", False),  # not by that scheme
        ("slides.example", f"http://{OWN}", False),
        (OWN, PUBLIC, False),
        ("slides.example:3000", PUBLIC, False),
        ("evil.example", "https://evil.example", False),
    ],
)
def test_behind_a_proxy_the_page_is_at_home_under_the_proxys_address_too(
    host: str, origin: str, *, is_let_in: bool
) -> None:
    headers = [("host", host), *([("origin", origin)] if origin else [])]
    sent = ask(headers, origins=own_origins(PORT, [PUBLIC]))
    assert (sent[0]["status"] == 200) is is_let_in
