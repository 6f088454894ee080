"""A stock gateway and a whole bridge: store, journal, /metrics and commands."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from otelbridge.errors import ConfigError
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.transports.gateway.client import GatewayClient
from tests.collector import Collector
from tests.commands.programs import Done, run
from tests.e2e import gateways as gw
from tests.e2e.bridges import Bridge, connected, gateway_target, running
from tests.faults import fault
from tests.protocols.drpc.frames import call
from tests.protocols.yamux.wire import FIN, GO_AWAY, SYN, Frame, data, update
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
    from collections.abc import AsyncIterator

    from google.protobuf.message import Message
STORE = GATEWAY + PEOPLE + KEYS + PROVIDER + 'keys = ["secret"]\n'
CAPTURE = Path(__file__).parents[1] / "captures" / "errors.jsonl"
OTHER_KEY = "o" * 43
OTHER = f'\n[[gateway]]\nname = "eu-2"\nkey_sha256 = "{sha256(OTHER_KEY)}"\n'
WATCH = "ProviderConfigurator/WatchAIProviders"
CALLS = "rpc_server_call_duration_seconds_count"
IS_ALICE = pb.IsAuthorizedResponse(owner_id=ALICE, api_key_id="aliceKey01", username="alice")


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
        revoked = await stack.enter_async_context(peer(gateway_target(bridge), OTHER_KEY))
        client = await stack.enter_async_context(connected(bridge))

        write_store(tmp_path, STORE)
        assert await revoked.until_closed() == (1001, "")
        assert revoked.frames[-1] == Frame(GO_AWAY, 0, 0, 0)
        with pytest.raises(ConfigError, match=r"401 AI Gateway key invalid\.$"):
            await stack.enter_async_context(connected(bridge, OTHER_KEY))
        assert (await ask(client, pb.IsBudgetExceededRequest(user_id=ALICE)))[0] == "OK"


@fault(35)
async def test_a_gateway_is_served_over_tls_by_the_newest_certificate(tmp_path: Path) -> None:
    write_store(tmp_path, STORE)
    settings = {"tls": {"cert": "server.crt", "key": "server.key", "http": True}}
    old = certify(tmp_path, "old.pem")
    async with Collector() as collector, running(tmp_path, collector, settings) as bridge:
        assert gateway_target(bridge).url.startswith("wss://127.0.0.1:")
        first = await replay(bridge, old)
        new = certify(tmp_path, "new.pem")
        second = await replay(bridge, new)
        stale = await replay(bridge, old)
        await collector.wait_for(lambda c: len(c.spans) >= 43)

    assert first.out.splitlines()[-1] == second.out.splitlines()[-1]
    assert (first.code, second.code, stale.code) == (0, 0, 1)
    assert stale.err.count("\n") == 1
    assert "certificate verify failed" in stale.err


def certify(folder: Path, name: str) -> Path:
    """Give a bridge a new certificate for 127.0.0.1; return the file of its authority."""
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    leaf.cert_chain_pems[0].write_to_path(folder / "server.crt")
    leaf.private_key_pem.write_to_path(folder / "server.key")
    authority.cert_pem.write_to_path(folder / name)
    return folder / name


async def replay(bridge: Bridge, ca: Path) -> Done:
    """Send a capture as a gateway would, over TLS, with fresh ids."""
    options = ("--ca", str(ca), "--key", GATEWAY_KEY, "--speed", "max", "--fresh")
    url = gateway_target(bridge).url
    return await run("replay", str(CAPTURE), "--to", url, *options, folder=ca.parent)
