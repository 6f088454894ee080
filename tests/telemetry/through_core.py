"""Requests through the whole core (journal, assembler, threads, teller), without a network.

What each of many destinations would be sent comes back as plain values, so that it can be
compared with what somebody else says that it must be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, get_args
from uuid import UUID

from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, Status

from otelbridge.config import Config, build_config
from otelbridge.config.content import Capture
from otelbridge.config.sections import Semconv, TraceGrouping
from otelbridge.core.core import Core, open_core
from otelbridge.domain.ports import Signal
from otelbridge.domain.records import RecordKind
from otelbridge.journal import SqliteJournal
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.recording import Side, Submission
from otelbridge.transports.capture import read_capture

Plain: TypeAlias = dict[str, Any]

_S = 1_000_000_000
_HOUR = 3600 * _S
_EVERYTHING = 1 << 30

_KINDS: dict[type[Message], RecordKind] = {
    pb.RecordInterceptionRequest: RecordKind.START,
    pb.RecordInterceptionEndedRequest: RecordKind.END,
    pb.RecordTokenUsageRequest: RecordKind.TOKENS,
    pb.RecordPromptUsageRequest: RecordKind.PROMPT,
    pb.RecordToolUsageRequest: RecordKind.TOOL,
    pb.RecordModelThoughtRequest: RecordKind.THOUGHT,
}


class Options(NamedTuple):
    """What a destination is told.

    Attributes:
        semconv: The profile.
        content: Where content may stand.
        trace_grouping: What a trace is.
        events: Whether events stand on spans, are log records, or both.
    """

    semconv: str = "dup"
    content: str = "NO_CONTENT"
    trace_grouping: str = "interception"
    events: str = "both"

    @property
    def name(self) -> str:
        """A destination's name."""
        return ".".join(self)


#: Every profile, content mode and grouping; events in both forms.
EVERY = tuple(
    Options(*each)
    for each in product(get_args(Semconv), get_args(Capture), get_args(TraceGrouping))
)


class Told(NamedTuple):
    """What a destination is sent.

    Attributes:
        spans: Spans, by trace and span id as hexadecimal text.
        logs: Log records, in an order of their own.
    """

    spans: dict[str, Plain]
    logs: list[Plain]


def requests_of(capture: Path) -> list[Message]:
    """Return the records of a capture, as they were sent."""
    calls = read_capture(capture)
    return [call.request for call in calls if type(call.request) in _KINDS]


def tell(
    folder: Path,
    requests: Sequence[Message],
    variants: Iterable[Options],
    *,
    now_ns: int,
    at_once: int = 400,
) -> dict[Options, Told]:
    """Return what each destination is sent of these requests once they have been told.

    Args:
        folder: Where the journal is put; empty.
        requests: All that is sent, in this order.
        variants: What the destinations are told, one each.
        now_ns: When the requests are received. An hour later everything is told.
        at_once: How many requests are committed at once.
    """
    wanted = list(variants)
    with _opened(folder, wanted, now_ns) as (core, clock):
        for begin in range(0, len(requests), at_once):
            batch = [
                Submission(_KINDS[type(each)], each.SerializeToString(), now_ns)
                for each in requests[begin : begin + at_once]
            ]
            outcomes = core.commit(batch, Side()).outcomes
            assert outcomes == [None] * len(batch)
        clock[0] = now_ns + _HOUR
        while core.commit([], Side()).next_deadline_ns == 0:
            pass
        return {options: _told(core, options.name) for options in wanted}


def booked(folder: Path) -> dict[tuple[str, ...], float]:
    """Return the counters that were booked in a folder that `tell` had: by name and labels."""
    journal = SqliteJournal(_config(folder, ()).journal.path)
    try:
        series = journal.ledger.series()
    finally:
        journal.close()
    return {
        (name, *labels): each.value
        for (name, labels), each in series.items()
        if isinstance(each.value, int)
    }


@contextmanager
def _opened(
    folder: Path, variants: Sequence[Options], now_ns: int
) -> Iterator[tuple[Core, list[int]]]:
    clock = [now_ns]
    core, _ = open_core(_config(folder, variants), clock_ns=lambda: clock[0])
    try:
        yield core, clock
    finally:
        core.close()


def _config(folder: Path, variants: Sequence[Options]) -> Config:
    settings = {
        "assembly": {"grace_s": 6.0, "max_age_s": 1800.0},
        "destination": [
            {"name": each.name, "endpoint": "http://127.0.0.1:4317", **each._asdict()}
            for each in variants
        ],
    }
    return build_config(settings, {}, base=folder)


def _told(core: Core, name: str) -> Told:
    spans = [
        span
        for body in _bodies(core, name, Signal.TRACES)
        for span in ScopeSpans.FromString(body).spans
    ]
    logs = [
        log
        for body in _bodies(core, name, Signal.LOGS)
        for log in ScopeLogs.FromString(body).log_records
    ]
    told = {place(span.trace_id, span.span_id): plain_span(span) for span in spans}
    assert len(told) == len(spans), "a span was told twice"
    return Told(told, sorted((_log(log) for log in logs), key=repr))


def _bodies(core: Core, name: str, signal: Signal) -> list[bytes]:
    rows = core.read(name, signal, after=0, limit=_EVERYTHING, max_bytes=_EVERYTHING)
    return [row.body for row in rows]


def place(trace_id: bytes, span_id: bytes) -> str:
    """Return the place of a span as text."""
    return f"{UUID(bytes=trace_id)} {span_id.hex()}"


def plain_span(span: Span) -> Plain:
    """Return a span as plain values, its attributes in the order of their keys."""
    return {
        "name": span.name,
        "kind": Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        "parent": span.parent_span_id.hex(),
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "error": span.status.message if span.status.code == Status.STATUS_CODE_ERROR else None,
        "links": [place(link.trace_id, link.span_id) for link in span.links],
        "attributes": plain(span.attributes),
        "events": [
            {
                "name": event.name,
                "at": event.time_unix_nano,
                "attributes": plain(event.attributes),
            }
            for event in span.events
        ],
    }


def _log(log: LogRecord) -> Plain:
    return {
        "name": log.event_name,
        "at": log.time_unix_nano,
        "of": place(log.trace_id, log.span_id),
        "attributes": plain(log.attributes),
    }


def plain(pairs: Iterable[KeyValue]) -> Plain:
    """Return attributes in the order of their keys; none may be told twice."""
    found = [(pair.key, _value(pair.value)) for pair in pairs]
    assert len(dict(found)) == len(found), f"told twice: {found}"
    return dict(sorted(found))


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind)
