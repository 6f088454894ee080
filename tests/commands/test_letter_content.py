from __future__ import annotations

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from otelbridge.commands.letter_content import as_lines, as_object
from otelbridge.domain.ports import Signal
from otelbridge.journal.dead_letters import DeadLetter
from otelbridge.recording.dead_letters import Shown

AT_NS = 1_700_000_000 * 10**9  # Tue, 14 Nov 2023 22:13:20 GMT
TRACE, SPAN = bytes(range(16)), bytes(range(8))


def text(value: str) -> AnyValue:
    return AnyValue(string_value=value)


def shown(signal: Signal, body: bytes) -> Shown:
    letter = DeadLetter(7, "backend", signal, 1, len(body), AT_NS, "http_400: bad\\x1b")
    return Shown(letter, body)


def spans() -> Shown:
    event = Span.Event(name="aibridge.prompt", time_unix_nano=AT_NS)
    event.attributes.append(KeyValue(key="aibridge.prompt.length", value=AnyValue(int_value=3)))
    span = Span(
        name="chat \x1b[2J",
        trace_id=TRACE,
        span_id=SPAN,
        start_time_unix_nano=AT_NS,
        end_time_unix_nano=AT_NS + 1_500_000_000,
        events=[event],
        attributes=[
            KeyValue(key="gen_ai.input.messages", value=text("a long prompt " * 100)),
            KeyValue(
                key="list",
                value=AnyValue(
                    array_value=ArrayValue(values=[text("a"), AnyValue(double_value=0.5)])
                ),
            ),
            KeyValue(
                key="map",
                value=AnyValue(
                    kvlist_value=KeyValueList(values=[KeyValue(key="k", value=text("v"))])
                ),
            ),
            KeyValue(key="empty", value=AnyValue()),
        ],
    )
    return shown(Signal.TRACES, ScopeSpans(spans=[span]).SerializeToString())


def test_people_read_all_of_a_span_and_their_terminal_is_left_alone() -> None:
    head, *lines = as_lines(spans())

    assert head == (
        f"dead letter 7: 1 of traces, {len(spans().body):,} bytes,"
        " refused by backend at 2023-11-14T22:13:20Z"
    )
    assert lines == [
        "  http_400: bad\\x1b",
        r"span chat \x1b[2J",
        "  trace 000102030405060708090a0b0c0d0e0f span 0001020304050607",
        "  started 2023-11-14T22:13:20Z, took 1.5 s",
        f"  gen_ai.input.messages = {'a long prompt ' * 100}",
        "  list = [a, 0.5]",
        "  map = {k: v}",
        "  empty = ",
        "  event aibridge.prompt at 2023-11-14T22:13:20Z",
        "    aibridge.prompt.length = 3",
    ]


def test_people_read_log_records() -> None:
    record = LogRecord(
        event_name="aibridge.tool_use",
        trace_id=TRACE,
        span_id=SPAN,
        time_unix_nano=AT_NS,
        body=text("why"),
        attributes=[KeyValue(key="gen_ai.tool.name", value=text("Read"))],
    )

    lines = list(as_lines(shown(Signal.LOGS, ScopeLogs(log_records=[record]).SerializeToString())))

    assert lines[2:] == [
        "log record aibridge.tool_use",
        "  trace 000102030405060708090a0b0c0d0e0f span 0001020304050607",
        "  at 2023-11-14T22:13:20Z",
        "  body why",
        "  gen_ai.tool.name = Read",
    ]


def test_programs_read_otlp_json() -> None:
    found = as_object(spans())

    (span,) = found["spans"]
    assert (found["id"], found["signal"], found["at"]) == (7, "traces", "2023-11-14T22:13:20Z")
    assert (span["traceId"], span["spanId"]) == (TRACE.hex(), SPAN.hex())
    assert span["startTimeUnixNano"] == str(AT_NS)
    assert span["attributes"][1] == {
        "key": "list",
        "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"doubleValue": 0.5}]}},
    }
