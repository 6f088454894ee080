"""The collector receives the same over OTLP/gRPC and OTLP/HTTP, and it adds up."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from tests.interop.collector import PROTOCOLS, destinations
from tests.interop.programs import eventually
from tests.interop.sent import Prompt, Thought, Tool, interceptions, read_capture
from tests.interop.session import agent_session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, NumberDataPoint

    from tests.interop.collector import Collector, Received
    from tests.interop.conftest import StartBridge
    from tests.interop.otlp import Value
    from tests.interop.sent import Interception, Record

pytestmark = pytest.mark.interop

SIGNALS = ("traces", "metrics", "logs")
CAPTURES = ("anthropic-agent-session", "injected-tools-paced", "openai-chat-session")


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """What was sent, and what the collector received of it over each protocol."""

    sent: list[Interception]
    over: Mapping[str, Received]

    def spans(self, protocol: str) -> dict[bytes, bytes]:
        """Return the bytes of each span by its id, once all have arrived."""
        expected = sum(1 + len(each.injected_tools) for each in self.sent)
        return eventually(lambda: self._spans(protocol, expected))

    def _spans(self, protocol: str, expected: int) -> dict[bytes, bytes]:
        received = self.over[protocol].spans()
        assert len(received) == expected, f"{len(received)} of {expected} spans"
        return {span.span_id: span.SerializeToString(deterministic=True) for span in received}

    def events(self, protocol: str) -> list[tuple[str, int, bytes, bytes]]:
        """Return the log records' name, time and place, once all have arrived."""
        expected = sum(len(each.events) for each in self.sent)
        return eventually(lambda: self._events(protocol, expected))

    def _events(self, protocol: str, expected: int) -> list[tuple[str, int, bytes, bytes]]:
        received = self.over[protocol].log_records()
        assert len(received) == expected, f"{len(received)} of {expected} log records"
        return sorted((r.event_name, r.time_unix_nano, r.trace_id, r.span_id) for r in received)


@pytest.fixture(scope="module")
def delivered(collector: Collector, start_bridge: StartBridge, captures: Path) -> Delivered:
    bridge = start_bridge(*destinations(collector, *SIGNALS), events="both")
    records: list[Record] = agent_session(time.time_ns())
    bridge.send(records)
    for name in CAPTURES:
        bridge.replay(captures / f"{name}.jsonl")
        records += read_capture(captures / f"{name}.jsonl")
    return Delivered(sent=interceptions(records), over=collector.over)


def test_both_protocols_deliver_the_same_spans(delivered: Delivered) -> None:
    over_grpc, over_http = (delivered.spans(protocol) for protocol in PROTOCOLS)

    assert over_grpc == over_http
    assert {each.chat_span_id for each in delivered.sent} <= over_grpc.keys()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_injected_tool_is_told_at_its_time_without_a_duration(
    delivered: Delivered, protocol: str
) -> None:
    delivered.spans(protocol)
    received = delivered.over[protocol].spans()
    shown = sorted(
        (span.trace_id, span.start_time_unix_nano, span.end_time_unix_nano)
        for span in received
        if span.name.startswith("execute_tool ")
    )

    assert shown == sorted(
        (each.trace_id, tool.created_at.ToNanoseconds(), tool.created_at.ToNanoseconds())
        for each in delivered.sent
        for tool in each.injected_tools
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_events_arrive_as_log_records_of_their_chat_span(
    delivered: Delivered, protocol: str
) -> None:
    received = delivered.events(protocol)

    assert received == sorted(
        (name, at_ns, each.trace_id, each.chat_span_id)
        for each in delivered.sent
        for name, at_ns in each.events
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("metric", "part"),
    [
        ("gen_ai.client.inference.usage.input_tokens", "input_tokens"),
        ("gen_ai.client.inference.usage.output_tokens", "output_tokens"),
        ("gen_ai.client.inference.usage.cache_read.input_tokens", "cache_read_tokens"),
        ("gen_ai.client.inference.usage.cache_write.input_tokens", "cache_write_tokens"),
    ],
)
def test_token_counters_are_the_sums_of_what_was_sent_by_model(
    delivered: Delivered, protocol: str, metric: str, part: str
) -> None:
    expected: dict[Value, float] = {}
    for each in delivered.sent:
        expected[each.start.model] = expected.get(each.start.model, 0) + getattr(each, part)

    def check() -> None:
        shown = delivered.over[protocol].counter(metric, by="gen_ai.request.model")
        assert _non_zero(shown) == _non_zero(expected)

    eventually(check)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("aibridge.prompts", Prompt),
        ("aibridge.tool.calls", Tool),
        ("aibridge.model_thoughts", Thought),
    ],
)
def test_record_counters_are_the_number_of_records(
    delivered: Delivered, protocol: str, metric: str, kind: type[Prompt | Tool | Thought]
) -> None:
    expected = sum(isinstance(record, kind) for each in delivered.sent for record in each.rest)

    def check() -> None:
        assert delivered.over[protocol].counter(metric) == {None: expected}

    eventually(check)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_interceptions_are_counted_by_outcome(delivered: Delivered, protocol: str) -> None:
    outcomes = [each.outcome for each in delivered.sent]

    def check() -> None:
        shown = delivered.over[protocol].counter("aibridge.interceptions", by="aibridge.outcome")
        assert _non_zero(shown) == {each: outcomes.count(each) for each in set(outcomes)}

    eventually(check)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_token_histogram_sums_up_the_same_tokens(delivered: Delivered, protocol: str) -> None:
    expected = {
        "input": sum(each.input_tokens for each in delivered.sent),
        "output": sum(each.output_tokens for each in delivered.sent),
    }

    def check() -> None:
        received = delivered.over[protocol]
        shown = received.histogram_sum("gen_ai.client.token.usage", by="gen_ai.token.type")
        assert shown == expected

    eventually(check)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "metric", ["gen_ai.client.operation.duration", "gen_ai.client.inference.duration"]
)
def test_durations_are_those_of_the_interceptions(
    delivered: Delivered, protocol: str, metric: str
) -> None:
    expected_s = sum((each.ended_ns - each.started_ns) / 1e9 for each in delivered.sent)

    def check() -> None:
        received = delivered.over[protocol]
        assert received.histogram_count(metric) == {None: len(delivered.sent)}
        assert received.histogram_sum(metric) == {None: pytest.approx(expected_s)}

    eventually(check)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_series_begins_with_zero_and_keeps_its_birth(delivered: Delivered, protocol: str) -> None:
    def exports() -> list[Metric]:
        told = delivered.over[protocol].metrics("aibridge.interceptions")
        assert len(told) >= 3, f"{len(told)} exports"
        return told

    points = [point for metric in eventually(exports) for point in metric.sum.data_points]
    series: dict[str, list[NumberDataPoint]] = {}
    for point in points:
        series.setdefault(str(point.attributes), []).append(point)

    assert {each[0].as_int for each in series.values()} == {0}
    assert [len({point.start_time_unix_nano for point in each}) for each in series.values()] == [
        1 for _ in series
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_counters_are_cumulative_and_monotonic(delivered: Delivered, protocol: str) -> None:
    def exports() -> list[Metric]:
        told = delivered.over[protocol].metrics("aibridge.interceptions")
        assert told, "no export"
        return told

    kinds = {(m.sum.aggregation_temporality, m.sum.is_monotonic) for m in eventually(exports)}

    assert kinds == {(AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE, True)}


def _non_zero(totals: Mapping[Value, float]) -> dict[Value, float]:
    return {group: total for group, total in totals.items() if total}
