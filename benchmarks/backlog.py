"""A start with a large backlog: ``python -m benchmarks.backlog``.

What is measured
    A journal is filled with records that were acknowledged and not told: what a bridge leaves
    behind that is killed at a high load, or was full of open interceptions. Then
    `otelbridge serve` is started on it. How long until it is ready and answers a call; how
    long replies take while it reads the backlog; how fast that is told and delivered; how much
    memory both of its processes took at most; whether the log says how far it has come.

The limits
    It answers within 5 s. Interceptions are told at 2,000 a second and more, from the start of
    the process to the last span. Both processes take at most 512 MiB, whatever the backlog.

Exit status: 0; 1 if a limit was exceeded, or a span is missing or repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import grpc.aio
import uvloop

from benchmarks import proc
from benchmarks.bridge import choose_directory
from benchmarks.child import serve_helper
from benchmarks.drain import submissions
from benchmarks.drain_sink import Drained
from benchmarks.errors import BenchmarkError
from benchmarks.folder import Folder
from benchmarks.records import RECORDS_PER_INTERCEPTION, encode_stamp, endless_scripts
from otelbridge.clock import SteadyClock
from otelbridge.config import build_config
from otelbridge.domain.books import RECEIVED
from otelbridge.domain.ledger import Series
from otelbridge.journal import SqliteJournal
from otelbridge.journal.entries import Entry
from otelbridge.journal.transaction import Transaction
from otelbridge.servicers.keeping import RequestReader
from otelbridge.telemetry.teller import build_shortener

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.child import Child
    from otelbridge.domain.ledger import SeriesKey
    from otelbridge.domain.records import RecordKind
    from otelbridge.recording import Submission

START_S: Final = 5.0
RATE: Final = 2000
MEMORY_MIB: Final = 512
_MIB: Final = 1 << 20
_AT_ONCE: Final = 250  # interceptions in a commit
_POLL_S: Final = 0.2
_STALLED_S: Final = 60.0
_TOLD: Final = "otelbridge_records_told_total"


@dataclass(slots=True)
class Found:
    """What was measured.

    Attributes:
        ready_s: From the start of the process until it is ready.
        answered_s: Until it has answered a call.
        told_s: Until the last span has arrived.
        took_s: How long replies took meanwhile.
        memory: The resident bytes of both processes, at most.
        lines: Lines of the log that say how far it is.
        elsewhere: Cores that others on the machine took.
    """

    ready_s: float = 0.0
    answered_s: float = 0.0
    told_s: float = 0.0
    took_s: list[float] = field(default_factory=list)
    memory: int = 0
    lines: int = 0
    elsewhere: float = 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backlog")
    parser.add_argument("--records", type=int, default=1_000_000, help="the backlog (1000000)")
    parser.add_argument("--directory", type=Path, help="where the journal is put, on a disk")
    options = parser.parse_args(arguments)
    try:
        return uvloop.run(_measure(options))
    except BenchmarkError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1


async def _measure(options: argparse.Namespace) -> int:
    parent = choose_directory(options.directory)
    with tempfile.TemporaryDirectory(prefix="otelbridge-backlog-", dir=parent) as name:
        folder = Folder(Path(name))
        await folder.initialise()
        began = time.monotonic()
        count = fill(folder.path, options.records)
        size = sum(each.stat().st_size for each in folder.path.glob("journal.db*"))
        print(
            f"{count * RECORDS_PER_INTERCEPTION:,} records of {count:,} interceptions,"
            f" {size / _MIB:,.0f} MiB, written in {time.monotonic() - began:.0f} s"
        )
        found = await _start(folder, count)
        return _judged(found, count)


def fill(directory: Path, records: int) -> int:
    """Fill a journal with records that wait to be told; of how many interceptions they are."""
    config = build_config({}, {}, base=directory)
    reader, clock = RequestReader(build_shortener(config)), SteadyClock()
    source = submissions(clock)
    journal = SqliteJournal(config.journal.path)
    received: Counter[RecordKind] = Counter()
    done = 0
    try:
        while done * RECORDS_PER_INTERCEPTION < records:
            batch = [each for _ in range(_AT_ONCE) for each in next(source)]
            entries = [_entry(each, reader) for each in batch]
            received.update(each.kind for each in entries)
            series: dict[SeriesKey, Series] = {
                (RECEIVED, (kind.name.lower(), "")): Series(1, count)
                for kind, count in received.items()
            }
            journal.commit(Transaction(entries=entries, series=series), now_ns=clock())
            done += _AT_ONCE
    finally:
        journal.close()
    return done


def _entry(submission: Submission, reader: RequestReader) -> Entry:
    read = reader(submission, keep_content=False)
    record = read.record
    return Entry(
        kind=submission.kind,
        received_at_ns=record.received_at_ns,
        length=read.length,
        interception_id=record.interception_id,
        identity=record.identity,
        payload=read.payload,
        prints=read.prints,
    )


async def _start(folder: Folder, interceptions: int) -> Found:
    found, began = Found(), time.monotonic()
    async with serve_helper("drain_sink") as sink, folder.serve(sink=sink.port) as bridge:
        found.ready_s = time.monotonic() - began
        foreign_s = _foreign_s(bridge, sink)
        calling = asyncio.create_task(_call(bridge.port, found, began))
        moved, before = time.monotonic(), -1.0
        while (told := await folder.metric(_TOLD)) < interceptions * RECORDS_PER_INTERCEPTION:
            found.memory = max(found.memory, _memory(bridge))
            if told != before:
                moved, before = time.monotonic(), told
            if calling.done() or time.monotonic() - moved > _STALLED_S:
                raise BenchmarkError(f"{told:.0f} records were told\n{folder.last_words()}")
            await asyncio.sleep(_POLL_S)
        while await folder.metric("otelbridge_delivery_lag_seconds") > 0:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)  # it is another process's
        found.told_s = time.monotonic() - began
        reading_s = found.told_s - found.ready_s
        found.elsewhere = (_foreign_s(bridge, sink) - foreign_s) / reading_s
        calling.cancel()
        drained = Drained(**json.loads(await sink.ask()))
    found.lines = (folder.path / "otelbridge.log").read_text().count("records are read again")
    if not interceptions <= drained.ids == drained.spans:
        raise BenchmarkError(f"{drained.spans} spans arrived, of which {drained.ids} are different")
    return found


async def _call(port: int, found: Found, began: float) -> None:
    """Record starts of interceptions, one after the other, a few in a second."""
    start = next(endless_scripts()).start
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(start.path.decode())
        while True:
            at = time.perf_counter()
            await call(start.fill(str(uuid4()).encode(), encode_stamp(time.time_ns())), timeout=30)
            found.took_s.append(time.perf_counter() - at)
            found.answered_s = found.answered_s or time.monotonic() - began
            await asyncio.sleep(_POLL_S)


def _foreign_s(*ours: Child) -> float:
    """CPU time so far of all that does not belong to the benchmark."""
    return proc.busy_s() - sum(proc.cpu_s(each.pid) for each in ours) - time.process_time()


def _memory(bridge: Child) -> int:
    pids = (bridge.pid, *proc.children(bridge.pid))
    return sum(proc.memory_bytes(pid)[1] for pid in pids)


def _judged(found: Found, interceptions: int) -> int:
    rate, memory = interceptions / found.told_s, found.memory / _MIB
    took_s = sorted(found.took_s)
    print(f"ready after {found.ready_s:.2f} s, a call answered after {found.answered_s:.2f} s")
    print(f"told and delivered after {found.told_s:.1f} s: {rate:,.0f} interceptions/s")
    middle, slowest = took_s[len(took_s) // 2] * 1e3, took_s[-1] * 1e3
    print(f"{len(took_s)} calls meanwhile: median {middle:.0f} ms, slowest {slowest:.0f} ms")
    print(f"memory at most {memory:.0f} MiB; {found.lines} lines of progress")
    print(f"others on this machine took {found.elsewhere:.1f} cores meanwhile")
    problems = []
    if found.answered_s > START_S:
        problems.append(f"it answered after {found.answered_s:.1f} s, the limit is {START_S:g}")
    if rate < RATE:
        problems.append(f"{rate:.0f} interceptions/s, at least {RATE} are wanted")
    if memory > MEMORY_MIB:
        problems.append(f"{memory:.0f} MiB, the limit is {MEMORY_MIB}")
    print(json.dumps({"ok": not problems, "problems": problems}))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
