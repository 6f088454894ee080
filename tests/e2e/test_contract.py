"""The contract's Recorder rows, "What we answer", over the port of a whole bridge."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import pytest_asyncio
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.struct_pb2 import Struct, Value

from tests.collector import Collector
from tests.e2e import gateways as gw
from tests.e2e.bridges import running
from tests.faults import fault
from tests.interop.otlp import attributes
from tests.records import ALICE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from google.protobuf.message import Message
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from tests.e2e.bridges import Bridge

pytestmark = pytest.mark.asyncio(loop_scope="module")

NIL = str(UUID(int=0))
SUB_RECORDS = [gw.tokens, gw.prompt, gw.tool, gw.thought]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bridge(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bridge]:
    """Run a bridge for all tests of this module; each uses ids and models of its own."""
    directory = tmp_path_factory.mktemp("bridge")
    settings = {"assembly": {"grace_s": 0.02}}  # what ends an interception is sent last
    async with Collector() as collector, running(directory, collector, settings) as started:
        yield started


async def finished(bridge: Bridge, interception: str, *records: Message) -> Span:
    """Send an interception with these records and its end; return its chat span."""
    await gw.send(bridge, gw.start(interception), *records, gw.end(interception))
    return await gw.told(bridge, interception)


async def counted(bridge: Bridge, kind: str) -> tuple[float, float]:
    """Return how many records of a kind were received, and how many of them were repeats."""
    names = ("otelbridge_records_received_total", "otelbridge_records_duplicate_total")
    first, second = [await bridge.total(name, otelbridge_record_kind=kind) for name in names]
    return first, second


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"id": "x"}, 'invalid interception ID "x": '),
        ({"id": ""}, 'invalid interception ID "": '),
        ({"id": NIL}, f'invalid interception ID "{NIL}": '),
        ({"id": "x", "initiator_id": "y", "api_key_id": ""}, 'invalid interception ID "x": '),
        ({"initiator_id": "alice"}, 'invalid initiator ID "alice": '),
        ({"initiator_id": "", "api_key_id": ""}, 'invalid initiator ID "": '),
        ({"api_key_id": ""}, "empty API key ID"),
    ],
)
async def test_a_start_that_breaks_the_contract_is_refused_with_the_field_and_its_value(
    bridge: Bridge, fields: dict[str, str], text: str
) -> None:
    code, details = await gw.refusal(bridge, gw.start(gw.fresh_id(), **fields))

    assert (code, details[: len(text)]) == ("INVALID_ARGUMENT", text)
    assert (details == text) == text.startswith("empty")


@fault(29)
async def test_a_value_is_echoed_escaped_and_cut_to_64_characters(bridge: Bridge) -> None:
    _, details = await gw.refusal(bridge, gw.start("\x1b[31m\n" + "x" * 100))

    echoed = details.removeprefix('invalid interception ID "').partition('": ')[0]
    assert echoed == r"\x1b[31m\x0a".ljust(64, "x")


async def test_a_refused_start_is_counted_as_rejected_and_not_as_received(bridge: Bridge) -> None:
    labels = {"otelbridge_record_kind": "start", "otelbridge_reason": "invalid"}
    before = await bridge.total("otelbridge_records_rejected_total", **labels)
    received = await counted(bridge, "start")

    await gw.refusal(bridge, gw.start("x"))

    assert await bridge.total("otelbridge_records_rejected_total", **labels) == before + 1
    assert await counted(bridge, "start") == received


@fault(26)
async def test_a_start_without_a_time_gets_that_of_its_receipt_and_is_flagged(
    bridge: Bridge,
) -> None:
    interception, before_ns = gw.fresh_id(), time.time_ns()

    await gw.send(bridge, gw.start(interception, started_at=None), gw.end(interception))
    span = await gw.told(bridge, interception)

    assert before_ns <= span.start_time_unix_nano <= time.time_ns()
    assert attributes(span.attributes)["aibridge.timestamp.synthetic"] is True


@fault(21)
@pytest.mark.parametrize("started_at", [gw.now(), None], ids=["a time", "no time"])
async def test_the_same_start_again_is_accepted_and_counted_once(
    bridge: Bridge, started_at: object
) -> None:
    interception, model = gw.fresh_id(), gw.fresh_id()
    request = gw.start(interception, model=model, started_at=started_at)
    received, repeats = await counted(bridge, "start")

    await gw.send(bridge, request, request, gw.end(interception))
    await gw.told(bridge, interception)
    await gw.send(bridge, request)  # and once more after it was told

    assert await counted(bridge, "start") == (received + 3, repeats + 2)
    assert await bridge.total("aibridge_interceptions_total", gen_ai_request_model=model) == 1


@pytest.mark.parametrize("is_told", [False, True], ids=["open", "told"])
async def test_a_different_start_of_the_same_interception_already_exists(
    bridge: Bridge, is_told: bool
) -> None:
    interception = gw.fresh_id()
    await gw.send(bridge, gw.start(interception))
    if is_told:
        await gw.send(bridge, gw.end(interception))
        await gw.told(bridge, interception)

    code, details = await gw.refusal(bridge, gw.start(interception, model="another"))

    assert code == "ALREADY_EXISTS"
    assert details == f'interception "{interception}" was already recorded with another start'


async def test_a_refused_second_start_changes_nothing(bridge: Bridge) -> None:
    interception = gw.fresh_id()
    await gw.send(bridge, gw.start(interception, model="first"))

    await gw.refusal(bridge, gw.start(interception, model="second"))
    await gw.send(bridge, gw.end(interception))

    assert (await gw.told(bridge, interception)).name == "chat first"


async def test_an_end_without_a_uuid_is_refused(bridge: Bridge) -> None:
    code, details = await gw.refusal(bridge, gw.end("x"))

    assert code == "INVALID_ARGUMENT"
    assert details.startswith('invalid interception ID "x": ')


async def test_the_same_end_again_is_accepted_and_no_conflict(bridge: Bridge) -> None:
    interception = gw.fresh_id()
    began, request = gw.start(interception), gw.end(interception, ended_at=gw.now(1))

    await gw.send(bridge, request, request, began)
    span = await gw.told(bridge, interception)

    assert span.end_time_unix_nano == request.ended_at.ToNanoseconds()
    assert "aibridge.end.conflict" not in attributes(span.attributes)


@pytest.mark.parametrize("is_earliest_first", [True, False])
async def test_of_differing_ends_the_earliest_wins_and_the_conflict_is_flagged(
    bridge: Bridge, is_earliest_first: bool
) -> None:
    interception = gw.fresh_id()
    began = gw.start(interception)
    early = gw.end(interception, ended_at=gw.now(1), error_type="timeout")
    late = gw.end(interception, ended_at=gw.now(2))

    await gw.send(bridge, *((early, late) if is_earliest_first else (late, early)), began)
    span = await gw.told(bridge, interception)

    assert span.end_time_unix_nano == early.ended_at.ToNanoseconds()
    told = attributes(span.attributes)
    assert (told["aibridge.end.conflict"], told["error.type"]) == (True, "timeout")


async def test_an_end_before_its_start_is_kept_and_flagged(bridge: Bridge) -> None:
    interception = gw.fresh_id()
    began = gw.start(interception)

    await gw.send(bridge, began, gw.end(interception, ended_at=gw.now(-60)))
    span = await gw.told(bridge, interception)

    assert span.start_time_unix_nano == began.started_at.ToNanoseconds()
    assert span.end_time_unix_nano == span.start_time_unix_nano
    assert attributes(span.attributes)["aibridge.timestamp.clamped"] is True


@pytest.mark.parametrize("record", SUB_RECORDS)
@pytest.mark.parametrize("interception", ["x", "", NIL])
async def test_a_record_without_the_uuid_of_an_interception_is_refused(
    bridge: Bridge, record: Callable[[str], Message], interception: str
) -> None:
    code, details = await gw.refusal(bridge, record(interception))

    assert code == "INVALID_ARGUMENT"
    assert details.startswith(f'invalid interception ID "{interception}": ')


async def test_records_and_the_end_may_come_before_the_start(bridge: Bridge) -> None:
    interception = gw.fresh_id()
    began = gw.start(interception)
    used = gw.tokens(interception, input_tokens=3, output_tokens=4)

    await gw.send(bridge, gw.end(interception), used, gw.prompt(interception), began)
    span = await gw.told(bridge, interception)

    told = attributes(span.attributes)
    assert "aibridge.interception.orphan" not in told
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (3, 4)
    assert [event.name for event in span.events] == ["aibridge.prompt"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def impatient(
    bridge: Bridge, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Bridge]:
    """Run a bridge that waits 0.3 s for a start."""
    settings = {"assembly": {"grace_s": 0.02, "max_age_s": 0.3}}
    directory = tmp_path_factory.mktemp("impatient")
    async with running(directory, bridge.collector, settings) as started:
        yield started


@fault(23)
async def test_records_whose_start_never_comes_are_told_as_an_orphan(impatient: Bridge) -> None:
    interception = gw.fresh_id()
    records = [record(interception) for record in (*SUB_RECORDS, gw.end)]

    await asyncio.gather(*(gw.send(impatient, record) for record in records))
    span = await gw.told(impatient, interception)

    told = attributes(span.attributes)
    assert (span.name, told["gen_ai.provider.name"]) == ("chat", "unknown")
    assert told["aibridge.interception.orphan"] is True
    assert len(span.events) == 3
    assert "gen_ai.usage.input_tokens" in told


@fault(23)
@pytest.mark.parametrize("record", [*SUB_RECORDS, gw.end])
async def test_an_orphan_is_counted_by_its_kind(
    impatient: Bridge, record: Callable[[str], Message]
) -> None:
    interception, name = gw.fresh_id(), "otelbridge_records_orphan_total"
    before = await impatient.total(name, otelbridge_record_kind=gw.KINDS[record])

    await gw.send(impatient, record(interception))
    await gw.told(impatient, interception)

    assert await impatient.total(name, otelbridge_record_kind=gw.KINDS[record]) == before + 1


@pytest.mark.parametrize(
    ("counts", "told_tokens"),
    [
        ({"input_tokens": -50, "cache_read_input_tokens": 120}, (70, 0)),
        ({"input_tokens": -50, "cache_write_input_tokens": 50, "output_tokens": 9}, (0, 9)),
        ({"input_tokens": -50, "output_tokens": 9}, (0, 9)),
        ({"input_tokens": 8, "output_tokens": -9}, (8, 0)),
    ],
)
async def test_negative_counts_are_added_with_their_sign_and_never_booked_below_zero(
    bridge: Bridge, counts: dict[str, int], told_tokens: tuple[int, int]
) -> None:
    interception, model = gw.fresh_id(), gw.fresh_id()
    records = gw.start(interception, model=model), gw.tokens(interception, **counts)

    await gw.send(bridge, *records, gw.end(interception))
    told = attributes((await gw.told(bridge, interception)).attributes)

    used = (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"])
    assert used == told_tokens
    assert told["aibridge.usage.inconsistent"] is True
    names = [f"gen_ai_client_inference_usage_{side}_tokens_total" for side in ("input", "output")]
    names.append("aibridge_usage_inconsistent_total")
    booked = [await bridge.total(name, gen_ai_request_model=model) for name in names]
    assert booked == [*told_tokens, 1]


async def test_a_negative_record_takes_nothing_from_another_one(bridge: Bridge) -> None:
    interception = gw.fresh_id()
    records = [gw.tokens(interception, input_tokens=count) for count in (-50, 100)]

    span = await finished(bridge, interception, *records)

    assert attributes(span.attributes)["gen_ai.usage.input_tokens"] == 100


def nested(*keys: str) -> bytes:
    """Return a Value of a map, its keys on the wire in this order."""
    fields = b"".join(
        Struct(fields={key: Value(bool_value=True)}).SerializeToString() for key in keys
    )
    return b"\x2a" + bytes([len(fields)]) + fields


def in_order(record: Any, *keys: str) -> bytes:
    """Return a record's bytes with these metadata keys, and a map in each, in this order."""
    raw: bytes = record.SerializeToString()
    for key in keys:
        entry = type(record)()
        entry.metadata[key].CopyFrom(gw.packed({}))
        entry.metadata[key].value = nested(*keys)
        raw += entry.SerializeToString()
    return raw


