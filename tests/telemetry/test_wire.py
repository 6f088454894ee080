"""The wire: bytes that OpenTelemetry's own messages read, and would write the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs, SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, Status

from otelbridge.telemetry import wire
from otelbridge.telemetry.wire import SpanKind, SpanPlace
from tests.telemetry.told import attributes

PLACE = SpanPlace(b"t" * 16, b"s" * 8, b"p" * 8)
keys = st.text(min_size=1)
values = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(),
    st.text(min_size=120, max_size=300),
    st.lists(st.text(), min_size=1),
)


def encoded(key: str, value: object) -> bytes:
    """Return an attribute of the value's type."""
    if isinstance(value, bool):
        return wire.boolean(key, value)
    if isinstance(value, int):
        return wire.integer(key, value)
    if isinstance(value, float):
        return wire.double(key, value)
    if isinstance(value, list):
        return wire.texts(key, value)
    return wire.text(key, str(value))


def decoded(data: bytes) -> Span:
    """Return the one span of a scope, after seeing that the library writes the same bytes."""
    body = wire.joined(wire.SCOPE_ITEMS, [data])
    scope = ScopeSpans.FromString(body)
    assert scope.SerializeToString() == body
    (span,) = scope.spans
    return span


@given(told=st.dictionaries(keys, values, max_size=5))
def test_attributes_read_back_as_they_were_told(told: dict[str, object]) -> None:
    pairs = [encoded(key, value) for key, value in told.items()]

    span = decoded(wire.span(PLACE, "n", kind=SpanKind.CLIENT, times_ns=(1, 2), attributes=pairs))

    assert attributes(span.attributes) == told


@given(number=st.integers(0, 2**64 - 1))
def test_a_varint_is_read_by_the_library(number: int) -> None:
    span = Span.FromString(b"\x60" + wire.varint(number))

    assert span.dropped_events_count == number & 0xFFFFFFFF


def test_a_span_has_all_its_fields() -> None:
    data = wire.span(
        PLACE,
        "chat ü",
        kind=SpanKind.CLIENT,
        times_ns=(2**63, 2**63 + 1),
        attributes=[wire.text("a", "b")],
        events=[wire.event("e", 7, [wire.integer("n", -1)])],
        dropped_events=300,
        links=[wire.link(b"T" * 16, b"S" * 8)],
        status=wire.error_status("why"),
    )

    span = decoded(data)

    assert (span.trace_id, span.span_id, span.parent_span_id) == PLACE
    assert (span.name, span.kind, span.flags) == ("chat ü", Span.SPAN_KIND_CLIENT, 0x101)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (2**63, 2**63 + 1)
    assert (span.events[0].name, span.events[0].time_unix_nano) == ("e", 7)
    assert attributes(span.events[0].attributes) == {"n": -1}
    (link,) = span.links
    assert (link.trace_id, link.span_id, link.flags) == (b"T" * 16, b"S" * 8, 0x101)
    assert (span.status.code, span.status.message) == (Status.STATUS_CODE_ERROR, "why")
    assert span.dropped_events_count == 300


def test_an_empty_span_has_no_parent_and_no_status() -> None:
    place = SpanPlace(b"t" * 16, b"s" * 8)

    span = decoded(wire.span(place, "n", kind=SpanKind.INTERNAL, times_ns=(1, 1), attributes=[]))

    assert span.parent_span_id == b""
    assert not span.HasField("status")
    assert (len(span.attributes), len(span.events), len(span.links)) == (0, 0, 0)


def test_a_log_record_is_an_event_of_its_span() -> None:
    data = wire.log_record(PLACE, "aibridge.prompt", 7, attributes=[wire.boolean("b", True)])
    body = wire.joined(wire.SCOPE_ITEMS, [data])

    scope = ScopeLogs.FromString(body)

    assert scope.SerializeToString() == body
    assert scope.log_records[0] == LogRecord(
        time_unix_nano=7,
        severity_number=SeverityNumber.SEVERITY_NUMBER_INFO,
        severity_text="INFO",
        attributes=[KeyValue.FromString(wire.boolean("b", True)[1:])],
        flags=1,
        trace_id=PLACE.trace_id,
        span_id=PLACE.span_id,
        event_name="aibridge.prompt",
    )


def test_bodies_may_be_concatenated() -> None:
    spans = [
        wire.span(PLACE, name, kind=SpanKind.CLIENT, times_ns=(1, 2), attributes=[])
        for name in ("a", "b", "c")
    ]
    first, second = (wire.joined(wire.SCOPE_ITEMS, part) for part in (spans[:1], spans[1:]))

    scope = ScopeSpans.FromString(first + second)

    assert [span.name for span in scope.spans] == ["a", "b", "c"]


def test_text_that_is_no_unicode_is_still_a_string() -> None:
    pair = KeyValue.FromString(wire.text("k", "a\ud800b")[1:])

    assert pair.value.string_value == "a?b"
