"""A stock gateway and a whole bridge: store, journal, /metrics and commands."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from otelbridge.errors import ConfigError
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.transports.gateway.client import GatewayClient, dialled
from tests.collector import Collector
from tests.commands.programs import ended, run, start
from tests.e2e import gateways as gw
from tests.e2e.bridges import Bridge, gateway_target, running
from tests.faults import fault
from tests.interop.programs import free_ports
from tests.protocols.drpc.frames import call
from tests.protocols.yamux.wire import FIN, SYN, data, update
from tests.store.files import (
    ALICE,
    ALICE_KEY,
    GATEWAY,
    GATEWAY_KEY,
    KEYS,
    PEOPLE,
    PROVIDER,
    sha256,
    write_store,
)
from tests.transports.gateway.peers import peer
from tests.transports.gateway.worlds import eventually

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

    from google.protobuf.message import Message

CAPTURE = Path(__file__).parents[1] / "captures" / "errors.jsonl"
STORE = GATEWAY + PEOPLE + KEYS + PROVIDER + 'keys = ["secret"]\n'
OTHER_KEY = "o" * 43
OTHER = f'\n[[gateway]]\nname = "eu-2"\nkey_sha256 = "{sha256(OTHER_KEY)}"\n'
WATCH = "ProviderConfigurator/WatchAIProviders"
BUDGET = "Authorizer/IsBudgetExceeded"
CALLS = "rpc_server_call_duration_seconds_count"
IS_ALICE = pb.IsAuthorizedResponse(owner_id=ALICE, api_key_id="aliceKey01", username="alice")


@asynccontextmanager
async def connected(bridge: Bridge, key: str = GATEWAY_KEY) -> AsyncIterator[GatewayClient]:
    """Connect to a bridge as a gateway."""
    async with dialled(gateway_target(bridge).url, key=key) as client:
        yield client


@asynccontextmanager
async def gateway(folder: Path) -> AsyncIterator[tuple[Bridge, GatewayClient]]:
    """Run a bridge, and a gateway that is connected to it."""
    write_store(folder, STORE)
    async with (
        Collector() as collector,
        running(folder, collector) as bridge,
        connected(bridge) as client,
    ):
        yield bridge, client


async def ask(client: GatewayClient, request: Message) -> tuple[str, str, bytes]:
    """Make a call; return how it ended, and what was answered."""
    got: list[bytes] = []

    def keep(message: bytes) -> bool:
        got.append(message)
        return True

    raw = request.SerializeToString()
    status = await client.exchange(gw.method_of(request), raw, keep)
    return status.code, status.text, b"".join(got)


INTERCEPTION = gw.fresh_id()
ANSWERS: list[tuple[Message, Message]] = [
    (pb.IsAuthorizedRequest(key=ALICE_KEY), IS_ALICE),
    (pb.IsAuthorizedRequest(key_id="aliceKey01"), IS_ALICE),
    (pb.IsBudgetExceededRequest(user_id=ALICE), pb.IsBudgetExceededResponse()),
    (pb.GetMCPServerConfigsRequest(user_id=ALICE), pb.GetMCPServerConfigsResponse()),
    (
        pb.GetMCPServerAccessTokensBatchRequest(user_id=ALICE),
        pb.GetMCPServerAccessTokensBatchResponse(),
    ),
    (
        pb.GetAIProvidersRequest(),
        pb.GetAIProvidersResponse(
            providers=[pb.AIProvider(name="p", type="t", enabled=True, keys=["secret"])]
        ),
    ),
    (gw.start(INTERCEPTION), pb.RecordInterceptionResponse()),
    (gw.tokens(INTERCEPTION), pb.RecordTokenUsageResponse()),
    (gw.prompt(INTERCEPTION), pb.RecordPromptUsageResponse()),
    (gw.tool(INTERCEPTION), pb.RecordToolUsageResponse()),
    (gw.thought(INTERCEPTION), pb.RecordModelThoughtResponse()),
    (gw.end(INTERCEPTION), pb.RecordInterceptionEndedResponse()),
]
ERRORS: list[tuple[Message, str]] = [
    (gw.start("x"), 'invalid interception ID "x": not a UUID'),
    (gw.start(gw.fresh_id(), initiator_id="y"), 'invalid initiator ID "y": not a UUID'),
    (gw.start(gw.fresh_id(), api_key_id=""), "empty API key ID"),
    (pb.IsAuthorizedRequest(key="x"), "invalid key"),
    (pb.IsAuthorizedRequest(key=f"nobodysKey-{'x' * 22}"), "unknown key"),
    (
        pb.IsAuthorizedRequest(key=ALICE_KEY, key_id="aliceKey01"),
        "both key and key_id set; exactly one required",
    ),
]


async def test_every_rpc_is_answered_and_every_error_has_its_text(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (_, client):
        for request, response in ANSWERS:
            code, text, raw = await ask(client, request)
            assert (code, text, type(response).FromString(raw)) == ("OK", "", response)
        for request, text in ERRORS:
            assert await ask(client, request) == ("ERROR", text, b"")


async def test_records_and_calls_are_told_under_the_gateway_s_name_and_its_transport(
    tmp_path: Path,
) -> None:
    interception = gw.fresh_id()
    async with gateway(tmp_path) as (bridge, client):
        for make in gw.KINDS:
            await ask(client, make(interception))
        await gw.told(bridge, interception)
        received = await bridge.total(
            "otelbridge_records_received_total", otelbridge_gateway="eu-1"
        )
        async with asyncio.timeout(10):  # calls are booked once a second
            while await bridge.total(CALLS, rpc_system_name="drpc") < len(gw.KINDS):
                await ask(client, gw.thought(interception))
        sessions = await bridge.total(
            "otelbridge_gateway_sessions",
            otelbridge_gateway="eu-1",
            otelbridge_gateway_api_version="1.2",
            otelbridge_gateway_build="otelbridge",
        )

    assert (received, sessions) == (len(gw.KINDS), 1)


async def test_a_gateway_that_is_not_connected_has_no_session(tmp_path: Path) -> None:
    write_store(tmp_path, STORE)
    async with Collector() as collector, running(tmp_path, collector) as bridge:
        samples = await bridge.metrics()

    found = [value for (name, _), value in samples.items() if name == "otelbridge_gateway_sessions"]
    assert found == [0]


async def test_gateways_that_tell_ever_new_builds_make_no_new_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otelbridge.server.observing._MAX_RELEASES", 1)
    async with gateway(tmp_path) as (bridge, _), peer(gateway_target(bridge), GATEWAY_KEY):
        samples = await bridge.metrics()

    builds = [
        dict(labels)["otelbridge_gateway_build"]
        for name, labels in samples
        if name == "otelbridge_gateway_sessions"
    ]
    assert sorted(builds) == ["_OTHER", "otelbridge"]


async def test_a_record_whose_caller_has_gone_is_kept(tmp_path: Path) -> None:
    records = [gw.tokens(gw.fresh_id(), output_tokens=number) for number in range(20)]
    async with (
        gateway(tmp_path) as (bridge, client),
        peer(gateway_target(bridge), GATEWAY_KEY) as leaving,
    ):
        for number, record in enumerate(records):
            packets = _call(record)
            stream_id = 2 * number + 1
            await leaving.send(update(stream_id, flags=SYN) + data(stream_id, packets, flags=FIN))
        await leaving.until(lambda: leaving.has(39, FIN))
        leaving.websocket.transport.abort()
        for record in records:  # the same again: known, and counted once
            assert (await ask(client, record))[0] == "OK"
        received = await bridge.total("otelbridge_records_received_total")
        duplicate = await bridge.total("otelbridge_records_duplicate_total")

    assert received - duplicate == 20


def _call(request: Message) -> bytes:
    return call(data=request.SerializeToString(), rpc=f"/proto.{gw.method_of(request)}")


async def test_a_watch_has_a_message_at_once_and_one_for_each_change_of_the_providers(
    tmp_path: Path,
) -> None:
    messages: list[bytes] = []

    def more(message: bytes) -> bool:
        messages.append(message)
        return len(messages) < 3

    async with gateway(tmp_path) as (_, client):
        watching = asyncio.create_task(client.exchange(WATCH, b"", more))
        await eventually(lambda: len(messages) == 1)
        write_store(tmp_path, STORE.replace('"secret"', '"rotated"'))
        await eventually(lambda: len(messages) == 2)
        write_store(tmp_path, STORE)
        assert (await watching).code == "OK"

    assert messages == [b""] * 3


async def test_a_gateway_that_is_revoked_in_the_store_loses_its_session_alone(
    tmp_path: Path,
) -> None:
    write_store(tmp_path, STORE + OTHER)
    async with AsyncExitStack() as stack:
        collector = await stack.enter_async_context(Collector())
        bridge = await stack.enter_async_context(running(tmp_path, collector))
        revoked = await stack.enter_async_context(connected(bridge, OTHER_KEY))
        client = await stack.enter_async_context(connected(bridge))

        write_store(tmp_path, STORE)
        async with asyncio.timeout(10):
            await revoked.wait_closed()
        with pytest.raises(ConfigError, match=r"401 AI Gateway key invalid\.$"):
            await stack.enter_async_context(connected(bridge, OTHER_KEY))
        assert (await ask(client, pb.IsBudgetExceededRequest(user_id=ALICE)))[0] == "OK"


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
