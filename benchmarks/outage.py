"""What a bad destination costs the callers: ``python -m benchmarks.outage``.

What is measured
    One bridge, two destinations: a healthy one, and one that is in turn healthy, dead (it
    refuses connections), hanging (it accepts and never answers) and slow (it answers after
    two seconds). Callers record interceptions at a fixed rate, and the 99th percentile of the
    replies is compared with that of the healthy turns. Turns alternate, each begins when nothing
    waits any more, and the replies of all turns of a kind are one sample: a checkpoint of the
    journal, every few seconds, falls into one turn and not into another. A turn during which
    others took much of the machine is taken again.

    Then the destination is dead for a while longer, under the same load, and the memory of both
    processes of the bridge is noted every second. Caches fill at first (SQLite's of 64 MiB, the
    outbox's of 16 MiB), so the last third of that time is compared with the second.

The load
    A fixed number of interceptions a second, about a third of what the bridge can take: at
    full load a latency says how long a queue is, and not what a destination does to it.

Exit status: 0; 1 if a kind's p99 is over 1 s or over 1.5 times the healthy one, if memory
grew by more than a tenth, or if a call failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import grpc.aio
import uvloop

from benchmarks import proc
from benchmarks.bridge import choose_directory
from benchmarks.child import serve_helper
from benchmarks.errors import BenchmarkError
from benchmarks.folder import Folder
from benchmarks.records import encode_stamp, endless_scripts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.child import Child
    from benchmarks.records import Script, Template

HEALTHY: Final = "healthy"
KINDS: Final = ("dead", "hanging", "slow")
LIMIT_S: Final = 1.0
LIMIT_RATIO: Final = 1.5
LIMIT_GROWTH: Final = 1.1
_MIB: Final = 1 << 20
_CHANNELS: Final = 8
_POLL_S: Final = 0.1
# Cores that others may take, and how often a turn is taken.
_ELSEWHERE: Final = 0.4
_TRIES: Final = 4


@dataclass(slots=True)
class Turns:
    """What the turns of one kind measured.

    Attributes:
        took_s: How long each reply took, all turns together.
        last: How many of these are of the last turn.
    """

    took_s: list[float] = field(default_factory=list)
    last: int = 0

    def add(self, took_s: list[float]) -> None:
        """Add a turn."""
        self.took_s += took_s
        self.last = len(took_s)

    @property
    def p99_s(self) -> float:
        """The 99th percentile of all turns."""
        return _p99_s(self.took_s)

    @property
    def last_p99_s(self) -> float:
        """The 99th percentile of the last turn."""
        return _p99_s(self.took_s[-self.last :])


def _p99_s(took_s: Sequence[float]) -> float:
    return sorted(took_s)[len(took_s) * 99 // 100]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outage")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each kind (3)")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a turn (6)")
    parser.add_argument(
        "--outage", type=float, default=30.0, help="length of the last outage, in seconds (30)"
    )
    parser.add_argument("--rate", type=int, default=150, help="interceptions a second (150)")
    parser.add_argument("--directory", type=Path, help="where the journal is put, on a disk")
    options = parser.parse_args(arguments)
    try:
        return uvloop.run(_compare(options))
    except BenchmarkError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1


async def _compare(options: argparse.Namespace) -> int:
    found = {kind: Turns() for kind in (HEALTHY, *KINDS)}
    with tempfile.TemporaryDirectory(
        prefix="otelbridge-outage-", dir=choose_directory(options.directory)
    ) as name:
        folder = Folder(Path(name))
        await folder.initialise()
        async with (
            serve_helper("outage_sink") as bad,
            serve_helper("drain_sink") as good,
            folder.serve(good=good.port, bad=bad.port) as bridge,
        ):
            bench = _Bench(folder, bridge, (good, bad), options)
            await bench.turn(HEALTHY)  # connections, caches
            for number in range(1, options.rounds + 1):
                for kind in (kind for each in KINDS for kind in (HEALTHY, each)):
                    found[kind].add(await bench.turn(kind))
                last = (f"{kind} {turns.last_p99_s * 1e3:.1f}" for kind, turns in found.items())
                print(f"round {number}: p99 in ms: {', '.join(last)}")
            growth = await bench.growth()
    return _judged(found, growth)


class _Bench:
    """A bridge, its good and its bad destination, and how they are loaded."""

    def __init__(
        self,
        folder: Folder,
        bridge: Child,
        destinations: tuple[Child, Child],
        options: argparse.Namespace,
    ) -> None:
        self._folder = folder
        self._bridge = bridge
        self._good, self._bad = destinations
        self._options = options

    async def turn(self, kind: str) -> list[float]:
        """Let the bad destination be of a kind, record for a while; how long each reply took."""
        for _ in range(_TRIES):
            foreign_s, began = self._foreign_s(), time.monotonic()
            took_s = await self._try(kind)
            elsewhere = (self._foreign_s() - foreign_s) / (time.monotonic() - began)
            if elsewhere <= _ELSEWHERE:
                return took_s
            print(f"{kind}: others took {elsewhere:.1f} cores, once more", file=sys.stderr)
        return took_s

    async def _try(self, kind: str) -> list[float]:
        await self._bad.ask(HEALTHY)
        while await self._folder.metric("otelbridge_delivery_lag_seconds") > 0:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)  # it is another process's
        await self._bad.ask(kind)
        rate, seconds = self._options.rate, self._options.seconds
        return await _record(self._bridge.port, rate=rate, seconds=seconds)

    async def growth(self) -> float:
        """What memory is at the end of a long outage, in parts of what it was in the middle."""
        await self._bad.ask("dead")
        noted: list[int] = []

        async def note() -> None:
            while True:
                noted.append(self._memory())
                await asyncio.sleep(1)

        noting = asyncio.create_task(note())
        seconds = self._options.outage
        await _record(self._bridge.port, rate=self._options.rate, seconds=seconds)
        noting.cancel()
        third = max(len(noted) // 3, 1)
        sizes = [size // _MIB for size in noted[::third]]
        print(f"dead for {seconds:g} s: memory {' '.join(map(str, sizes))} MiB")
        return median(noted[-third:]) / median(noted[third : 2 * third] or noted)

    def _foreign_s(self) -> float:
        """CPU time so far of all that is no part of this."""
        ours = (self._bridge, self._good, self._bad)
        own_s = proc.own_cpu_s(os.getpid()) + sum(proc.cpu_s(each.pid) for each in ours)
        return proc.busy_s() - own_s

    def _memory(self) -> int:
        """The resident bytes of the bridge and of its core."""
        pids = (self._bridge.pid, *proc.children(self._bridge.pid))
        return sum(proc.memory_bytes(pid)[0] for pid in pids)


async def _record(port: int, *, rate: int, seconds: float) -> list[float]:
    """Begin so many interceptions a second; how long each reply took, once all are there."""
    took_s: list[float] = []
    loop = asyncio.get_running_loop()
    channels = [_channel(port) for _ in range(_CHANNELS)]
    scripts = endless_scripts()
    began = loop.time()
    tasks = []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
        one = _interception(channels[number % _CHANNELS], scripts, took_s)
        tasks.append(asyncio.create_task(one))
    try:
        await asyncio.gather(*tasks)
    except grpc.aio.AioRpcError as error:
        raise BenchmarkError(f"a call was refused: {error.details()}") from error
    finally:
        for channel in channels:
            await channel.close()
    return took_s


def _channel(port: int) -> grpc.aio.Channel:
    options = [("grpc.use_local_subchannel_pool", 1)]
    return grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options)


async def _interception(
    channel: grpc.aio.Channel, scripts: Iterator[Script], took_s: list[float]
) -> None:
    script, interception = next(scripts), str(uuid4()).encode()

    async def call(template: Template) -> None:
        message = template.fill(interception, encode_stamp(time.time_ns()))
        began = time.perf_counter()
        await channel.unary_unary(template.path.decode())(message, timeout=30)
        took_s.append(time.perf_counter() - began)

    await call(script.start)
    await asyncio.gather(*(call(template) for template in script.rest))


def _judged(found: dict[str, Turns], growth: float) -> int:
    problems = [f"memory grew by {growth - 1:.0%}"] if growth > LIMIT_GROWTH else []
    healthy_s, parts = found[HEALTHY].p99_s, []
    for kind in KINDS:
        p99_s = found[kind].p99_s
        parts.append(f"{kind} {p99_s / healthy_s:.2f}")
        if p99_s > LIMIT_S or p99_s / healthy_s > LIMIT_RATIO:
            problems.append(f"{kind}: p99 {p99_s:.3f} s, healthy {healthy_s:.3f} s")
    print(f"p99 in parts of the healthy one: {', '.join(parts)}; memory {growth - 1:+.0%}")
    print(json.dumps({"ok": not problems, "problems": problems}))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
