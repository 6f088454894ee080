"""One round of load on one server, and what it cost everybody."""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks import proc
from benchmarks.counts import SinkCounts
from benchmarks.errors import BenchmarkError
from benchmarks.load import RECORDS, LoadResult, Traffic, run_load

if TYPE_CHECKING:
    from benchmarks.child import Child

_POLL_S: Final = 0.05
# Without a single new span for this long, what is missing will not come: a grace of half a
# second, and time for a destination's retries.
_STALLED_S: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round measured.

    Attributes:
        load: The client's view.
        cpu_s: CPU time of the server, from before the load until all was told.
        memory_bytes: The server's resident memory after it.
        peak_memory_bytes: The most that was ever resident.
        backlog: Interceptions that were not told yet when the load ended.
        drain_s: How long it took from then until all were.
        elsewhere: Cores that processes which are no part of this took meanwhile.
    """

    load: LoadResult
    cpu_s: float
    memory_bytes: int
    peak_memory_bytes: int
    backlog: int
    drain_s: float
    elsewhere: float


class Contender:
    """A server that takes its turn.

    Attributes:
        child: The server's process.
        rounds: What was measured so far.
        counts: What the sink had received after the last round.
        interceptions: How many it acknowledged so far.
        id_sum: Their UUIDs as numbers, added up.
    """

    def __init__(
        self, child: Child, sink: Child | None = None, *, traffic: Traffic = RECORDS
    ) -> None:
        self.child = child
        self._traffic = traffic
        self.rounds: list[Round] = []
        self.counts = SinkCounts()
        self.interceptions = 0
        self.id_sum = 0
        self._sink = sink

    @property
    def is_told(self) -> bool:
        """Whether the sink got one chat span of every interception, and nothing else."""
        return self._sink is None or (
            self.counts.chat_spans == self.counts.interceptions == self.interceptions
            and self.counts.id_sum == self.id_sum
        )

    async def run_round(self, seconds: float) -> None:
        """Load the server, then let it finish: the other's turn must not pay for it."""
        server_cpu_s = proc.cpu_s(self.child.pid)
        usage = _MachineUsage([self.child, *([self._sink] if self._sink else [])])
        load = await run_load(self.child.port, seconds=seconds, traffic=self._traffic)
        elsewhere = usage.elsewhere()
        self.interceptions += load.interceptions
        self.id_sum += load.id_sum
        backlog, drain_s = await self._drain()
        memory_bytes, peak_memory_bytes = proc.memory_bytes(self.child.pid)
        self.rounds.append(
            Round(
                load=load,
                cpu_s=proc.cpu_s(self.child.pid) - server_cpu_s,
                memory_bytes=memory_bytes,
                peak_memory_bytes=peak_memory_bytes,
                backlog=backlog,
                drain_s=drain_s,
                elsewhere=elsewhere,
            )
        )

    async def _drain(self) -> tuple[int, float]:
        """Wait until all is told; what was missing at first, and for how long."""
        if self._sink is None:
            return 0, 0.0
        began = moved = time.monotonic()
        backlog = missing = await self._missing(self._sink)
        while missing > 0:
            if time.monotonic() - moved > _STALLED_S:
                raise BenchmarkError(
                    f"the sink was told {self.counts.interceptions} of {self.interceptions}"
                    f" interceptions and nothing new for {_STALLED_S:.0f} s"
                )
            await asyncio.sleep(_POLL_S)
            before, missing = missing, await self._missing(self._sink)
            if missing < before:
                moved = time.monotonic()
        return backlog, time.monotonic() - began

    async def _missing(self, sink: Child) -> int:
        self.counts = SinkCounts(**json.loads(await sink.ask()))
        return self.interceptions - self.counts.interceptions


class _MachineUsage:
    """How much of the machine is used by whom, from now on."""

    def __init__(self, children: list[Child]) -> None:
        self._pids = [os.getpid(), *(child.pid for child in children)]
        self._began = time.monotonic()
        self._foreign_s = self._now()

    def elsewhere(self) -> float:
        """Cores taken by all but this process and the children."""
        foreign_s = self._now() - self._foreign_s
        return max(0.0, foreign_s / (time.monotonic() - self._began))

    def _now(self) -> float:
        return proc.busy_s() - sum(map(proc.own_cpu_s, self._pids))