@pytest.mark.parametrize("record", [gw.start, *SUB_RECORDS])
async def test_the_same_record_with_its_maps_in_another_order_is_counted_once(
    bridge: Bridge, record: Callable[..., Message]
) -> None:
    request = record(gw.fresh_id())
    first, second = (in_order(request, *keys) for keys in ("abcdefghijkl", "lkjihgfedcba"))
    received, repeats = await counted(bridge, gw.KINDS[record])

    await bridge.call(gw.method_of(request), first)
    await bridge.call(gw.method_of(request), second)

    assert first != second
    assert await counted(bridge, gw.KINDS[record]) == (received + 2, repeats + 1)


@pytest.mark.parametrize("record", SUB_RECORDS)
async def test_the_same_record_again_is_told_once(
    bridge: Bridge, record: Callable[[str], Message]
) -> None:
    interception = gw.fresh_id()
    request = record(interception)

    span = await finished(bridge, interception, request, request)

    is_event = record is not gw.tokens
    assert len(span.events) == is_event
    assert ("gen_ai.usage.input_tokens" in attributes(span.attributes)) != is_event


@pytest.mark.parametrize(
    "difference",
    [
        {"created_at": gw.now(1)},
        {"output_tokens": 5},
        {"cache_read_input_tokens": 1},
        {"metadata": gw.metadata(service_tier="batch")},
        {"metadata": {"other": Packed(type_url="x/y", value=b"z")}},
    ],
    ids=lambda fields: next(iter(fields)),
)
async def test_two_token_records_of_a_message_that_differ_in_anything_are_both_real(
    bridge: Bridge, difference: dict[str, object]
) -> None:
    interception, stamp = gw.fresh_id(), gw.now()
    fields = {"created_at": stamp, "input_tokens": 40, "output_tokens": 4}
    records = [gw.tokens(interception, **{**fields, **more}) for more in ({}, difference)]

    span = await finished(bridge, interception, *records)

    told = attributes(span.attributes)
    cached = int(records[1].cache_read_input_tokens)
    assert told["gen_ai.usage.input_tokens"] == 80 + cached
    assert told["gen_ai.usage.output_tokens"] == sum(each.output_tokens for each in records)


async def test_a_field_that_only_a_newer_gateway_knows_tells_two_token_records_apart(
    bridge: Bridge,
) -> None:
    interception = gw.fresh_id()
    raw = gw.tokens(interception, input_tokens=40).SerializeToString()
    await gw.send(bridge, gw.start(interception))

    for unknown in (b"", b"\xa0\x06\x01", b"\xa0\x06\x02", b"\xa0\x06\x02"):  # field 100
        await bridge.call("Recorder/RecordTokenUsage", raw + unknown)
    await gw.send(bridge, gw.end(interception))

    span = await gw.told(bridge, interception)
    assert attributes(span.attributes)["gen_ai.usage.input_tokens"] == 120


async def test_who_started_it_is_told_as_the_contract_names_it(bridge: Bridge) -> None:
    interception = gw.fresh_id()
    began = gw.start(interception, metadata=gw.metadata(Username="alice"))

    await gw.send(bridge, began, gw.end(interception))

    told = attributes((await gw.told(bridge, interception)).attributes)
    assert (told["user.id"], told["user.name"]) == (str(ALICE), "alice")
    assert told["aibridge.provider.name"] == "anthropic"
