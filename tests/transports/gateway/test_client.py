"""A gateway's side: what it does as a stock gateway does, and what it says of a bridge."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from otelbridge.errors import ConfigError
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.protocols import yamux
from otelbridge.protocols.drpc.wire import Kind
from otelbridge.transports.gateway import client
from otelbridge.transports.gateway.client import GatewayClient, dialled
from tests.protocols.drpc.frames import frame
from tests.protocols.yamux.wire import ACK, FIN, GO_AWAY, PING, RST, SYN, Frame, data, split, update
from tests.transports.fakes import RIGHT_KEY, server
from tests.transports.gateway.worlds import BUDGET, PROMPT, eventually, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ANSWER = frame(Kind.MESSAGE, 1, 1, pb.IsBudgetExceededResponse().SerializeToString()) + frame(
    Kind.CLOSE_SEND, 1, 2
)


class Bridge:
    """The other end: it sees every message, and answers as the test says.

    Attributes:
        messages: The messages that have come.
        frames: The frames in them.
        headers: The headers of the handshake.
    """

    def __init__(self, answer: Callable[[Frame], bytes]) -> None:
        self.messages: list[bytes] = []
        self.frames: list[Frame] = []
        self.headers: dict[str, str] = {}
        self.path = ""
        self._answer = answer

    async def __call__(self, websocket: ServerConnection) -> None:
        assert websocket.request
        self.headers = {k.lower(): v for k, v in websocket.request.headers.raw_items()}
        self.path = websocket.request.path
        rest = b""
        async for message in websocket:
            assert isinstance(message, bytes)
            self.messages.append(message)
            frames, rest = split(rest + message)
            for each in frames:
                self.frames.append(each)
                if answer := self._answer(each):
                    await websocket.send(answer)


@asynccontextmanager
async def _bridge(
    answer: Callable[[Frame], bytes], **options: Any
) -> AsyncIterator[tuple[Bridge, GatewayClient]]:
    bridge = Bridge(answer)
    async with serve(bridge, "127.0.0.1", 0, compression=None) as serving:
        port = serving.sockets[0].getsockname()[1]
        async with dialled(f"ws://127.0.0.1:{port}", key=RIGHT_KEY, **options) as dialler:
            yield bridge, dialler


def _answers(each: Frame) -> bytes:
    """Accept a stream, and answer what is asked in it."""
    if each.flags & SYN and each.kind != PING:
        return update(each.stream_id, flags=ACK)
    if each.payload.endswith(frame(Kind.CLOSE_SEND, 1, 3)):
        return data(each.stream_id, ANSWER)
    return update(each.stream_id, flags=FIN) if each.flags & FIN else b""


async def test_it_shows_key_version_and_build_and_asks_for_nothing_else() -> None:
    async with _bridge(_answers) as (bridge, _):
        pass

    assert bridge.path == "/api/v2/ai-gateway/serve?version=1.2"
    assert bridge.headers["x-coder-ai-governance-gateway-key"] == RIGHT_KEY
    assert bridge.headers["x-coder-build-version"] == "otelbridge"
    assert not {"origin", "cookie", "sec-websocket-protocol", "sec-websocket-extensions"} & (
        bridge.headers.keys()
    )


async def test_a_call_is_a_stream_and_ends_with_fin_after_its_answer() -> None:
    async with _bridge(_answers) as (bridge, dialler):
        assert [await dialler.call(BUDGET, b"") for _ in range(2)] == [("OK", "")] * 2
        await eventually(lambda: any(f.flags & FIN and f.stream_id == 3 for f in bridge.frames))

    flags = [(f.stream_id, f.flags) for f in bridge.frames if f.flags and f.kind != PING]
    assert flags == [(1, SYN), (1, FIN), (3, SYN), (3, FIN)]


async def test_header_and_body_are_messages_of_their_own() -> None:
    async with _bridge(_answers) as (bridge, dialler):
        assert (await dialler.call(PROMPT, b"x" * 250_000))[0] == "OK"

    assert max(map(len, bridge.messages)) > 250_000
    for header, body in zip(bridge.messages, bridge.messages[1:], strict=False):
        if len(header) == 12 and header[:2] == b"\0\0":
            assert len(body) == int.from_bytes(header[8:])


async def test_it_pings_and_leaves_with_a_goodbye() -> None:
    limits = yamux.Limits(ping_interval_s=0.05, ping_timeout_s=0.04)

    def pong(each: Frame) -> bytes:
        return Frame(PING, ACK, 0, each.value).serialize() if each.kind == PING else b""

    async with _bridge(pong, limits=limits) as (bridge, _):
        await eventually(lambda: sum(f.kind == PING for f in bridge.frames) >= 3)
    await eventually(lambda: bridge.frames[-1].kind == GO_AWAY)

    assert bridge.frames[-1] == Frame(GO_AWAY, 0, 0, 0)


def _error(code: int, text: str) -> bytes:
    return data(1, frame(Kind.ERROR, 1, 1, code.to_bytes(8) + text.encode()))


GIVEN_UP = "the session has ended: yamux peer gave up with code 1"
OTHER_VERSION = "the session has ended: yamux version 1, only 0 is known"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (update(1, flags=ACK | FIN), ("UNAVAILABLE", "the bridge has ended the stream")),
        (update(1, flags=RST), ("UNAVAILABLE", "the bridge has ended the stream")),
        (data(1, b"\x07\x00\x00\x00"), ("INTERNAL", "drpc id (0, 0) after (1, 1)")),
        (
            data(1, frame(Kind.CANCEL, 1, 1, control=True)),
            ("CANCELLED", "the bridge has cancelled the call"),
        ),
        (_error(0, "no"), ("ERROR", "no")),
        (_error(12, "no"), ("UNIMPLEMENTED", "no")),
        (_error(0, "internal error"), ("INTERNAL", "internal error")),
        (Frame(GO_AWAY, 0, 0, 1).serialize(), ("UNAVAILABLE", GIVEN_UP)),
        (b"\x01" + bytes(11), ("UNAVAILABLE", OTHER_VERSION)),
    ],
)
async def test_whatever_a_bridge_does_a_call_ends_with_a_code_and_a_reason(
    answer: bytes, status: tuple[str, str]
) -> None:
    async with _bridge(lambda each: answer if each.payload else b"") as (_, dialler):
        assert await dialler.call(BUDGET, b"") == status


async def test_a_call_that_is_not_answered_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CALL_LIMIT_S", 0.05)

    async with _bridge(lambda _: b"") as (bridge, dialler):
        assert await dialler.call(BUDGET, b"") == ("DEADLINE_EXCEEDED", "no answer within 0.05 s")
        await eventually(lambda: any(each.flags & FIN for each in bridge.frames))


async def test_a_message_that_is_too_large_is_not_sent_and_the_session_goes_on() -> None:
    async with running() as world, world.dial() as dialler:
        code, text = await dialler.call(PROMPT, bytes(4 * 1024 * 1024 + 1))
        assert await dialler.call(BUDGET, b"") == ("OK", "")

    assert (code, text) == (
        "RESOURCE_EXHAUSTED",
        "message of 4194305 bytes, at most 4194304 are allowed",
    )
    assert world.errors() == {}


async def test_no_more_streams_are_opened_than_are_allowed() -> None:
    limits = yamux.Limits(max_streams=1)
    async with _bridge(lambda _: b"", limits=limits) as (_, dialler):
        waiting = asyncio.create_task(dialler.call(BUDGET, b""))
        await asyncio.sleep(0)
        code, _ = await dialler.call(BUDGET, b"")
        waiting.cancel()

    assert code == "RESOURCE_EXHAUSTED"


async def test_a_session_that_is_over_says_why_and_takes_no_call() -> None:
    async with running() as world, world.dial() as dialler:
        stopping = asyncio.create_task(world.gateways.stop(1.0))
        assert await dialler.wait_closed() == "the connection ended"
        await stopping

        assert await dialler.call(BUDGET, b"") == (
            "UNAVAILABLE",
            "the session takes no new streams",
        )


async def test_a_bridge_that_is_silent_is_given_up() -> None:
    limits = yamux.Limits(ping_interval_s=0.01, ping_timeout_s=0.05)
    async with _bridge(lambda _: b"", limits=limits) as (_, dialler):
        code, text = await dialler.call(BUDGET, b"")

    assert (code, text) == (
        "UNAVAILABLE",
        "the session has ended: yamux peer silent for 0.05 s after a ping",
    )


async def _problem(url: str, *, key: str = RIGHT_KEY, **options: Any) -> str:
    """Return what is said where no session can be opened."""
    with pytest.raises(ConfigError) as caught:
        async with dialled(url, key=key, **options):
            pass
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "is_ready", "told"),
    [
        ("", True, "401 AI Gateway key required."),
        ("x" * 43, True, "401 AI Gateway key invalid."),
        (RIGHT_KEY, False, "503 AI Gateway sessions are not taken now. not ready, try again"),
    ],
)
async def test_a_refusal_is_told_in_the_bridges_own_words(
    key: str, is_ready: bool, told: str
) -> None:
    async with running() as world:
        world.is_ready = is_ready

        assert await _problem(world.url, key=key) == f"{world.url} refuses: {told}"


async def test_where_nobody_listens_it_is_said_in_one_line() -> None:
    problem = await _problem("ws://127.0.0.1:1")

    assert problem.startswith("no bridge answers at ws://127.0.0.1:1: ")
    assert "\n" not in problem


async def test_what_is_no_bridge_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_OPEN_LIMIT_S", 0.3)
    grpc = server()
    await grpc.start()
    try:
        problem = await _problem(f"ws://{grpc.address}")
    finally:
        await grpc.stop(0)

    assert problem.startswith(f"no bridge answers at ws://{grpc.address}")
    assert "\n" not in problem


async def test_another_web_servers_page_is_cut_and_escaped() -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b"<html>\x1b[31m" + b"x" * 1000
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(page, "127.0.0.1", 0) as serving:
        url = f"ws://127.0.0.1:{serving.sockets[0].getsockname()[1]}"
        problem = await _problem(url)

    assert problem.startswith(f"{url} refuses: 404 <html>\\x1b[31mxxx")
    assert len(problem) < 260


async def test_who_a_redirect_names_is_not_shown_the_key() -> None:
    asked: list[bytes] = []

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        port = serving.sockets[0].getsockname()[1]
        location = f"Location: ws://localhost:{port}/elsewhere\r\n"
        writer.write(f"HTTP/1.1 307 Moved\r\n{location}Content-Length: 0\r\n\r\n".encode())
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(redirect, "127.0.0.1", 0) as serving:
        url = f"ws://127.0.0.1:{serving.sockets[0].getsockname()[1]}"
        problem = await _problem(url)

    assert (problem, len(asked)) == (f"{url} refuses: 307 ", 1)


@pytest.mark.parametrize("key", ["new\nline", "é", "\0"])
async def test_a_key_that_no_header_can_carry_is_said_so_and_not_repeated(key: str) -> None:
    problem = await _problem("ws://127.0.0.1:1", key=key)

    assert problem == "the gateway key holds characters that no header can carry"


async def test_an_authority_that_is_not_trusted_is_told() -> None:
    async with running() as world:
        url = world.url.replace("ws:", "wss:")
        problem = await _problem(url, context=ssl.create_default_context())

    assert problem.startswith(f"no bridge answers at {url}: ")
    assert "\n" not in problem
