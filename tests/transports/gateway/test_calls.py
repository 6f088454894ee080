"""Calls over a real WebSocket: answers, errors, limits, cancellation."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from otelbridge.errors import (
    AlreadyExistsError,
    InvalidRequestError,
    LimitExceededError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
)
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.protocols.drpc.metadata import encode_metadata
from otelbridge.protocols.drpc.wire import Kind
from tests.protocols.drpc.frames import call, frame
from tests.protocols.yamux.wire import FIN, RST, SYN, data, update
from tests.transports.gateway.methods import ANSWER, UNARY, Held, Kept, answering
from tests.transports.gateway.peers import Peer, peer
from tests.transports.gateway.worlds import BUDGET, PROMPT, eventually, running

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

MAX_BYTES = 4 * 1024 * 1024


def raising(error: Exception) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def handler(_request: Any, _call: Any) -> Any:
        raise error

    return handler


def large(size: int) -> bytes:
    """Return a prompt whose message has so many bytes."""
    rest = pb.RecordPromptUsageRequest(prompt="x" * size).ByteSize() - size
    return pb.RecordPromptUsageRequest(prompt="x" * (size - rest)).SerializeToString()


@pytest.mark.parametrize("rpc", UNARY)
async def test_every_rpc_is_answered_and_booked(rpc: str) -> None:
    async with running() as world, world.dial() as client:
        assert await client.call(rpc, b"") == ("OK", "")

    assert world.books.calls == [(rpc, "OK")]


async def test_a_servicer_knows_the_request_the_gateway_and_its_address() -> None:
    seen: list[Any] = []

    async def handler(request: Any, call: Any) -> Any:
        seen.append((request.user_id, call.gateway, call.trusted, call.peer()))
        return ANSWER

    request = pb.IsBudgetExceededRequest(user_id="alice").SerializeToString()
    answers = Kept()
    async with running({BUDGET: handler}) as world, world.dial() as client:
        [connected] = world.gateways.connected()
        status = await client.exchange(BUDGET, request, answers)

    assert seen == [("alice", "eu", True, connected.peer)]
    assert (status.code, answers) == ("OK", [ANSWER.SerializeToString()])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidRequestError("empty API key ID"), "INVALID_ARGUMENT"),
        (AlreadyExistsError("recorded already"), "ALREADY_EXISTS"),
        (UnauthenticatedError("unknown key"), "UNAUTHENTICATED"),
        (PermissionDeniedError("inactive user"), "PERMISSION_DENIED"),
        (LimitExceededError("too many wrong keys"), "RESOURCE_EXHAUSTED"),
        (UnavailableError("the journal cannot be written"), "UNAVAILABLE"),
    ],
)
async def test_an_error_has_its_text_and_is_booked_under_its_status(
    error: Exception, code: str
) -> None:
    async with running({BUDGET: raising(error)}) as world, world.dial() as client:
        assert await client.call(BUDGET, b"") == ("ERROR", str(error))

    assert world.books.calls == [(BUDGET, code)]


async def test_an_unexpected_error_is_logged_once_and_its_text_is_told_to_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failing = {BUDGET: raising(RuntimeError("hunter2"))}
    async with running(failing) as world, world.dial() as client:
        answers = {await client.call(BUDGET, b"") for _ in range(5)}

    assert answers == {("INTERNAL", "internal error")}
    [record] = [record for record in caplog.records if record.exc_info]
    assert (record.levelno, record.getMessage()) == (logging.ERROR, f"{BUDGET} failed")


async def test_an_unknown_rpc_is_a_protocol_error_of_that_call_alone() -> None:
    async with running() as world, world.dial() as client:
        unknown = await client.call("Recorder/Nothing\x1b", b"")
        known = await client.call(BUDGET, b"")

    text = 'protocol error: unknown rpc: "/proto.Recorder/Nothing\\x1b"'
    assert (unknown, known) == (("ERROR", text), ("OK", ""))
    assert world.books.calls == [(BUDGET, "OK")]


async def test_bytes_that_are_no_message_are_refused() -> None:
    async with running() as world, world.dial() as client:
        answer = await client.call(BUDGET, b"\xff")

    assert answer == ("ERROR", f"{BUDGET}: 1 bytes are not a IsBudgetExceededRequest")


async def test_a_call_without_a_request_is_refused() -> None:
    invoke = frame(Kind.INVOKE, 1, 1, f"/proto.{BUDGET}".encode()) + frame(Kind.CLOSE_SEND, 1, 2)
    async with running() as world, peer(world) as gateway:
        await gateway.send(update(1, flags=SYN), data(1, invoke))

        assert await gateway.answer(1) == (f"{BUDGET}: the call has no request", b"")


async def test_the_largest_message_is_taken_and_one_byte_more_fails_that_call_alone() -> None:
    sizes: list[int] = []

    async def handler(request: Any, _call: Any) -> Any:
        sizes.append(len(request.prompt))
        return pb.RecordPromptUsageResponse()

    held = Held()
    async with running({PROMPT: handler, BUDGET: held}) as world, peer(world) as gateway:
        await gateway.call(1, BUDGET)
        await _send_prompt(gateway, 3, large(MAX_BYTES))
        await _send_prompt(gateway, 5, large(MAX_BYTES + 1))
        largest, larger = await gateway.answer(3), await gateway.answer(5)
        held.gate.set()
        beside = await gateway.answer(1)

    assert (largest, larger) == (("OK", b""), ("reset", b""))
    assert beside == ("OK", ANSWER.SerializeToString())
    assert (len(sizes), world.errors()) == (1, {"too_large": 1})


async def _send_prompt(gateway: Peer, stream_id: int, request: bytes) -> None:
    """Send a call in frames of 64 KiB, as the window allows."""
    parts = [request[at : at + 65536] for at in range(0, len(request), 65536)]
    packets = [frame(Kind.INVOKE, 1, 1, f"/proto.{PROMPT}".encode())]
    packets += [
        frame(Kind.MESSAGE, 1, 2, part, done=number == len(parts))
        for number, part in enumerate(parts, 1)
    ]
    await gateway.send(update(stream_id, flags=SYN))
    sent, window = 0, 256 * 1024
    for piece in [*packets, frame(Kind.CLOSE_SEND, 1, 3)]:
        sent += len(piece)
        await gateway.until(
            lambda sent=sent: (  # type: ignore[misc]  # a loop's variable
                sent <= window + sum(f.value for f in gateway.of(stream_id) if f.kind == 1)
                or gateway.has(stream_id, RST)
            )
        )
        if gateway.has(stream_id, RST):
            return
        await gateway.send(data(stream_id, piece))


async def test_an_answer_over_the_limit_is_an_error_that_names_it() -> None:
    async def handler(_request: Any, _call: Any) -> Any:
        keys = ["x" * 100_000] * 50
        return pb.GetAIProvidersResponse(providers=[pb.AIProvider(keys=keys)])

    rpc = "ProviderConfigurator/GetAIProviders"
    async with running({rpc: handler}) as world, world.dial() as client:
        code, text = await client.call(rpc, b"")

    assert (code, text.partition(" bytes, ")[2]) == ("ERROR", "at most 4194304 are allowed")


@pytest.mark.parametrize("size", [262_131, 262_132, 262_133, 800_000, 4_000_000])
async def test_large_answers_come_in_messages_that_a_gateway_reads(size: int) -> None:
    answer = pb.GetAIProvidersResponse(providers=[pb.AIProvider(name="x" * size)])

    async def handler(_request: Any, _call: Any) -> Any:
        return answer

    rpc = "ProviderConfigurator/GetAIProviders"
    got = Kept()
    async with running({rpc: handler}) as world, world.dial() as client:
        status = await client.exchange(rpc, b"", got)

    assert (status.code, got) == ("OK", [answer.SerializeToString()])


async def test_several_calls_are_made_on_one_stream_with_their_metadata() -> None:
    trace = encode_metadata({"traceparent": "00-1-2-01", "baggage": "a=b", "é": "\n"})
    async with running({BUDGET: answering}) as world, peer(world) as gateway:
        await gateway.send(update(1, flags=SYN))
        for number in (1, 2, 3):
            packets = (
                frame(Kind.INVOKE_METADATA, number, 1, trace)
                + frame(Kind.INVOKE, number, 2, f"/proto.{BUDGET}".encode())
                + frame(Kind.MESSAGE, number, 3)
                + frame(Kind.CLOSE_SEND, number, 4)
            )
            await gateway.send(data(1, packets))
            await eventually(lambda n=number: len(world.books.calls) == n)  # type: ignore[misc]  # a loop's variable
        await gateway.end(1)
        await gateway.until(lambda: gateway.has(1, FIN))

    assert world.books.calls == [(BUDGET, "OK")] * 3
    assert gateway.payload(1).count(ANSWER.SerializeToString()) == 3


async def test_a_new_call_on_a_stream_cancels_the_one_before() -> None:
    held = Held()
    async with running({BUDGET: held}) as world, peer(world) as gateway:
        await gateway.send(update(1, flags=SYN), data(1, call(1, b"", rpc=f"/proto.{BUDGET}")))
        await eventually(lambda: held.came == 1)
        await gateway.send(data(1, call(2, b"", rpc=f"/proto.{PROMPT}")))
        await eventually(lambda: (PROMPT, "OK") in world.books.calls)

    assert (held.cancelled, (BUDGET, "CANCELLED") in world.books.calls) == (1, True)
