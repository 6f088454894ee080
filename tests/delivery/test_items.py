from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from otelbridge.delivery.items import items_of
from otelbridge.delivery.outcomes import Ok, Refused, TooLarge
from otelbridge.delivery.sifting import Sifting
from otelbridge.domain.ports import OutboxRow
from tests.delivery.fakes import log_record, span

BAD = Refused(reason="http_400", message="bad")
names = st.text(max_size=300)


@given(texts=st.lists(names, max_size=6))
def test_a_body_is_its_items_joined(texts: list[str]) -> None:
    body = ScopeSpans(spans=[Span(name=text) for text in texts]).SerializeToString()

    items = items_of(body)

    assert b"".join(items) == body
    assert [ScopeSpans.FromString(item).spans[0].name for item in items] == texts


def test_log_records_are_cut_as_spans_are() -> None:
    assert items_of(log_record("a") + log_record("b")) == [log_record("a"), log_record("b")]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"\x0a\x01x", "byte 0 of 3 begins no span or log record"),
        (b"\x12\x05abc", "an item ends at byte 7 of 5"),
        (b"\x12\xff", "a length is cut off at byte 2"),
    ],
)
def test_what_is_no_body_of_items_is_an_error(body: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        items_of(body)


@given(st.binary(max_size=40))
def test_any_bytes_are_items_or_an_error(body: bytes) -> None:
    with suppress(ValueError):
        assert b"".join(items_of(body)) == body


def sift(row: OutboxRow, bad: set[bytes]) -> tuple[Sifting, list[bytes], int]:
    """Sift a row at a destination that refuses these items; return what it took, and requests."""
    sifting, requests = Sifting(row, BAD), 0
    taken: list[bytes] = []
    while bodies := sifting.next():
        requests += 1
        if bad.intersection(bodies):
            sifting.answered(BAD)
        else:
            taken += bodies
            sifting.answered(Ok())
    return sifting, taken, requests


@given(count=st.integers(1, 20), data=st.data())
def test_what_is_refused_is_found_and_the_rest_taken_in_order_each_once(
    count: int, data: st.DataObject
) -> None:
    items = [span(f"s{number}") for number in range(count)]
    bad = {item for item in items if data.draw(st.booleans())} or {items[0]}

    sifting, taken, requests = sift(OutboxRow(1, count, b"".join(items)), bad)

    refused = [item for _, bodies in sifting.refused for item in bodies]
    assert taken == [item for item in items if item not in bad]
    assert refused == [item for item in items if item in bad]
    assert sum(number for number, _ in sifting.taken) == len(taken)
    assert requests <= 2 * count


def test_a_row_that_cannot_be_cut_is_refused_as_a_whole() -> None:
    sifting = Sifting(OutboxRow(1, 2, b"nonsense"), BAD)

    assert sifting.next() == []
    assert sifting.refused == [(BAD, [b"nonsense"])]


def test_items_that_are_refused_for_another_reason_are_kept_apart() -> None:
    large = TooLarge(reason="http_413")
    sifting = Sifting(OutboxRow(1, 3, span("a") + span("b") + span("c")), BAD)

    for answer in (BAD, BAD, large, BAD):  # a, b and c, b, c
        sifting.next()
        sifting.answered(answer)

    assert sifting.next() == []
    assert sifting.refused == [(BAD, [span("a"), span("c")]), (large, [span("b")])]
