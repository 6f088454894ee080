"""IsAuthorized next to a bare grpc.aio echo: ``python -m benchmarks.authorizer``.

What is measured
    Right keys that ``otelbridge serve`` accepts in a second, each looked up, hashed and
    compared, the gateway's own key too, beside the same calls to a server that answers
    with an empty message. Every LLM request of a gateway begins with one such call.

The load
    The load generator and the echo of `benchmarks.pipeline`, whose reasons for a ratio of
    interleaved rounds hold here too: 16 connections, 96 chains of calls at any time. The
    store has a thousand users; each call shows another one's key. A single answer that is
    not OK fails the run.

Exit status: 0; 1 if a call failed.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from hashlib import sha256
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

import uvloop

from benchmarks.bridge import choose_directory, serve_bridge
from benchmarks.child import serve_helper
from benchmarks.errors import BenchmarkError
from benchmarks.load import Traffic
from benchmarks.records import RECORDS_PER_INTERCEPTION, Script, Template
from benchmarks.report import build_report, format_comparison
from benchmarks.rounds import Contender
from otelbridge.proto import aibridged_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.report import Report

_USERS: Final = 1000
_PATH: Final = b"/proto.Authorizer/IsAuthorized"
_GATEWAY_KEY: Final = "g" * 43


@dataclass(frozen=True, slots=True)
class _Question(Template):
    """A request that is the same each time it is sent."""

    def fill(self, interception_id: bytes, stamp: bytes) -> bytes:  # noqa: ARG002  # it has neither
        """The request's bytes."""
        return self.pieces[0]


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
    if options.json:
        print(json.dumps({"is_authorized": _numbers(report)}, indent=2))
    else:
        print(f"IsAuthorized\n{format_comparison(report)}\n")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.authorizer")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each server (10)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a turn (3)")
    parser.add_argument("--directory", type=Path, help="where the journal is put, on a disk")
    parser.add_argument("--json", action="store_true", help="print numbers instead of a table")
    # `make bench` hands its arguments to both: with these there is nothing to do here.
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
    headers = ((b"authorization", b"Bearer " + _GATEWAY_KEY.encode()),)
    traffic = Traffic(scripts=_scripts, headers=headers)
    async with (
        serve_helper("echo") as echo,
        serve_helper("sink") as sink,
        serve_bridge(directory, sink_port=sink.port, store=_store()) as bridge,
    ):
        contenders = Contender(echo, traffic=traffic), Contender(bridge, traffic=traffic)
        for number in range(1, options.rounds + 1):
            # Who begins alternates, so that a machine that slows down favours nobody.
            for contender in contenders if number % 2 else reversed(contenders):
                await contender.run_round(options.seconds)
            bare, ours = (contender.rounds[-1].load.rate for contender in contenders)
            rates = f"{bare:8,.0f} {ours:8,.0f} calls/s, ratio {ours / bare:.2f}"
            print(f"round {number:2}: {rates}", file=sys.stderr)
        return build_report(*contenders, ceiling=0.0, fsync_s=0.0)


def _numbers(report: Report) -> dict[str, object]:
    """What a report says of these servers: nothing is told or synced here."""
    found = report.as_dict()
    return {name: found[name] for name in ("echo", "bridge", "ratios", "ratio")}


def _key(number: int) -> tuple[str, str]:
    """Id and secret of a user's key."""
    return f"key{number:07d}", f"secret{number:016d}"


def _store() -> str:
    """A store file of one gateway, and of users with a key each."""
    tables = [f'[[gateway]]\nname = "bench"\nkey_sha256 = "{_sha256(_GATEWAY_KEY)}"\n']
    for number in range(_USERS):
        key_id, secret = _key(number)
        tables.append(
            f'[[user]]\nid = "{UUID(int=number + 1)}"\nname = "user-{number}"\n'
            f'[[key]]\nid = "{key_id}"\nuser = "user-{number}"\n'
            f'secret_sha256 = "{_sha256(secret)}"\n'
        )
    return "\n".join(tables)


def _scripts() -> Iterator[Script]:
    questions = cycle([_question(number) for number in range(_USERS)])
    while True:
        rest = tuple(next(questions) for _ in range(RECORDS_PER_INTERCEPTION - 1))
        yield Script(next(questions), rest)


def _question(number: int) -> Template:
    request = pb.IsAuthorizedRequest(key="-".join(_key(number)))
    return _Question(_PATH, (request.SerializeToString(), b"", b""))


def _sha256(text: str) -> str:
    return sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
