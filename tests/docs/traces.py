"""The traces of docs/telemetry.md as text: captures, told by the whole core."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from otelbridge.proto import aibridged_pb2 as pb
from tests.docs.pages import ROOT
from tests.telemetry.test_oracle import LATER_NS
from tests.telemetry.through_core import Options, Plain, requests_of, tell

# What differs between tables of prices is not shown.
_COST = "aibridge.cost."


class Example(NamedTuple):
    """A trace that is shown.

    Attributes:
        requests: The records.
        trace: Its trace id.
        options: What the destination is told.
        is_whole: Whether attributes are shown too.
    """

    requests: Sequence[Message]
    trace: str
    options: Options
    is_whole: bool = True


def _captured(name: str) -> list[Message]:
    return requests_of(ROOT / f"tests/captures/{name}.jsonl")


def _refused() -> list[Message]:
    """Return the records of a request that the provider refused, as newer gateways send them."""
    key = "0d1f5a0e-33d0-4c0e-8f2a-5b8f6a6f1c11"
    times = [Timestamp(seconds=1_795_348_000, nanos=nanos) for nanos in (0, 4_000_000, 412_000_000)]
    return [
        pb.RecordInterceptionRequest(
            id=key,
            initiator_id="6f0d1c0e-3d4b-4c55-9d0f-0a1b2c3d4e5f",
            provider="openai",
            model="gpt-5.1",
            api_key_id="alicekey01",
            client="Codex",
            started_at=times[0],
        ),
        pb.RecordPromptUsageRequest(
            interception_id=key, prompt="Why does the build fail?", created_at=times[1]
        ),
        pb.RecordInterceptionEndedRequest(
            id=key,
            ended_at=times[2],
            error_type="rate_limited",
            error_message="429 Too Many Requests",
        ),
    ]


#: The traces, by their names in the page.
EXAMPLES = {
    "tool": Example(
        _captured("injected-tools-paced"),
        "e535fbd7-6088-449a-b7d1-8465bf84c84a",
        Options("v1_41", "NO_CONTENT", "interception", "span"),
    ),
    "follow-up": Example(
        _captured("agent-session-paced"),
        "b753a33f-bed7-4c8d-af97-57e6d488c232",
        Options("latest", "NO_CONTENT", "interception", "span"),
    ),
    "thread": Example(
        _captured("agent-session-paced"),
        "d5cc54d6-ef10-40ec-9e94-00b5ad8e4949",
        Options("dup", "NO_CONTENT", "thread", "span"),
        is_whole=False,
    ),
    "error": Example(
        _refused(),
        "0d1f5a0e-33d0-4c0e-8f2a-5b8f6a6f1c11",
        Options("v1_41", "SPAN_AND_EVENT", "interception", "span"),
    ),
}


def trace_of(example: Example) -> dict[str, Plain]:
    """Return the spans of an example's trace, in the order of their start."""
    with TemporaryDirectory() as folder:
        told = tell(Path(folder), example.requests, [example.options], now_ns=LATER_NS)
    spans = told[example.options].spans.items()
    found = [(key, span) for key, span in spans if key.startswith(example.trace)]
    return in_order(dict(found))


def in_order(spans: dict[str, Plain]) -> dict[str, Plain]:
    """Return spans in the order of their start."""
    order = sorted(spans, key=lambda key: (spans[key]["start"], spans[key]["parent"], key))
    return {key: spans[key] for key in order}


def text_of(example: Example) -> str:
    """Return an example's trace as text."""
    return as_text(example, trace_of(example))


def as_text(example: Example, spans: dict[str, Plain]) -> str:
    """Return the spans of an example's trace as text, children indented."""
    began = min(span["start"] for span in spans.values())
    lines = [f"trace {example.trace}"]
    for key, span in spans.items():
        depth = "  " if span["parent"] else ""
        told = _lines(key, span, began, is_whole=example.is_whole)
        lines.extend(f"{depth}{line}" for line in told)
    return "\n".join([*lines, ""])


def _lines(key: str, span: Plain, began: int, *, is_whole: bool) -> Iterator[str]:
    took = f"{_ms(span['start'] - began)} + {_ms(span['end'] - span['start'])} ms"
    yield f"{span['name']}  [{span['kind']}, {took}, span {key.partition(' ')[2]}]"
    if not is_whole:
        events = [event["name"].removeprefix("aibridge.") for event in span["events"]]
        if events:
            yield f"    events: {', '.join(events)}"
        return
    if span["error"] is not None:
        yield f"    status ERROR {json.dumps(span['error'])}"
    yield from (f"    link to {link}" for link in span["links"])
    yield from _attributes(span["attributes"], "    ")
    for event in span["events"]:
        yield f"    event {event['name']} at {_ms(event['at'] - began)} ms"
        yield from _attributes(event["attributes"], "      ")


def _attributes(attributes: Plain, indent: str) -> Iterator[str]:
    for key, value in attributes.items():
        yield f"{indent}{key} = {'…' if key.startswith(_COST) else _value(value)}"


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _ms(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:.1f}"
