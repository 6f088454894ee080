"""A stock gateway's own client libraries and a bridge: every RPC, errors, limits, many calls."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.servicers.methods import request_classes
from tests.e2e import gateways as gw
from tests.e2e.bridges import samples_of
from tests.interop import served
from tests.interop.gateway import Gateway, awaits_endpoint, line_of
from tests.interop.programs import eventually
from tests.interop.served import ALICE_KEY, HELD, KEY_ID, token_request
from tests.store.files import ALICE, GATEWAY_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from google.protobuf.message import Message

    from tests.interop.bridge import Bridge
    from tests.interop.served import HeldTokens

pytestmark = [pytest.mark.interop, awaits_endpoint]

MAX_BYTES = 4 * 1024 * 1024
WATCH = "/proto.ProviderConfigurator/WatchAIProviders"
INTERCEPTION = gw.fresh_id()
IS_ALICE = pb.IsAuthorizedResponse(owner_id=ALICE, api_key_id=KEY_ID, username="alice")
ANSWERS: list[tuple[Message, Message]] = [
    (gw.start(INTERCEPTION), pb.RecordInterceptionResponse()),
    (gw.tokens(INTERCEPTION), pb.RecordTokenUsageResponse()),
    (gw.prompt(INTERCEPTION), pb.RecordPromptUsageResponse()),
    (gw.tool(INTERCEPTION), pb.RecordToolUsageResponse()),
    (gw.thought(INTERCEPTION), pb.RecordModelThoughtResponse()),
    (gw.end(INTERCEPTION), pb.RecordInterceptionEndedResponse()),
    (pb.IsAuthorizedRequest(key=ALICE_KEY), IS_ALICE),
    (pb.IsAuthorizedRequest(key_id=KEY_ID), IS_ALICE),
    (
        pb.IsBudgetExceededRequest(user_id=ALICE),
        pb.IsBudgetExceededResponse(exceeded=False, spend_limit_micros=50_000_000),
    ),
    (
        pb.GetMCPServerConfigsRequest(user_id=ALICE),
        pb.GetMCPServerConfigsResponse(
            external_auth_mcp_configs=[
                pb.MCPServerConfig(
                    id="docs", url="https://docs.example.com/mcp", tool_allow_regex="^get_"
                ),
                *(pb.MCPServerConfig(id=each, url="https://held.example.com/mcp") for each in HELD),
            ]
        ),
    ),
    (
        token_request("docs", "nowhere"),
        pb.GetMCPServerAccessTokensBatchResponse(
            access_tokens={"docs": "docs-token"}, errors={"nowhere": "no MCP config found"}
        ),
    ),
    (
        pb.GetAIProvidersRequest(),
        pb.GetAIProvidersResponse(
            providers=[
                pb.AIProvider(
                    name="anthropic",
                    type="anthropic",
                    enabled=True,
                    base_url="https://api.anthropic.com/",
                    keys=served.LARGE_KEYS,
                )
            ]
        ),
    ),
]


@pytest.fixture(scope="module")
def gateway(
    gateway_peer: Path, served_bridge: Bridge, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Run a gateway that keeps one session over all tests of this module."""
    folder = tmp_path_factory.mktemp("gateway")
    with Gateway(gateway_peer, served_bridge.url, key=GATEWAY_KEY, folder=folder) as started:
        started.await_event("connected")
        yield started
        assert [event["event"] for event in started.events] == ["connected"]
        assert started.close() == 0


def total(bridge: Bridge, name: str, **labels: str) -> float:
    """Return the sum of a counter's series with these labels."""
    samples = samples_of(bridge.metrics_page()).items()
    wanted = labels.items()
    return sum(value for (n, found), value in samples if n == name and wanted <= found)


received = partial(total, name="otelbridge_records_received_total")


def prompt_of(size: int) -> bytes:
    """Return a prompt whose message has so many bytes."""
    spare = size - len(gw.prompt(INTERCEPTION, prompt="x" * size).SerializeToString())
    raw = gw.prompt(INTERCEPTION, prompt="x" * (size + spare)).SerializeToString()
    assert len(raw) == size
    return raw


@pytest.mark.parametrize(
    ("request_", "response"), ANSWERS, ids=[type(each).__name__ for each, _ in ANSWERS]
)
def test_an_rpc_is_answered_right(gateway: Gateway, request_: Message, response: Message) -> None:
    answer = gateway.call(request_)

    assert (answer.error, answer.response) != ("", None)
    assert type(response).FromString(answer.response or b"") == response


