"""The load of gateways: programs that make so many calls, each in a process of its own.

The Go program of the interop tests speaks by a stock gateway's own libraries. Where it is not
installed (tests/interop/peers/install.sh builds it), a Python program with the same manners
takes its place; it costs the machine more than the bridge does, and its figures are lower.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from base64 import b64encode
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from benchmarks.errors import BenchmarkError
from benchmarks.records import RECORDS_PER_INTERCEPTION, encode_stamp, endless_scripts

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Iterator

#: Keys of gateways that may connect; one alone has only half of all sessions.
KEYS: Final = tuple(f"{number}".rjust(43, "g") for number in range(4))
SESSIONS: Final = 2
# Calls in flight of each session; the load of `benchmarks.pipeline` has as many, or more.
_AT_ONCE: Final = 256
# Starts are sent before what belongs to them, a few hundred calls apart.
_BLOCK: Final = 32
_GO: Final = Path(".peers/bin/gateway")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a load measured.

    Attributes:
        calls: Calls that were answered; one that was not fails the load.
        seconds: How long they took, for the slowest session.
        p50_ms: Half of the calls took no longer; of the slowest session.
        p99_ms: The same of 99 in 100.
        interceptions: How many the calls belong to; all are complete.
        id_sum: Their UUIDs as numbers, added up.
    """

    calls: int
    seconds: float
    p50_ms: float
    p99_ms: float
    interceptions: int
    id_sum: int

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.calls / self.seconds


def client_name() -> str:
    """Return what makes the calls, for people."""
    return "Go (a stock gateway's libraries)" if _GO.exists() else "Python"


async def run_load(port: int, *, calls: int) -> Load:
    """Make about so many calls in a few sessions, all at the same time.

    Raises:
        BenchmarkError: If a call is not answered with OK.
    """
    interceptions = max(1, calls // SESSIONS // RECORDS_PER_INTERCEPTION)
    ids = [[uuid4() for _ in range(interceptions)] for _ in range(SESSIONS)]
    inputs = ["\n".join(_lines([each.urn[9:].encode() for each in part])) for part in ids]
    processes = [
        await _start(port, key, interceptions * RECORDS_PER_INTERCEPTION)
        for key, _ in zip(KEYS, inputs, strict=False)
    ]
    found = await asyncio.gather(*map(_finish, processes, inputs))
    return Load(
        calls=round(sum(each["calls"] for each in found)),
        seconds=max(each["seconds"] for each in found),
        p50_ms=max(each["p50_ms"] for each in found),
        p99_ms=max(each["p99_ms"] for each in found),
        interceptions=interceptions * SESSIONS,
        id_sum=sum(each.int for part in ids for each in part),
    )


def _lines(ids: list[bytes]) -> Iterator[str]:
    """Yield the calls of interceptions, as the Go program reads them."""
    scripts = list(zip(islice(endless_scripts(), len(ids)), ids, strict=True))
    for at in range(0, len(scripts), _BLOCK):
        block = scripts[at : at + _BLOCK]
        stamp = encode_stamp(time.time_ns())
        calls = [(script.start, each) for script, each in block]
        calls += [(template, each) for script, each in block for template in script.rest]
        for template, each in calls:
            request = b64encode(template.fill(each, stamp)).decode()
            yield json.dumps({"rpc": template.path.decode(), "request": request})


async def _start(port: int, key: str, calls: int) -> Process:
    go = (str(_GO.absolute()),)
    program = go if _GO.exists() else (sys.executable, "-m", "benchmarks.gateway_client")
    options = ("-key", key, "-load", str(calls), "-concurrency", str(_AT_ONCE))
    return await asyncio.create_subprocess_exec(
        *(*program, "-url", f"ws://127.0.0.1:{port}", *options),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,  # the Go library complains of every session that is left
    )


async def _finish(process: Process, requests: str) -> dict[str, float]:
    out, _ = await process.communicate(requests.encode())
    for line in out.decode().splitlines():
        found: dict[str, float] = json.loads(line)
        if found.get("event") == "load":  # type: ignore[comparison-overlap]  # the one text
            if found["failed"]:
                raise BenchmarkError(f"calls have failed: {found['errors']}")
            return found
    raise BenchmarkError(f"a gateway has ended with {process.returncode}: {out.decode()[-500:]}")
