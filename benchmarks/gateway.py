"""A stock gateway's records: ``python -m benchmarks.gateway``.

What is measured
    Acknowledged Record* calls a second of ``otelbridge serve``, over DRPC, yamux and a
    WebSocket, next to the same calls to servicers that do nothing behind the same layers
    (`benchmarks.gateway_null`), and next to the same records over gRPC. All three take turns;
    ratios are within a round, results are medians over the rounds.

The load
    Two sessions with 256 calls in flight each; every record is distinct, eight belong to one
    interception. `benchmarks.gateway_load` says who makes the calls. That takes more of the
    machine than the bridge does: the steadier figure is the server's CPU time a call, which
    covers what the kernel does for it and, of the bridge, telling and delivering.

Besides
    How many sessions are opened in a second, one after the other, and what each costs the
    server; and what each of a thousand idle sessions takes of its memory.

Exit status: 0; 1 if the bridge is under 0.6 of the servicers that do nothing, if those cost
more than 60 µs of CPU a call, a call failed, or a span is missing or repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from benchmarks import load, proc
from benchmarks.bridge import choose_directory, serve_bridge
from benchmarks.child import serve_helper
from benchmarks.counts import SinkCounts
from benchmarks.dialling import dial_rate, idle_bytes
from benchmarks.errors import BenchmarkError
from benchmarks.gateway_load import KEYS, client_name, run_load
from benchmarks.gateway_report import Report, Turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.child import Child

_FIRST_CALLS: Final = 4_000
_DIALS: Final = 500
_IDLE: Final = 1_000
_POLL_S: Final = 0.05
# Without a single new span for this long, what is missing will not come.
_STALLED_S: Final = 20.0


class Sink:
    """Knows what the sink must have been told.

    Args:
        child: The sink.
    """

    def __init__(self, child: Child) -> None:
        self._child = child
        self._interceptions = 0
        self._id_sum = 0
        self._counts = SinkCounts()

    async def until_told(self, interceptions: int, id_sum: int) -> None:
        """Return when the sink was told these too: the next turn must not pay for it.

        Raises:
            BenchmarkError: If it is not.
        """
        self._interceptions += interceptions
        self._id_sum += id_sum
        told, moved = -1, time.monotonic()
        while told < self._interceptions:
            self._counts = SinkCounts(**json.loads(await self._child.ask()))
            if self._counts.interceptions > told:
                told, moved = self._counts.interceptions, time.monotonic()
            elif time.monotonic() - moved > _STALLED_S:
                raise BenchmarkError(f"the sink was told {told} of {self._interceptions}")
            await asyncio.sleep(_POLL_S)

    @property
    def is_told(self) -> bool:
        """Whether it got one chat span of every interception, and nothing else."""
        counts = self._counts
        return counts.chat_spans == self._interceptions and counts.id_sum == self._id_sum


class Server:
    """A server that gateways load in turn.

    Args:
        child: The server.
        port: Its endpoint.
        sink: Where it tells; None if it tells nothing.

    Attributes:
        turns: What was measured so far.
    """

    def __init__(self, child: Child, port: int, sink: Sink | None = None) -> None:
        self.turns = Turns()
        self._child = child
        self._port = port
        self._sink = sink
        self._calls = _FIRST_CALLS

    async def warm_up(self, seconds: float) -> None:
        """Find out how many calls it answers in a turn."""
        found = await run_load(self._port, calls=_FIRST_CALLS)
        await self._until_told(found.interceptions, found.id_sum)
        self._calls = round(found.rate * seconds)

    async def run_round(self) -> None:
        """Load it and let it finish."""
        used = _Used(self._child)
        found = await run_load(self._port, calls=self._calls)
        await self._until_told(found.interceptions, found.id_sum)
        used.book(self.turns, found.calls)
        self.turns.rate.append(found.rate)
        self.turns.p50_ms.append(found.p50_ms)
        self.turns.p99_ms.append(found.p99_ms)

    async def _until_told(self, interceptions: int, id_sum: int) -> None:
        if self._sink is not None:
            await self._sink.until_told(interceptions, id_sum)


class GrpcServer:
    """The same bridge, loaded over gRPC.

    Args:
        child: The bridge.
        sink: Where it tells.

    Attributes:
        turns: What was measured so far.
    """

    def __init__(self, child: Child, sink: Sink) -> None:
        self.turns = Turns()
        self._child = child
        self._sink = sink

    async def run_round(self, seconds: float) -> None:
        """Load it and let it finish."""
        used = _Used(self._child)
        found = await load.run_load(self._child.port, seconds=seconds)
        await self._sink.until_told(found.interceptions, found.id_sum)
        used.book(self.turns, found.calls)
        latencies_s = sorted(found.latencies_s)
        self.turns.rate.append(found.rate)
        self.turns.p50_ms.append(latencies_s[len(latencies_s) // 2] * 1e3)
        self.turns.p99_ms.append(latencies_s[len(latencies_s) * 99 // 100] * 1e3)


class _Used:
    """CPU time that a server takes from now on."""

    def __init__(self, child: Child) -> None:
        self._pid = child.pid
        self._all_s, self._own_s = proc.cpu_s(self._pid), proc.own_cpu_s(self._pid)

    def book(self, turns: Turns, calls: int) -> None:
        """Note what each of so many calls took."""
        turns.cpu_us.append((proc.cpu_s(self._pid) - self._all_s) / calls * 1e6)
        turns.own_cpu_us.append((proc.own_cpu_s(self._pid) - self._own_s) / calls * 1e6)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; its exit status."""
    options = _parse(arguments)
    if options.pipelines_own:
        return 0
    try:
        report = uvloop.run(_compare(options))
    except BenchmarkError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"gateways": report.as_dict()}, indent=2) if options.json else _text(report))
    return 1 if report.problems else 0


