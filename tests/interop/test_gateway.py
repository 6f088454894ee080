"""A stock gateway's own client libraries and a bridge: every RPC, and what errors say."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.servicers.methods import request_classes
from tests.e2e import gateways as gw
from tests.interop.programs import eventually
from tests.interop.served import (
    ALICE_KEY,
    HELD,
    KEY_ID,
    LARGE_KEYS,
    RECEIVED,
    check_more,
    token_request,
    total,
)
from tests.store.files import ALICE

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from tests.interop.bridge import Bridge
    from tests.interop.gateway import Gateway

pytestmark = pytest.mark.interop

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
                    keys=LARGE_KEYS,
                )
            ]
        ),
    ),
]


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
    before = _received(served_bridge)

    assert {gateway.call(record).error for record in records} == {""}

    assert _received(served_bridge) == {kind: count + 1 for kind, count in before.items()}


def _received(bridge: Bridge) -> dict[str, float]:
    return {
        kind: total(bridge, RECEIVED, otelbridge_record_kind=kind, otelbridge_gateway="eu-1")
        for kind in gw.KINDS.values()
    }


def test_calls_are_told_as_those_of_drpc(served_bridge: Bridge, gateway: Gateway) -> None:
    labels = {
        "rpc_system_name": "drpc",
        "rpc_method": "proto.Authorizer/IsAuthorized",
        "rpc_response_status_code": "UNAUTHENTICATED",
    }
    calls = partial(total, served_bridge, "rpc_server_call_duration_seconds_count", **labels)
    before = calls()

    gateway.call(pb.IsAuthorizedRequest(key="x"))

    eventually(lambda: check_more(calls, before))


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
