"""What goes wrong between the bridge and a collector, over real sockets, and what comes of it."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from otelbridge.delivery.otlp_grpc import GrpcExporter
from otelbridge.delivery.otlp_http import HttpExporter
from otelbridge.delivery.renewal import RenewableExporter
from otelbridge.domain.ports import OutboxRow, Signal
from tests.collector import Answer, Collector
from tests.delivery.fakes import (
    FakeTime,
    MemoryOutbox,
    destination,
    running,
    span,
    traces_lane,
    traces_worker,
)
from tests.fault_proxy import FaultProxy
from tests.faults import fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from otelbridge.delivery.outcomes import Exporter
    from tests.collector import Request

Code = grpc.StatusCode
PROTOCOLS = ("grpc", "http/protobuf")
DELIVERED = ("otelbridge.delivery.delivered", "d", "traces")
REJECTED = ("otelbridge.delivery.rejected", "d", "traces")
BURIED = ("otelbridge.delivery.dead_lettered", "d", "traces")
RETRIES = ("otelbridge.delivery.retries", "d", "traces")
DAY_S = 86400.0


class Bench:
    """An outbox and a clock; exporters that are closed at the end."""

    def __init__(self, outbox: MemoryOutbox, time: FakeTime) -> None:
        self.outbox = outbox
        self.time = time
        self.exporters: list[Exporter] = []

    def exporter(self, protocol: str, port: int, **settings: Any) -> Exporter:
        """Return an exporter as delivery makes it."""
        config = destination(f"http://127.0.0.1:{port}", protocol=protocol, **settings)

        def make() -> Exporter:
            if protocol == "grpc":
                return GrpcExporter(config, user_agent="test")
            return HttpExporter(config, user_agent="test", now_ns=self.time.now_ns)

        self.exporters.append(RenewableExporter(make))
        return self.exporters[-1]

    async def deliver(self, exporter: Exporter, *, count: int) -> None:
        """Deliver until so many rows are acknowledged."""
        lane = traces_lane(exporter, self.outbox, self.time)
        async with running(lane, traces_worker(lane, self.outbox)), asyncio.timeout(30):
            await self.outbox.until_taken(count)


@pytest.fixture
async def bench(outbox: MemoryOutbox, time: FakeTime) -> AsyncIterator[Bench]:
    bench = Bench(outbox, time)
    yield bench
    for exporter in bench.exporters:
        await exporter.close()


def port_of(collector: Collector, protocol: str) -> int:
    if protocol == "grpc":
        return collector.grpc_port
    return int(collector.http_endpoint.rpartition(":")[2])


def names(collector: Collector) -> list[str]:
    return [each.name for each in collector.spans]


def put(outbox: MemoryOutbox, count: int) -> list[str]:
    wanted = [f"span {number}" for number in range(count)]
    outbox.put(Signal.TRACES, *map(span, wanted))
    return wanted


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


def limited_to(size: int, *, message: str) -> Callable[[Request], Answer | None]:
    """Return a judge that refuses requests over a size as gRPC and HTTP servers do."""

    def judge(request: Request) -> Answer | None:
        if len(request.body) <= size:
            return None
        return Answer(code=Code.RESOURCE_EXHAUSTED, http_status=413, message=message)

    return judge


@fault(7)
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("message", ["grpc: received message larger than max", ""])
async def test_of_a_request_that_is_too_large_all_is_delivered_that_fits(
    collector: Collector, bench: Bench, protocol: str, message: str
) -> None:
    collector.judge = limited_to(200_000, message=message)
    small = [f"small {number}" for number in range(300)]
    bodies = [span(name, padding=2000) for name in small]
    bench.outbox.put(Signal.TRACES, *bodies[:150], span("huge", padding=2_000_000), *bodies[150:])

    await bench.deliver(bench.exporter(protocol, port_of(collector, protocol)), count=301)

    ((_, row, why),) = bench.outbox.buried
    assert names(collector) == small
    assert (row.seq, len(row.body) > 2_000_000) == (151, True)
    assert why.startswith("http_413" if "http" in protocol else "grpc_resource_exhausted")
    assert bench.outbox.counts[DELIVERED] == 300
    assert sum(count for key, count in bench.outbox.counts.items() if key[:3] == BURIED) == 1


@fault(7)
async def test_of_an_interception_that_is_too_large_the_items_that_fit_are_delivered(
    collector: Collector, bench: Bench
) -> None:
    collector.judge = limited_to(50_000, message="received message larger than max")
    parts = [span("chat", padding=100_000), span("tool a"), span("tool b")]
    bench.outbox.rows[Signal.TRACES] = [OutboxRow(1, 3, b"".join(parts))]

    await bench.deliver(bench.exporter("grpc", collector.grpc_port), count=1)

    ((_, letter, _),) = bench.outbox.buried
    assert names(collector) == ["tool a", "tool b"]
    assert (letter.items, letter.body) == (1, parts[0])
    assert bench.outbox.counts[DELIVERED] == 2


@fault(7)
async def test_a_collector_that_takes_nothing_for_a_while_is_not_taken_for_one_with_a_limit(
    collector: Collector, bench: Bench
) -> None:
    """RESOURCE_EXHAUSTED without a RetryInfo is also what a server says that is busy."""
    wanted = put(bench.outbox, 4)
    # All four, two, one; then it is asked three times more.
    collector.script(*[Answer(code=Code.RESOURCE_EXHAUSTED, message="quota")] * 5)

    await bench.deliver(bench.exporter("grpc", collector.grpc_port), count=4)

    assert names(collector) == wanted
    assert bench.outbox.buried == []


@fault(7)
async def test_a_server_limit_is_found_once_and_then_seldom_tried(
    collector: Collector, bench: Bench
) -> None:
    collector.judge = limited_to(100_000, message="received message larger than max")
    bench.outbox.put(Signal.TRACES, *[span("a", padding=3000)] * 2000)

    await bench.deliver(bench.exporter("grpc", collector.grpc_port), count=2000)

    refused = len(collector.requests) - len(collector.taken)
    assert len(collector.spans) == 2000
    assert len(collector.taken) > 60
    assert refused <= 8


@fault(8)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_what_a_collector_takes_in_part_is_counted_and_not_sent_again(
    collector: Collector, bench: Bench, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(bench.outbox, 5)
    collector.script(Answer(rejected=2, message="too old\x1b[0m"))

    await bench.deliver(bench.exporter(protocol, port_of(collector, protocol)), count=5)

    assert len(collector.requests) == 1
    assert bench.outbox.counts == {DELIVERED: 3, (*REJECTED, "partial_success"): 2}
    assert r"2 of 5 items rejected: too old\x1b[0m" in caplog.text
    assert bench.outbox.buried == []


def refusing(name: str) -> Callable[[Request], Answer | None]:
    """Return a judge that refuses every request with a span of this name."""
    answer = Answer(code=Code.INVALID_ARGUMENT, http_status=400, message="bad")
    return lambda request: answer if name.encode() in request.body else None


@fault(9)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_one_bad_span_in_an_interception_is_buried_and_the_others_are_delivered(
    collector: Collector, bench: Bench, protocol: str
) -> None:
    collector.judge = refusing("poison")
    good = [f"good {number}" for number in range(40)]
    rows = [OutboxRow(seq, 1, span(name)) for seq, name in enumerate(good, 1)]
    parts = [span("chat"), span("poison"), span("tool")]
    rows[20] = OutboxRow(21, 3, b"".join(parts))
    bench.outbox.rows[Signal.TRACES] = rows

    await bench.deliver(bench.exporter(protocol, port_of(collector, protocol)), count=40)

    ((_, letter, _),) = bench.outbox.buried
    assert names(collector) == [*good[:20], "chat", "tool", *good[21:]]
    assert (letter.items, letter.body) == (1, parts[1])
    assert bench.outbox.counts[DELIVERED] == 41
    assert bench.time.slept == []


@fault(9)
async def test_an_interception_of_which_a_part_was_taken_is_told_anew_after_a_stop(
    collector: Collector, bench: Bench
) -> None:
    """Nothing of it is counted or buried twice: it is acknowledged as a whole."""
    collector.judge = refusing("poison")
    row = OutboxRow(1, 2, span("good") + span("poison"))
    bench.outbox.rows[Signal.TRACES] = [row]
    lane = traces_lane(bench.exporter("grpc", collector.grpc_port), bench.outbox, bench.time)
    collector.script(Answer(code=Code.INVALID_ARGUMENT), Answer(), Answer(code=Code.UNAVAILABLE))
    lane.drain()
    await traces_worker(lane, bench.outbox).run()
    before = (dict(bench.outbox.counts), list(bench.outbox.buried))

    await bench.deliver(bench.exporter("grpc", collector.grpc_port), count=1)

    ((_, letter, _),) = bench.outbox.buried
    assert before == ({(*RETRIES, "grpc_unavailable"): 1}, [])
    assert names(collector) == ["good", "good"]
    assert letter.body == span("poison")
    assert bench.outbox.counts[DELIVERED] == 1


@fault(11)
@pytest.mark.parametrize(
    "answer",
    [
        Answer(http_status=429, headers={"retry-after": "3"}, body=b""),
        Answer(http_status=503, headers={"retry-after": "3"}, body=b""),
    ],
    ids=["429", "503"],
)
async def test_retry_after_in_seconds_is_kept_to(
    collector: Collector, bench: Bench, answer: Answer
) -> None:
    wanted = put(bench.outbox, 1)
    collector.script(answer)

    port = port_of(collector, "http/protobuf")
    await bench.deliver(bench.exporter("http/protobuf", port), count=1)

    (slept,) = bench.time.slept
    assert 3.0 <= slept <= 3.5
    assert names(collector) == wanted


@fault(11)
async def test_retry_after_as_a_date_is_kept_to(collector: Collector, bench: Bench) -> None:
    put(bench.outbox, 1)
    at_s = bench.time.now_ns() / 1e9 + 20
    headers = {"retry-after": formatdate(at_s, usegmt=True)}
    collector.script(Answer(http_status=503, headers=headers, body=b""))

    port = port_of(collector, "http/protobuf")
    await bench.deliver(bench.exporter("http/protobuf", port), count=1)

    (slept,) = bench.time.slept
    assert 20.0 <= slept <= 20.5


@fault(11)
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            Answer(http_status=502, body=b"<h1>Bad gateway</h1>", content_type="text/html"),
            "http_502",
        ),
        (Answer(http_status=504, body=b""), "http_504"),
        (Answer(http_status=429, body=b""), "http_429"),
        (Answer(http_status=307, headers={"location": "/v1/logs"}, body=b""), "http_307"),
        (Answer(http_status=404, body=b""), "http_404"),
        (Answer(body=b"<h1>Log in</h1>", content_type="text/html"), "http_no_otlp"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_no_fault_of_the_data_is_tried_again_and_nothing_is_lost(
    collector: Collector, bench: Bench, answer: Answer, reason: str
) -> None:
    wanted = put(bench.outbox, 3)
    collector.script(Answer(**{**_fields(answer), "is_taken": False}))

    port = port_of(collector, "http/protobuf")
    await bench.deliver(bench.exporter("http/protobuf", port), count=3)

    assert names(collector) == wanted
    assert len(collector.requests) == 2
    assert {request.path for request in collector.requests} == {"/v1/traces"}
    assert bench.outbox.counts == {DELIVERED: 3, (*RETRIES, reason): 1}


def _fields(answer: Answer) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in answer.__slots__}


@fault(11)
@pytest.mark.parametrize("status", [400, 500])
async def test_what_must_not_be_sent_again_becomes_a_dead_letter(
    collector: Collector, bench: Bench, status: int
) -> None:
    put(bench.outbox, 1)
    collector.script(Answer(http_status=status, message="why"))

    port = port_of(collector, "http/protobuf")
    await bench.deliver(bench.exporter("http/protobuf", port), count=1)

    assert [why for *_, why in bench.outbox.buried] == [f"http_{status}: why"]
    assert len(collector.requests) == 1


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
