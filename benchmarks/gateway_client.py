"""A gateway that makes many calls: what the Go program's ``-load`` does, in Python.

It reads the calls from standard input, a JSON object a line, and prints one summary.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from base64 import b64decode
from collections import Counter
from typing import TYPE_CHECKING

import uvloop

from otelbridge.transports.gateway.client import dialled

if TYPE_CHECKING:
    from otelbridge.transports.gateway.client import GatewayClient


def main() -> None:
    """Make the calls and print how they went."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway_client")
    parser.add_argument("-url", required=True)
    parser.add_argument("-key", required=True)
    parser.add_argument("-load", type=int, required=True)
    parser.add_argument("-concurrency", type=int, required=True)
    options = parser.parse_args()
    calls = [json.loads(line) for line in sys.stdin]
    print(json.dumps(uvloop.run(_load(options, calls))))


async def _load(options: argparse.Namespace, calls: list[dict[str, str]]) -> dict[str, object]:
    left = iter(
        [
            (call["rpc"].removeprefix("/proto."), b64decode(call["request"]))
            for call in calls[: options.load]
        ]
    )
    latencies_ms: list[float] = []
    errors: Counter[str] = Counter()

    async def work(client: GatewayClient) -> None:
        for rpc, request in left:
            began = time.perf_counter()
            code, text = await client.call(rpc, request)
            latencies_ms.append((time.perf_counter() - began) * 1e3)
            if code != "OK":
                errors[text] += 1

    async with dialled(options.url, key=options.key) as client:
        began = time.perf_counter()
        await asyncio.gather(*(work(client) for _ in range(options.concurrency)))
        seconds = time.perf_counter() - began
    latencies_ms.sort()
    return {
        "event": "load",
        "calls": len(latencies_ms),
        "failed": errors.total(),
        "errors": errors,
        "seconds": seconds,
        "p50_ms": latencies_ms[len(latencies_ms) // 2],
        "p99_ms": latencies_ms[len(latencies_ms) * 99 // 100],
    }


if __name__ == "__main__":
    main()
