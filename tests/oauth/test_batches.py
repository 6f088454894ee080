"""Batches of access tokens, from the store file to the answer, with real servers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from otelbridge.domain.ledger import Changes
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.servicers.mcp_configurator import MCPConfiguratorServicer
from otelbridge.servicers.methods import Call
from otelbridge.store import load_store
from tests.faults import fault
from tests.oauth.authorization_server import Reply
from tests.oauth.world import ALICE, BOB
from tests.store.files import PEOPLE, open_store, write_store

if TYPE_CHECKING:
    from otelbridge.store import Store
    from tests.oauth.world import World

CALL = Call(raw=b"", gateway="eu-1", trusted=True)
IDS = ("good", "hanging", "gone", "wiki", "over", "nobody's")


STATIC = """
[[mcp_server]]
id = "wiki"
url = "https://wiki.example.com/mcp"
auth = { kind = "static", token = "all" }
"""


def oauth2(server_id: str, token_url: str) -> str:
    return f"""
[[mcp_server]]
id = "{server_id}"
url = "https://{server_id}.example.com/mcp"
auth = {{ kind = "oauth2", client_id = "bridge", token_url = "{token_url}" }}
"""


def servers(world: World) -> str:
    return "".join(
        [
            PEOPLE,
            STATIC,
            *(oauth2(name, world.authorization.url("/token")) for name in ("good", "over")),
            oauth2("hanging", world.authorization.url("/token/hanging")),
            oauth2("gone", "https://127.0.0.1:1/token"),
        ]
    )


async def ask(
    store: Store, world: World, *ids: str, changes: Changes, timeout_s: float = 1.0
) -> pb.GetMCPServerAccessTokensBatchResponse:
    tokens = world.another(timeout_s=timeout_s)
    servicer = MCPConfiguratorServicer(store, tokens, count=changes.count)
    request = pb.GetMCPServerAccessTokensBatchRequest(user_id=str(ALICE), mcp_server_config_ids=ids)
    return await servicer.GetMCPServerAccessTokensBatch(request, CALL)


@fault(36)
async def test_bad_servers_neither_fail_nor_delay_the_others(world: World) -> None:
    store, changes = open_store(world.path.parent, servers(world)), Changes()
    for server_id in ("good", "hanging", "gone"):
        world.log_in(server_id=server_id)
    over = world.log_in(server_id="over").refresh_token
    assert over is not None
    del world.authorization.validator.refresh_tokens[over.reveal()]
    world.authorization.script("/token/hanging", Reply(never=True))

    began = time.monotonic()
    response = await ask(store, world, *IDS, changes=changes)
    took_s = time.monotonic() - began

    assert set(response.access_tokens) == {"good", "wiki"}
    assert response.access_tokens["good"] == world.link(server_id="good").access_token.reveal()
    assert response.errors.pop("gone").startswith("https://127.0.0.1:1/token: ")
    assert dict(response.errors) == {
        "hanging": "timed out after 1 s",
        "over": "expired or invalid OAuth2 token",
        "nobody's": "no MCP config found",
    }
    assert took_s < 3  # the limit of one, not of several
    assert changes.counts == {
        ("aibridge.mcp.token_requests", ("token",)): 2,
        ("aibridge.mcp.token_requests", ("timeout",)): 1,
        ("aibridge.mcp.token_requests", ("failed",)): 1,
        ("aibridge.mcp.token_requests", ("expired",)): 1,
        ("aibridge.mcp.token_requests", ("no_server",)): 1,
    }


async def test_the_others_of_a_hanging_server_s_user_are_there_before_its_limit(
    world: World,
) -> None:
    store, changes = open_store(world.path.parent, servers(world)), Changes()
    for server_id in ("good", "hanging"):
        world.log_in(server_id=server_id)
    world.authorization.script("/token/hanging", Reply(never=True))
    slow = asyncio.create_task(ask(store, world, "hanging", changes=changes, timeout_s=60))
    await world.authorization.wait_for(lambda s: s.count("/token/hanging") == 1)

    response = await ask(store, world, "good", changes=changes, timeout_s=60)

    assert set(response.access_tokens) == {"good"}
    slow.cancel()


@fault(36)
async def test_fifty_batches_of_two_users_at_expiry_make_two_refreshes(world: World) -> None:
    store, changes = open_store(world.path.parent, servers(world)), Changes()
    tokens = world.another()
    servicer = MCPConfiguratorServicer(store, tokens, count=changes.count)
    for user in (ALICE, BOB):
        world.log_in(user, server_id="good")

    requests = [
        pb.GetMCPServerAccessTokensBatchRequest(
            user_id=str(user), mcp_server_config_ids=["good", "wiki"]
        )
        for user in (ALICE, BOB) * 25
    ]
    answers = await asyncio.gather(
        *(servicer.GetMCPServerAccessTokensBatch(request, CALL) for request in requests)
    )

    assert world.authorization.count() == 2
    for number, user in enumerate((ALICE, BOB)):
        stored = world.link(user, "good").access_token.reveal()
        assert {each.access_tokens["good"] for each in answers[number::2]} == {stored}


async def test_the_servers_are_those_of_the_store_at_the_time_of_the_call(world: World) -> None:
    store, changes = open_store(world.path.parent, servers(world)), Changes()
    world.log_in(server_id="good")
    path = write_store(world.path.parent, f"{PEOPLE}{oauth2('other', 'https://127.0.0.1:1/t')}")

    store.swap(load_store(path, {}))
    response = await ask(store, world, "good", "other", changes=changes)

    assert dict(response.errors) == {
        "good": "no MCP config found",
        "other": "no external auth link found",
    }
    assert world.authorization.requests == []
