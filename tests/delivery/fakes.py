"""An outbox in memory, a clock that counts, and short ways to make what is delivered."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from otelbridge.config.sections import DestinationConfig
from otelbridge.delivery.lane import Lane
from otelbridge.delivery.outbox_worker import OutboxWorker
from otelbridge.delivery.requests import Envelope
from otelbridge.delivery.resource import build_resource, encode_resource
from otelbridge.delivery.timing import Timing
from otelbridge.domain.ports import OutboxRow, Signal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from otelbridge.delivery.destination import Worker
    from otelbridge.delivery.outcomes import Exporter

VERSION = "1.2.3"
RESOURCE = build_resource({}, instance_id="instance-1", version=VERSION)
ENVELOPE = Envelope(encode_resource(RESOURCE), version=VERSION)


class MemoryOutbox:
    """An outbox whose rows are for every destination.

    Attributes:
        rows: Rows by signal.
        through: The last acknowledged row by destination and signal.
        buried: Dead letters: destination, row, reason.
        counts: Counters, by name and values.
    """

    def __init__(self) -> None:
        self.rows: dict[Signal, list[OutboxRow]] = {Signal.TRACES: [], Signal.LOGS: []}
        self.through: Counter[tuple[str, Signal]] = Counter()
        self.buried: list[tuple[str, OutboxRow, str]] = []
        self.counts: Counter[tuple[str, ...]] = Counter()
        self._added = asyncio.Event()
        self._taken = asyncio.Event()

    def put(self, signal: Signal, *bodies: bytes) -> None:
        """Add rows of one item each."""
        rows = self.rows[signal]
        rows += [OutboxRow(seq, 1, body) for seq, body in enumerate(bodies, len(rows) + 1)]
        self._added.set()

    async def until_taken(self, through: int, name: str = "d") -> None:
        """Wait until a destination has acknowledged so many spans."""
        while self.through[name, Signal.TRACES] < through:
            self._taken.clear()
            await self._taken.wait()

    async def read(
        self, destination: str, signal: Signal, *, limit: int, max_bytes: int, after: int = 0
    ) -> list[OutboxRow]:
        """See `otelbridge.domain.ports.Outbox`."""
        found: list[OutboxRow] = []
        after = max(after, self.through[destination, signal])
        for row in self.rows[signal][after:][:limit]:
            max_bytes -= len(row.body)
            if found and max_bytes < 0:
                break
            found.append(row)
        if not found:
            self._added.clear()
        return found

    async def wait(self, _destination: str, _signal: Signal) -> None:
        """See `otelbridge.domain.ports.Outbox`."""
        await self._added.wait()

    def acknowledge(self, destination: str, signal: Signal, *, through: int) -> None:
        """See `otelbridge.domain.ports.Outbox`."""
        self.through[destination, signal] = through
        self._taken.set()

    def bury(self, destination: str, _signal: Signal, row: OutboxRow, *, reason: str) -> None:
        """See `otelbridge.domain.ports.Outbox`."""
        self.buried.append((destination, row, reason))

    def count(self, instrument: str, *values: str, amount: int = 1) -> None:
        """See `otelbridge.domain.ports.Outbox`."""
        self.counts[instrument, *values] += amount


class Hold:
    """A moment at which time stops until it is released.

    Attributes:
        reached: Set when it has come.
    """

    def __init__(self, at_s: float) -> None:
        self.at_s = at_s
        self.reached = asyncio.Event()
        self._released = asyncio.Event()

    def release(self) -> None:
        """Let time go on."""
        self._released.set()

    async def wait(self) -> None:
        """Stop time."""
        self.reached.set()
        await self._released.wait()


class FakeTime:
    """Time that passes only while someone sleeps; chance is always one half.

    Attributes:
        slept: How long each sleep was meant to be, in seconds.
        now_s: Seconds since the beginning.
        chance: What is drawn.
    """

    def __init__(self, start_ns: int = 1_700_000_000 * 10**9) -> None:
        self.slept: list[float] = []
        self.now_s = 0.0
        self.chance = 0.5
        self._holds: list[Hold] = []
        self._start_ns = start_ns

    def now_ns(self) -> int:
        """Return the time."""
        return self._start_ns + round(self.now_s * 1e9)

    async def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.slept.append(seconds)
        self.now_s += seconds
        for hold in self._holds:
            if self.now_s >= hold.at_s:
                await hold.wait()
        await asyncio.sleep(0)

    def hold(self, at_s: float) -> Hold:
        """Stop the first sleep that goes beyond a moment."""
        self._holds.append(Hold(at_s))
        return self._holds[-1]

    @property
    def timing(self) -> Timing:
        """Return it as delivery wants it."""
        return Timing(
            now_ns=self.now_ns,
            elapsed_s=lambda: self.now_s,
            sleep=self.sleep,
            random=lambda: self.chance,
        )


def span(name: str, *, padding: int = 0) -> bytes:
    """Return an outbox body of one span, with an attribute of some bytes."""
    message = Span(name=name)
    if padding:
        message.attributes.add(key="padding").value.string_value = "x" * padding
    return ScopeSpans(spans=[message]).SerializeToString()


def log_record(event: str) -> bytes:
    """Return an outbox body of one log record."""
    return ScopeLogs(log_records=[LogRecord(event_name=event)]).SerializeToString()


def destination(endpoint: str, **settings: Any) -> DestinationConfig:
    """Return the settings of a destination named "d"."""
    return DestinationConfig.model_validate({"name": "d", "endpoint": endpoint, **settings})


def traces_lane(exporter: Exporter, outbox: MemoryOutbox, time: FakeTime, name: str = "d") -> Lane:
    """Return the way of traces to a destination."""
    return Lane(name, Signal.TRACES, exporter=exporter, count=outbox.count, timing=time.timing)


def traces_worker(lane: Lane, outbox: MemoryOutbox) -> OutboxWorker:
    """Return the worker for traces."""
    return OutboxWorker(lane, outbox=outbox, envelope=ENVELOPE)


@asynccontextmanager
async def running(lane: Lane, worker: Worker) -> AsyncIterator[None]:
    """Run a worker; drain it at the end."""
    task = asyncio.create_task(worker.run())
    try:
        yield
        lane.drain()
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
