"""The gRPC server, over real sockets."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from otelbridge import errors
from otelbridge.domain.access import REFUSED
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.transports.grpc_server import MAX_MESSAGE_BYTES
from tests.transports.fakes import PROMPT, RIGHT_KEY, START, TOKENS, WATCH, Books, call, server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from otelbridge.servicers.methods import Call
    from otelbridge.transports.grpc_server import GrpcServer

    Serve = Callable[..., Awaitable[GrpcServer]]

_HEALTH = "/grpc.health.v1.Health/Check"
_WATCH_HEALTH = "/grpc.health.v1.Health/Watch"
_CODE = grpc.StatusCode


async def _health(address: str, service: str = "") -> str:
    async with grpc.aio.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service=service).SerializeToString()
        raw = await channel.unary_unary(_HEALTH)(request)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(_status(raw)))


def _status(raw: bytes) -> int:
    return int(health_pb2.HealthCheckResponse.FromString(raw).status)


async def test_a_call_reaches_its_servicer_with_its_bytes_and_its_caller(
    serve: Serve,
) -> None:
    seen: list[tuple[Any, Call]] = []

    async def handler(request: Any, given: Call) -> Any:
        seen.append((request, given))
        return pb.RecordInterceptionResponse()

    raw = pb.RecordInterceptionRequest(id="1").SerializeToString() + b"\xa8\x06\x05"
    started = await serve({START: handler})

    code, _ = await call(started.address, START, raw, authorization=f"Bearer {RIGHT_KEY}")

    [(request, given)] = seen
    assert code is _CODE.OK
    assert (request.id, given.raw, given.gateway, given.trusted) == ("1", raw, "eu", True)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidRequestError("empty API key ID"), _CODE.INVALID_ARGUMENT),
        (errors.AlreadyExistsError("a different start"), _CODE.ALREADY_EXISTS),
        (errors.UnauthenticatedError("unknown key"), _CODE.UNAUTHENTICATED),
        (errors.PermissionDeniedError("inactive user"), _CODE.PERMISSION_DENIED),
        (errors.LimitExceededError("100 wrong keys a second"), _CODE.RESOURCE_EXHAUSTED),
        (errors.UnavailableError("the disk is full"), _CODE.UNAVAILABLE),
    ],
)
async def test_an_error_is_answered_with_its_status_and_text_and_booked(
    serve: Serve, error: errors.CallError, code: grpc.StatusCode
) -> None:
    async def handler(_request: Any, _call: Call) -> Any:
        raise error

    books = Books()
    started = await serve({START: handler}, books=books)

    assert await call(started.address, START) == (code, str(error))
    assert books.calls == [("Recorder/RecordInterception", code.name)]


async def test_unavailable_tells_on_the_wire_when_to_try_again(serve: Serve) -> None:
    async def handler(_request: Any, _call: Call) -> Any:
        raise errors.UnavailableError("the disk is full", retry_after_s=2.0)

    started = await serve({START: handler})
    async with grpc.aio.insecure_channel(started.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(START)(b"")

    assert (
        b"google.rpc.RetryInfo" in dict(caught.value.trailing_metadata())["grpc-status-details-bin"]
    )


async def test_a_fault_of_ours_is_internal_logged_once_and_tells_the_client_nothing(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(_request: Any, _call: Call) -> Any:
        raise RuntimeError("password is hunter2")

    books = Books()
    started = await serve({START: handler}, books=books)

    answers = [await call(started.address, START) for _ in range(3)]

    assert answers == [(_CODE.INTERNAL, "internal error")] * 3
    assert books.calls == [("Recorder/RecordInterception", "INTERNAL")] * 3
    [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.getMessage() == "Recorder/RecordInterception failed"
    assert record.exc_info is not None


async def test_bytes_that_are_no_request_are_an_invalid_argument(serve: Serve) -> None:
    started = await serve()

    assert await call(started.address, START, b"\xff\xff") == (
        _CODE.INVALID_ARGUMENT,
        "Recorder/RecordInterception: 2 bytes are not a RecordInterceptionRequest",
    )


async def test_a_method_that_the_contract_does_not_have_is_unimplemented(serve: Serve) -> None:
    started = await serve()

    code, _ = await call(started.address, "/proto.Recorder/RecordNothing")

    assert code is _CODE.UNIMPLEMENTED


@pytest.mark.parametrize("path", [TOKENS, WATCH, START])
async def test_a_refused_call_learns_nothing_and_is_counted(serve: Serve, path: str) -> None:
    books = Books()
    started = await serve(books=books, is_open=False)
    method = path.removeprefix("/proto.")

    wrong = await call(started.address, path, authorization="Bearer wrong")
    none = await call(started.address, path)

    assert wrong == none == (_CODE.UNAUTHENTICATED, REFUSED)
    assert books.calls == [(method, "UNAUTHENTICATED")] * 2


async def test_the_other_header_of_a_gateway_is_as_good(serve: Serve) -> None:
    started = await serve(is_open=False)

    code, _ = await call(started.address, TOKENS, x_coder_ai_governance_gateway_key=RIGHT_KEY)

    assert code is _CODE.OK


async def test_an_answered_call_is_booked_with_its_duration(serve: Serve) -> None:
    books = Books()
    started = await serve(books=books)

    await call(started.address, START)

    assert books.calls == [("Recorder/RecordInterception", "OK")]
    assert 0 < books.seconds[0] < 5


async def test_a_message_of_the_limit_is_taken_and_a_byte_more_names_the_limit(
    serve: Serve,
) -> None:
    started = await serve()
    frame = pb.RecordPromptUsageRequest(prompt="x" * MAX_MESSAGE_BYTES).ByteSize()
    fits = "x" * (2 * MAX_MESSAGE_BYTES - frame)

    async def send(prompt: str) -> tuple[grpc.StatusCode, str]:
        raw = pb.RecordPromptUsageRequest(prompt=prompt).SerializeToString()
        return await call(started.address, PROMPT, raw)

    assert (await send(fits))[0] is _CODE.OK
    assert await send(fits + "x") == (
        _CODE.RESOURCE_EXHAUSTED,
        "SERVER: Received message larger than max (16842753 vs. 16842752)",
    )


async def test_metadata_over_the_limit_names_the_limit(serve: Serve) -> None:
    started = await serve()

    under = await call(started.address, START, padding="x" * 12_000)
    over = await call(started.address, START, padding="x" * 20_000)

    assert under[0] is _CODE.OK
    assert over[0] is _CODE.RESOURCE_EXHAUSTED
    assert "16384" in over[1]


async def test_a_thousand_calls_may_be_open_on_one_connection(serve: Serve) -> None:
    arrived = 0
    all_there = asyncio.Event()

    async def handler(_request: Any, _call: Call) -> Any:
        nonlocal arrived
        arrived += 1
        if arrived == 1000:
            all_there.set()
        await all_there.wait()
        return pb.RecordInterceptionResponse()

    started = await serve({START: handler})
    async with grpc.aio.insecure_channel(started.address) as channel:
        calls = [channel.unary_unary(START)(b"") for _ in range(1000)]
        answers = await asyncio.gather(*calls)

    assert answers == [b""] * 1000


async def test_a_port_in_use_is_named_and_the_log_stays_quiet(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(errors.ConfigError) as caught:
            await server(address=address).start()

    assert str(caught.value) == f"listen.grpc: {address} is already in use"
    assert capfd.readouterr().err == ""


async def test_two_servers_cannot_share_a_port(serve: Serve) -> None:
    started = await serve()

    with pytest.raises(errors.ConfigError, match="is already in use"):
        await server(address=started.address).start()


async def test_a_host_that_nobody_knows_is_one_line() -> None:
    with pytest.raises(errors.ConfigError) as caught:
        await server(address="nowhere.invalid:1").start()

    assert str(caught.value).startswith("listen.grpc: cannot listen on nowhere.invalid:1: ")
    assert "\n" not in str(caught.value)


async def test_health_is_what_the_server_was_told_for_each_service(serve: Serve) -> None:
    started = await serve()
    assert await _health(started.address) == "NOT_SERVING"

    await started.set_serving(serving=True)
    assert await _health(started.address) == "SERVING"
    assert await _health(started.address, "proto.Recorder") == "SERVING"

    await started.set_serving(serving=False)
    assert await _health(started.address, "proto.Recorder") == "NOT_SERVING"


async def test_health_needs_no_key(serve: Serve) -> None:
    started = await serve(is_open=False)

    assert await _health(started.address) == "NOT_SERVING"


async def test_reflection_lists_the_contract(serve: Serve) -> None:
    started = await serve(is_open=False)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    async with grpc.aio.insecure_channel(started.address) as channel:
        method = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        )
        calling = method()
        await calling.write(asked.SerializeToString())
        raw = await calling.read()
        calling.cancel()

    services = reflection_pb2.ServerReflectionResponse.FromString(raw).list_services_response
    names = {service.name for service in services.service}
    assert {"proto.Recorder", "proto.Authorizer", "grpc.health.v1.Health"} <= names


async def test_a_stop_answers_the_calls_in_flight(serve: Serve) -> None:
    arrived, may_answer = asyncio.Event(), asyncio.Event()

    async def handler(_request: Any, _call: Call) -> Any:
        arrived.set()
        await may_answer.wait()
        return pb.RecordInterceptionResponse()

    started = await serve({START: handler})
    async with grpc.aio.insecure_channel(started.address) as channel:
        watching = channel.unary_stream(_WATCH_HEALTH)(b"")
        await watching.read()
        calling = asyncio.create_task(call(started.address, START))
        await arrived.wait()
        stopping = asyncio.create_task(started.stop(10))
        await watching.code()  # streams end when a stop begins
        may_answer.set()

        assert (await calling)[0] is _CODE.OK
        await stopping


@pytest.mark.parametrize("path", [WATCH, _WATCH_HEALTH])
async def test_a_stop_ends_open_streams_at_once_as_unavailable(serve: Serve, path: str) -> None:
    async def handler(_request: Any, _call: Call) -> AsyncIterator[Any]:
        yield pb.WatchAIProvidersResponse()
        await asyncio.Event().wait()

    started = await serve({WATCH: handler})
    async with grpc.aio.insecure_channel(started.address) as channel:
        watching = channel.unary_stream(path)(b"")
        await watching.read()
        async with asyncio.timeout(5):
            await started.stop(60)
            code, text = await watching.code(), await watching.details()

    assert (code, text) == (_CODE.UNAVAILABLE, "the bridge is stopping")


async def test_a_client_that_leaves_a_stream_is_booked_as_cancelled_and_not_as_a_fault(
    serve: Serve,
) -> None:
    ended = asyncio.Event()

    async def handler(_request: Any, _call: Call) -> AsyncIterator[Any]:
        try:
            yield pb.WatchAIProvidersResponse()
            await asyncio.Event().wait()
        finally:
            ended.set()

    books = Books()
    started = await serve({WATCH: handler}, books=books)
    async with grpc.aio.insecure_channel(started.address) as channel:
        watching = channel.unary_stream(WATCH)(b"")
        await watching.read()
        watching.cancel()
        await ended.wait()
    await started.stop(5)

    assert books.calls == [("ProviderConfigurator/WatchAIProviders", "CANCELLED")]
