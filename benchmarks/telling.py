"""What telling costs by itself: ``python -m benchmarks.telling``.

What is measured
    CPU time of one interception of eight records, once they have been read. Telling it: they
    are added to the assembler, assembled, told and encoded for one destination, and forgotten.
    And, by itself, booking what arrives: each record is priced and counted as it comes. And
    the memory that open interceptions take, which wait for their answer and so have a start
    alone, or for their grace and have all eight records. No journal, no network, no threads.

The load
    The interceptions of `benchmarks.pipeline`, each distinct; content is not kept.

The gate
    Telling takes at most 110 µs with the profile ``v1_41``, 150 µs with ``dup``, in the lowest
    of the rounds: what else the machine does only adds to it.

Exit status: 0; 1 if a limit was exceeded.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from benchmarks.proc import memory_bytes
from benchmarks.records import RECORDS_PER_INTERCEPTION, encode_stamp, endless_scripts
from otelbridge.config import build_config
from otelbridge.domain.assembler import Assembler
from otelbridge.domain.interception import Thread
from otelbridge.domain.ledger import Changes
from otelbridge.domain.records import RecordKind
from otelbridge.recording import Submission
from otelbridge.servicers.keeping import RequestReader
from otelbridge.telemetry.labels import Labels
from otelbridge.telemetry.teller import build_shortener, build_teller

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otelbridge.config import Config
    from otelbridge.domain.records import InterceptionStarted, Record
    from otelbridge.telemetry.teller import OtlpTeller

LIMITS_US: Final = {"v1_41": 110.0, "dup": 150.0}
_BEGIN_NS: Final = 1_795_348_800 * 10**9
_MS: Final = 1_000_000
_AT_ONCE: Final = 20
_KINDS: Final = {
    b"RecordInterception": RecordKind.START,
    b"RecordInterceptionEnded": RecordKind.END,
    b"RecordTokenUsage": RecordKind.TOKENS,
    b"RecordPromptUsage": RecordKind.PROMPT,
    b"RecordToolUsage": RecordKind.TOOL,
    b"RecordModelThought": RecordKind.THOUGHT,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.telling")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each profile (9)")
    parser.add_argument("--interceptions", type=int, default=500, help="in a round (500)")
    parser.add_argument("--open", type=int, default=100_000, help="that are open (100000)")
    parser.add_argument("--json", action="store_true", help="print numbers as JSON")
    options, _ = parser.parse_known_args(arguments)  # `make bench ARGS=` are for all of them
    found: dict[str, Any] = {
        "us": {name: _times_us(name, options) for name in LIMITS_US},
        "bytes": _in_processes(options.open),
    }
    if options.json:
        print(json.dumps({"telling": found}, indent=2))
    else:
        _print(found, options.open)
    return int(any(min(told) > LIMITS_US[name] for name, (told, _) in found["us"].items()))


def _times_us(profile: str, options: argparse.Namespace) -> tuple[list[float], list[float]]:
    """The CPU time of telling an interception, and of booking what arrives of it, in µs.

    A mean for each round, after one that is not kept.
    """
    config = _config(profile)
    teller = build_teller(config, {"one": 1}, Labels(config.metrics.limits))
    source = _interceptions(config)
    rounds = [
        _round_us(teller, list(islice(source, options.interceptions)))
        for _ in range(options.rounds + 1)
    ]
    told, booked = zip(*rounds[1:], strict=True)
    return list(told), list(booked)


def _config(profile: str) -> Config:
    destination = {"name": "one", "endpoint": "http://127.0.0.1:4317"}
    settings = {"telemetry": {"semconv": profile}, "destination": [destination]}
    return build_config(settings, {}, base=Path())


def _round_us(teller: OtlpTeller, interceptions: Sequence[Sequence[Record]]) -> tuple[float, float]:
    assembler = Assembler(grace_s=6, max_age_s=3600)
    gc.collect()
    gc.freeze()  # as `otelbridge serve` does: what is there before is not looked through
    # As many at once as a commit has: what of them is in the caches is what would be there.
    parts = [interceptions[at : at + _AT_ONCE] for at in range(0, len(interceptions), _AT_ONCE)]
    told_s = booked_s = 0.0
    for part in parts:
        changes = Changes()
        added = time.process_time()
        _add(assembler, part)
        arrived = time.process_time()
        _book(teller, part, changes)
        closing = time.process_time()
        _tell(teller, assembler, part, changes)
        told_s += time.process_time() - closing + arrived - added
        booked_s += closing - arrived
    return told_s / len(interceptions) * 1e6, booked_s / len(interceptions) * 1e6


def _add(assembler: Assembler, interceptions: Sequence[Sequence[Record]]) -> None:
    for records in interceptions:
        for record in records:
            assembler.take(record)


def _book(teller: OtlpTeller, interceptions: Sequence[Sequence[Record]], changes: Changes) -> None:
    for start, *others in interceptions:
        for record in (start, *others):
            teller.record_arrived(record, cast("InterceptionStarted", start), changes)


def _tell(
    teller: OtlpTeller,
    assembler: Assembler,
    interceptions: Sequence[Sequence[Record]],
    changes: Changes,
) -> None:
    for records in interceptions:
        key = records[0].interception_id
        told = assembler.assembled(key, Thread(root_id=key))
        if not teller.interception_closed(told, changes):
            raise RuntimeError("nothing was told")
        assembler.forget(key)
    teller.committed(changes)


def _in_processes(count: int) -> dict[str, int]:
    """The memory of an open interception, each measured where nothing else was."""
    context = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        start = pool.submit(_bytes_each, count, 1)
        whole = pool.submit(_bytes_each, count // 10, RECORDS_PER_INTERCEPTION)
        return {"start": start.result(), "eight records": whole.result()}


def _bytes_each(count: int, records_each: int) -> int:
    """The memory of an open interception, in bytes, among so many."""
    assembler = Assembler(grace_s=6, max_age_s=3600)
    gc.collect()
    before, _ = memory_bytes(os.getpid())
    for records in islice(_interceptions(_config("v1_41")), count):
        for record in records[:records_each]:
            assembler.add(record)
    gc.collect()
    after, _ = memory_bytes(os.getpid())
    return (after - before) // len(assembler)


def _interceptions(config: Config) -> Iterator[list[Record]]:
    """Endless interceptions as they are read from the wire, each with an id of its own."""
    read = RequestReader(build_shortener(config))
    for number, script in enumerate(endless_scripts(), 1):
        key = str(UUID(int=number << 64 | number)).encode()
        begin_ns = _BEGIN_NS + number * _MS
        yield [
            read(
                Submission(
                    _KINDS[template.path.rpartition(b"/")[2]],
                    template.fill(key, encode_stamp(begin_ns + place * _MS)),
                    begin_ns + 100 * _MS,
                ),
                keep_content=False,
            ).record
            for place, template in enumerate((script.start, *script.rest))
        ]


def _print(found: dict[str, Any], count: int) -> None:
    print(f"Telling an interception of {RECORDS_PER_INTERCEPTION} records, one destination")
    for name, (told, booked) in found["us"].items():
        spread = f"median {median(told):.0f}, highest {max(told):.0f}"
        print(
            f"  {name:<6} {min(told):6.1f} µs ({spread}), at most {LIMITS_US[name]:.0f};"
            f" booking what arrives {min(booked):.1f} µs"
        )
    start, whole = found["bytes"].values()
    print(f"An open interception: {start} bytes with its start alone, {whole} with all records")
    print(f"  {count:,} that wait for their answer take {start * count / 2**20:.0f} MiB\n")


if __name__ == "__main__":
    sys.exit(main())
