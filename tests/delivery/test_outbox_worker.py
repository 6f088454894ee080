"""One worker between an outbox in memory and a real collector."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import grpc
import pytest

from otelbridge.delivery.lane import Lane
from otelbridge.delivery.otlp_grpc import GrpcExporter
from otelbridge.domain.ports import Signal
from tests.collector import Answer, Collector
from tests.delivery.fakes import (
    ENVELOPE,
    FakeTime,
    MemoryOutbox,
    destination,
    running,
    span,
    traces_lane,
    traces_worker,
)
from tests.faults import fault

if TYPE_CHECKING:
    from otelbridge.delivery.outcomes import Exporter, Outcome
    from tests.collector import Request

Code = grpc.StatusCode
DELIVERED = ("otelbridge.delivery.delivered", "d", "traces")
BURIED = ("otelbridge.delivery.dead_lettered", "d", "traces")
REJECTED = ("otelbridge.delivery.rejected", "d", "traces")
RETRIES = ("otelbridge.delivery.retries", "d", "traces")


async def deliver(exporter: Exporter, outbox: MemoryOutbox, time: FakeTime, *, count: int) -> None:
    """Run a worker until so many rows are acknowledged."""
    lane = traces_lane(exporter, outbox, time)
    async with running(lane, traces_worker(lane, outbox)), asyncio.timeout(10):
        await outbox.until_taken(count)


def names(collector: Collector) -> list[str]:
    return [each.name for each in collector.spans]


async def test_rows_arrive_in_one_request_and_are_acknowledged(
    collector: Collector, grpc_exporter: Exporter, outbox: MemoryOutbox, time: FakeTime
) -> None:
    outbox.put(Signal.TRACES, span("a"), span("b"))

    await deliver(grpc_exporter, outbox, time, count=2)

    assert names(collector) == ["a", "b"]
    assert len(collector.requests) == 1
    assert outbox.counts == {DELIVERED: 2}


async def test_rows_that_come_later_are_waited_for(
    collector: Collector, grpc_exporter: Exporter, outbox: MemoryOutbox, time: FakeTime
) -> None:
    lane = traces_lane(grpc_exporter, outbox, time)

    async with running(lane, traces_worker(lane, outbox)):
        for number in range(3):
            outbox.put(Signal.TRACES, span(str(number)))
            await collector.wait_for(lambda c, count=number: len(c.spans) > count)  # type: ignore[misc]

    assert names(collector) == ["0", "1", "2"]


async def test_a_batch_is_limited_in_bytes(
    collector: Collector, grpc_exporter: Exporter, outbox: MemoryOutbox, time: FakeTime
) -> None:
    outbox.put(Signal.TRACES, *[span(str(number), padding=900_000) for number in range(5)])

    await deliver(grpc_exporter, outbox, time, count=5)

    assert names(collector) == ["0", "1", "2", "3", "4"]
    assert [len(each.body) // 900_000 for each in collector.requests] == [2, 2, 1]


async def test_a_failing_destination_is_tried_again_with_doubling_waits(
    collector: Collector, grpc_exporter: Exporter, outbox: MemoryOutbox, time: FakeTime
) -> None:
    collector.script(*[Answer(code=Code.UNAVAILABLE)] * 9)
    outbox.put(Signal.TRACES, span("a"))

    await deliver(grpc_exporter, outbox, time, count=1)

    assert time.slept == [0.375, 0.75, 1.5, 3, 6, 12, 22.5, 22.5, 22.5]
    assert names(collector) == ["a"]
    assert outbox.counts == {DELIVERED: 1, (*RETRIES, "grpc_unavailable"): 9}


async def test_what_was_taken_while_the_answer_was_lost_is_sent_again_byte_for_byte(
    collector: Collector, grpc_exporter: Exporter, outbox: MemoryOutbox, time: FakeTime
) -> None:
    collector.script(Answer(code=Code.UNAVAILABLE, is_taken=True))
    outbox.put(Signal.TRACES, span("a"), span("b"))

    await deliver(grpc_exporter, outbox, time, count=2)

    first, second = collector.taken
    assert first.body == second.body


async def test_after_a_restart_what_was_not_acknowledged_is_sent_again_byte_for_byte(
    collector: Collector, outbox: MemoryOutbox, time: FakeTime
) -> None:
    collector.script(Answer(never=True))
    outbox.put(Signal.TRACES, span("a"), span("b"))
    config = destination(collector.grpc_endpoint)

    before = GrpcExporter(config, user_agent="test")
    killed = asyncio.create_task(traces_worker(traces_lane(before, outbox, time), outbox).run())
    await collector.wait_for(lambda c: len(c.requests) == 1)
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    await before.close()
    after = GrpcExporter(config, user_agent="test")
    await deliver(after, outbox, time, count=2)
    await after.close()

    first, second = collector.requests
    assert first.body == second.body
    assert names(collector) == ["a", "b"]


def refuse(name: str, code: grpc.StatusCode, collector: Collector) -> None:
    """Let the collector refuse every request that holds a span of this name."""

    def judge(request: Request) -> Answer | None:
        return Answer(code=code, message="bad") if name.encode() in request.body else None

    collector.judge = judge


@fault(9)
@pytest.mark.parametrize("code", [Code.INVALID_ARGUMENT, Code.INTERNAL])
async def test_a_poisonous_row_is_found_and_buried_and_the_rest_delivered(
    collector: Collector,
    grpc_exporter: Exporter,
    outbox: MemoryOutbox,
    time: FakeTime,
    code: grpc.StatusCode,
) -> None:
    refuse("poison", code, collector)
    good = [f"good {number}" for number in range(99)]
    outbox.put(Signal.TRACES, *map(span, [*good[:70], "poison", *good[70:]]))

    await deliver(grpc_exporter, outbox, time, count=100)

    reason = f"grpc_{code.name.lower()}"
    assert names(collector) == good
    assert [(row.seq, why) for _, row, why in outbox.buried] == [(71, f"{reason}: bad")]
    assert outbox.counts == {DELIVERED: 99, (*REJECTED, reason): 1, (*BURIED, reason): 1}
    assert len(collector.requests) < 40
    assert time.slept == []


async def test_a_destination_that_refuses_everything_is_not_given_the_backlog_to_bury(
    collector: Collector, grpc_exporter: Exporter, outbox: MemoryOutbox, time: FakeTime
) -> None:
    refuse("bad", Code.INTERNAL, collector)
    outbox.put(Signal.TRACES, *[span("bad")] * 12)
    lane = traces_lane(grpc_exporter, outbox, time)

    async with running(lane, traces_worker(lane, outbox)):
        await outbox.until_taken(12)

    assert len(outbox.buried) == 12
    assert time.slept[:4] == [0.375, 0.75, 1.5, 3]
    assert lane.health.error == "refuses everything: grpc_internal: bad"


async def test_a_wrong_key_loses_nothing_and_a_right_one_heals_it(
    collector: Collector, outbox: MemoryOutbox, time: FakeTime
) -> None:
    def judge(request: Request) -> Answer | None:
        is_right = request.headers.get("authorization") == "right"
        return None if is_right else Answer(code=Code.UNAUTHENTICATED)

    collector.judge = judge
    outbox.put(Signal.TRACES, span("a"))
    for key in ("wrong", "right"):
        config = destination(collector.grpc_endpoint, headers={"authorization": key})
        exporter = GrpcExporter(config, user_agent="test")
        lane = traces_lane(exporter, outbox, time)
        async with running(lane, traces_worker(lane, outbox)):
            await collector.wait_for(lambda c: len(c.requests) > 0)
        await exporter.close()

    assert names(collector) == ["a"]
    assert outbox.buried == []


async def test_a_change_of_state_is_one_line_of_log(
    collector: Collector,
    grpc_exporter: Exporter,
    outbox: MemoryOutbox,
    time: FakeTime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    collector.script(*[Answer(code=Code.UNAVAILABLE, message="full\n")] * 3)
    outbox.put(Signal.TRACES, span("a"))

    with caplog.at_level(logging.INFO, "otelbridge"):
        await deliver(grpc_exporter, outbox, time, count=1)

    assert [record.getMessage() for record in caplog.records] == [
        r"destination d: traces: grpc_unavailable: full\x0a",
        "destination d: traces: takes everything again after 2.6 s",
    ]


async def test_draining_delivers_what_is_pending(
    collector: Collector, grpc_exporter: Exporter, outbox: MemoryOutbox, time: FakeTime
) -> None:
    outbox.put(Signal.TRACES, *[span("a", padding=1_500_000)] * 3)
    lane = traces_lane(grpc_exporter, outbox, time)
    lane.drain()

    await traces_worker(lane, outbox).run()

    assert names(collector) == ["a", "a", "a"]


async def test_draining_leaves_what_a_failing_destination_does_not_take(
    collector: Collector, grpc_exporter: Exporter, outbox: MemoryOutbox, time: FakeTime
) -> None:
    collector.script(Answer(code=Code.UNAVAILABLE))
    outbox.put(Signal.TRACES, span("a"))
    lane = traces_lane(grpc_exporter, outbox, time)
    lane.drain()

    await traces_worker(lane, outbox).run()

    assert len(collector.requests) == 1
    assert outbox.through["d", Signal.TRACES] == 0


async def test_draining_does_not_bury_the_backlog_of_a_destination_that_refuses_everything(
    collector: Collector, grpc_exporter: Exporter, outbox: MemoryOutbox, time: FakeTime
) -> None:
    refuse("bad", Code.INTERNAL, collector)
    outbox.put(Signal.TRACES, *[span("bad")] * 100)
    lane = traces_lane(grpc_exporter, outbox, time)
    lane.drain()

    await traces_worker(lane, outbox).run()

    assert len(outbox.buried) == outbox.through["d", Signal.TRACES] == 9


class BrokenOnce:
    """An exporter with a mistake in it."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter
        self._is_broken = True

    async def export(self, signal: Signal, body: bytes) -> Outcome:
        if self._is_broken:
            self._is_broken = False
            raise KeyError("secret")
        return await self._exporter.export(signal, body)

    async def close(self) -> None:
        await self._exporter.close()


async def test_a_mistake_of_ours_does_not_end_delivery(
    collector: Collector, grpc_exporter: Exporter, outbox: MemoryOutbox, time: FakeTime
) -> None:
    outbox.put(Signal.TRACES, span("a"))

    await deliver(BrokenOnce(grpc_exporter), outbox, time, count=1)

    assert [each.body for each in collector.taken] == [ENVELOPE.wrap([span("a")])]
    assert outbox.counts[*RETRIES, "internal_error"] == 1


async def test_a_header_that_the_destination_repeats_is_shown_nowhere(
    collector: Collector,
    grpc_exporter: Exporter,
    outbox: MemoryOutbox,
    time: FakeTime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = "Bearer CANARY"
    collector.script(Answer(code=Code.UNAUTHENTICATED, message="CANARY is no Bearer CANARY"))
    outbox.put(Signal.TRACES, span("a"))
    lane = Lane(
        "d",
        Signal.TRACES,
        exporter=grpc_exporter,
        count=outbox.count,
        timing=time.timing,
        secrets=[secret],
    )

    async with running(lane, traces_worker(lane, outbox)), asyncio.timeout(10):
        await outbox.until_taken(1)

    assert "*** is no ***" in caplog.text
    assert "CANARY" not in caplog.text
