"""One metrics worker between a ledger and a real collector; time passes by fake sleeps."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import pytest

from otelbridge.delivery.lane import Lane
from otelbridge.delivery.metrics import MetricsEncoder
from otelbridge.delivery.metrics_worker import MetricsWorker
from otelbridge.delivery.series import Reading, SeriesView
from otelbridge.delivery.temporality import DeltaBase
from otelbridge.domain.ledger import Series
from otelbridge.domain.ports import Signal
from tests.collector import Answer, Collector
from tests.delivery.fakes import ENVELOPE, running
from tests.delivery.instruments import BORN_NS, GREP, INSTRUMENTS, LEDGER, OBSERVED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from otelbridge.delivery.outcomes import Exporter
    from otelbridge.domain.ledger import SeriesKey
    from tests.delivery.fakes import FakeTime, MemoryOutbox

Code = grpc.StatusCode
INTERVAL_S = 60.0
DELIVERED = ("otelbridge.delivery.delivered", "d", "metrics")
REJECTED = ("otelbridge.delivery.rejected", "d", "metrics")
RETRIES = ("otelbridge.delivery.retries", "d", "metrics")


class Bench:
    """A worker and what it works on.

    Attributes:
        ledger: What it reads; every reading counts one call more.
        saved: States of the delta base, as they were saved.
    """

    def __init__(
        self, exporter: Exporter, outbox: MemoryOutbox, time: FakeTime, *, delta: bool = False
    ) -> None:
        self.ledger: dict[SeriesKey, Series] = dict(LEDGER)
        self.saved: list[str] = []
        self.lane = Lane(
            "d", Signal.METRICS, exporter=exporter, count=outbox.count, timing=time.timing
        )
        self._base = DeltaBase() if delta else None
        self.worker = MetricsWorker(
            self.lane,
            encoder=MetricsEncoder(
                INSTRUMENTS, envelope=ENVELOPE, view=SeriesView(LEDGER), delta=self._base
            ),
            read=self._read,
            interval_s=INTERVAL_S,
            keeps=delta,
            acknowledged=self._save,
        )

    def _read(self) -> Reading:
        value = self.ledger[GREP].value
        assert isinstance(value, int)
        self.ledger[GREP] = Series(BORN_NS, value + 1)
        return Reading.of(self.ledger, OBSERVED)

    def _save(self) -> None:
        if self._base is not None:
            self.saved.append(self._base.dump())

    @asynccontextmanager
    async def exporting(self, collector: Collector, *, requests: int) -> AsyncIterator[None]:
        """Run the worker until so many requests came, and then drain it."""
        async with running(self.lane, self.worker):
            await collector.wait_for(lambda c: len(c.requests) >= requests)
            yield


def greps(collector: Collector) -> list[int]:
    """Return the first point of every export of the counter."""
    return [
        metric.sum.data_points[0].as_int
        for metric in collector.metrics
        if metric.name == "test.calls"
    ]


async def test_a_fresh_reading_is_told_every_interval_and_once_at_the_end(
    collector: Collector, grpc_exporter: Exporter, outbox: MemoryOutbox, time: FakeTime
) -> None:
    bench = Bench(grpc_exporter, outbox, time)

    async with bench.exporting(collector, requests=3):
        pass

    told = greps(collector)
    assert told == list(range(6, 6 + len(told)))
    assert len(told) >= 4
    assert set(time.slept) == {INTERVAL_S}
    assert outbox.counts[DELIVERED] == 6 * len(told)


async def test_a_failed_export_is_tried_again_within_the_interval(
    collector: Collector, grpc_exporter: Exporter, outbox: MemoryOutbox, time: FakeTime
) -> None:
    collector.script(*[Answer(code=Code.UNAVAILABLE)] * 3)
    bench = Bench(grpc_exporter, outbox, time)

    async with bench.exporting(collector, requests=5):
        pass

    assert time.slept[:4] == [0.375, 0.75, 1.5, INTERVAL_S - 0.375 - 0.75 - 1.5]
    assert len({request.body for request in collector.requests[:4]}) == 1
    assert greps(collector)[:2] == [6, 7]
    assert outbox.counts[*RETRIES, "grpc_unavailable"] == 3


async def test_a_total_that_was_not_taken_is_replaced_by_a_newer_one(
    collector: Collector, grpc_exporter: Exporter, outbox: MemoryOutbox, time: FakeTime
) -> None:
    collector.script(*[Answer(code=Code.UNAVAILABLE, retry_after_s=50)] * 2)
    bench = Bench(grpc_exporter, outbox, time)

    async with bench.exporting(collector, requests=3):
        pass

    assert time.slept[:2] == [50.25, 50.25]
    assert greps(collector)[0] == 7


async def test_a_change_that_was_not_taken_is_sent_again_as_it_is(
    collector: Collector, grpc_exporter: Exporter, outbox: MemoryOutbox, time: FakeTime
) -> None:
    collector.script(*[Answer(code=Code.UNAVAILABLE, retry_after_s=50)] * 3)
    bench = Bench(grpc_exporter, outbox, time, delta=True)

    async with bench.exporting(collector, requests=5):
        pass

    assert len({request.body for request in collector.requests[:4]}) == 1
    told = greps(collector)
    assert told[:2] == [6, 1]
    assert sum(told) == bench.ledger[GREP].value


async def test_what_was_acknowledged_is_saved_after_every_export(
    collector: Collector, grpc_exporter: Exporter, outbox: MemoryOutbox, time: FakeTime
) -> None:
    bench = Bench(grpc_exporter, outbox, time, delta=True)

    async with bench.exporting(collector, requests=2):
        pass

    base = DeltaBase.load(bench.saved[-1])
    assert len(bench.saved) == len(collector.requests)
    assert base is not None
    assert base.dump() == bench.saved[-1]


async def test_requests_become_smaller_for_a_server_that_asks_for_it(
    collector: Collector, grpc_exporter: Exporter, outbox: MemoryOutbox, time: FakeTime
) -> None:
    collector.script(Answer(code=Code.RESOURCE_EXHAUSTED))
    bench = Bench(grpc_exporter, outbox, time)

    async with bench.exporting(collector, requests=3):
        pass

    assert len(collector.requests[1].body) < len(collector.requests[0].body)
    assert greps(collector)[0] == 7


async def test_refused_points_are_counted_and_told_anew(
    collector: Collector, grpc_exporter: Exporter, outbox: MemoryOutbox, time: FakeTime
) -> None:
    collector.script(Answer(code=Code.INVALID_ARGUMENT, message="no"))
    bench = Bench(grpc_exporter, outbox, time)

    async with bench.exporting(collector, requests=2):
        pass

    assert outbox.counts[*REJECTED, "grpc_invalid_argument"] == 6
    assert greps(collector)[0] == 7


async def test_the_truth_behind_a_new_series_is_told_before_the_end(
    collector: Collector, grpc_exporter: Exporter, outbox: MemoryOutbox, time: FakeTime
) -> None:
    bench = Bench(grpc_exporter, outbox, time)
    born: SeriesKey = ("test.calls", ("a new tool", ""))
    bench.ledger[born] = Series(BORN_NS, 7)
    bench.lane.drain()

    await bench.worker.run()

    values = [
        point.as_int
        for metric in collector.metrics
        for point in metric.sum.data_points
        if point.attributes and point.attributes[0].value.string_value == "a new tool"
    ]
    assert values == [0, 7]


async def test_the_end_does_not_insist_on_a_new_series_that_is_refused(
    collector: Collector, grpc_exporter: Exporter, outbox: MemoryOutbox, time: FakeTime
) -> None:
    collector.judge = lambda _: Answer(code=Code.INVALID_ARGUMENT)
    bench = Bench(grpc_exporter, outbox, time)
    bench.ledger["test.calls", ("a new tool", "")] = Series(BORN_NS, 7)
    bench.lane.drain()

    async with asyncio.timeout(5):
        await bench.worker.run()

    assert len(collector.requests) == 1


@pytest.mark.parametrize("delta", [False, True])
async def test_the_end_does_not_wait_for_a_destination_that_fails(
    collector: Collector,
    grpc_exporter: Exporter,
    outbox: MemoryOutbox,
    time: FakeTime,
    *,
    delta: bool,
) -> None:
    collector.script(Answer(code=Code.UNAVAILABLE))
    bench = Bench(grpc_exporter, outbox, time, delta=delta)
    bench.lane.drain()

    async with asyncio.timeout(5):
        await bench.worker.run()

    assert len(collector.requests) == 1
