"""Gateways that record, a bridge that is killed again and again, and what came of it all."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import grpc.aio
import httpx2
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otelbridge.commands.init import initialise
from otelbridge.domain.books import Books, LaneBook, RecordBook
from otelbridge.transports.control import ask, control_path
from tests.collector import Collector
from tests.e2e.bridges import samples_of
from tests.e2e.test_load import records_of
from tests.failpoints.points import environment
from tests.records import uuid

LANES = 6
#: A start takes no longer, in seconds, whatever was going on when the last one ended.
START_S = 5.0
_DEADLINE_S = 30.0
_KILLED = {"core": 1, "bridge": -signal.SIGKILL, "both": -signal.SIGKILL}
# The log is moved into the database with each 64 pages; what is open is closed soon.
_SETTINGS = """
[listen]
grpc = "127.0.0.1:0"
http = "127.0.0.1:0"
[journal]
reserve_bytes = 1048576
[assembly]
grace_s = 0.2
max_age_s = 1.5
[[destination]]
name = "sink"
endpoint = "{endpoint}"
signals = ["traces", "logs"]
"""


@dataclass
class Running:
    """A bridge in processes of its own.

    Attributes:
        addresses: Where it listens, by name.
        took_s: How long it took until it did, in seconds.
    """

    process: asyncio.subprocess.Process
    addresses: dict[str, str]
    took_s: float


@asynccontextmanager
async def serving(folder: Path, variables: Mapping[str, str]) -> AsyncIterator[Running]:
    """Run `otelbridge serve` on a folder with more variables in its environment."""
    began = time.monotonic()
    with (folder / "stderr").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "otelbridge", "serve", "--config", "otelbridge.toml"),
            cwd=folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **variables},
        )
    try:
        addresses = await _addresses(process, folder)
        yield Running(process, addresses, time.monotonic() - began)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _addresses(process: asyncio.subprocess.Process, folder: Path) -> dict[str, str]:
    assert process.stdout is not None
    addresses: dict[str, str] = {}
    while not addresses.keys() & {"destination", "no"}:  # the last line
        line = (await process.stdout.readline()).decode()
        assert line, log_of(folder)
        name, _, addresses[name] = line.strip().partition(" ")
    return addresses


def log_of(folder: Path) -> str:
    """Return the end of the log of the bridges in a folder."""
    return (folder / "stderr").read_text()[-2000:]


@dataclass
class Gateways:
    """What those outside know of the records that they sent.

    Attributes:
        acknowledged: Those that were answered with OK: an interception's number, and the method.
        sent: All.
    """

    acknowledged: set[tuple[int, str]] = field(default_factory=set)
    sent: set[tuple[int, str]] = field(default_factory=set)

    async def record(self, address: str) -> None:
        """Record interceptions one after the other until the connection breaks."""
        first = max((number for number, _ in self.sent), default=0) // 10**6 * 10**6 + 10**6
        await asyncio.gather(*(self._lane(address, first + 10**4 * n) for n in range(LANES)))

    async def _lane(self, address: str, number: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            while True:
                number += 1
                for method, request in records_of(number):
                    self.sent.add((number, method))
                    try:
                        call = channel.unary_unary(f"/proto.Recorder/{method}")
                        await call(request, timeout=_DEADLINE_S)
                    except grpc.aio.AioRpcError:
                        return
                    self.acknowledged.add((number, method))


class Killing:
    """A bridge that is killed, with its gateways and its destination.

    Args:
        folder: Where the bridge's files are.
        collector: The destination.

    Attributes:
        gateways: What they know.
        starts_s: How long each start took, in seconds.
    """

    def __init__(self, folder: Path, collector: Collector) -> None:
        self._folder = folder
        self._collector = collector
        self.gateways = Gateways()
        self.starts_s: list[float] = []
        initialise(folder)
        settings = _SETTINGS.format(endpoint=collector.grpc_endpoint)
        (folder / "otelbridge.toml").write_text(settings)

    async def kill(self, point: str, victim: str, number: int) -> None:
        """Record until the bridge was killed at a point; it must have been, and that way."""
        status = None
        with suppress(TimeoutError):
            async with serving(self._folder, environment(point, victim, number)) as bridge:
                self.starts_s.append(bridge.took_s)
                async with asyncio.timeout(_DEADLINE_S):
                    await self.gateways.record(bridge.addresses["grpc"])
                    status = await bridge.process.wait()
        assert status == _KILLED[victim], (point, victim, number, status, log_of(self._folder))

    async def settle(self) -> tuple[Books, Mapping[str, float]]:
        """Let everything be told and delivered; return the books and the totals at /metrics."""
        async with asyncio.timeout(_DEADLINE_S), serving(self._folder, {}) as bridge:
            self.starts_s.append(bridge.took_s)
            while (books := await self._books()).unread or _waits(books):
                pass  # each look is a request to the bridge
            async with httpx2.AsyncClient(trust_env=False) as client:
                page = (await client.get(bridge.addresses["metrics"])).text
        totals: dict[str, float] = {}
        for (name, _), value in samples_of(page).items():
            totals[name] = totals.get(name, 0) + value
        return books, totals

    async def _books(self) -> Books:
        path = control_path(self._folder / "journal.db")
        told: dict[str, Any] = await asyncio.to_thread(ask, path, "journal-books")
        return Books(
            records=RecordBook(**told["records"]),
            lanes=tuple(LaneBook(**lane) for lane in told["lanes"]),
            unread=told["unread"],
        )


def _waits(books: Books) -> bool:
    return bool(books.records.pending or any(lane.waiting for lane in books.lanes))


def check(killing: Killing, collector: Collector, books: Books, total: Mapping[str, float]) -> None:
    """Hold the invariants against what happened; after `Killing.settle`."""
    acknowledged, sent = killing.gateways.acknowledged, killing.gateways.sent
    spans: dict[bytes, set[bytes]] = {}
    for span in collector.spans:
        spans.setdefault(span.span_id, set()).add(span.SerializeToString(deterministic=True))
    # I2: what came again is the same, byte for byte, under the same id.
    assert {len(encodings) for encodings in spans.values()} == {1}
    told = {span.trace_id: span for span in collector.spans}
    assert len(told) == len(spans)
    # I3: nothing is told that was not sent.
    assert set(told) <= {uuid(number).bytes for number, _ in sent}
    # I1: nothing that was acknowledged is missing.
    lost = {number for number, _ in acknowledged if uuid(number).bytes not in told}
    assert not lost, f"acknowledged and lost: {lost}"
    missing = {each for each in acknowledged if not _has(told[uuid(each[0]).bytes], each[1])}
    assert len(missing) <= books.records.late, missing
    # I4: each record is counted once, whatever happened.
    assert books.are_balanced, books
    assert books.records.lost == 0
    distinct = books.records.received - books.records.repeats
    assert len(acknowledged) <= distinct <= len(sent)
    assert total["aibridge_interceptions_total"] == len(told)
    # The machine may be busy with something else during one of them.
    assert median(killing.starts_s) < START_S, killing.starts_s
    if not books.records.late:
        given = sum(_attributes(span).get("gen_ai.usage.input_tokens", 0) for span in told.values())
        assert total["gen_ai_client_inference_usage_input_tokens_total"] == given


def _attributes(span: Span) -> dict[str, int]:
    return {each.key: each.value.int_value for each in span.attributes}


def _has(span: Span, method: str) -> bool:
    """Return whether a span tells of the record of a method."""
    found = _attributes(span)
    if method == "RecordTokenUsage":
        return "gen_ai.usage.input_tokens" in found
    return method != "RecordInterceptionEnded" or "aibridge.interception.incomplete" not in found
