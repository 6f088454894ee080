"""The HTTP listener, over real sockets."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from typing import TYPE_CHECKING

import httpx2
import pytest

from otelbridge.errors import ConfigError
from otelbridge.transports import http_server
from otelbridge.transports.http_app import build_app
from otelbridge.transports.http_server import HttpServer
from otelbridge.transports.sockets import bind
from tests.faults import fault
from tests.transports.gateway.worlds import eventually
from tests.transports.raw import raw

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.transports.conftest import Startable

    Run = Callable[[Startable], Awaitable[None]]

_PAGE = b"# HELP x y\n"
_SCRAPE = {"x-prometheus-scrape-timeout-seconds": "10", "user-agent": "Prometheus/3.5"}


class Parts:
    """What the application shows, and what it was asked."""

    def __init__(self) -> None:
        self.ready = True
        self.asked: list[tuple[str, tuple[str, str] | None]] = []
        self.threads: set[int] = set()

    def render(self, accept: str, scraper: tuple[str, str] | None) -> tuple[bytes, str]:
        """Render the page."""
        self.asked.append((accept, scraper))
        self.threads.add(threading.get_ident())
        return _PAGE, "text/plain; version=0.0.4; charset=utf-8"

    def readiness(self) -> tuple[bool, dict[str, object]]:
        """Tell whether calls are taken."""
        return self.ready, {"destinations": {"otlp": "failing"}}


@pytest.fixture
def parts() -> Parts:
    """Return what the application shows."""
    return Parts()


async def _start(
    run: Run, parts: Parts, *, token: str | None = None, address: str = "127.0.0.1:0"
) -> httpx2.AsyncClient:
    app = build_app(
        render=parts.render, readiness=parts.readiness, address=address, metrics_token=token
    )
    server = HttpServer(app, bind(address, key="listen.http"))
    await run(server)
    return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False)


async def test_metrics_are_what_was_rendered_for_the_accept_header(run: Run, parts: Parts) -> None:
    async with await _start(run, parts) as client:
        answer = await client.get("/metrics", headers={"accept": "application/openmetrics-text"})

    assert (answer.status_code, answer.content) == (200, _PAGE)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert parts.asked == [("application/openmetrics-text", None)]


async def test_a_scraper_is_told_by_its_header_and_named_by_address_and_agent(
    run: Run, parts: Parts
) -> None:
    async with await _start(run, parts) as client:
        await client.get("/metrics", headers={**_SCRAPE, "accept": "x"})

    assert parts.asked == [("x", ("127.0.0.1", "Prometheus/3.5"))]


async def test_a_page_is_rendered_outside_the_event_loops_thread(run: Run, parts: Parts) -> None:
    async with await _start(run, parts) as client:
        await client.get("/metrics")

    assert threading.get_ident() not in parts.threads


async def test_health_is_ok(run: Run, parts: Parts) -> None:
    async with await _start(run, parts) as client:
        answer = await client.get("/healthz")

    assert (answer.status_code, answer.text) == (200, "ok\n")


@pytest.mark.parametrize(("ready", "code"), [(True, 200), (False, 503)])
async def test_readiness_is_a_status_and_its_reasons(
    run: Run, parts: Parts, *, ready: bool, code: int
) -> None:
    parts.ready = ready

    async with await _start(run, parts) as client:
        answer = await client.get("/readyz")

    assert answer.status_code == code
    assert answer.json() == {
        "status": "ready" if ready else "not ready",
        "destinations": {"otlp": "failing"},
    }


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
async def test_head_is_get_without_the_body(run: Run, parts: Parts, path: str) -> None:
    async with await _start(run, parts) as client:
        got, head = await client.get(path), await client.head(path)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]


async def test_what_is_not_there_is_json_and_names_no_server(run: Run, parts: Parts) -> None:
    async with await _start(run, parts) as client:
        missing = await client.get("/nothing")
        wrong = await client.post("/metrics")

    assert (missing.status_code, missing.json()) == (404, {"error": "not found"})
    assert (wrong.status_code, wrong.json()) == (405, {"error": "method not allowed"})
    assert set(wrong.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert "server" not in missing.headers


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8088", "127.0.0.1:8088", "[::1]:8088", "10.0.0.7", "a.localhost"],
)
async def test_a_host_that_no_public_name_can_be_is_served(
    run: Run, parts: Parts, host: str
) -> None:
    async with await _start(run, parts) as client:
        answer = await client.get("/metrics", headers={"host": host})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:8088", "", "127.0.0.1.nip.io"]
)
@pytest.mark.parametrize("path", ["/", "/metrics"])
async def test_a_page_that_gave_its_own_name_our_address_reads_nothing(
    run: Run, parts: Parts, host: str, path: str
) -> None:
    async with await _start(run, parts) as client:
        answer = await client.get(path, headers={"host": host})

    assert (answer.status_code, answer.json()) == (
        421,
        {"error": f'host "{host}" is not served here'},
    )
    assert parts.asked == []


async def test_a_probe_may_use_any_name(run: Run, parts: Parts) -> None:
    async with await _start(run, parts) as client:
        answer = await client.get("/readyz", headers={"host": "otelbridge.svc"})

    assert answer.status_code == 200


async def test_away_from_loopback_the_name_is_the_users_and_the_token_guards(
    run: Run, parts: Parts
) -> None:
    async with await _start(run, parts, token="s3cret", address="0.0.0.0:0") as client:
        answer = await client.get(
            "/metrics", headers={"host": "otelbridge:8088", "authorization": "Bearer s3cret"}
        )

    assert answer.status_code == 200


@pytest.mark.parametrize("given", [None, "Bearer wrong", "Basic s3cret", "s3cret", "Bearer \xff"])
async def test_without_the_token_there_are_no_metrics(
    run: Run, parts: Parts, given: str | None
) -> None:
    headers = {} if given is None else {b"authorization": given.encode("latin-1")}

    async with await _start(run, parts, token="s3cret") as client:
        answer = await client.get("/metrics", headers=headers)

    assert (answer.status_code, answer.json()) == (401, {"error": "the metrics token is required"})
    assert answer.headers["www-authenticate"] == "Bearer"
    assert parts.asked == []


async def test_probes_need_no_token(run: Run, parts: Parts) -> None:
    async with await _start(run, parts, token="s3cret") as client:
        assert (await client.get("/readyz")).status_code == 200


async def test_a_head_over_the_limit_is_refused(run: Run, parts: Parts) -> None:
    async with await _start(run, parts) as client:
        under = await client.get("/healthz", headers={"x": "y" * 15_000})
        over = await client.get("/healthz", headers={"x": "y" * 17_000})

    assert (under.status_code, over.status_code) == (200, 431)
    assert over.json() == {"error": "the request's head is over 16384 bytes"}


async def test_a_fault_of_ours_is_json_without_its_text(
    run: Run, parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_accept: str, _scraper: object) -> tuple[bytes, str]:
        raise RuntimeError("hunter2")

    parts.render = fail  # type: ignore[assignment]  # a fake of a fake
    async with await _start(run, parts) as client:
        answer = await client.get("/metrics")

    assert (answer.status_code, answer.json()) == (500, {"error": "internal error"})
    assert [record.levelno for record in caplog.records if record.exc_info] == [logging.ERROR]


async def _read_until_closed(address: tuple[str, int], sent: bytes) -> bytes:
    async with raw(address[1], address[0]) as client:
        await client.send(sent)
        return await client.until_closed()


@fault(32)
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /he",
        b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab",
    ],
)
async def test_a_request_that_does_not_come_in_whole_is_cut_off(
    run: Run, parts: Parts, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "REQUEST_LIMIT_S", 0.05)
    monkeypatch.setattr(http_server, "_KEEP_ALIVE_S", 60)
    client = await _start(run, parts)
    await client.aclose()

    async with asyncio.timeout(5):
        await _read_until_closed(("127.0.0.1", client.base_url.port or 0), sent)


async def test_a_slow_page_is_not_cut_off(
    run: Run, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "REQUEST_LIMIT_S", 0.05)
    gate = threading.Event()

    def slow(_accept: str, _scraper: object) -> tuple[bytes, str]:
        gate.wait(10)
        return _PAGE, "text/plain"

    parts.render = slow  # type: ignore[assignment]  # a fake of a fake
    async with await _start(run, parts) as client:
        asyncio.get_running_loop().call_later(0.15, gate.set)
        answer = await client.get("/metrics")

    assert answer.content == _PAGE


@fault(32)
async def test_a_client_that_reads_nothing_is_cut_off(
    run: Run, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "UNREAD_LIMIT_S", 0.05)
    parts.render = lambda _accept, _scraper: (bytes(1 << 25), "text/plain")  # type: ignore[assignment]  # a fake of a fake
    app = build_app(render=parts.render, readiness=parts.readiness, address="127.0.0.1:0")
    server = HttpServer(app, bind("127.0.0.1:0", key="listen.http"))
    await run(server)
    connections = server._state.connections  # noqa: SLF001  # a client that reads nothing sees nothing

    with socket.create_connection(("127.0.0.1", server.port)) as deaf:
        deaf.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await eventually(lambda: bool(connections))
        await eventually(lambda: not connections)


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(ConfigError) as caught:
            bind(address, key="listen.http")

    assert str(caught.value) == f"listen.http: {address} is already in use"


def test_a_name_with_several_addresses_is_bound_on_one_port() -> None:
    sockets = bind("localhost:0", key="listen.http")
    ports = {each.getsockname()[1] for each in sockets}
    for each in sockets:
        each.close()

    assert len(ports) == 1


@fault(31)
async def test_garbage_is_answered_or_cut_off_and_the_log_stays_quiet(
    run: Run, parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    client = await _start(run, parts)
    await client.aclose()

    async with asyncio.timeout(5):
        answer = await _read_until_closed(
            ("127.0.0.1", client.base_url.port or 0), b"\x16\x03\x01\x02\x00\x01\r\n\r\n"
        )

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert caplog.records == []


async def test_stop_closes_idle_connections(parts: Parts) -> None:
    app = build_app(render=parts.render, readiness=parts.readiness, address="127.0.0.1:0")
    server = HttpServer(app, bind("127.0.0.1:0", key="listen.http"))
    await server.start()
    async with httpx2.AsyncClient(trust_env=False) as client:
        await client.get(f"http://127.0.0.1:{server.port}/healthz")
        async with asyncio.timeout(1.5):
            await server.stop()
