"""A whole bridge refreshes logins, and stops without losing one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from otelbridge.domain.access import Secret
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.store.token_file import TokenFile
from otelbridge.store.tokens import Link
from tests.collector import Collector
from tests.e2e import gateways as gw
from tests.e2e.bridges import running
from tests.oauth.authorization_server import AuthorizationServer, Reply
from tests.oauth.world import ALICE, NOW_NS
from tests.store.files import GATEWAY, GATEWAY_KEY, PEOPLE, write_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.bridges import Bridge

LONG_AGO_NS = NOW_NS // 2


def log_in(directory: Path, authorization: AuthorizationServer) -> Link:
    """Write a store with one MCP server, and a login there whose access token has ended."""
    write_store(
        directory,
        f"""{GATEWAY}{PEOPLE}
[[mcp_server]]
id = "github"
url = "https://mcp.example.com/mcp"
[mcp_server.auth]
kind = "oauth2"
client_id = "bridge"
token_url = "{authorization.url("/token")}"
""",
    )
    access, refresh = authorization.validator.issue("alice")
    link = Link(
        access_token=Secret(access), refresh_token=Secret(refresh), expires_at_ns=LONG_AGO_NS
    )
    TokenFile(directory / "tokens.json").update("github", ALICE, lambda _: link)
    return link


def stored(directory: Path) -> Link:
    return TokenFile(directory / "tokens.json").read()["github", ALICE]


async def ask(bridge: Bridge) -> pb.GetMCPServerAccessTokensBatchResponse:
    request = pb.GetMCPServerAccessTokensBatchRequest(
        user_id=str(ALICE), mcp_server_config_ids=["github"]
    )
    return await gw.ask(bridge, request, pb.GetMCPServerAccessTokensBatchResponse, key=GATEWAY_KEY)


async def test_a_gateway_is_given_a_refreshed_token(tmp_path: Path) -> None:
    async with AuthorizationServer() as authorization, Collector() as collector:
        log_in(tmp_path, authorization)

        async with running(tmp_path, collector) as bridge:
            answer = await ask(bridge)

    assert answer.access_tokens["github"] == stored(tmp_path).access_token.reveal()
    assert authorization.count() == 1


async def test_a_bridge_that_stops_stores_what_it_asked_for(tmp_path: Path) -> None:
    async with AuthorizationServer() as authorization, Collector() as collector:
        old, held = log_in(tmp_path, authorization), asyncio.Event()
        authorization.script("/token", Reply(after=held))

        async with running(tmp_path, collector, {"mcp": {"timeout_s": 0.2}}) as bridge:
            answer = await ask(bridge)
            stopping = asyncio.create_task(bridge.server.stop())
            await asyncio.sleep(0)
            held.set()
            await stopping

    assert dict(answer.errors) == {"github": "timed out after 0.2 s"}
    assert not stored(tmp_path).is_same_login(old)
