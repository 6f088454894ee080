"""Destinations with options of their own: each gets what it asked for, of the same records."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelbridge.domain.ports import Signal
from otelbridge.proto import aibridged_pb2 as pb
from tests.collector import Collector
from tests.e2e import gateways as gw
from tests.e2e.bridges import running
from tests.interop.otlp import attributes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from google.protobuf.message import Message
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

PROMPT, THOUGHT, INPUT = "why is the sky blue?", "Rayleigh", '{"path": "sky.md"}'
EVENTS = ["aibridge.prompt", "aibridge.tool_use", "aibridge.model_thought"]


def session(interception: str) -> list[Message]:
    """Return an interception with content, cached tokens and a tool that the gateway ran."""
    return [
        gw.start(interception),
        gw.prompt(interception, prompt=PROMPT, created_at=gw.now(0.1)),
        gw.tool(interception, input=INPUT, injected=True, created_at=gw.now(0.2)),
        gw.thought(interception, content=THOUGHT, created_at=gw.now(0.3)),
        gw.tokens(interception, input_tokens=3, cache_write_input_tokens=4, output_tokens=5),
        gw.end(interception, ended_at=gw.now(1)),
    ]


@asynccontextmanager
async def told_to(
    directory: Path, *options: dict[str, Any], sent: Sequence[Message] = ()
) -> AsyncIterator[list[Collector]]:
    """Tell the same records to a collector for each of these options.

    Args:
        directory: The bridge's.
        options: Each collector's.
        sent: The records; a `session` by default.

    Yields:
        The collectors, once the bridge has stopped and they have everything.
    """
    records = sent or session(gw.fresh_id())
    ends = sum(isinstance(record, pb.RecordInterceptionEndedRequest) for record in records)
    async with AsyncExitStack() as stack:
        collectors = [await stack.enter_async_context(Collector()) for _ in options]
        destinations = [
            {"name": f"number-{number}", "endpoint": collector.grpc_endpoint, **wanted}
            for number, (collector, wanted) in enumerate(zip(collectors, options, strict=True))
        ]
        settings = {"assembly": {"grace_s": 0.02}, "destination": destinations}
        async with running(directory, collectors[0], settings) as bridge:
            await gw.send(bridge, *records)
            while await bridge.total("aibridge_interceptions_total") < ends:
                pass  # not told yet: each look is a request to the bridge
        yield collectors


def chat(collector: Collector) -> Span:
    """Return the one chat span."""
    (span,) = [span for span in collector.spans if span.name.startswith("chat")]
    return span


def event_attributes(collector: Collector) -> list[tuple[str, dict[str, Any]]]:
    """Return the names and attributes of the chat span's events."""
    return [(event.name, attributes(event.attributes)) for event in chat(collector).events]


def log_attributes(collector: Collector) -> list[tuple[str, dict[str, Any]]]:
    """Return the names and attributes of the log records."""
    return [(record.event_name, attributes(record.attributes)) for record in collector.logs]


async def test_each_destination_gets_the_names_of_its_profile(tmp_path: Path) -> None:
    profiles = ("latest", "v1_41", "dup")
    async with told_to(tmp_path, *({"semconv": each} for each in profiles)) as collectors:
        spans = [set(attributes(chat(each).attributes)) for each in collectors]
        metrics = [{metric.name for metric in each.metrics} for each in collectors]

    new, old = (f"gen_ai.usage.cache_{name}.input_tokens" for name in ("write", "creation"))
    assert [span & {new, old} for span in spans] == [{new}, {old}, {new, old}]
    assert spans[0] - {new} == spans[1] - {old} == spans[2] - {new, old}
    counters = "gen_ai.client.inference.usage.input_tokens", "gen_ai.client.inference.duration"
    histograms = "gen_ai.client.token.usage", "gen_ai.client.operation.duration"
    both = {*counters, *histograms}
    assert [found & both for found in metrics] == [{*counters}, {*histograms}, both]
    assert all("aibridge.interceptions" in found for found in metrics)


async def test_a_profile_names_its_schema(tmp_path: Path) -> None:
    async with told_to(tmp_path, {"semconv": "latest"}, {"semconv": "v1_41"}) as collectors:
        requests = [collector.of(Signal.TRACES)[0].message for collector in collectors]

    schemas = []
    for request in requests:
        assert isinstance(request, ExportTraceServiceRequest)
        schemas.append(request.resource_spans[0].scope_spans[0].schema_url)
    assert schemas == ["", "https://opentelemetry.io/schemas/1.41.1"]


