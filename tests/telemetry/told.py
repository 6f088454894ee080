"""What the real teller tells, read back with OpenTelemetry's own messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from otelbridge.config.sections import Config
from otelbridge.domain.ledger import Changes
from otelbridge.domain.ports import Signal
from otelbridge.telemetry.labels import Labels
from otelbridge.telemetry.teller import build_teller
from tests.telemetry.records import assembled, closed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

    from otelbridge.domain.interception import Thread
    from otelbridge.domain.ports import OutboxItem
    from otelbridge.domain.records import Record
    from otelbridge.telemetry.teller import OtlpTeller

Value: TypeAlias = "str | bool | int | float | list[Value]"

# Options that are not a destination's: their section and key.
_GLOBAL = {
    "limits": ("metrics", "limits"),
    "user_label": ("metrics", "user_label"),
    "providers": ("telemetry", "providers"),
    "global_semconv": ("telemetry", "semconv"),
    "global_grouping": ("telemetry", "trace_grouping"),
    "series_limit": ("metrics", "series_limit"),
    "redaction": ("content", "redaction"),
    "content_limits": ("content", "limits"),
}


@dataclass(kw_only=True)
class Told:
    """What was told and booked.

    Attributes:
        items: What goes to the outbox.
        changes: What goes to the ledger.
    """

    items: list[OutboxItem] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)

    @property
    def spans(self) -> list[Span]:
        """All spans."""
        return [span for item in self.items if item.signal is Signal.TRACES for span in spans(item)]

    @property
    def logs(self) -> list[LogRecord]:
        """All log records."""
        return [log for item in self.items if item.signal is Signal.LOGS for log in logs(item)]

    @property
    def chat(self) -> Span:
        """The one chat span."""
        (found,) = (span for span in self.spans if span.kind == Span.SPAN_KIND_CLIENT)
        return found

    @property
    def tools(self) -> list[Span]:
        """The executions of tools."""
        return [span for span in self.spans if span.kind == Span.SPAN_KIND_INTERNAL]

    @property
    def events(self) -> list[dict[str, Value]]:
        """The attributes of all events, of spans and as log records."""
        on_spans = [attributes(event.attributes) for span in self.spans for event in span.events]
        return on_spans + [attributes(log.attributes) for log in self.logs]

    def series(self, instrument: str) -> dict[tuple[str, ...], Any]:
        """Return what was booked of an instrument, by attribute values."""
        return {key[1]: value for key, value in self.changes.series.items() if key[0] == instrument}


def spans(item: OutboxItem) -> list[Span]:
    """Return the spans of an outbox item."""
    return list(ScopeSpans.FromString(item.body).spans)


def logs(item: OutboxItem) -> list[LogRecord]:
    """Return the log records of an outbox item."""
    return list(ScopeLogs.FromString(item.body).log_records)


def attributes(told: Iterable[KeyValue]) -> dict[str, Value]:
    """Return attributes as a dictionary; none may be told twice."""
    pairs = [(pair.key, _value(pair.value)) for pair in told]
    assert len(dict(pairs)) == len(pairs), f"told twice: {pairs}"
    return dict(pairs)


def event_attributes(span: Span, name: str) -> list[dict[str, Value]]:
    """Return the attributes of a span's events of one name."""
    return [attributes(event.attributes) for event in span.events if event.name == name]


def make_config(**options: object) -> Config:
    """Return settings with one destination, which has the options that are not global."""
    data: dict[str, dict[str, object]] = {"telemetry": {}, "metrics": {}, "content": {}}
    own = {key: value for key, value in options.items() if key not in _GLOBAL}
    for option, (section, key) in _GLOBAL.items():
        if option in options:
            data[section][key] = options[option]
    destination = {"name": "a", "endpoint": "http://127.0.0.1:4317", **own}
    return Config.model_validate({**data, "destination": [destination]})


def make_teller(**options: object) -> OtlpTeller:
    """Return a teller for one destination."""
    config = make_config(**options)
    return build_teller(config, {"a": 1}, Labels(config.metrics.limits))


def tell(records: Iterable[Record], thread: Thread | None = None, /, **options: object) -> Told:
    """Book records as they come, and tell the interception that they make."""
    arriving = list(records)
    teller, changes = make_teller(**options), Changes()
    interception = assembled(arriving, thread)
    for record in arriving:
        teller.record_arrived(record, interception.start, changes)
    items = teller.interception_closed(interception, changes)
    return Told(items=list(items), changes=changes)


def tell_late(record: Record, **options: object) -> Told:
    """Tell a record that came after its interception was told."""
    changes = Changes()
    items = make_teller(**options).record_late(record, closed(), changes)
    return Told(items=list(items), changes=changes)


def key_values(told: Mapping[str, Value], *keys: str) -> list[Value | None]:
    """Return the values of some keys; None for one that was not told."""
    return [told.get(key) for key in keys]


def _value(told: AnyValue) -> Value:
    kind = told.WhichOneof("value")
    assert kind is not None, "an attribute without a value"
    if kind == "array_value":
        return [_value(item) for item in told.array_value.values]
    value: Value = getattr(told, kind)
    return value
