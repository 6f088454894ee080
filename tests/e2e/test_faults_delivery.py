"""A whole bridge between a gateway and collectors that fail, over real sockets."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any
from uuid import UUID

import grpc
import httpx2
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from otelbridge.domain.ports import Signal
from tests.collector import Answer, Collector
from tests.e2e import gateways as gw
from tests.e2e.bridges import running
from tests.fault_proxy import FaultProxy
from tests.faults import fault

if TYPE_CHECKING:
    from pathlib import Path

    from google.protobuf.message import Message

    from tests.collector import Request
    from tests.e2e.bridges import Bridge

DOWN = Answer(code=grpc.StatusCode.UNAVAILABLE, message="away")
LAG = "otelbridge_delivery_lag_seconds"
# 30 KiB a span: a request of 2 MiB has 66 of them.
LARGE = gw.metadata(**{f"key{number:02}": "x" * 1000 for number in range(30)})


def to(name: str, port: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "endpoint": f"http://127.0.0.1:{port}", **more}


def to_traces(name: str, port: int, **more: Any) -> dict[str, Any]:
    return to(name, port, signals=["traces"], **more)


def session(interception: str, **fields: Any) -> list[Message]:
    return [
        gw.start(interception, **fields),
        gw.tokens(interception, input_tokens=70, output_tokens=7),
        gw.end(interception),
    ]


async def record(bridge: Bridge, count: int, **fields: Any) -> tuple[list[str], list[float]]:
    """Record interceptions, ten at a time; return their ids, and how long each reply took."""
    ids = [gw.fresh_id() for _ in range(count)]
    took_s: list[float] = []

    async def one(numbers: range) -> None:
        for number in numbers:
            for request in session(ids[number], **fields):
                began = time.perf_counter()
                await bridge.call(gw.method_of(request), request)
                took_s.append(time.perf_counter() - began)

    await asyncio.gather(*(one(range(first, count, 10)) for first in range(10)))
    return ids, took_s


def told(collector: Collector) -> Counter[str]:
    """Return how often each interception was told."""
    return Counter(str(UUID(bytes=s.trace_id)) for s in collector.spans if "chat" in s.name)


async def until_told(collector: Collector, ids: list[str]) -> None:
    await collector.wait_for(lambda c: told(c).keys() >= set(ids), timeout_s=30)


async def until(bridge: Bridge, name: str, condition: Any, **labels: str) -> float:
    """Wait until a metric meets a condition; return it."""
    async with asyncio.timeout(20):
        while not condition(value := await bridge.total(name, **labels)):
            pass  # each look is a request to the bridge
    return value


async def ready(bridge: Bridge) -> dict[str, Any]:
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{bridge.server.addresses['http']}/readyz")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


@fault(1)
async def test_a_collector_that_is_down_at_the_start_gets_everything_once_when_it_is_up(
    tmp_path: Path,
) -> None:
    async with Collector() as collector, FaultProxy(collector.grpc_port) as proxy:
        proxy.refuse()
        settings = {"destination": [to("sink", proxy.port)]}
        async with running(tmp_path, collector, settings) as bridge:
            older, took_s = await record(bridge, 50)
            await until(bridge, "aibridge_interceptions_total", lambda n: n == 50)
            newer, _ = await record(bridge, 50)
            await until(bridge, "aibridge_interceptions_total", lambda n: n == 100)
            failing = (await ready(bridge))["failing_destinations"]
            await proxy.listen()
            await until_told(collector, [*older, *newer])
            await until(bridge, LAG, lambda n: n == 0)

    order = [str(UUID(bytes=span.trace_id)) for span in collector.spans]
    assert "grpc_unavailable" in failing["sink"]
    assert max(took_s) < 1
    assert set(order[:50]) == set(older)
    assert len(order) == len(set(order)) == 100


class Hold:
    """A collector that holds requests for traces back until they are let go."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    def judge(self, request: Request) -> Answer | None:
        return Answer(after=self.gate) if request.signal is Signal.TRACES else None


