"""A stock gateway's calls beside each other: the largest, cancelled, streaming, and very many."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from otelbridge.proto import aibridged_pb2 as pb
from tests.e2e import gateways as gw
from tests.interop import served
from tests.interop.gateway import WATCH, Gateway, line_of
from tests.interop.programs import eventually
from tests.interop.served import HELD, RECEIVED, check_more, token_request, total
from tests.store.files import ALICE, GATEWAY_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from google.protobuf.message import Message

    from tests.interop.bridge import Bridge
    from tests.interop.served import HeldTokens

    Load = Callable[..., Gateway]

pytestmark = pytest.mark.interop

MAX_BYTES = 4 * 1024 * 1024
PROMPT = "/proto.Recorder/RecordPromptUsage"
DUPLICATE = "otelbridge_records_duplicate_total"


def prompt_of(size: int) -> bytes:
    """Return a prompt whose message has so many bytes."""
    # One message: the length of another one's time may differ.
    message = gw.prompt(gw.fresh_id(), prompt="x" * size)
    message.prompt = "x" * (2 * size - len(message.SerializeToString()))
    raw = message.SerializeToString()
    assert len(raw) == size
    return raw


def test_a_message_one_byte_over_the_limit_fails_that_call_alone(
    gateway: Gateway, held_tokens: HeldTokens
) -> None:
    held_tokens.hold()
    beside = gateway.begin(token_request(HELD[2]))
    held_tokens.await_requests(1)

    largest = gateway.call(prompt_of(MAX_BYTES), "/proto.Recorder/RecordPromptUsage")
    larger = gateway.call(prompt_of(MAX_BYTES + 1), "/proto.Recorder/RecordPromptUsage")
    held_tokens.release()

    assert (largest.error, largest.response) == ("", b"")
    assert (bool(larger.error), larger.response) == (True, None)
    assert gateway.answer(beside).response == served.held_answer(HELD[2])


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
    call = gateway.begin(token_request(HELD[3]))
    held_tokens.await_requests(1)

    gateway.cancel(call)
    answer = gateway.answer(call)
    eventually(lambda: check_more(cancelled, before))
    held_tokens.release()

    assert answer.error == "context canceled"


def test_a_record_whose_caller_has_gone_counts_once_with_its_repeat(
    served_bridge: Bridge, gateway: Gateway
) -> None:
    records = [gw.tokens(gw.fresh_id(), output_tokens=n) for n in range(50)]
    labels = {"otelbridge_record_kind": "tokens"}
    duplicate = partial(total, served_bridge, DUPLICATE, **labels)
    before = total(served_bridge, RECEIVED, **labels) - duplicate()

    calls = [gateway.begin(record, cancel_after_ms=n % 5) for n, record in enumerate(records)]
    for call in calls:
        gateway.answer(call)
    repeated = [gateway.call(record) for record in records]

    assert {answer.error for answer in repeated} == {""}
    assert total(served_bridge, RECEIVED, **labels) - duplicate() == before + 50


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
    before = total(served_bridge, RECEIVED, **labels)

    done = load(*(gw.tokens(gw.fresh_id()) for _ in range(4000))).await_event("load")

    assert (done["calls"], done["errors"]) == (4000, {})
    assert total(served_bridge, RECEIVED, **labels) == before + 4000


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
