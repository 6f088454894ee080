"""How fast a backlog drains, next to a bare OTLP client: ``python -m benchmarks.drain``.

What is measured
    A journal is filled with interceptions that are told and wait for a destination. Then
    `otelbridge serve` is started on a copy of it, and delivers. The bare client is grpc.aio,
    which sends the same rows, prepared as requests of the same size, one after the other.
    The time runs from the first request that arrives to the last.

Why a ratio
    Machines are noisy. Both take turns in one run, and are compared within the round; the
    result is the median.

Exit status: 0; 1 if the median ratio is under 0.5, or a span is missing or repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import grpc.aio
import uvloop

from benchmarks.bridge import choose_directory
from benchmarks.child import serve_helper
from benchmarks.drain_sink import Drained
from benchmarks.errors import BenchmarkError
from benchmarks.folder import Folder, free_ports
from benchmarks.records import encode_stamp, endless_scripts
from otelbridge.clock import SteadyClock
from otelbridge.config import build_config
from otelbridge.core.core import open_core
from otelbridge.delivery.batches import MAX_BYTES, MAX_ROWS
from otelbridge.delivery.requests import Envelope
from otelbridge.delivery.resource import build_resource, encode_resource
from otelbridge.domain.ports import Signal
from otelbridge.domain.records import RecordKind
from otelbridge.recording import Side, Submission

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.child import Child
    from benchmarks.records import Template
    from otelbridge.core.core import Core

GATE: Final = 0.5
_AT_ONCE: Final = 250  # interceptions in a commit, all told in the next one
_STALLED_S: Final = 20.0
_POLL_S: Final = 0.05
_EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_KINDS: Final = {
    "RecordInterception": RecordKind.START,
    "RecordInterceptionEnded": RecordKind.END,
    "RecordTokenUsage": RecordKind.TOKENS,
    "RecordPromptUsage": RecordKind.PROMPT,
    "RecordToolUsage": RecordKind.TOOL,
    "RecordModelThought": RecordKind.THOUGHT,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drain")
    parser.add_argument("--interceptions", type=int, default=50_000, help="the backlog (50000)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (3)")
    parser.add_argument("--directory", type=Path, help="where the journal is put, on a disk")
    options = parser.parse_args(arguments)
    try:
        return uvloop.run(_compare(options))
    except BenchmarkError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1


async def _compare(options: argparse.Namespace) -> int:
    parent = choose_directory(options.directory)
    with tempfile.TemporaryDirectory(prefix="otelbridge-drain-", dir=parent) as name:
        full = Folder(Path(name) / "full")
        full.path.mkdir()
        await full.initialise()
        spans, requests = fill(full.path, options.interceptions)
        print(f"{spans:,} spans in {len(requests):,} requests, {_mib(requests):.0f} MiB")
        ratios = []
        for number in range(1, options.rounds + 1):
            bare = await _time_client(requests, spans)
            ours = await _time_bridge(full, spans, Path(name) / str(number))
            ratios.append(bare / ours)
            print(
                f"round {number}: bare client {spans / bare:9,.0f} spans/s,"
                f" bridge {spans / ours:9,.0f} spans/s, ratio {ratios[-1]:.2f}"
            )
    verdict = "" if median(ratios) >= GATE else f", under the gate of {GATE}"
    print(f"ratio {median(ratios):.2f}, median of {len(ratios)} rounds{verdict}")
    return 0 if median(ratios) >= GATE else 1


class _Clock(SteadyClock):
    """A clock that the benchmark sets forward, so that a grace is over at once."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead_ns = 0

    def __call__(self) -> int:
        """The time."""
        return super().__call__() + self.ahead_ns


def fill(directory: Path, interceptions: int) -> tuple[int, list[bytes]]:
    """Fill a journal with interceptions that are told; the spans, and requests with them all."""
    (dead,) = free_ports(1)
    destination = {"name": "sink", "endpoint": f"http://127.0.0.1:{dead}"}
    config = build_config({"destination": [destination]}, {}, base=directory)
    clock = _Clock()
    core, _ = open_core(config, clock_ns=clock)
    try:
        sent = 0
        source = submissions(clock)
        while sent < interceptions:
            core.commit([s for _ in range(_AT_ONCE) for s in next(source)], Side())
            clock.ahead_ns += 60 * 10**9
            core.commit([], Side())
            sent += _AT_ONCE
        return _requests(core)
    finally:
        core.close()


def submissions(clock: SteadyClock) -> Iterator[list[Submission]]:
    """Yield the records of one interception after the other, for ever."""
    for script in endless_scripts():
        interception, now_ns = str(uuid4()).encode(), clock()
        stamp = encode_stamp(now_ns)
        yield [
            Submission(_kind(template), template.fill(interception, stamp), now_ns)
            for template in (script.start, *script.rest)
        ]


def _kind(template: Template) -> RecordKind:
    return _KINDS[template.path.decode().rpartition("/")[2]]


def _requests(core: Core) -> tuple[int, list[bytes]]:
    resource = encode_resource(build_resource({}, instance_id=str(uuid4()), version="0"))
    envelope = Envelope(resource, version="0")
    spans, after, requests = 0, 0, []
    while rows := core.read(
        "sink", Signal.TRACES, after=after, limit=MAX_ROWS, max_bytes=MAX_BYTES
    ):
        spans += sum(row.items for row in rows)
        after = rows[-1].seq
        requests.append(envelope.wrap([row.body for row in rows]))
    return spans, requests


async def _time_client(requests: Sequence[bytes], spans: int) -> float:
    async with (
        serve_helper("drain_sink") as sink,
        grpc.aio.insecure_channel(f"127.0.0.1:{sink.port}") as channel,
    ):
        export = channel.unary_unary(_EXPORT)
        for request in requests:
            await export(request)
        return await _until_drained(sink, spans)


async def _time_bridge(full: Folder, spans: int, copy: Path) -> float:
    shutil.copytree(full.path, copy)
    async with serve_helper("drain_sink") as sink, Folder(copy).serve(sink=sink.port):
        seconds = await _until_drained(sink, spans)
    shutil.rmtree(copy)
    return seconds


async def _until_drained(sink: Child, spans: int) -> float:
    """Wait until every span has arrived, once; how long it took."""
    moved, before = time.monotonic(), -1
    while True:
        drained = Drained(**json.loads(await sink.ask()))
        if drained.ids >= spans:
            break
        if drained.spans != before:
            moved, before = time.monotonic(), drained.spans
        if time.monotonic() - moved > _STALLED_S:
            raise BenchmarkError(f"{drained.ids} of {spans} spans arrived")
        await asyncio.sleep(_POLL_S)
    if drained.spans != spans:
        raise BenchmarkError(f"{drained.spans} spans arrived, of which {spans} are different")
    return drained.seconds


def _mib(requests: Sequence[bytes]) -> float:
    return sum(map(len, requests)) / (1 << 20)


if __name__ == "__main__":
    sys.exit(main())
