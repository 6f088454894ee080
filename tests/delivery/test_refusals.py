"""A collector that refuses: what it will never take is kept apart, all else is delivered."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from otelbridge.domain.ports import OutboxRow, Signal
from tests.collector import Answer, Collector
from tests.delivery.fakes import (
    span,
    traces_lane,
    traces_worker,
)
from tests.faults import fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.collector import Request

from tests.delivery.bench import (
    BURIED,
    DELIVERED,
    PROTOCOLS,
    REJECTED,
    RETRIES,
    Bench,
    names,
    port_of,
    put,
)

Code = grpc.StatusCode


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
