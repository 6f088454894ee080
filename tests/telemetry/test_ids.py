"""Ids: derived as documented, so that anyone can find a span from its record."""

from __future__ import annotations

from hashlib import blake2b
from uuid import UUID

from otelbridge.telemetry import ids
from tests.telemetry.records import INTERCEPTION, identity

RECORD = identity("some tool record")


def test_a_chat_span_id_is_a_hash_of_the_interceptions_id() -> None:
    expected = blake2b(INTERCEPTION.bytes + b"chat", digest_size=8).digest()

    assert ids.chat_span_id(INTERCEPTION) == expected


def test_a_tool_span_id_is_a_hash_of_the_interceptions_id_and_the_record() -> None:
    expected = blake2b(INTERCEPTION.bytes + b"tool" + RECORD, digest_size=8).digest()

    assert ids.tool_span_id(INTERCEPTION, RECORD) == expected


def test_a_clients_tool_span_id_is_a_hash_of_the_parents_id_and_the_record() -> None:
    expected = blake2b(INTERCEPTION.bytes + b"client_tool" + RECORD, digest_size=8).digest()

    assert ids.client_tool_span_id(INTERCEPTION, RECORD) == expected


def test_no_two_spans_of_a_trace_share_an_id() -> None:
    other = UUID(int=7)

    found = {
        function(interception, record)
        for function in (ids.tool_span_id, ids.client_tool_span_id)
        for interception in (INTERCEPTION, other)
        for record in (RECORD, identity("another"))
    }

    assert len(found | {ids.chat_span_id(INTERCEPTION), ids.chat_span_id(other)}) == 10
