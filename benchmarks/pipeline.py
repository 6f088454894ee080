"""The durable pipeline next to a bare grpc.aio echo: ``python -m benchmarks.pipeline``.

What is measured
    Acknowledged Record* calls a second of ``otelbridge serve`` (parsed, validated, on disk
    after an fsync, assembled, told as spans to a live OTLP/gRPC sink) and of the least that
    a Python gRPC server can do: grpc.aio on uvloop, the same messages, an empty answer.

Why a ratio
    Machines are noisy: the same server varies by 20 % and more from one minute to the next.
    So both run at once, are loaded in turn for a few seconds each, and are compared within
    the round; the result is the median over the rounds. CPU time a call is the steadier
    number; it covers all the server's threads, until the round's last interception is told.

The load
    16 connections carry 96 interceptions at any time. Each has a new UUID and eight records:
    the start, and once that is acknowledged two token records, a 2 kB prompt, two tools, a
    thought and the end, all at once. Every answer's grpc-status is checked. The generator is
    an HTTP/2 client of its own (`benchmarks.http2`): general load tools repeat one body,
    which would make all but one record duplicates. Its share of a core is printed, and so
    is what it reaches against a server that does nothing: it is never the bottleneck.

What else has to be right
    After each of the bridge's rounds the benchmark waits until the sink has been told every
    interception, so that the echo's turn does not pay for it. In the end there must be one
    chat span for each, with the ids that were sent.

Exit status: 0; 1 if the median ratio is under 0.6, a call failed, or a span is missing or
repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from benchmarks import proc
from benchmarks.bridge import choose_directory, serve_bridge
from benchmarks.child import serve_helper
from benchmarks.errors import BenchmarkError
from benchmarks.load import run_load
from benchmarks.profiling import profile
from benchmarks.report import Report, build_report, format_report
from benchmarks.rounds import Contender

if TYPE_CHECKING:
    from collections.abc import Sequence

_CEILING_SECONDS: Final = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; its exit status."""
    options = _parse(arguments)
    try:
        if options.profile:
            uvloop.run(_profile(options))
            return 0
        report = uvloop.run(_calibrate(options) if options.calibrate else _compare(options))
    except BenchmarkError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        print(format_report(report, second="echo" if options.calibrate else "bridge"))
    return 0 if report.is_passed else 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each server (10)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a turn (3)")
    parser.add_argument("--directory", type=Path, help="where the journal is put, on a disk")
    parser.add_argument("--json", action="store_true", help="print numbers instead of a table")
    parser.add_argument(
        "--calibrate", action="store_true", help="echo against echo: what noise alone does"
    )
    parser.add_argument(
        "--profile", action="store_true", help="load only the bridge; show where time goes"
    )
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be positive")
    return options


async def _compare(options: argparse.Namespace) -> Report:
    directory = choose_directory(options.directory)
    ceiling = await _measure_ceiling()
    async with (
        serve_helper("echo") as echo,
        serve_helper("sink") as sink,
        serve_bridge(directory, sink_port=sink.port) as bridge,
    ):
        contenders = Contender(echo), Contender(bridge, sink)
        return await _take_turns(contenders, options, ceiling=ceiling, directory=directory)


async def _calibrate(options: argparse.Namespace) -> Report:
    ceiling = await _measure_ceiling()
    async with serve_helper("echo") as one, serve_helper("echo") as other:
        contenders = Contender(one), Contender(other)
        directory = choose_directory(options.directory)
        return await _take_turns(contenders, options, ceiling=ceiling, directory=directory)


async def _profile(options: argparse.Namespace) -> None:
    directory = choose_directory(options.directory)
    async with (
        serve_helper("sink") as sink,
        serve_bridge(directory, sink_port=sink.port) as bridge,
    ):
        await profile(bridge, seconds=options.seconds)


async def _measure_ceiling() -> float:
    async with serve_helper("null") as null:
        return (await run_load(null.port, seconds=_CEILING_SECONDS)).rate


async def _take_turns(
    contenders: tuple[Contender, Contender],
    options: argparse.Namespace,
    *,
    ceiling: float,
    directory: Path,
) -> Report:
    echo, second = contenders
    for number in range(1, options.rounds + 1):
        # Who begins alternates, so that a machine that slows down favours nobody.
        for contender in contenders if number % 2 else reversed(contenders):
            await contender.run_round(options.seconds)
        bare, ours = echo.rounds[-1].load.rate, second.rounds[-1].load.rate
        print(
            f"round {number:2}: {bare:8,.0f} {ours:8,.0f} calls/s, ratio {ours / bare:.2f}",
            file=sys.stderr,
        )
    return build_report(echo, second, ceiling=ceiling, fsync_s=proc.fsync_s(directory))


if __name__ == "__main__":
    sys.exit(main())
