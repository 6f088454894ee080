"""Sessions: who is connected, what breaks one, what ends one, and what others notice of it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode

from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.protocols import yamux
from tests.faults import fault
from tests.protocols.drpc.frames import call, frame
from tests.protocols.yamux.wire import ACK, GO_AWAY, PING, RST, SYN, Frame, data, ping, update
from tests.transports.fakes import RIGHT_KEY
from tests.transports.gateway.methods import Held, Watched
from tests.transports.gateway.peers import Peer, peer
from tests.transports.gateway.worlds import (
    BUDGET,
    OTHER_KEY,
    PROMPT,
    WATCH,
    eventually,
    running,
)

_CHECK_S = "otelbridge.transports.gateway.sessions._CHECK_S"
# Data that no window allows.
_TOO_MUCH = data(1, bytes(262_145), flags=SYN)


async def test_who_is_connected_is_told() -> None:
    async with running() as world, peer(world), peer(world, OTHER_KEY) as other:
        await other.call(1, BUDGET)
        await other.answer(1)
        await other.call(3, WATCH)
        await other.until(lambda: bool(other.payload(3)))

        eu, us = world.gateways.connected()

    assert (eu.name, eu.version, eu.build, eu.streams, eu.calls) == ("eu", "1.0", "", 0, 0)
    assert (us.name, us.streams, us.calls) == ("us", 2, 2)
    assert us.peer.startswith("ipv4:127.0.0.1:")
    assert us.since_ns >= eu.since_ns > 0


async def test_coming_and_going_are_a_line_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running() as world:
        async with world.dial():
            [found] = world.gateways.connected()
        await eventually(lambda: not world.gateways.connected())

    lines = [r.getMessage() for r in caplog.records if r.name.startswith("otelbridge")]
    assert lines == [
        f"gateway eu connected from {found.peer}, API 1.2, build otelbridge",
        f"gateway eu has gone from {found.peer}: the connection was closed",
    ]


@fault(31)
@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b"\x01" + bytes(11), "framing"),
        (b"\x00\x04" + bytes(10), "framing"),
        (b"GET / HTTP/1.1\r\n\r\n", "framing"),
        (update(2, flags=SYN), "sequence"),
        (update(1, flags=SYN) * 2, "sequence"),
        (_TOO_MUCH, "flow_control"),
        (update(1, 2**32 - 1, flags=SYN), "flow_control"),
        (ping(1) * 20_000, "flood"),
        (Frame(GO_AWAY, 0, 0, 1).serialize(), "go_away"),
    ],
)
async def test_what_breaks_yamux_ends_that_session_with_1002_and_no_other(
    sent: bytes, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as world, peer(world, OTHER_KEY) as other, peer(world) as broken:
        for start in range(0, len(sent), 200_000):
            await broken.send(sent[start : start + 200_000])
        closed = await broken.until_closed()
        await other.call(1, BUDGET)
        assert (await other.answer(1))[0] == "OK"

    assert closed == (1002, "")
    assert (world.errors(), world.errors("us")) == ({kind: 1}, {})
    assert [r.levelno for r in caplog.records if "has gone" in r.getMessage()][:1] == [
        logging.WARNING
    ]
    assert "Traceback" not in caplog.text


@fault(31)
@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (WebSocketFrame(Opcode.TEXT, b"hello").serialize(mask=True), 1003),
        (WebSocketFrame(Opcode.TEXT, b"he", fin=False).serialize(mask=True), 1003),
        (WebSocketFrame(Opcode.BINARY, ping(1)).serialize(mask=False), 1002),
        (WebSocketFrame(Opcode.CONT, ping(1)).serialize(mask=True), 1002),
        (b"\xc2\x80\x00\x00\x00\x00", 1002),
        (b"\x82\xff" + (262_157).to_bytes(8) + bytes(4), 1009),
        (b"\x8f\x80\x00\x00\x00\x00", 1002),
        (b"\x89\xfe\x00\x7e" + bytes(4 + 126), 1002),
    ],
    ids=[
        "text",
        "a text's fragment",
        "not masked",
        "continues nothing",
        "compressed",
        "too large",
        "unknown opcode",
        "long ping",
    ],
)
async def test_what_breaks_the_websocket_ends_that_session_and_no_other(
    sent: bytes, code: int
) -> None:
    async with running() as world, peer(world, OTHER_KEY) as other, peer(world) as broken:
        broken.websocket.transport.write(sent)
        closed = await broken.until_closed()
        await other.call(1, BUDGET)
        assert (await other.answer(1))[0] == "OK"

    assert closed[0] == code
    assert (world.errors(), world.errors("us")) == ({"websocket": 1}, {})


@fault(31)
@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b"\x07\x00\x00\x00", "sequence"),
        (frame(63, 1, 1), "framing"),
        (b"\x03" + b"\xff" * 12, "framing"),
        (frame(1, 1, 1, b"x" * 2000), "too_large"),
        (frame(2, 1, 1, b"request"), "sequence"),
    ],
)
async def test_what_breaks_drpc_resets_that_stream_and_no_other(sent: bytes, kind: str) -> None:
    held = Held()
    async with running({BUDGET: held}) as world, peer(world) as gateway:
        await gateway.call(1, BUDGET)
        await gateway.send(update(3, flags=SYN), data(3, sent))
        await gateway.until(lambda: gateway.has(3, RST))
        held.gate.set()
        assert (await gateway.answer(1))[0] == "OK"

    assert world.errors() == {kind: 1}
    assert len(world.books.calls) == 1


async def test_pings_are_answered_while_calls_hang() -> None:
    held = Held()
    async with running({BUDGET: held}) as world, peer(world) as gateway:
        await gateway.call(1, BUDGET)
        for token in range(3):
            await gateway.send(ping(token))
            answer = Frame(PING, ACK, 0, token)
            await gateway.until(lambda a=answer: a in gateway.frames)  # type: ignore[misc]  # a loop's variable
        await gateway.websocket.ping()


async def test_a_revoked_key_ends_its_sessions_alone_and_is_refused_from_then_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_CHECK_S, 0.02)
    async with running() as world, peer(world) as revoked, peer(world, OTHER_KEY) as other:
        del world.keys[RIGHT_KEY]

        closed = await revoked.until_closed()
        again = await world.handshake()
        await other.call(1, BUDGET)
        assert (await other.answer(1))[0] == "OK"

    assert (closed, again.status) == ((1001, ""), 401)
    assert again.json == {"message": "AI Gateway key invalid."}
    assert revoked.frames[-1] == Frame(GO_AWAY, 0, 0, 0)


async def test_a_key_that_became_another_gateways_ends_the_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_CHECK_S, 0.02)
    async with running() as world, peer(world) as gateway:
        world.keys[RIGHT_KEY] = "asia"

        assert await gateway.until_closed() == (1001, "")
        assert (await world.handshake()).status == 101


async def test_a_session_has_4096_streams_and_the_next_is_refused_alone() -> None:
    held = Held()
    async with running({BUDGET: held}) as world, peer(world) as gateway:
        opened = [update(n, flags=SYN) for n in range(1, 8192, 2)]
        for start in range(0, len(opened), 1000):
            await gateway.send(b"".join(opened[start : start + 1000]))
        await gateway.until(lambda: gateway.is_accepted(8191))
        await gateway.send(update(8193, flags=SYN))
        await gateway.until(lambda: gateway.has(8193, RST))
        await gateway.send(data(1, call(rpc=f"/proto.{PROMPT}", data=b"")))

        assert await gateway.answer(1) == ("OK", b"")
        assert sum(f.flags == ACK for f in gateway.frames) == 4096


@fault(32)
async def test_the_memory_that_greedy_gateways_take_is_bounded_and_others_have_theirs() -> None:
    half = call(data=b"x" * 60_000, rpc=f"/proto.{PROMPT}")[:50_000]
    async with running(max_held_bytes=4_000_000) as world:
        async with peer(world) as greedy, peer(world, OTHER_KEY) as modest:
            for stream_id in range(1, 201, 2):
                await greedy.send(update(stream_id, flags=SYN), data(stream_id, half))
            await greedy.until(lambda: greedy.has(199, RST))
            held = world.budget.share("eu").held
            request = pb.RecordPromptUsageRequest(prompt="x" * 200_000).SerializeToString()
            await modest.call(1, PROMPT, request)
            assert await modest.answer(1) == ("OK", b"")
        await eventually(lambda: not world.gateways.connected())

    assert 1_900_000 < held <= 2_000_000
    assert world.errors().keys() == {"memory"}
    assert world.budget.free == 4_000_000


@fault(32)
async def test_a_gateway_that_reads_nothing_is_heard_no_more_and_ends() -> None:
    answer = pb.GetAIProvidersResponse(providers=[pb.AIProvider(name="x" * 200_000)])

    async def handler(_request: Any, _call: Any) -> Any:
        return answer

    rpc = "ProviderConfigurator/GetAIProviders"
    limits = yamux.Limits(ping_interval_s=0.3, ping_timeout_s=0.3)
    async with (
        running({rpc: handler}, limits=limits) as world,
        peer(world) as deaf,
        peer(world, OTHER_KEY) as other,
    ):
        pinging = asyncio.create_task(_answer_pings(other))
        deaf.websocket.transport.pause_reading()
        for stream_id in range(1, 201, 2):  # 20 MB: more than what the kernel takes for us
            await deaf.call(stream_id, rpc)
        await eventually(lambda: len(world.books.calls) == 100)
        await deaf.call(201, BUDGET)
        await eventually(lambda: world.gateways.connected()[0].name == "us")
        await other.call(1, PROMPT)
        assert (await other.answer(1))[0] == "OK"
        pinging.cancel()
        deaf.websocket.transport.abort()

    assert (BUDGET, "OK") not in world.books.calls  # what does not read is not read
    assert world.errors() == {"timeout": 1}
    assert world.budget.free == 512 * 1024 * 1024


async def _answer_pings(gateway: Peer) -> None:
    answered = 0
    while True:
        pings = [f for f in gateway.frames if f.kind == PING and f.flags == SYN]
        await gateway.send(*(ping(each.value, flags=ACK) for each in pings[answered:]))
        answered = len(pings)
        await gateway.more()


@fault(32)
async def test_answers_that_wait_for_a_window_for_ever_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("otelbridge.transports.gateway.session.MAX_WAIT_S", 0.05)
    monkeypatch.setattr(_CHECK_S, 0.02)
    answer = pb.GetAIProvidersResponse(providers=[pb.AIProvider(name="x" * 300_000)])

    async def handler(_request: Any, _call: Any) -> Any:
        return answer

    rpc = "ProviderConfigurator/GetAIProviders"
    async with running({rpc: handler}) as world, peer(world) as gateway:
        await gateway.call(1, rpc)
        await gateway.call(3, rpc)
        await gateway.until(lambda: len(gateway.payload(1) + gateway.payload(3)) == 2 * 262_144)
        assert world.budget.share("eu").held > 2 * 30_000
        await gateway.end(3)  # it leaves, and what it did not read waits on
        for stream_id in (1, 3):
            await gateway.until(lambda i=stream_id: gateway.has(i, RST))  # type: ignore[misc]  # a loop's variable
        await gateway.call(5, BUDGET)
        assert (await gateway.answer(5))[0] == "OK"
        await eventually(lambda: world.budget.share("eu").held < 10_000)

    assert world.errors() == {"idle": 2}


async def test_a_session_of_ours_behaves_as_a_gateway_ends_with_fin_and_goodbye() -> None:
    """What `replay` sends is what a stock gateway sends."""
    async with running() as world:
        async with world.dial() as client:
            assert await client.call(BUDGET, b"") == ("OK", "")
            [connected] = world.gateways.connected()
            await eventually(lambda: not world.gateways.connected()[0].streams)
        await eventually(lambda: not world.gateways.connected())

    assert connected.build == "otelbridge"
    assert world.errors() == {}


async def test_a_thousand_streams_of_many_sessions_are_given_back() -> None:
    async with running({WATCH: (watched := Watched())}) as world:
        async with AsyncExitStack() as stack:
            for _ in range(10):
                gateway = await stack.enter_async_context(peer(world))
                for stream_id in range(1, 41, 2):
                    await gateway.call(stream_id, WATCH)
            await eventually(lambda: watched.open == 200)
        await eventually(lambda: not world.gateways.connected() and not watched.open)
        assert world.budget.share("eu").held == 0
