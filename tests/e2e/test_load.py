"""Ten thousand interceptions over fifty connections: each told once, the same sums everywhere."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from uuid import UUID

import grpc.aio
import pytest
import uvloop
from google.protobuf.timestamp_pb2 import Timestamp

from otelbridge.proto import aibridged_pb2 as pb
from tests.collector import Collector
from tests.e2e.bridges import Bridge, running
from tests.records import ALICE, uuid

INTERCEPTIONS = 10_000
CONNECTIONS = 50


def records_of(number: int) -> list[tuple[str, bytes]]:
    """Return an interception's calls: its start, then three that may come in any order."""
    now = Timestamp()
    now.FromNanoseconds(time.time_ns())
    key = str(uuid(number))
    start = pb.RecordInterceptionRequest(
        id=key,
        initiator_id=str(ALICE),
        api_key_id="k",
        provider="openai",
        model="m",
        started_at=now,
    )
    used = pb.RecordTokenUsageRequest(
        interception_id=key,
        msg_id="a",
        input_tokens=number,
        output_tokens=number % 7,
        cache_read_input_tokens=number % 5,
        created_at=now,
    )
    prompt = pb.RecordPromptUsageRequest(interception_id=key, prompt="why", created_at=now)
    end = pb.RecordInterceptionEndedRequest(id=key, ended_at=now)
    return [
        ("RecordInterception", start.SerializeToString()),
        ("RecordTokenUsage", used.SerializeToString()),
        ("RecordPromptUsage", prompt.SerializeToString()),
        ("RecordInterceptionEnded", end.SerializeToString()),
    ]


async def load(address: str, numbers: range) -> None:
    """Send interceptions one after the other over a connection of their own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        calls: dict[str, grpc.aio.UnaryUnaryMultiCallable] = {}
        for number in numbers:
            start, *others = records_of(number)
            for method, request in (start, *others):
                path = f"/proto.Recorder/{method}"
                call = calls.setdefault(path, channel.unary_unary(path))
                if method == "RecordInterception":
                    await call(request)
            await asyncio.gather(*(calls[f"/proto.Recorder/{m}"](r) for m, r in others))


@pytest.mark.timeout(180)
def test_every_interception_is_told_once_and_all_sums_agree(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as `otelbridge serve`
        collector, scraped = runner.run(told(tmp_path))

    found = Counter(UUID(bytes=span.trace_id) for span in collector.spans)
    assert found == Counter(uuid(number) for number in range(1, INTERCEPTIONS + 1))
    inclusive = sum(n + n % 5 for n in range(1, INTERCEPTIONS + 1))
    output = sum(n % 7 for n in range(1, INTERCEPTIONS + 1))
    cached = sum(n % 5 for n in range(1, INTERCEPTIONS + 1))
    assert scraped == (INTERCEPTIONS, inclusive, output, cached, INTERCEPTIONS * 4)
    assert exported(collector) == scraped


async def told(tmp_path: Path) -> tuple[Collector, tuple[float, ...]]:
    """Send all; return who was told it, and the totals that were seen at last."""
    async with (
        Collector() as collector,
        running(tmp_path, collector, {"assembly": {"grace_s": 1.0}}) as bridge,
    ):
        address = bridge.server.addresses["grpc"]
        await asyncio.gather(
            *(
                load(address, range(c + 1, INTERCEPTIONS + 1, CONNECTIONS))
                for c in range(CONNECTIONS)
            )
        )
        await collector.wait_for(lambda c: spans(c) >= INTERCEPTIONS, timeout_s=60)
        scraped = await sums(bridge)
    return collector, scraped


def spans(collector: Collector) -> int:
    """Return the number of spans that came."""
    return len(collector.spans)


_USAGE = "gen_ai.client.inference.usage."
NAMES = (
    "aibridge.interceptions",
    f"{_USAGE}input_tokens",
    f"{_USAGE}output_tokens",
    f"{_USAGE}cache_read.input_tokens",
    "otelbridge.records.received",
)


async def sums(bridge: Bridge) -> tuple[float, ...]:
    """Return the totals at /metrics."""
    return tuple([await bridge.total(f"{name.replace('.', '_')}_total") for name in NAMES])


def exported(collector: Collector) -> tuple[float, ...]:
    """Return the totals of the last OTLP metrics that came."""
    last = {metric.name: metric for metric in collector.metrics}
    return tuple(float(sum(point.as_int for point in last[name].sum.data_points)) for name in NAMES)