def _text(report: Report) -> str:
    return f"{report.as_text()}\n"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each server (10)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a turn (3)")
    parser.add_argument("--directory", type=Path, help="where the journal is put, on a disk")
    parser.add_argument("--json", action="store_true", help="print numbers instead of a table")
    # `make bench` hands its arguments to all: with these there is nothing to do here.
    parser.add_argument(
        *("--calibrate", "--profile"),
        dest="pipelines_own",
        action="store_true",
        help=argparse.SUPPRESS,
    )
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be positive")
    return options


async def _compare(options: argparse.Namespace) -> Report:
    directory = choose_directory(options.directory)
    async with (
        serve_helper("gateway_null") as null,
        serve_helper("sink") as sink_child,
        serve_bridge(directory, sink_port=sink_child.port, store=_store()) as bridge,
    ):
        sink = Sink(sink_child)
        nothing, ours = Server(null, null.port), Server(bridge, bridge.http_port, sink)
        grpc = GrpcServer(bridge, sink)
        for server in (nothing, ours):
            await server.warm_up(options.seconds)
        for number in range(1, options.rounds + 1):
            # Who begins alternates, so that a machine that slows down favours nobody.
            for server in (nothing, ours) if number % 2 else (ours, nothing):
                await server.run_round()
            await grpc.run_round(options.seconds)
            _tell(number, nothing.turns.rate[-1], ours.turns.rate[-1], grpc.turns.rate[-1])
        dials_per_s, dial_cpu_s = await dial_rate(null, sessions=_DIALS)
        return Report(
            client=client_name(),
            nothing=nothing.turns,
            bridge=ours.turns,
            grpc=grpc.turns,
            dials_per_s=dials_per_s,
            dial_cpu_us=dial_cpu_s * 1e6,
            idle_bytes=await idle_bytes(null, sessions=_IDLE),
            is_told=sink.is_told,
        )


def _tell(number: int, bare: float, ours: float, grpc: float) -> None:
    rates = f"{bare:8,.0f} {ours:8,.0f} calls/s, ratio {ours / bare:.2f}; gRPC {grpc:8,.0f}"
    print(f"round {number:2}: {rates}", file=sys.stderr)


def _store() -> str:
    """A store file of the gateways that make the load."""
    return "\n".join(
        f'[[gateway]]\nname = "gateway-{number}"\nkey_sha256 = "{_sha256(key)}"\n'
        for number, key in enumerate(KEYS)
    )


def _sha256(text: str) -> str:
    return sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
