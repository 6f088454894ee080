"""The Go program that stands for a stock gateway does what it says, proved against itself."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from otelbridge.proto import aibridged_pb2 as pb
from tests.interop.gateway import REFUSED, WATCH, Gateway, GoProgram, line_of
from tests.interop.programs import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.interop

KEY = "k" * 43
ECHO, FAIL, WAIT = "/test/Echo", "/test/Fail", "/test/Wait"
MAX_BYTES = 4 * 1024 * 1024


def base64(message: bytes) -> str:
    return b64encode(message).decode()


def start_server(executable: Path, folder: Path, *, port: int = 0) -> GoProgram:
    listen = f"127.0.0.1:{port}"
    return GoProgram(executable, "-server", "-key", KEY, "-listen", listen, folder=folder)


@pytest.fixture(scope="module")
def server(gateway_peer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoProgram]:
    with start_server(gateway_peer, tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture(scope="module")
def url(server: GoProgram) -> str:
    return str(server.await_event("listening")["url"])


@pytest.fixture
def gateway(gateway_peer: Path, url: str, tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(gateway_peer, url, "-keepalive", "20ms", key=KEY, folder=tmp_path) as started:
        started.await_event("connected")
        yield started


def test_each_call_gets_the_answer_to_its_own_request(gateway: Gateway) -> None:
    requests = {gateway.begin(body, ECHO): body for body in (b"%d" % n for n in range(200))}

    assert {call: gateway.answer(call).response for call in requests} == requests


def test_metadata_reach_the_server(gateway: Gateway) -> None:
    sent = {"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "baggage": "k=v,l=ü"}

    answer = gateway.call(b"", "/test/Metadata", metadata=sent)

    assert json.loads(answer.response or b"") == sent


def test_an_error_has_its_text_and_code(gateway: Gateway) -> None:
    answer = gateway.call("zu viel: 7 °C".encode(), FAIL)

    assert (answer.response, answer.error, answer.code) == (None, "zu viel: 7 °C", 7)


def test_an_unknown_rpc_is_a_protocol_error(gateway: Gateway) -> None:
    answer = gateway.call(b"", "/x/Y")

    assert (answer.error, answer.code) == ('protocol error: unknown rpc: "/x/Y"', 0)


def test_a_message_one_byte_over_the_limit_fails_that_call_alone(gateway: Gateway) -> None:
    beside = gateway.begin(b"", WAIT)

    largest = gateway.call(b"x" * MAX_BYTES, ECHO)
    larger = gateway.call(b"x" * (MAX_BYTES + 1), ECHO)

    assert largest.response == b"x" * MAX_BYTES
    assert (larger.response, bool(larger.error)) == (None, True)
    assert not gateway.has_ended(beside)
    assert gateway.call(b"after", ECHO).response == b"after"
    assert gateway.named("disconnected") == []


def test_a_cancelled_call_ends_at_both_ends(server: GoProgram, gateway: Gateway) -> None:
    call = gateway.begin(b"a call", WAIT)
    server.await_event("waiting", request=base64(b"a call"))

    gateway.cancel(call)

    assert gateway.answer(call).error == "context canceled"
    server.await_event("cancelled", request=base64(b"a call"))


def test_a_call_ends_at_its_time_limit(gateway: Gateway) -> None:
    assert gateway.call(b"", WAIT, timeout_ms=20).error == "context deadline exceeded"
    assert gateway.call(b"", WAIT, cancel_after_ms=20).error == "context canceled"


def test_a_stream_has_a_message_at_once_one_a_change_and_an_end(
    server: GoProgram, gateway: Gateway
) -> None:
    call = gateway.begin(b"", WATCH, stream=True)
    gateway.await_message(call, 1)
    server.write("change")
    gateway.await_message(call, 2)

    server.write("end")

    assert (gateway.answer(call).messages, gateway.answer(call).error) == (2, "")


def test_a_stream_that_has_had_enough_is_cancelled(server: GoProgram, gateway: Gateway) -> None:
    answer = gateway.call(b"a stream", WATCH, stream=1)

    assert (answer.messages, answer.error) == (1, "")
    server.await_event("cancelled", request=base64(b"a stream"))


def test_the_server_prints_what_it_is_told(server: GoProgram, gateway: Gateway) -> None:
    request, metadata = pb.IsBudgetExceededRequest(user_id="alice"), {"tracestate": "a=b"}

    answer = gateway.call(request, metadata=metadata)

    assert answer.response == b""
    told = server.await_event("call", request=base64(request.SerializeToString()))
    assert (told["rpc"], told["metadata"]) == ("/proto.Authorizer/IsBudgetExceeded", metadata)


def test_four_thousand_calls_at_once_are_all_answered(
    gateway_peer: Path, url: str, tmp_path: Path
) -> None:
    arguments = ("-load", "4000", "-concurrency", "4000")
    with Gateway(gateway_peer, url, *arguments, key=KEY, folder=tmp_path) as gateway:
        gateway.write(*(line_of(b"%d" % n, ECHO) for n in range(4000)))
        gateway.end_input()
        done = gateway.await_event("load")

        assert (done["calls"], done["errors"], done["answers_seen"]) == (4000, {}, 4000)
        assert gateway.wait() == 0


def test_a_session_is_kept_alive_by_pings(gateway: Gateway) -> None:
    assert gateway.await_pings(10).error == ""

    assert len(gateway.named("connected")) == 1


@pytest.mark.parametrize(
    ("key", "version", "status", "message"),
    [
        ("", "1.2", 401, "AI Gateway key required."),
        ("wrong", "1.2", 401, "AI Gateway key invalid."),
        (KEY, "2.0", 400, "Incompatible or unparsable version"),
    ],
)
def test_a_refusal_is_printed_and_ends_the_gateway(
    gateway_peer: Path, url: str, tmp_path: Path, key: str, version: str, status: int, message: str
) -> None:
    arguments = ("-version", version)
    with Gateway(gateway_peer, url, *arguments, key=key, folder=tmp_path) as gateway:
        refused = gateway.await_event("refused")

        assert (refused["status"], json.loads(refused["body"])) == (status, {"message": message})
        assert gateway.wait() == REFUSED


def test_a_call_waits_until_a_lost_server_is_back(gateway_peer: Path, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    first = start_server(gateway_peer, tmp_path, port=port)
    url = first.await_event("listening")["url"]
    with first, Gateway(gateway_peer, url, key=KEY, folder=tmp_path) as gateway:
        gateway.await_event("connected")
        first.kill()
        gateway.await_event("disconnected")
        call = gateway.begin(b"hello", ECHO)

        with start_server(gateway_peer, tmp_path, port=port):
            assert gateway.answer(call).response == b"hello"
            assert gateway.close() == 0
