"""A collector that is away, hangs, is slow or cut off: over real sockets, and what comes of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import pytest

from otelbridge.domain.ports import Signal
from tests.collector import Answer, Collector
from tests.delivery.fakes import (
    span,
)
from tests.fault_proxy import FaultProxy
from tests.faults import fault

if TYPE_CHECKING:
    from tests.collector import Request

from tests.delivery.bench import DELIVERED, PROTOCOLS, RETRIES, Bench, names, port_of, put

Code = grpc.StatusCode
DAY_S = 86400.0


@fault(1)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_collector_that_comes_up_after_60_s_gets_everything_the_oldest_first(
    collector: Collector, bench: Bench, protocol: str
) -> None:
    wanted = put(bench.outbox, 2000)
    hold = bench.time.hold(60.0)
    async with FaultProxy(port_of(collector, protocol)) as proxy:
        proxy.refuse()
        work = asyncio.create_task(bench.deliver(bench.exporter(protocol, proxy.port), count=2000))
        await hold.reached.wait()
        taken_before = bench.outbox.through["d", Signal.TRACES]
        await proxy.listen()
        hold.release()
        await work

    assert taken_before == 0
    assert names(collector) == wanted


@fault(2)
@pytest.mark.parametrize(("protocol", "seconds"), [("grpc", DAY_S), ("http/protobuf", DAY_S / 8)])
async def test_a_day_without_a_collector_costs_tries_and_no_data(
    collector: Collector, bench: Bench, protocol: str, seconds: float
) -> None:
    wanted = put(bench.outbox, 700)
    hold = bench.time.hold(seconds)
    async with FaultProxy(port_of(collector, protocol)) as proxy:
        proxy.refuse()
        work = asyncio.create_task(bench.deliver(bench.exporter(protocol, proxy.port), count=700))
        await hold.reached.wait()
        await proxy.listen()
        hold.release()
        await work

    assert names(collector) == wanted
    assert bench.outbox.buried == []
    assert max(bench.time.slept) <= 30.0
    tries = sum(count for key, count in bench.outbox.counts.items() if key[:3] == RETRIES)
    assert tries == len(bench.time.slept) > seconds / 30


@fault(3)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_collector_that_never_answers_is_given_a_time_limit_and_the_same_again(
    collector: Collector, bench: Bench, protocol: str
) -> None:
    wanted = put(bench.outbox, 3)
    collector.script(Answer(never=True), Answer(never=True))
    exporter = bench.exporter(protocol, port_of(collector, protocol), timeout_s=0.2)

    await bench.deliver(exporter, count=3)

    first, second, third = collector.requests
    assert first.body == second.body == third.body
    assert names(collector) == wanted
    assert len(bench.time.slept) == 2


@fault(3)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_connection_that_died_without_a_word_is_not_used_again(
    collector: Collector, bench: Bench, protocol: str
) -> None:
    async with FaultProxy(port_of(collector, protocol)) as proxy:
        exporter = bench.exporter(protocol, proxy.port, timeout_s=0.5)
        put(bench.outbox, 1)
        await bench.deliver(exporter, count=1)
        proxy.silence()
        bench.outbox.put(Signal.TRACES, span("after"))
        await bench.deliver(exporter, count=2)

    assert names(collector) == ["span 0", "after"]
    assert proxy.accepted == 2
    assert len(bench.time.slept) == 1


@fault(3)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_port_that_accepts_and_says_nothing_is_tried_again(
    collector: Collector, bench: Bench, protocol: str
) -> None:
    wanted = put(bench.outbox, 1)
    hold = bench.time.hold(2.0)
    async with FaultProxy(port_of(collector, protocol)) as proxy:
        proxy.silence(new_ones=True)
        exporter = bench.exporter(protocol, proxy.port, timeout_s=0.2)
        work = asyncio.create_task(bench.deliver(exporter, count=1))
        await hold.reached.wait()
        proxy.heal()
        hold.release()
        await work

    # What was swallowed meanwhile comes too: the same span, by its id.
    assert set(names(collector)) == set(wanted)


class Slow:
    """A collector's slowness: requests are held until they are let go, and counted.

    Attributes:
        most: How many were held at one time, at most.
    """

    def __init__(self) -> None:
        self.most = 0
        self._held: list[asyncio.Event] = []

    def judge(self, _request: Request) -> Answer:
        self._held.append(asyncio.Event())
        self.most = max(self.most, sum(not event.is_set() for event in self._held))
        return Answer(after=self._held[-1])

    def let_go(self) -> None:
        for event in self._held:
            event.set()


@fault(4)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_slow_collector_has_one_request_at_a_time_and_gets_nothing_twice(
    collector: Collector, bench: Bench, protocol: str
) -> None:
    slow = Slow()
    collector.judge = slow.judge
    wanted = put(bench.outbox, 3000)
    exporter = bench.exporter(protocol, port_of(collector, protocol))
    work = asyncio.create_task(bench.deliver(exporter, count=3000))
    for number in (1, 2, 3):
        await collector.wait_for(lambda c, n=number: len(c.requests) >= n)  # type: ignore[misc]
        slow.let_go()
    collector.judge = lambda _: None
    await work

    assert slow.most == 1
    assert names(collector) == wanted
    assert bench.time.slept == []


def down(protocol: str) -> Answer:
    return Answer(code=Code.UNAVAILABLE, http_status=503, body=b"" if protocol != "grpc" else None)


@fault(5)
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
async def test_waits_double_up_to_30_s_and_vary_by_chance(
    collector: Collector, bench: Bench, protocol: str, chance: float
) -> None:
    bench.time.chance = chance
    wanted = put(bench.outbox, 1)
    collector.script(*[down(protocol)] * 9)

    await bench.deliver(bench.exporter(protocol, port_of(collector, protocol)), count=1)

    longest = [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert bench.time.slept == [pytest.approx(each * (1 + chance) / 2) for each in longest]
    assert names(collector) == wanted


@fault(6)
@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("code", [Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE])
async def test_a_collector_that_asks_for_200_ms_is_left_alone_for_200_ms_and_less_than_1_s(
    collector: Collector, bench: Bench, code: grpc.StatusCode, chance: float
) -> None:
    bench.time.chance = chance
    wanted = put(bench.outbox, 1)
    collector.script(*[Answer(code=code, retry_after_s=0.2)] * 5)

    await bench.deliver(bench.exporter("grpc", collector.grpc_port), count=1)

    assert names(collector) == wanted
    assert len(bench.time.slept) == 5
    assert all(0.2 <= slept < 1.0 for slept in bench.time.slept)
    assert bench.outbox.buried == []


@fault(6)
async def test_a_collector_that_asks_for_no_pause_at_all_gets_the_usual_ones(
    collector: Collector, bench: Bench
) -> None:
    put(bench.outbox, 1)
    collector.script(*[Answer(code=Code.RESOURCE_EXHAUSTED, retry_after_s=0.0)] * 3)

    await bench.deliver(bench.exporter("grpc", collector.grpc_port), count=1)

    assert bench.time.slept == [0.375, 0.75, 1.5]


@fault(12)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_connection_that_is_cut_after_the_request_came_brings_the_same_spans_again(
    collector: Collector, bench: Bench, protocol: str
) -> None:
    async with FaultProxy(port_of(collector, protocol)) as proxy:
        exporter = bench.exporter(protocol, proxy.port)
        put(bench.outbox, 1)
        await bench.deliver(exporter, count=1)
        proxy.mute()
        put(bench.outbox, 100)
        work = asyncio.create_task(bench.deliver(exporter, count=101))
        await collector.wait_for(lambda c: len(c.taken) == 2)
        proxy.heal()
        proxy.cut()
        await work

    _, first, second = collector.taken
    assert first.body == second.body
    assert bench.outbox.counts[DELIVERED] == 101
    assert bench.outbox.buried == []