def test_every_rpc_of_the_contract_is_called_here() -> None:
    unary = {type(request) for request, _ in ANSWERS}

    assert {*unary, pb.WatchAIProvidersRequest} == set(request_classes().values())


def test_records_are_counted_under_the_gateways_name(
    served_bridge: Bridge, gateway: Gateway
) -> None:
    records = [make(gw.fresh_id()) for make in gw.KINDS]
    labels = [
        {"otelbridge_record_kind": kind, "otelbridge_gateway": "eu-1"} for kind in gw.KINDS.values()
    ]
    before = [received(served_bridge, **each) for each in labels]

    assert [gateway.call(record).error for record in records] == [""] * len(records)

    assert [received(served_bridge, **each) for each in labels] == [count + 1 for count in before]


def test_calls_are_told_as_those_of_drpc(served_bridge: Bridge, gateway: Gateway) -> None:
    name, labels = "rpc_server_call_duration_seconds_count", {"rpc_system_name": "drpc"}
    before = total(served_bridge, name, **labels)

    gateway.call(gw.thought(gw.fresh_id()))
    gateway.call(gw.thought(gw.fresh_id()))  # what is counted is told with the next record

    assert total(served_bridge, name, **labels) > before


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (gw.start("x"), 'invalid interception ID "x": not a UUID'),
        (gw.start(gw.fresh_id(), initiator_id="y"), 'invalid initiator ID "y": not a UUID'),
        (gw.start(gw.fresh_id(), api_key_id=""), "empty API key ID"),
        (gw.end("é"), 'invalid interception ID "é": not a UUID'),
        (pb.IsAuthorizedRequest(key="x"), "invalid key"),
        (pb.IsAuthorizedRequest(key=f"nobodysKey-{'x' * 22}"), "unknown key"),
        (
            pb.IsAuthorizedRequest(key=ALICE_KEY, key_id=KEY_ID),
            "both key and key_id set; exactly one required",
        ),
        (pb.IsBudgetExceededRequest(user_id="alice"), 'invalid user_id "alice": not a UUID'),
    ],
)
def test_an_error_has_the_text_that_grpc_clients_get(
    gateway: Gateway, request_: Message, text: str
) -> None:
    answer = gateway.call(request_)

    assert (answer.response, answer.error, answer.code) == (None, text, 0)


def test_another_start_of_the_same_interception_is_refused(gateway: Gateway) -> None:
    interception = gw.fresh_id()
    gateway.call(gw.start(interception, model="first"))

    answer = gateway.call(gw.start(interception, model="second"))

    text = f'interception "{interception}" was already recorded with another start'
    assert (answer.error, answer.code) == (text, 0)


def test_an_unknown_rpc_is_a_protocol_error(gateway: Gateway) -> None:
    answer = gateway.call(b"", "/proto.Recorder/Nothing")

    text = 'protocol error: unknown rpc: "/proto.Recorder/Nothing"'
    assert (answer.error, answer.code) == (text, 0)


def test_bytes_that_are_no_message_are_refused(gateway: Gateway) -> None:
    answer = gateway.call(b"\xff", "/proto.Recorder/RecordInterception")

    text = "Recorder/RecordInterception: 1 bytes are not a RecordInterceptionRequest"
    assert (answer.error, answer.code) == (text, 0)


def test_metadata_change_no_answer(gateway: Gateway) -> None:
    trace = {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "congo=t61rcWkgMzE",
        "baggage": "user=zo%C3%AB",
        "another": "é\n",
    }

    answer = gateway.call(pb.IsAuthorizedRequest(key=ALICE_KEY), metadata=trace)

    assert pb.IsAuthorizedResponse.FromString(answer.response or b"") == IS_ALICE


def test_a_message_one_byte_over_the_limit_fails_that_call_alone(
    gateway: Gateway, held_tokens: HeldTokens
) -> None:
    held_tokens.hold()
    beside = gateway.begin(token_request(HELD[0]))
    held_tokens.await_requests(1)

    largest = gateway.call(prompt_of(MAX_BYTES), "/proto.Recorder/RecordPromptUsage")
    larger = gateway.call(prompt_of(MAX_BYTES + 1), "/proto.Recorder/RecordPromptUsage")
    held_tokens.release()

    assert (largest.error, largest.response) == ("", b"")
    assert (bool(larger.error), larger.response) == (True, None)
    assert gateway.answer(beside).response == served.held_answer(HELD[0])


