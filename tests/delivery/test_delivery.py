"""All destinations of a configuration together, over real sockets."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from otelbridge.config.sections import Config
from otelbridge.delivery.delivery import Delivery
from otelbridge.delivery.health import DestinationStatus
from otelbridge.delivery.sources import MetricSources
from otelbridge.delivery.temporality import DeltaBase
from otelbridge.domain.ledger import Series
from otelbridge.domain.ports import Signal
from otelbridge.errors import ConfigError
from tests.collector import Answer, Collector
from tests.delivery.fakes import RESOURCE, VERSION, log_record, span

if TYPE_CHECKING:
    from otelbridge.domain.ledger import SeriesKey
    from tests.delivery.fakes import FakeTime, MemoryOutbox

PROMPTS: SeriesKey = ("aibridge.prompts", ("anthropic", "claude", "cli"))
TOKENS: SeriesKey = ("gen_ai.client.inference.usage.input_tokens", ("chat", "a", "m", "", ""))
UNAVAILABLE = Answer(code=grpc.StatusCode.UNAVAILABLE, message="away", http_status=503)


class Fixture:
    """What delivery is given.

    Attributes:
        ledger: Where metrics are read from.
        bases: What each destination acknowledged of them.
    """

    def __init__(self, outbox: MemoryOutbox, time: FakeTime) -> None:
        self.ledger: dict[SeriesKey, Series] = {PROMPTS: Series(time.now_ns(), 5)}
        self.bases: dict[str, str] = {}
        self._outbox = outbox
        self._time = time

    def delivery(self, *destinations: dict[str, Any]) -> Delivery:
        """Return the delivery for some destinations."""
        return Delivery(
            Config.model_validate({"destination": destinations}),
            outbox=self._outbox,
            metrics=MetricSources(
                snapshot=lambda: dict(self.ledger),
                observe=list,
                load_base=lambda name: self.bases.get(name, ""),
                save_base=self.bases.__setitem__,
            ),
            resource=RESOURCE,
            version=VERSION,
            timing=self._time.timing,
        )


@pytest.fixture
def fixture(outbox: MemoryOutbox, time: FakeTime) -> Fixture:
    return Fixture(outbox, time)


def to(collector: Collector, name: str, **settings: Any) -> dict[str, Any]:
    """Return the settings of a destination at a collector."""
    is_http = settings.get("protocol") == "http/protobuf"
    endpoint = collector.http_endpoint if is_http else collector.grpc_endpoint
    return {"name": name, "endpoint": endpoint, **settings}


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_every_signal_arrives(
    collector: Collector, fixture: Fixture, outbox: MemoryOutbox, protocol: str
) -> None:
    outbox.put(Signal.TRACES, span("a"), span("b"))
    outbox.put(Signal.LOGS, log_record("late"))
    delivery = fixture.delivery(to(collector, "d", protocol=protocol, compression="gzip"))

    await delivery.start()
    await collector.wait_for(lambda c: len(c.spans) == 2 and len(c.logs) == 1 and bool(c.metrics))
    await delivery.stop(5)

    headers = collector.requests[0].headers
    assert [each.name for each in collector.spans] == ["a", "b"]
    assert collector.metrics[0].name == "aibridge.prompts"
    assert headers["user-agent"].startswith("otelbridge/1.2.3")


async def test_a_destination_gets_only_its_signals(
    collector: Collector, fixture: Fixture, outbox: MemoryOutbox
) -> None:
    outbox.put(Signal.TRACES, span("a"))
    outbox.put(Signal.LOGS, log_record("late"))
    delivery = fixture.delivery(to(collector, "d", signals=["logs"]))

    await delivery.start()
    await collector.wait_for(lambda c: len(c.logs) == 1)
    await delivery.stop(5)

    assert {request.signal for request in collector.requests} == {Signal.LOGS}


@pytest.mark.parametrize("answer", [UNAVAILABLE, Answer(never=True)])
async def test_a_dead_destination_delays_no_other(
    collector: Collector, fixture: Fixture, outbox: MemoryOutbox, answer: Answer
) -> None:
    async with Collector(judge=lambda _: answer) as dead:
        delivery = fixture.delivery(
            to(dead, "dead", signals=["traces"]), to(collector, "alive", signals=["traces"])
        )
        await delivery.start()
        outbox.put(Signal.TRACES, *[span(str(number)) for number in range(1000)])

        await outbox.until_taken(1000, "alive")
        await delivery.stop(0)

    assert len(collector.spans) == 1000
    assert outbox.through["dead", Signal.TRACES] == 0
    assert dead.spans == []


async def test_a_failing_destination_is_named_with_its_reason(
    collector: Collector, fixture: Fixture, outbox: MemoryOutbox, time: FakeTime
) -> None:
    async with Collector(judge=lambda _: UNAVAILABLE) as away:
        delivery = fixture.delivery(
            to(away, "away", protocol="http/protobuf", signals=["traces"]),
            to(collector, "here", signals=["traces"]),
        )
        await delivery.start()
        outbox.put(Signal.TRACES, span("a"))
        await away.wait_for(lambda c: len(c.requests) > 1)
        failing, healthy = delivery.statuses()
        await delivery.stop(0)

    assert failing == DestinationStatus(
        name="away", healthy=False, last_error="traces: http_503: away", since_ns=failing.since_ns
    )
    assert (healthy.name, healthy.healthy, healthy.last_error) == ("here", True, None)
    assert failing.since_ns <= time.now_ns()


async def test_stopping_flushes_what_is_pending(
    collector: Collector, fixture: Fixture, outbox: MemoryOutbox
) -> None:
    delivery = fixture.delivery(to(collector, "d", signals=["traces"]))
    await delivery.start()
    outbox.put(Signal.TRACES, *[span("a", padding=1_000_000)] * 5)

    await delivery.stop(10)

    assert len(collector.spans) == 5
    assert outbox.through["d", Signal.TRACES] == 5


async def test_stopping_waits_no_longer_than_its_grace(
    collector: Collector, fixture: Fixture, outbox: MemoryOutbox
) -> None:
    collector.script(Answer(never=True))
    delivery = fixture.delivery(to(collector, "d", signals=["traces"]))
    await delivery.start()
    outbox.put(Signal.TRACES, span("a"))
    await collector.wait_for(lambda c: len(c.requests) == 1)

    async with asyncio.timeout(5):
        await delivery.stop(0.05)

    assert outbox.through["d", Signal.TRACES] == 0


async def test_a_profile_tells_its_own_names_only(collector: Collector, fixture: Fixture) -> None:
    fixture.ledger[TOKENS] = Series(1, 5)
    delivery = fixture.delivery(to(collector, "d", signals=["metrics"], semconv="v1_41"))

    await delivery.start()
    await delivery.stop(5)

    assert {metric.name for metric in collector.metrics} == {"aibridge.prompts"}


@pytest.mark.parametrize(("start", "expected"), [("now", [2]), ("beginning", [5, 2])])
async def test_a_new_destination_of_changes_begins_now_or_at_the_beginning(
    collector: Collector, fixture: Fixture, start: str, expected: list[int]
) -> None:
    settings = {"signals": ["metrics"], "temporality": "delta", "from": start}
    before = fixture.delivery(to(collector, "d", **settings))
    await before.start()
    await before.stop(5)
    fixture.ledger[PROMPTS] = fixture.ledger[PROMPTS]._replace(value=7)

    after = fixture.delivery(to(collector, "d", **settings))
    await after.start()
    await after.stop(5)

    prompts = [each for each in collector.metrics if each.name == "aibridge.prompts"]
    assert [each.sum.data_points[0].as_int for each in prompts] == expected
    assert DeltaBase.load(fixture.bases["d"]) is not None


async def test_a_wrong_destination_starts_none(collector: Collector, fixture: Fixture) -> None:
    wrong = to(collector, "wrong", headers={"a b": "c"})
    delivery = fixture.delivery(to(collector, "right"), wrong)

    with pytest.raises(ConfigError, match=r"destination wrong\.headers"):
        await delivery.start()

    assert delivery.statuses() == []


async def test_no_secret_and_no_content_is_logged(
    fixture: Fixture, outbox: MemoryOutbox, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "b3e1c0ffee"
    caplog.set_level(logging.DEBUG)
    answers = [
        Answer(code=grpc.StatusCode.INTERNAL, http_status=400),
        Answer(code=grpc.StatusCode.UNAUTHENTICATED, http_status=401),
        UNAVAILABLE,
        Answer(rejected=1, message="no"),
    ]
    outbox.put(Signal.TRACES, span(secret), span(secret))
    for protocol in ("grpc", "http/protobuf"):
        async with Collector() as collector:
            collector.script(*answers)
            settings = {"protocol": protocol, "headers": {"authorization": secret}}
            delivery = fixture.delivery(to(collector, protocol[:4], signals=["traces"], **settings))
            await delivery.start()
            await outbox.until_taken(2, protocol[:4])
            await delivery.stop(1)

    assert "destination grpc" in caplog.text
    assert "destination http" in caplog.text
    assert secret not in caplog.text