@fault(3)
@fault(13)
@pytest.mark.parametrize("kind", ["refuses", "hangs", "never answers", "answers late"])
async def test_replies_do_not_wait_for_a_destination_that_is_dead_and_another_is_current(
    tmp_path: Path, kind: str
) -> None:
    hold = Hold()
    judge = {"never answers": lambda _: Answer(never=True), "answers late": hold.judge}
    async with (
        Collector() as alive,
        Collector(judge=judge.get(kind, lambda _: None)) as dead,
        FaultProxy(dead.grpc_port) as proxy,
    ):
        if kind == "refuses":
            proxy.refuse()
        elif kind == "hangs":
            proxy.silence(new_ones=True)
        destinations = [to("alive", alive.grpc_port), to("dead", proxy.port, timeout_s=1)]
        async with running(tmp_path, alive, {"destination": destinations}) as bridge:
            ids, took_s = await record(bridge, 150)
            await until_told(alive, ids)
            await until(bridge, LAG, lambda n: n == 0, otelbridge_destination="alive")
            await until(bridge, LAG, lambda n: n > 0, otelbridge_destination="dead")
            hold.gate.set()

    assert sorted(took_s)[len(took_s) * 99 // 100] < 1
    assert told(alive) == Counter(ids)


@fault(4)
async def test_a_collector_that_is_slow_and_then_normal_gets_all_once_and_the_lag_is_seen(
    tmp_path: Path,
) -> None:
    hold = Hold()
    async with (
        Collector(judge=hold.judge) as collector,
        running(tmp_path, collector, {"destination": [to("sink", collector.grpc_port)]}) as bridge,
    ):
        traces = {"otelbridge_destination": "sink", "otelbridge_signal": "traces"}
        ids, _ = await record(bridge, 50)
        slow = await until(bridge, LAG, lambda n: n > 1, **traces)
        under_way = len(collector.of(Signal.TRACES))
        hold.gate.set()
        await until_told(collector, ids)
        normal = await until(bridge, LAG, lambda n: n == 0, **traces)

    assert (under_way, normal) == (1, 0)
    assert slow > 1
    assert told(collector) == Counter(ids)


@fault(10)
async def test_credentials_that_are_not_accepted_are_seen_and_lose_nothing(
    tmp_path: Path,
) -> None:
    token = tmp_path / "token"
    token.write_text("old")

    def judge(request: Request) -> Answer | None:
        is_right = request.headers.get("authorization") == "Bearer new"
        return None if is_right else Answer(code=grpc.StatusCode.UNAUTHENTICATED)

    header = {"authorization": {"file": str(token), "prefix": "Bearer "}}
    async with Collector(judge=judge) as collector:
        settings = {"destination": [to("sink", collector.grpc_port, headers=header)]}
        async with running(tmp_path, collector, settings) as bridge:
            ids, _ = await record(bridge, 20)
            reason = {"otelbridge_reason": "grpc_unauthenticated"}
            await until(bridge, "otelbridge_delivery_retries_total", lambda n: n > 0, **reason)
            failing = (await ready(bridge))["failing_destinations"]
            token.write_text("new")
            await until_told(collector, ids)
            await collector.wait_for(lambda c: bool(c.metrics))
            healed = (await ready(bridge))["failing_destinations"]

    assert "grpc_unauthenticated" in failing["sink"]
    assert healed == {}
    assert told(collector) == Counter(ids)


@fault(12)
@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
async def test_a_cut_connection_repeats_spans_and_doubles_no_metric(
    tmp_path: Path, temporality: str
) -> None:
    async with Collector() as collector, FaultProxy(collector.grpc_port) as proxy:
        settings = {"destination": [to("sink", proxy.port, temporality=temporality)]}
        async with running(tmp_path, collector, settings) as bridge:
            before, _ = await record(bridge, 10)
            delivered = "otelbridge_delivery_delivered_total"
            await until(bridge, delivered, lambda n: n == 10, otelbridge_signal="traces")
            proxy.mute()
            ids, _ = await record(bridge, 30)
            await collector.wait_for(lambda c: bool(told(c).keys() & set(ids)))
            proxy.heal()
            proxy.cut()
            await until_told(collector, ids)
            await until(bridge, LAG, lambda n: n == 0)

    spans = {span.span_id: span.SerializeToString(deterministic=True) for span in collector.spans}
    assert told(collector).keys() == {*before, *ids}
    # What came twice is the same, byte for byte.
    assert all(
        spans[span.span_id] == span.SerializeToString(deterministic=True)
        for span in collector.spans
    )
    assert len(collector.spans) > len(spans)
    assert total(collector, "gen_ai.client.inference.usage.input_tokens") == 40 * 70


def total(collector: Collector, name: str) -> int:
    """Return what a backend shows of a counter: points with the same times are one."""
    points: dict[tuple[object, ...], int] = {}
    is_delta = False
    for request in collector.taken:
        if not isinstance(request.message, ExportMetricsServiceRequest):
            continue
        for resource in request.message.resource_metrics:
            for metric in (m for scope in resource.scope_metrics for m in scope.metrics):
                if metric.name != name:
                    continue
                is_delta = metric.sum.aggregation_temporality == 1
                for point in metric.sum.data_points:
                    labels = str(sorted((a.key, str(a.value)) for a in point.attributes))
                    times = (point.start_time_unix_nano, point.time_unix_nano)
                    points[labels, times if is_delta else ()] = point.as_int
    return sum(points.values())


@fault(2)
@fault(13)
async def test_the_backlog_of_a_dead_destination_is_held_under_its_own_limit(
    tmp_path: Path,
) -> None:
    async with (
        Collector() as alive,
        Collector(judge=lambda _: DOWN) as dead,
    ):
        destinations = [
            to_traces("alive", alive.grpc_port),
            to_traces("dead", dead.grpc_port, max_bytes=1024**2),
        ]
        async with running(tmp_path, alive, {"destination": destinations}) as bridge:
            first, _ = await record(bridge, 1)
            # From now on this one is on its way, and nothing else is until it was taken.
            await dead.wait_for(lambda c: len(c.requests) > 0)
            large, _ = await record(bridge, 100, metadata=LARGE)
            await until_told(alive, [*first, *large])
            size = min(span.ByteSize() for span in alive.spans[1:])
            rejected = "otelbridge_delivery_rejected_total"
            whose = {"otelbridge_destination": "dead", "otelbridge_reason": "max_bytes"}
            await until(bridge, rejected, lambda n: n >= 100 - 1024**2 // size, **whose)
            dead.judge = lambda _: None
            given_up = await until(bridge, rejected, lambda n: n + len(dead.spans) == 101, **whose)
            for_alive = await bridge.total(rejected, otelbridge_destination="alive")

    assert told(alive) == Counter([*first, *large])
    assert given_up - (100 - 1024**2 // size) in {0, 1, 2}
    assert for_alive == 0
    # The oldest are given up, but for the one that was on its way.
    order = [span.trace_id for span in alive.spans]
    assert [span.trace_id for span in dead.spans] == [order[0], *order[int(given_up) + 1 :]]


async def test_a_new_destination_begins_now_or_with_the_oldest_that_is_kept(
    tmp_path: Path,
) -> None:
    async with (
        Collector(judge=lambda _: DOWN) as dead,
        Collector() as late,
        Collector() as begun,
    ):
        old = [to_traces("dead", dead.grpc_port)]
        new = [
            *old,
            to_traces("now", late.grpc_port),
            to_traces("beginning", begun.grpc_port, **{"from": "beginning"}),
        ]
        async with running(tmp_path, dead, {"destination": old}) as bridge:
            before, _ = await record(bridge, 10)
            await until(bridge, "aibridge_interceptions_total", lambda n: n == 10)
        async with running(tmp_path, dead, {"destination": new}) as bridge:
            after, _ = await record(bridge, 10)
            await until_told(late, after)
            await until_told(begun, [*before, *after])

    assert told(late) == Counter(after)
    assert told(begun) == Counter([*before, *after])


@fault(19)
async def test_a_stop_delivers_what_it_can_in_its_time_and_keeps_the_rest(tmp_path: Path) -> None:
    answered = 0

    def judge(request: Request) -> Answer | None:
        nonlocal answered
        answered += request.signal is Signal.TRACES
        return None if answered <= 1 else Answer(never=True)

    listen = {"grpc": "127.0.0.1:0", "http": "127.0.0.1:0", "drain_s": 0.5}
    async with Collector(judge=lambda _: DOWN) as collector:
        destinations = [to_traces("sink", collector.grpc_port)]
        settings = {"destination": destinations, "listen": listen}
        async with running(tmp_path, collector, settings) as bridge:
            ids, _ = await record(bridge, 120, metadata=LARGE)
            await until(bridge, "aibridge_interceptions_total", lambda n: n == 120)
            collector.judge = judge
            await collector.wait_for(lambda c: len(c.spans) > 0)
            began = time.perf_counter()
        took_s = time.perf_counter() - began
        first = told(collector)
        collector.judge = lambda _: None
        async with running(tmp_path, collector, settings):
            await until_told(collector, ids)

    assert 0 < len(first) < 120
    assert took_s < 3
    # What was acknowledged before the stop is not told again.
    assert told(collector) == Counter(ids)
