"""The load generator: closed-loop interceptions over many connections, in one thread."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from benchmarks.client import INTERCEPTIONS_PER_CONNECTION, Client
from benchmarks.errors import BenchmarkError
from benchmarks.records import Script, endless_scripts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from benchmarks.hpack import Header

CONNECTIONS: Final = 16
IN_FLIGHT: Final = CONNECTIONS * INTERCEPTIONS_PER_CONNECTION
# The first fraction of a second (connecting, header tables, cold caches) is not counted.
_WARM_UP_S: Final = 0.5
_ANSWER_S: Final = 30.0  # far beyond a gateway's 5 s: who needs this long has stopped


@dataclass(slots=True)
class LoadResult:
    """What one round of load measured.

    Attributes:
        seconds: How long was measured, without warming up and running out.
        latencies_s: One a call that was answered OK in that time.
        generator_cpu_s: CPU time of the generating process in that time.
        calls: All calls that were answered OK, in and outside of that time.
        interceptions: How many were completed; none is left open.
        id_sum: Their UUIDs as numbers, added up.
    """

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    generator_cpu_s: float = 0.0
    calls: int = 0
    interceptions: int = 0
    id_sum: int = 0

    @property
    def rate(self) -> float:
        """Acknowledged calls a second."""
        return len(self.latencies_s) / self.seconds

    @property
    def generator_share(self) -> float:
        """The part of one core that the generator took."""
        return self.generator_cpu_s / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What a load consists of.

    Attributes:
        scripts: Returns what interceptions send, for ever.
        headers: Metadata of every call.
    """

    scripts: Callable[[], Iterator[Script]]
    headers: tuple[Header, ...] = ()


RECORDS: Final = Traffic(scripts=endless_scripts)


async def run_load(port: int, *, seconds: float, traffic: Traffic = RECORDS) -> LoadResult:
    """Load the server at ``port`` for ``seconds``.

    Raises:
        BenchmarkError: If any call is not answered with status 0, or not within 30 s.
    """
    load = Load(traffic)
    loop = asyncio.get_running_loop()
    transports = [
        (await loop.create_connection(lambda: Client(load), "127.0.0.1", port))[0]
        for _ in range(CONNECTIONS)
    ]
    try:
        await load.run_for(_WARM_UP_S)
        await load.measure(seconds)
        await load.run_out()
    finally:
        for transport in transports:
            transport.close()
    return load.result


class Load:
    """What the connections of one round share.

    Attributes:
        result: Complete once `run_out` has returned.
        traffic: What it consists of.
        scripts: What the next interceptions send.
    """

    def __init__(self, traffic: Traffic) -> None:
        self.result = LoadResult()
        self.traffic = traffic
        self.scripts = traffic.scripts()
        self._is_measuring = False
        self._is_running = True
        self._active = IN_FLIGHT
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run_for(self, seconds: float) -> None:
        """Let time pass, unless the load fails."""
        await asyncio.wait([self._over], timeout=seconds)
        if self._over.done():
            self._over.result()

    async def measure(self, seconds: float) -> None:
        """Count what is answered in the next ``seconds``."""
        began, cpu_began = time.perf_counter(), time.process_time()
        self._is_measuring = True
        await self.run_for(seconds)
        self._is_measuring = False
        self.result.seconds = time.perf_counter() - began
        self.result.generator_cpu_s = time.process_time() - cpu_began

    async def run_out(self) -> None:
        """Start no more interceptions and wait for the open ones."""
        self._is_running = False
        try:
            await asyncio.wait_for(self._over, _ANSWER_S)
        except TimeoutError:
            problem = f"{self._active} interceptions unanswered after {_ANSWER_S:.0f} s"
            raise BenchmarkError(problem) from None

    def acknowledged(self, latency_s: float) -> None:
        """Book a call that was answered OK."""
        self.result.calls += 1
        if self._is_measuring:
            self.result.latencies_s.append(latency_s)

    def completed(self, interception_id: UUID) -> bool:
        """Book a complete interception; whether another one shall follow."""
        self.result.interceptions += 1
        self.result.id_sum += interception_id.int
        if not self._is_running:
            self._active -= 1
            if not self._active and not self._over.done():
                self._over.set_result(None)
        return self._is_running

    def fail(self, error: Exception) -> None:
        """End the round with ``error``."""
        if not self._over.done():
            self._over.set_exception(error)
