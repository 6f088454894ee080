"""Restarts: what was counted goes on, what was not delivered comes, what was open is finished."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import grpc
import grpc.aio
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from otelbridge.commands.init import initialise
from otelbridge.domain.ports import Signal
from otelbridge.proto import aibridged_pb2 as pb
from tests.collector import Answer, Collector
from tests.commands.programs import ended, run, start
from tests.e2e import gateways as gw
from tests.e2e.bridges import running
from tests.interop.otlp import attributes
from tests.store.files import ALICE, PEOPLE, write_store

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path

    from google.protobuf.message import Message

    from tests.collector import Request
    from tests.e2e.bridges import Bridge

DOWN = Answer(code=grpc.StatusCode.UNAVAILABLE)
# What records are booked under; what else is told (calls, deliveries) goes on in between.
_BOOKED = ("aibridge", "gen_ai", "otelbridge_records")


def session(interception: str) -> list[Message]:
    """Return an interception with a record of each kind."""
    return [
        gw.start(interception),
        gw.tokens(interception, input_tokens=70, output_tokens=7, cache_read_input_tokens=30),
        gw.prompt(interception),
        gw.tool(interception, tool_call_id="call_1"),
        gw.thought(interception),
        gw.end(interception, ended_at=gw.now(1)),
    ]


def ran(interception: str) -> Message:
    """Return a tool that the gateway ran at an MCP server."""
    server = "https://user:secret@mcp.example.com/mcp?key=secret"
    return gw.tool(interception, injected=True, server_url=server, tool_call_id="call_2")


async def totals(bridge: Bridge) -> dict[Any, float]:
    """Return every sample of /metrics that records are booked under."""
    samples = await bridge.metrics()
    return {key: value for key, value in samples.items() if key[0].startswith(_BOOKED)}


async def test_all_totals_are_the_same_after_a_restart_and_grow_from_there(tmp_path: Path) -> None:
    async with Collector() as collector:
        async with running(tmp_path, collector) as bridge:
            first = gw.fresh_id()
            await gw.send(bridge, *session(first), gw.prompt(first), ran(first))
            await gw.told(bridge, first)
            before = await totals(bridge)
        async with running(tmp_path, collector) as bridge:
            after = await totals(bridge)
            second = gw.fresh_id()
            await gw.send(bridge, *session(second), gw.prompt(second), ran(second))
            await gw.told(bridge, second)
            doubled = await totals(bridge)

    assert after == before
    counters = {key for key in before if key[0].endswith(("_total", "_bucket", "_count"))}
    assert sum(before[key] for key in counters) > 20
    counted = {name for name, _ in counters if name.startswith("aibridge_")}
    assert counted >= {"aibridge_threads_total", "aibridge_mcp_tool_calls_total"}
    assert {key: doubled[key] for key in counters} == {key: 2 * before[key] for key in counters}


async def test_otlp_points_keep_their_beginning_and_the_instance_its_id(tmp_path: Path) -> None:
    seen = []
    async with Collector() as collector:
        for _ in range(2):
            async with running(tmp_path, collector) as bridge:
                interception = gw.fresh_id()
                await gw.send(bridge, *session(interception))
                await gw.told(bridge, interception)
            # A bridge that stops exports its metrics a last time.
            seen.append(exported(collector.of(Signal.METRICS)[-1], "aibridge.interceptions"))

    (instance, began, first), (instance_then, began_then, second) = seen
    assert (instance, began) == (instance_then, began_then)
    assert (first, second) == (1, 2)


def exported(request: Request, name: str) -> tuple[object, int, int]:
    """Return the instance, and start time and value of the one point of a counter."""
    assert isinstance(request.message, ExportMetricsServiceRequest)
    (resource,) = request.message.resource_metrics
    metrics = [metric for scope in resource.scope_metrics for metric in scope.metrics]
    (point,) = next(metric for metric in metrics if metric.name == name).sum.data_points
    instance = attributes(resource.resource.attributes)["service.instance.id"]
    return instance, point.start_time_unix_nano, point.as_int


async def test_what_a_dead_collector_refused_comes_after_a_restart_with_the_same_ids(
    tmp_path: Path,
) -> None:
    interceptions = [gw.fresh_id() for _ in range(3)]
    async with Collector(judge=lambda _: DOWN) as collector:
        async with running(tmp_path, collector) as bridge:
            for interception in interceptions:
                await gw.send(bridge, *session(interception))
            await collector.wait_for(lambda c: bool(c.of(Signal.TRACES)))
        refused = spans(collector.of(Signal.TRACES))
        assert collector.taken == []
        collector.judge = lambda _: None
        async with running(tmp_path, collector):
            await collector.wait_for(lambda c: len(c.spans) >= 3)

    came = spans(collector.taken)
    assert len(collector.spans) == len(came) == 3
    assert refused.items() <= came.items()


def spans(requests: list[Request]) -> dict[bytes, bytes]:
    """Return the spans of requests, encoded, by their id."""
    return {
        span.span_id: span.SerializeToString(deterministic=True)
        for request in requests
        for span in request.spans
    }


async def test_a_collector_that_was_not_there_at_all_gets_everything_when_it_is(
    tmp_path: Path,
) -> None:
    interception = gw.fresh_id()
    settings = {
        "listen": {"grpc": "127.0.0.1:0", "http": "127.0.0.1:0", "drain_s": 0.1},
        "telemetry": {"events": "both"},
    }
    async with Collector() as collector:
        port = collector.grpc_port
    absent = Collector(grpc_port=port)
    async with running(tmp_path, absent, settings) as bridge:
        await gw.send(bridge, *session(interception))
        while not await bridge.total("aibridge_interceptions_total"):
            pass  # not told yet: each look is a request to the bridge
    async with absent as collector, running(tmp_path, collector, settings) as bridge:
        await gw.told(bridge, interception)
        await collector.wait_for(lambda c: len(c.logs) == 3)


async def test_an_interception_that_was_open_is_told_whole_after_the_restart(
    tmp_path: Path,
) -> None:
    interception = gw.fresh_id()
    began, used, *others = session(interception)
    async with Collector() as collector:
        async with running(tmp_path, collector) as bridge:
            await gw.send(bridge, began, used)
            assert await bridge.total("aibridge_interceptions_active") == 1
        async with running(tmp_path, collector) as bridge:
            assert await bridge.total("aibridge_interceptions_active") == 1
            await gw.send(bridge, began, used, *others)
            span = await gw.told(bridge, interception)
            assert await bridge.total("otelbridge_records_duplicate_total") == 2
            active = {
                dict(labels).get("gen_ai_request_model"): value
                for (name, labels), value in (await bridge.metrics()).items()
                if name == "aibridge_interceptions_active"
            }
            # Over OTLP the last value of what is told no longer would stay for minutes.
            assert set(active.values()) == {0}
            assert any(active)

    assert attributes(span.attributes)["gen_ai.usage.input_tokens"] == 100
    assert len(span.events) == 3


async def test_a_record_that_comes_after_the_restart_is_told_late_with_the_same_span(
    tmp_path: Path,
) -> None:
    interception = gw.fresh_id()
    began, used, *others = session(interception)
    async with Collector() as collector:
        async with running(tmp_path, collector) as bridge:
            await gw.send(bridge, began, *others)
            span = await gw.told(bridge, interception)
        async with running(tmp_path, collector) as bridge:
            await gw.send(bridge, used, used, began)
            await collector.wait_for(lambda c: len(c.logs) == 1)
            names = ("gen_ai_client_inference_usage_input_tokens", "otelbridge_records_late")
            booked = [await bridge.total(f"{name}_total") for name in names]

    (late,) = collector.logs
    assert (late.event_name, late.trace_id) == ("aibridge.late_record", span.trace_id)
    assert late.span_id == span.span_id
    assert attributes(late.attributes)["gen_ai.usage.input_tokens"] == 100
    assert booked == [100, 1]


async def test_a_thread_goes_on_after_the_restart_and_late_tools_are_counted_at_their_server(
    tmp_path: Path,
) -> None:
    first, follow_up = gw.fresh_id(), gw.fresh_id()
    names = ("threads", "interceptions", "mcp_tool_calls")
    async with Collector() as collector:
        async with running(tmp_path, collector) as bridge:
            await gw.send(bridge, *session(first))
            await gw.told(bridge, first)
        async with running(tmp_path, collector) as bridge:
            answers = gw.start(follow_up, correlating_tool_call_id="call_1")
            await gw.send(bridge, answers, gw.end(follow_up, ended_at=gw.now(1)), ran(first))
            await gw.told(bridge, follow_up)
            await collector.wait_for(lambda c: len(c.logs) == 1)
            booked = [await bridge.total(f"aibridge_{name}_total") for name in names]
            calls = "aibridge_mcp_tool_calls_total"
            there = await bridge.total(calls, server_address="mcp.example.com")

    assert (booked, there) == ([1, 2, 1], 1)


async def test_a_budget_is_exceeded_right_after_the_restart(tmp_path: Path) -> None:
    write_store(
        tmp_path, f'{PEOPLE}[[budget]]\nuser = "alice"\nlimit_usd = "0.01"\nperiod = "month"\n'
    )
    interception, request = gw.fresh_id(), pb.IsBudgetExceededRequest(user_id=ALICE)
    answers = []
    async with Collector() as collector:
        for _ in range(2):
            async with running(tmp_path, collector) as bridge:
                answer = await gw.ask(bridge, request, pb.IsBudgetExceededResponse)
                answers.append(answer.exceeded)
                began = gw.start(interception, initiator_id=ALICE)
                await gw.send(bridge, began, gw.tokens(interception, input_tokens=10_000))
                interception = gw.fresh_id()

    assert answers == [False, True]


# --- As a process --------------------------------------------------------------------------


@asynccontextmanager
async def serving(folder: Path, collector: Collector) -> AsyncIterator[tuple[Process, str]]:
    """Run `otelbridge serve`; yield the process and its gRPC address."""
    if not (folder / "store.toml").exists():
        initialise(folder)
    (folder / "otelbridge.toml").write_text(
        '[listen]\ngrpc = "127.0.0.1:0"\nhttp = "127.0.0.1:0"\n[assembly]\ngrace_s = 0.1\n'
        f'[[destination]]\nname = "sink"\nendpoint = "{collector.grpc_endpoint}"\n'
    )
    process = await start("serve", folder=folder)
    try:
        yield process, (await line_with(process.stdout, "grpc ")).removeprefix("grpc ")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line_with(stream: asyncio.StreamReader | None, text: str) -> str:
    """Return the next line that holds a text."""
    assert stream is not None
    async with asyncio.timeout(20):
        while text not in (line := (await stream.readline()).decode()):
            assert line, f"ended before {text!r}"
    return line.rstrip("\n")


async def stop_during_a_call(process: Process, channel: grpc.aio.Channel) -> bytes:
    """Begin a call, send SIGTERM, and only then the call's request; return the answer."""
    held = channel.stream_unary("/proto.Recorder/RecordInterception")()
    # What is sent after it on the same connection is answered: it was received.
    await channel.unary_unary("/grpc.health.v1.Health/Check")(b"")
    process.send_signal(signal.SIGTERM)
    await line_with(process.stderr, "draining")
    await held.write(gw.start(gw.fresh_id()).SerializeToString())
    await held.done_writing()
    answer: bytes = await held
    return answer