async def test_the_spans_are_the_same_ones_whatever_is_told_of_them(tmp_path: Path) -> None:
    options: list[dict[str, Any]] = [
        {},
        {"semconv": "latest", "events": "log", "content": "SPAN_AND_EVENT"},
        {"semconv": "v1_41", "events": "both", "protocol": "grpc", "compression": "gzip"},
    ]
    async with told_to(tmp_path, *options) as collectors:
        told = [
            [(s.trace_id, s.span_id, s.name, s.start_time_unix_nano) for s in each.spans]
            for each in collectors
        ]

    assert len(told[0]) == 2
    assert told[0] == told[1] == told[2]


async def test_events_stand_on_spans_in_logs_or_in_both(tmp_path: Path) -> None:
    options = [{"events": each} for each in ("span", "log", "both")]
    async with told_to(tmp_path, *options) as collectors:
        span, log, both = collectors
        on_spans, in_logs = event_attributes(span), log_attributes(log)

        assert [name for name, _ in on_spans] == EVENTS
        assert in_logs == on_spans
        assert (log_attributes(span), event_attributes(log)) == ([], [])
        assert (event_attributes(both), log_attributes(both)) == (on_spans, in_logs)
        for record in both.logs:
            assert (record.trace_id, record.span_id) == (chat(both).trace_id, chat(both).span_id)
            assert record.time_unix_nano in {event.time_unix_nano for event in chat(both).events}


def content_of(told: dict[str, Any]) -> set[str]:
    """Return which keys of content there are among attributes."""
    keys = ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.call.arguments")
    return {key for key in keys if key in told}


@pytest.mark.parametrize("events", ["span", "log"])
async def test_content_stands_where_each_destination_wants_it(tmp_path: Path, events: str) -> None:
    modes = ("NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT")
    options = [{"content": mode, "events": events} for mode in modes]
    async with told_to(tmp_path, *options) as collectors:
        on_spans, on_events = [], []
        for each in collectors:
            spans = [content_of(attributes(span.attributes)) for span in each.spans]
            on_spans.append(set().union(*spans))
            found = event_attributes(each) if events == "span" else log_attributes(each)
            on_events.append(set().union(*(content_of(told) for _, told in found)))

    whole = {"gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.call.arguments"}
    assert on_spans == [set(), whole, set(), whole]
    assert on_events == [set(), set(), whole, whole]


async def test_content_is_told_as_it_was_sent(tmp_path: Path) -> None:
    async with told_to(tmp_path, {"content": "SPAN_ONLY"}, {}) as (telling, silent):
        told = attributes(chat(telling).attributes)
        tool = next(span for span in telling.spans if span.name == "execute_tool Read")
        lengths = [told for _, told in event_attributes(silent)]

    assert told["gen_ai.input.messages"] == (
        f'[{{"role":"user","parts":[{{"type":"text","content":"{PROMPT}"}}]}}]'
    )
    assert f'"content":"{THOUGHT}"' in str(told["gen_ai.output.messages"])
    assert attributes(tool.attributes)["gen_ai.tool.call.arguments"] == INPUT
    assert lengths[0]["aibridge.prompt.length"] == len(PROMPT)
    assert lengths[1]["aibridge.tool.input.length"] == len(INPUT)


async def test_a_destination_gets_the_signals_that_it_asked_for(tmp_path: Path) -> None:
    signals = [["traces"], ["metrics"], ["logs"]]
    options = [{"signals": each, "events": "both"} for each in signals]
    async with told_to(tmp_path, *options) as collectors:
        came = [sorted({request.signal.value for request in each.taken}) for each in collectors]

    assert came == signals


async def test_traces_are_grouped_as_each_destination_wants_it(tmp_path: Path) -> None:
    root, follow_up = gw.fresh_id(), gw.fresh_id()
    sent = [
        *(gw.start(root), gw.tool(root, tool_call_id="call_1"), gw.end(root)),
        gw.start(follow_up, started_at=gw.now(1), correlating_tool_call_id="call_1"),
        gw.end(follow_up, ended_at=gw.now(2)),
    ]
    options = [{"trace_grouping": each} for each in ("interception", "thread")]

    async with told_to(tmp_path, *options, sent=sent) as (apart, joined):
        (root_span,), (follower,) = (gw.chat_spans(apart, each) for each in (root, follow_up))
        in_thread = {s.span_id: s for s in joined.spans}

    assert {span.trace_id for span in in_thread.values()} == {UUID(root).bytes}
    assert follower.parent_span_id == b""
    assert in_thread[follower.span_id].parent_span_id == root_span.span_id
    assert follower.links[0].span_id == in_thread[follower.span_id].links[0].span_id
    (ran,) = in_thread.keys() - {root_span.span_id, follower.span_id}
    assert in_thread[ran].name == "execute_tool Read"
