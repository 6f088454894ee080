"""Requests become records."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.json_format import Parse
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.domain.records import Identity, RecordKind
from otelbridge.errors import InvalidRequestError
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.servicers.messages import (
    Receipt,
    identity_of,
    parse_record,
    parse_uuid,
    record_of,
)
from otelbridge.servicers.methods import request_classes
from tests.faults import fault
from tests.records import ALICE, T0, S, uuid

CAPTURES = sorted((Path(__file__).parents[1] / "captures").glob("*.jsonl"))
RECEIPT = Receipt(T0, Identity(bytes(16)))
ID = str(uuid(1))
NIL = str(UUID(int=0))


def packed(value: Any) -> AnyMessage:
    message = AnyMessage()
    message.Pack(Parse(json.dumps(value), Value()))
    return message


def start(**fields: Any) -> pb.RecordInterceptionRequest:
    values = {"id": ID, "initiator_id": str(ALICE), "api_key_id": "k", **fields}
    return pb.RecordInterceptionRequest(**values)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"id": "x"}, 'invalid interception ID "x": not a UUID'),
        ({"id": ""}, 'invalid interception ID "": not a UUID'),
        (
            {"id": str(uuid(1)).replace("a", "g", 1)},
            'invalid interception ID "g0000000-0000-0000-0000-000000000001": not a UUID',
        ),
        (
            {"id": NIL},
            f'invalid interception ID "{NIL}": the nil UUID is not allowed',
        ),
        ({"initiator_id": "a\x1b"}, 'invalid initiator ID "a\\x1b": not a UUID'),
        ({"id": "y" * 99}, f'invalid interception ID "{"y" * 64}": not a UUID'),
        ({"api_key_id": ""}, "empty API key ID"),
    ],
)
def test_a_start_that_breaks_the_contract_is_refused_with_its_field_and_value(
    fields: dict[str, str], text: str
) -> None:
    with pytest.raises(InvalidRequestError) as error:
        record_of(RecordKind.START, start(**fields), RECEIPT)

    assert str(error.value) == text


@given(number=st.uuids().filter(lambda value: value.int != 0))
def test_every_form_of_a_uuid_that_a_gateway_accepts_is_accepted(number: Any) -> None:
    forms = (str(number), str(number).upper(), number.hex, number.urn, f"{{{number}}}")

    assert {parse_uuid(form) for form in forms} == {number}


@pytest.mark.parametrize(
    "text", ["1-" * 16 + "1" * 16, "urn:uuid:" + "1" * 32, f" {ID}", f"{ID}\n"]
)
def test_what_only_resembles_a_uuid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a UUID"):
        parse_uuid(text)


@fault(26)
@pytest.mark.parametrize(
    ("seconds", "nanos", "kept"),
    [
        (T0 // S, 5, True),
        (1_577_836_800, 0, True),
        (1_577_836_799, 999_999_999, False),
        (0, 0, False),
        (T0 // S + 3600, 0, True),
        (T0 // S + 3600, 1, False),
        (253_402_300_799, 0, False),
        (T0 // S, -1, False),
        (T0 // S, 1_000_000_000, False),
        (-(2**63), 0, False),
    ],
)
def test_an_absurd_time_is_replaced_by_the_receipts_and_flagged(
    seconds: int, nanos: int, kept: bool
) -> None:
    request = start(started_at=Timestamp(seconds=seconds, nanos=nanos))

    record = record_of(RecordKind.START, request, RECEIPT)

    assert record.synthetic_time is not kept
    assert record.at_ns == (seconds * S + nanos if kept else T0)


def test_a_missing_time_is_the_receipts() -> None:
    record = record_of(RecordKind.START, start(), RECEIPT)

    assert (record.at_ns, record.synthetic_time) == (T0, True)


@fault(30)
def test_metadata_keeps_what_json_can_hold_and_the_bytes_of_everything_else() -> None:
    nested = {"a": [1, True, None, "x"], "b": {"c": 1.5}}
    other = AnyMessage(type_url="example.com/Unknown", value=b"\x00\xff")
    broken = AnyMessage(type_url="type.googleapis.com/google.protobuf.Value", value=b"\xff")
    request = start(metadata={"n": packed(nested), "o": other, "e": AnyMessage(), "b": broken})

    metadata = record_of(RecordKind.START, request, RECEIPT).metadata

    assert metadata == {
        "n": nested,
        "o": {"type_url": "example.com/Unknown", "value": base64.b64encode(b"\x00\xff").decode()},
        "e": {"type_url": "", "value": ""},
        "b": {"type_url": broken.type_url, "value": "/w=="},
    }


def test_identity_does_not_depend_on_the_order_of_any_map() -> None:
    ab, ba = {"x": {"a": 1, "b": [{"c": 1, "d": 2}]}}, {"x": {"b": [{"d": 2, "c": 1}], "a": 1}}
    one = start(metadata={"k": packed(ab), "l": packed(1)})
    two = start(metadata={"l": packed(1), "k": packed(ba)})

    assert identity_of(RecordKind.START, one) == identity_of(RecordKind.START, two)


def test_identity_depends_on_kind_fields_metadata_and_unknown_fields() -> None:
    unknown = pb.RecordInterceptionRequest.FromString(start().SerializeToString() + b"\xa0\x06\x01")
    requests = [start(), start(model="m"), start(metadata={"k": packed(1)}), unknown]

    identities = {identity_of(RecordKind.START, request) for request in requests}
    identities.add(identity_of(RecordKind.END, start()))

    assert len(identities) == 5


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.stem)
def test_every_captured_record_is_read_and_read_again_from_the_journals_bytes(
    capture: Path,
) -> None:
    kinds = {
        "Recorder/RecordInterception": RecordKind.START,
        "Recorder/RecordInterceptionEnded": RecordKind.END,
        "Recorder/RecordTokenUsage": RecordKind.TOKENS,
        "Recorder/RecordPromptUsage": RecordKind.PROMPT,
        "Recorder/RecordToolUsage": RecordKind.TOOL,
        "Recorder/RecordModelThought": RecordKind.THOUGHT,
    }
    calls = [json.loads(line) for line in capture.read_text().splitlines()]

    for call in calls:
        if kind := kinds.get(call["rpc"]):
            request = Parse(json.dumps(call["request"]), request_classes()[call["rpc"]]())
            raw = request.SerializeToString()
            receipt = Receipt(T0 + 10**6 * S, identity_of(kind, request))
            record = record_of(kind, request, receipt)
            assert not record.synthetic_time
            assert parse_record(kind, raw, receipt) == record
