"""What is in a dead letter, as OTLP's JSON and as lines for people.

Source: OTLP specification 1.x, "JSON Protobuf Encoding": ids are hexadecimal there.
"""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

from otelbridge.domain.ports import Signal
from otelbridge.errors import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from otelbridge.recording.dead_letters import Shown

_IDS = frozenset(("traceId", "spanId", "parentSpanId"))


def as_object(shown: Shown) -> dict[str, Any]:
    """Return a dead letter as JSON: what `list` tells, and ``spans`` or ``logRecords``."""
    content = MessageToDict(_message(shown), use_integers_for_enums=True)
    return {**listed_as(shown), **_with_hex_ids(content)}


def listed_as(shown: Shown) -> dict[str, Any]:
    """Return a dead letter as it is listed."""
    return {**shown.letter._asdict(), "at": time_of(shown.letter.at_ns)}


def as_lines(shown: Shown) -> Iterator[str]:
    """Yield a dead letter as lines for a terminal: all of its content, made safe."""
    letter = shown.letter
    yield (
        f"dead letter {letter.id}: {letter.items} of {letter.signal}, {letter.size:,} bytes,"
        f" refused by {letter.destination} at {time_of(letter.at_ns)}"
    )
    yield f"  {letter.reason}"
    message = _message(shown)
    if isinstance(message, ScopeSpans):
        for span in message.spans:
            yield from _span(span)
    else:
        for record in message.log_records:
            yield from _record(record)


def time_of(at_ns: int) -> str:
    """Return a time for people, in UTC, to the second."""
    return datetime.fromtimestamp(at_ns // 10**9, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _message(shown: Shown) -> ScopeSpans | ScopeLogs:
    kind = ScopeSpans if shown.letter.signal is Signal.TRACES else ScopeLogs
    return kind.FromString(shown.body)


def _with_hex_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_hex_ids(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: b64decode(each).hex() if key in _IDS else _with_hex_ids(each)
        for key, each in value.items()
    }


def _span(span: Span) -> Iterator[str]:
    took_s = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
    yield f"span {_safe(span.name)}"
    yield f"  trace {span.trace_id.hex()} span {span.span_id.hex()}"
    yield f"  started {time_of(span.start_time_unix_nano)}, took {took_s:g} s"
    yield from _attributes(span.attributes)
    for event in span.events:
        yield f"  event {_safe(event.name)} at {time_of(event.time_unix_nano)}"
        yield from _attributes(event.attributes, indent="    ")


def _record(record: LogRecord) -> Iterator[str]:
    yield f"log record {_safe(record.event_name)}"
    yield f"  trace {record.trace_id.hex()} span {record.span_id.hex()}"
    yield f"  at {time_of(record.time_unix_nano)}"
    if record.HasField("body"):
        yield f"  body {_value(record.body)}"
    yield from _attributes(record.attributes)


def _attributes(attributes: Iterable[KeyValue], *, indent: str = "  ") -> Iterator[str]:
    for each in attributes:
        yield f"{indent}{_safe(each.key)} = {_value(each.value)}"


def _value(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return f"[{', '.join(_value(each) for each in value.array_value.values)}]"
    if kind == "kvlist_value":
        pairs = (f"{_safe(e.key)}: {_value(e.value)}" for e in value.kvlist_value.values)
        return f"{{{', '.join(pairs)}}}"
    return "" if kind is None else _safe(str(getattr(value, kind)))


def _safe(text: str) -> str:
    """Return all of a text without what would move a terminal's cursor."""
    return escaped(text, 10 * len(text) or 1)
