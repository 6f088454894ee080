"""A stock gateway and `otelbridge serve`, a process: its end, its return, and the commands."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from otelbridge.errors import ConfigError
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.transports.gateway.client import GatewayClient, dialled
from tests.commands.programs import ended, run, start
from tests.faults import fault
from tests.interop.programs import free_ports
from tests.store.files import (
    ALICE,
    GATEWAY,
    GATEWAY_KEY,
    KEYS,
    PEOPLE,
    PROVIDER,
    write_store,
)
from tests.transports.gateway.worlds import eventually

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator


CAPTURE = Path(__file__).parents[1] / "captures" / "errors.jsonl"
STORE = GATEWAY + PEOPLE + KEYS + PROVIDER + 'keys = ["secret"]\n'
BUDGET = "Authorizer/IsBudgetExceeded"


class Serving:
    """`otelbridge serve` on ports that it keeps, with a store.

    Attributes:
        url: Where a gateway connects to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        grpc, http = free_ports(2)
        self.url = f"ws://127.0.0.1:{http}"
        self.process: Process
        write_store(folder, STORE)
        (folder / "otelbridge.toml").write_text(
            f'[listen]\ngrpc = "127.0.0.1:{grpc}"\nhttp = "127.0.0.1:{http}"\n'
        )

    async def start(self) -> None:
        """Start it, and return when it is ready."""
        self.process = await start("serve", folder=self._folder)
        assert self.process.stdout
        async with asyncio.timeout(20):
            while line := await self.process.stdout.readline():
                if b"no destination" in line:
                    return
        raise AssertionError((await ended(self.process)).err)

    def terminate(self) -> None:
        """Tell it to stop."""
        self.process.send_signal(signal.SIGTERM)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Serving]:
    """Run `otelbridge serve`."""
    served = Serving(folder)
    await served.start()
    try:
        yield served
    finally:
        if served.process.returncode is None:
            served.process.kill()
            await served.process.wait()


class Stock:
    """A gateway that keeps a session, and makes calls that wait for one.

    Attributes:
        answered: Calls that were answered.
        failed: What became of the others.
        sessions: Sessions so far.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: GatewayClient | None = None
        self._connected = asyncio.Event()
        self.answered = 0
        self.failed: list[tuple[str, str]] = []
        self.sessions = 0

    async def keep(self) -> None:
        """Dial again as soon as a session has ended, and back off when refused."""
        while True:
            try:
                async with dialled(self._url, key=GATEWAY_KEY) as self._client:
                    self.sessions += 1
                    self._connected.set()
                    await self._client.wait_closed()
                    self._connected.clear()
            except ConfigError:
                await asyncio.sleep(0.1)

    async def call(self) -> None:
        """Ask whether a budget is spent."""
        while True:
            await self._connected.wait()
            assert self._client
            request = pb.IsBudgetExceededRequest(user_id=ALICE).SerializeToString()
            code, text = await self._client.call(BUDGET, request)
            if text != "the session takes no new streams":  # else it was not sent
                break
            await asyncio.sleep(0)
        if code == "OK":
            self.answered += 1
        else:
            self.failed.append((code, text))

    async def burst(self) -> None:
        """Begin a user's request again and again: three calls, one after the other."""
        while True:
            for _ in range(3):
                await self.call()
            await asyncio.sleep(0.05)


@fault(19)
async def test_under_load_sigterm_leaves_no_call_unanswered_and_the_gateway_comes_back(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as served:
        stock = Stock(served.url)
        tasks = [asyncio.create_task(stock.keep())]
        tasks += [asyncio.create_task(stock.burst()) for _ in range(4)]
        await eventually(lambda: stock.answered > 100)
        served.terminate()
        done = await ended(served.process)
        before = stock.answered
        await served.start()
        await eventually(lambda: stock.answered > before + 50)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    assert (stock.failed, stock.sessions) == ([], 2)
    assert (done.code, "Traceback" in done.err) == (0, False)


async def test_a_gateway_is_back_as_soon_as_a_bridge_that_was_killed_is(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        stock = Stock(served.url)
        keeping = asyncio.create_task(stock.keep())
        await stock.call()
        served.process.kill()
        await served.process.wait()
        waiting = asyncio.create_task(stock.call())
        await served.start()
        async with asyncio.timeout(10):
            await waiting
        keeping.cancel()

    assert stock.sessions == 2
    assert len(stock.failed) <= 1  # the call may have begun before the loss was noticed


async def test_the_command_lists_who_is_connected(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, dialled(served.url, key=GATEWAY_KEY):
        done = await run("gateways", "list", "--json", folder=tmp_path)

    [found] = json.loads(done.out)
    assert found.pop("since").endswith("Z")
    assert found == {
        "name": "eu-1",
        "connected": True,
        "sessions": 1,
        "api_version": "1.2",
        "build": "otelbridge",
        "peer": "127.0.0.1",
    }


async def test_a_capture_is_replayed_as_a_gateway_by_the_command(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        done = await run(
            *("replay", str(CAPTURE), "--to", served.url, "--speed", "max"),
            folder=tmp_path,
            OTELBRIDGE_KEY=GATEWAY_KEY,
        )

    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1].endswith(" 0 failed")