def test_large_and_small_messages_pass_each_other(gateway: Gateway) -> None:
    large = prompt_of(1024 * 1024)
    rpc = "/proto.Recorder/RecordPromptUsage"

    calls = [gateway.begin(large, rpc) for _ in range(16)]
    calls += [gateway.begin(pb.GetAIProvidersRequest()) for _ in range(16)]
    calls += [gateway.begin(pb.IsBudgetExceededRequest(user_id=ALICE)) for _ in range(200)]

    assert {gateway.answer(call).error for call in calls} == {""}


def test_a_cancelled_call_is_ended_at_the_bridge_too(
    served_bridge: Bridge, gateway: Gateway, held_tokens: HeldTokens
) -> None:
    cancelled = partial(
        total,
        served_bridge,
        "rpc_server_call_duration_seconds_count",
        rpc_method="proto.MCPConfigurator/GetMCPServerAccessTokensBatch",
        rpc_response_status_code="CANCELLED",
    )
    before = cancelled()
    held_tokens.hold()
    call = gateway.begin(token_request(HELD[0]))
    held_tokens.await_requests(1)

    gateway.cancel(call)
    answer = gateway.answer(call)
    eventually(partial(_check_counted, gateway, cancelled, before + 1))
    held_tokens.release()

    assert answer.error == "context canceled"


def _check_counted(gateway: Gateway, count: Callable[[], float], expected: float) -> None:
    gateway.call(gw.thought(gw.fresh_id()))  # what is counted is told with the next record
    assert count() == expected


def test_a_record_whose_caller_has_gone_counts_once_with_its_repeat(
    served_bridge: Bridge, gateway: Gateway
) -> None:
    records = [gw.tokens(gw.fresh_id(), output_tokens=n) for n in range(50)]
    labels = {"otelbridge_record_kind": "tokens"}
    duplicate = partial(total, served_bridge, "otelbridge_records_duplicate_total", **labels)
    before = received(served_bridge, **labels) - duplicate()

    calls = [gateway.begin(record, cancel_after_ms=n % 5) for n, record in enumerate(records)]
    for call in calls:
        gateway.answer(call)
    repeated = [gateway.call(record) for record in records]

    assert {answer.error for answer in repeated} == {""}
    assert received(served_bridge, **labels) - duplicate() == before + 50


def test_a_watch_has_a_message_at_once_and_another_after_a_change(
    served_bridge: Bridge, gateway: Gateway, token_server: HeldTokens
) -> None:
    store = served.store_text(token_server.url)
    call = gateway.begin(b"", WATCH, stream=True)
    assert gateway.await_message(call, 1) == b""

    served_bridge.write_store(store + served.ANOTHER_PROVIDER)
    assert gateway.await_message(call, 2) == b""
    served_bridge.write_store(store)
    assert gateway.await_message(call, 3) == b""
    gateway.cancel(call)

    assert (gateway.answer(call).messages, gateway.answer(call).error) == (3, "context canceled")


@pytest.fixture
def load(
    gateway_peer: Path, served_bridge: Bridge, tmp_path: Path
) -> Iterator[Callable[..., Gateway]]:
    """Return what starts a gateway that makes 4,000 calls at once."""
    started: list[Gateway] = []

    def start(*requests: Message) -> Gateway:
        arguments = ("-load", "4000", "-concurrency", "4000")
        gateway = Gateway(
            gateway_peer, served_bridge.url, *arguments, key=GATEWAY_KEY, folder=tmp_path
        )
        started.append(gateway)
        gateway.write(*map(line_of, requests))
        gateway.end_input()
        return gateway

    yield start
    for each in started:
        each.kill()


def test_four_thousand_records_at_once_are_all_kept(
    served_bridge: Bridge, load: Callable[..., Gateway]
) -> None:
    labels = {"otelbridge_record_kind": "tokens"}
    before = received(served_bridge, **labels)

    done = load(*(gw.tokens(gw.fresh_id()) for _ in range(4000))).await_event("load")

    assert (done["calls"], done["errors"]) == (4000, {})
    assert received(served_bridge, **labels) == before + 4000


def test_four_thousand_calls_that_wait_at_once_are_all_answered(
    load: Callable[..., Gateway], held_tokens: HeldTokens
) -> None:
    held_tokens.hold()
    gateway = load(token_request(HELD[1]))
    gateway.await_event("opened")

    held_tokens.release()
    done = gateway.await_event("load")

    assert (done["calls"], done["errors"], done["answers_seen"]) == (4000, {}, 1)
    assert len(gateway.named("connected")) == 1
