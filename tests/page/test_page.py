"""The page over HTTP: who may see it, and what a browser is told about it."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from otelbridge.errors import CoreLostError
from otelbridge.page import Page
from otelbridge.page.page import FRESH_S
from otelbridge.page.rates import Sample
from otelbridge.transports.http_app import build_app
from otelbridge.transports.http_server import HttpServer
from otelbridge.transports.sockets import bind
from tests.page.views import brief, ns, view

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from otelbridge.page.rates import Rates
    from otelbridge.page.view import View

_PATHS = ["/", "/page.css", "/page.js", "/page.svg"]


class Bridge:
    """What the page looks at.

    Attributes:
        looks: How often it was looked at.
        now_s: The time.
        is_lost: Whether it cannot be asked.
    """

    def __init__(self) -> None:
        self.looks = 0
        self.now_s = 0.0
        self.is_lost = False

    async def look(self, rates: Rates) -> View:
        """Return what is shown."""
        self.looks += 1
        await asyncio.sleep(0)
        if self.is_lost:
            raise CoreLostError("the journal's process has ended")
        return view(brief(1, model="gpt-5"), rates=rates, now_ns=ns(self.now_s))

    def sample(self) -> Sample:
        """Return the totals."""
        return Sample(ns(self.now_s), records=int(self.now_s))


@asynccontextmanager
async def shown(
    bridge: Bridge, *, token: str | None = None, is_public: bool = False, fresh_s: float = FRESH_S
) -> AsyncIterator[httpx2.AsyncClient]:
    """Serve a page of a bridge."""
    page = Page(bridge.look, bridge.sample, token=token, is_public=is_public, fresh_s=fresh_s)
    app = build_app(
        render=lambda _accept, _scraper: (b"", "text/plain"),
        readiness=lambda: (True, {}),
        address="0.0.0.0:0" if is_public else "127.0.0.1:0",  # what is pretended
        metrics_token=token,
        page=page.routes,
    )
    server = HttpServer(app, bind("127.0.0.1:0", key="listen.http"))
    await server.start()
    page.start()
    try:
        url = f"http://127.0.0.1:{server.port}"
        async with httpx2.AsyncClient(base_url=url, trust_env=False) as client:
            yield client
    finally:
        page.stop()
        await server.stop()


def basic(password: str, name: str = "me") -> dict[str, str]:
    """Return the header of a browser that was given a password."""
    pair = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"authorization": f"Basic {pair}"}


async def test_it_is_html_that_nobody_keeps() -> None:
    async with shown(Bridge()) as client:
        answer = await client.get("/")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert "gpt-5" in answer.text


@pytest.mark.parametrize("path", _PATHS)
async def test_a_browser_may_load_nothing_from_elsewhere_and_run_nothing_inline(path: str) -> None:
    async with shown(Bridge()) as client:
        headers = (await client.get(path)).headers

    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy.pop("default-src") == "'none'"
    assert policy.pop("require-trusted-types-for") == "'script'"
    assert set(policy.values()) == {"'self'", "'none'"}
    assert {name for name, value in policy.items() if value == "'self'"} == {
        "script-src",
        "style-src",
        "img-src",
        "connect-src",
    }
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", _PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_it_can_only_be_read(path: str, method: str) -> None:
    async with shown(Bridge()) as client:
        answer = await client.request(method, path)

    assert answer.status_code == 405


async def test_head_is_get_without_the_body() -> None:
    async with shown(Bridge()) as client:
        answer = await client.head("/")

    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("path", _PATHS)
async def test_a_request_must_name_a_loopback_host(path: str) -> None:
    async with shown(Bridge()) as client:
        rebound = await client.get(path, headers={"host": "attacker.example"})
        local = await client.get(path, headers={"host": "localhost:8088"})

    assert (rebound.status_code, local.status_code) == (421, 200)


@pytest.mark.parametrize("path", _PATHS)
async def test_with_a_token_a_browser_asks_for_a_password(path: str) -> None:
    async with shown(Bridge(), token="s3cret") as client:
        answer = await client.get(path)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic realm=")
    assert answer.json() == {"error": "the metrics token is required"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (basic("s3cret"), 200),
        (basic("s3cret", name=""), 200),
        ({"authorization": "Bearer s3cret"}, 200),
        (basic("s3cre"), 401),
        (basic("s3cret:"), 401),
        ({"authorization": "Basic s3cret"}, 401),
        ({"authorization": "Basic ////"}, 401),
        ({"authorization": "Basic"}, 401),
        ({"authorization": f"Digest {'s3cret'}"}, 401),
    ],
)
async def test_the_token_is_the_password_under_any_name(
    headers: dict[str, str], status: int
) -> None:
    async with shown(Bridge(), token="s3cret", is_public=True) as client:
        answer = await client.get("/", headers=headers)

    assert answer.status_code == status


async def test_where_others_can_reach_it_nobody_sees_it_without_a_token() -> None:
    bridge = Bridge()
    async with shown(bridge, is_public=True) as client:
        answers = [await client.get(path) for path in _PATHS]

    assert {answer.status_code for answer in answers} == {403}
    assert "auth.metrics_token" in answers[0].text
    assert bridge.looks == 0


async def test_who_has_the_page_already_is_told_so() -> None:
    bridge = Bridge()
    async with shown(bridge) as client:
        tag = (await client.get("/")).headers["etag"]
        again = await client.get("/", headers={"if-none-match": tag})

    assert (again.status_code, again.content) == (304, b"")


async def test_time_alone_makes_no_new_page() -> None:
    bridge = Bridge()
    async with shown(bridge, fresh_s=-1) as client:
        first = await client.get("/")
        bridge.now_s = 0.9
        second = await client.get("/")
        bridge.now_s = 7
        third = await client.get("/")

    assert bridge.looks == 3
    assert first.text != third.text
    assert first.headers["etag"] == second.headers["etag"] == third.headers["etag"]


async def test_many_who_look_at_once_cost_one_look() -> None:
    bridge = Bridge()
    async with shown(bridge) as client:
        answers = await asyncio.gather(*(client.get("/") for _ in range(20)))

    assert {answer.status_code for answer in answers} == {200}
    assert FRESH_S >= 1
    assert bridge.looks == 1


async def test_an_asset_is_asked_for_once_and_kept_as_long_as_it_stays() -> None:
    async with shown(Bridge()) as client:
        first = await client.get("/page.js")
        again = await client.get("/page.js", headers={"if-none-match": first.headers["etag"]})

    assert first.headers["cache-control"] == "no-cache"
    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    assert again.status_code == 304


async def test_a_journal_that_is_lost_is_no_page() -> None:
    bridge = Bridge()
    bridge.is_lost = True
    async with shown(bridge) as client:
        answer = await client.get("/")
        bridge.is_lost = False
        healed = await client.get("/")

    assert (answer.status_code, healed.status_code) == (503, 200)


async def test_without_a_page_there_is_none() -> None:
    app: Any = build_app(
        render=lambda _accept, _scraper: (b"", "text/plain"),
        readiness=lambda: (True, {}),
        address="127.0.0.1:0",
    )
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answers = [await client.get(path) for path in _PATHS]

    assert {answer.status_code for answer in answers} == {404}