async def test_sigterm_answers_the_call_that_was_received_delivers_and_exits_0(
    tmp_path: Path,
) -> None:
    interception, gate = gw.fresh_id(), asyncio.Event()
    held_back = Answer(after=gate)
    async with (
        Collector(judge=lambda r: held_back if r.signal is Signal.TRACES else None) as collector,
        serving(tmp_path, collector) as (process, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        for request in session(interception):
            method = f"/proto.{gw.method_of(request)}"
            await channel.unary_unary(method)(request.SerializeToString())
        await collector.wait_for(lambda c: bool(c.of(Signal.TRACES)))
        answer = await stop_during_a_call(process, channel)
        gate.set()
        done = await ended(process)

    assert (answer, done.code, "Traceback" in done.err) == (b"", 0, False)
    # The other one's grace is open: it is told after the next start.
    assert [UUID(bytes=span.trace_id) for span in collector.spans] == [UUID(interception)]


async def test_a_second_process_on_the_journal_is_refused_in_a_line_that_names_the_first(
    tmp_path: Path,
) -> None:
    async with Collector() as collector, running(tmp_path, collector):
        done = await run("serve", folder=tmp_path, OTELBRIDGE_LOG__LEVEL="error")

    assert (done.code, done.out) == (1, "")
    assert done.err == f"Error: journal.url: journal.db is in use by process {os.getpid()}\n"
