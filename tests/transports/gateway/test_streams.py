"""Calls over a real WebSocket: how they are given up, streams, and many at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from otelbridge.errors import (
    UnavailableError,
)
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.protocols.drpc.wire import Kind
from otelbridge.transports.gateway import session
from tests.protocols.drpc.frames import call, frame
from tests.protocols.yamux.wire import ACK, FIN, RST, SYN, data, update
from tests.transports.gateway.methods import ANSWER, UNARY, Held, Kept, Watched, answering
from tests.transports.gateway.peers import peer
from tests.transports.gateway.worlds import BUDGET, PROMPT, WATCH, eventually, running

if TYPE_CHECKING:
    pass


@pytest.mark.parametrize(
    "leave",
    [
        update(1, flags=FIN),
        data(1, b"", flags=FIN),
        update(1, flags=RST),
        data(1, frame(Kind.CANCEL, 1, 4, control=True)),
        data(1, frame(Kind.CLOSE, 1, 4)),
        data(1, frame(Kind.ERROR, 1, 4, bytes(8) + b"x")),
    ],
    ids=["FIN", "data with FIN", "RST", "Cancel", "Close", "Error"],
)
async def test_a_gateway_that_gives_a_call_up_ends_its_servicer(leave: bytes) -> None:
    held = Held()
    async with running({BUDGET: held}) as world, peer(world) as gateway:
        await gateway.call(1, BUDGET)
        await eventually(lambda: held.came == 1)

        await gateway.send(leave)
        await eventually(lambda: held.cancelled == 1)
        await gateway.call(3, PROMPT)
        assert await gateway.answer(3) == ("OK", b"")

    assert world.books.calls == [(BUDGET, "CANCELLED"), (PROMPT, "OK")]
    assert gateway.payload(1) == b""


async def test_what_is_given_up_with_its_last_byte_was_called_all_the_same() -> None:
    came: list[str] = []

    def handler(request: Any, _call: Any) -> asyncio.Future[Any]:
        came.append(request.prompt)  # as the recorder, which hands it to the journal at once
        return asyncio.get_running_loop().create_future()

    request = pb.RecordPromptUsageRequest(prompt="why?").SerializeToString()
    packets = call(data=request, rpc=f"/proto.{PROMPT}")
    async with running({PROMPT: handler}) as world, peer(world) as gateway:
        await gateway.send(update(1, flags=SYN) + data(1, packets, flags=FIN))
        await eventually(lambda: bool(world.books.calls))

    assert (came, world.books.calls) == (["why?"], [(PROMPT, "CANCELLED")])


async def test_a_lost_connection_ends_every_call_and_leaves_no_task() -> None:
    held, watched = Held(), Watched()
    before = asyncio.all_tasks()
    async with running({BUDGET: held, WATCH: watched}) as world:
        async with peer(world) as gateway:
            await gateway.call(1, BUDGET)
            await gateway.call(3, WATCH)
            await eventually(lambda: held.came == watched.open == 1)
            gateway.websocket.transport.abort()
            await eventually(lambda: held.cancelled == 1 and not watched.open)
        await eventually(lambda: not world.gateways.connected())
        assert world.budget.share("eu").held == 0

    assert asyncio.all_tasks() == before


async def test_a_stream_has_a_message_for_each_change_until_it_is_left() -> None:
    watched, messages = Watched(), Kept()
    async with running({WATCH: watched}) as world, world.dial() as client:
        watching = asyncio.create_task(client.exchange(WATCH, b"", messages))
        for count in range(3):
            await eventually(lambda n=count: messages == [b""] * (n + 1))  # type: ignore[misc]  # a loop's variable
            watched.changes.put_nowait(None)
        watching.cancel()
        await eventually(lambda: not watched.open)

    assert world.books.calls == [(WATCH, "CANCELLED")]


async def test_a_stream_that_fails_is_an_error_after_its_messages() -> None:
    watched = Watched()
    watched.changes.put_nowait(UnavailableError("the store is closed"))
    got = Kept()
    async with running({WATCH: watched}) as world, world.dial() as client:
        status = await client.exchange(WATCH, b"", got)

    assert (status, got) == (("ERROR", "the store is closed"), [b""])
    assert world.books.calls == [(WATCH, "UNAVAILABLE")]


async def test_a_streams_answer_comes_before_the_bridges_fin_and_after_the_gateways() -> None:
    async with running() as world, peer(world) as gateway:
        for stream_id in range(1, 40, 2):
            await gateway.call(stream_id, BUDGET, fin=stream_id % 4 == 1)
            if stream_id % 4 == 3:
                assert await gateway.answer(stream_id) == ("OK", b"")
                assert not gateway.has(stream_id, FIN)
                await gateway.end(stream_id)
            await gateway.until(lambda i=stream_id: gateway.has(i, FIN))  # type: ignore[misc]  # a loop's variable

    for stream_id in range(1, 40, 2):
        flags = [f.flags & (ACK | FIN) for f in gateway.of(stream_id) if f.flags]
        assert flags == [ACK, FIN]


async def test_a_request_that_is_never_finished_is_reset_and_the_others_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "MAX_WAIT_S", 0.05)
    monkeypatch.setattr("otelbridge.transports.gateway.sessions._CHECK_S", 0.02)
    held, watched = Held(), Watched()
    begun = call(data=b"x" * 100, rpc=f"/proto.{PROMPT}")[:60]
    async with running({BUDGET: held, WATCH: watched}) as world, peer(world) as gateway:
        await gateway.call(1, BUDGET)
        await gateway.call(3, WATCH)
        await gateway.send(update(5, flags=SYN))
        await gateway.send(update(7, flags=SYN), data(7, begun))
        await gateway.call(9, PROMPT)
        for stream_id in (5, 7, 9):
            await gateway.until(lambda i=stream_id: gateway.has(i, RST))  # type: ignore[misc]  # a loop's variable
        held.gate.set()
        assert await gateway.answer(1) == ("OK", ANSWER.SerializeToString())

    assert not gateway.has(1, RST)
    assert not gateway.has(3, RST)
    assert world.errors() == {"idle": 3}


async def test_the_bytes_may_be_cut_into_messages_and_fragments_anywhere() -> None:
    request = pb.IsBudgetExceededRequest(user_id="alice").SerializeToString()
    packets = call(data=request, rpc=f"/proto.{BUDGET}")
    stream = update(1, flags=SYN) + data(1, packets)
    async with running({BUDGET: answering}) as world:
        for size in (1, 2, 5, 11, 12, 13, len(stream)):
            pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
            async with peer(world) as whole, peer(world) as fragmented:
                await whole.send(*pieces)
                await fragmented.websocket.send(pieces)
                for gateway in (whole, fragmented):
                    assert await gateway.answer(1) == ("OK", ANSWER.SerializeToString())

    assert world.errors() == {}


async def test_answers_of_one_turn_leave_in_one_message() -> None:
    held = Held()
    async with running({BUDGET: held}) as world, peer(world) as gateway:
        for stream_id in range(1, 101, 2):
            await gateway.call(stream_id, BUDGET)
        await eventually(lambda: held.came == 50)
        before = len(gateway.messages)
        held.gate.set()
        for stream_id in range(1, 101, 2):
            assert (await gateway.answer(stream_id))[0] == "OK"

    assert len(gateway.messages) - before <= 2


async def test_hundreds_of_calls_are_made_at_once() -> None:
    async with running() as world, world.dial() as client:
        answers = await asyncio.gather(*(client.call(rpc, b"") for rpc in UNARY * 50))

    assert set(answers) == {("OK", "")}
    assert world.errors() == {}
