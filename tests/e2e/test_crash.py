"""SIGKILL in the middle of a load: nothing that was acknowledged is missing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import grpc
import grpc.aio
import pytest

from otelbridge.commands.init import initialise
from tests.collector import Collector
from tests.e2e.test_load import records_of
from tests.faults import fault
from tests.records import uuid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROUNDS = 3


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run `otelbridge serve` in a process of its own; yield it and its gRPC address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "otelbridge", "serve", "--config", "otelbridge.toml"),
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        address = ""
        while not address:
            name, _, rest = (await process.stdout.readline()).decode().partition(" ")
            address = rest.strip() if name == "grpc" else ""
        yield process, address
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def hammer(address: str, first: int, acknowledged: set[tuple[int, str]]) -> None:
    """Send interceptions until the connection breaks; note every reply."""
    async with grpc.aio.insecure_channel(address) as channel:
        number = first
        while True:
            for method, request in records_of(number):
                try:
                    await channel.unary_unary(f"/proto.Recorder/{method}")(request)
                except grpc.aio.AioRpcError:
                    return
                acknowledged.add((number, method))
            number += 1


@fault(14)
@pytest.mark.timeout(120)
async def test_what_was_acknowledged_survives_sigkill_and_is_told(tmp_path: Path) -> None:
    initialise(tmp_path)
    async with Collector() as collector:
        (tmp_path / "otelbridge.toml").write_text(
            '[listen]\ngrpc = "127.0.0.1:0"\nhttp = "127.0.0.1:0"\n'
            "[assembly]\ngrace_s = 0.3\nmax_age_s = 0.5\n"
            f'[[destination]]\nname = "sink"\nendpoint = "{collector.grpc_endpoint}"\n'
        )
        acknowledged: set[tuple[int, str]] = set()
        for turn in range(ROUNDS):
            async with serving(tmp_path) as (process, address):
                load = [
                    asyncio.ensure_future(
                        hammer(address, 1 + 10**6 * turn + 10**4 * lane, acknowledged)
                    )
                    for lane in range(8)
                ]
                enough = len(acknowledged) + 400
                while len(acknowledged) < enough:
                    await asyncio.wait(load, timeout=0.01)
                process.send_signal(signal.SIGKILL)
                await asyncio.gather(*load)
        async with serving(tmp_path):
            wanted = {uuid(number) for number, _ in acknowledged}
            await collector.wait_for(lambda c: wanted <= told(c), timeout_s=30)

    usage = {UUID(bytes=span.trace_id): span for span in collector.spans}
    for number, method in acknowledged:
        span = usage[uuid(number)]
        keys = {attribute.key for attribute in span.attributes}
        if method == "RecordTokenUsage":
            assert "gen_ai.usage.input_tokens" in keys
        if method == "RecordInterceptionEnded":
            assert "aibridge.interception.incomplete" not in keys


def told(collector: Collector) -> set[UUID]:
    """Return the interceptions that were told."""
    return {UUID(bytes=span.trace_id) for span in collector.spans}
