"""The contract's rows on keys, budgets, tools and providers, over the port of a whole bridge."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from otelbridge.proto import aibridged_pb2 as pb
from tests.collector import Collector
from tests.e2e import gateways as gw
from tests.e2e.bridges import running
from tests.store.files import (
    ALICE,
    BOB,
    GATEWAY,
    GATEWAY_KEY,
    PEOPLE,
    sha256,
    write_store,
    write_tokens,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from google.protobuf.message import Message

    from tests.e2e.bridges import Bridge

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET, WRONG = "S" * 22, "W" * 22
REFUSED = "a valid gateway key is required"
STATES = ("active", "suspended", "dormant", "deleted", "system")


def key_id(kind: str, status: str) -> str:
    """Return the id of the key of this kind (`ok`, `exp`) of the user in this state."""
    return f"{kind}{status}".ljust(10, "0")[:10]


def user(number: int, status: str) -> str:
    """Return a user in this state, named after it, with a right and an expired key."""
    text = f'[[user]]\nid = "{UUID(int=number)}"\nname = "{status}"\nstatus = "{status}"\n'
    for kind, expiry in (("ok", ""), ("exp", "expires_at = 2021-01-01T00:00:00Z")):
        text += f'[[key]]\nid = "{key_id(kind, status)}"\nuser = "{status}"\n'
        text += f'secret_sha256 = "{sha256(SECRET)}"\n{expiry}\n'
    return text


STORE = (
    GATEWAY
    + PEOPLE
    + "".join(user(number, status) for number, status in enumerate(STATES, 1))
    + """
[[mcp_server]]
id = "coder"
url = "https://coder.example.com/mcp"
receives_coder_token = true

[[mcp_server]]
id = "open"
url = "https://open.example.com/mcp"
tool_allow_regex = "^(get|list)_"
tool_deny_regex = "secret"

[[mcp_server]]
id = "static"
url = "https://static.example.com/mcp"
[mcp_server.auth]
kind = "static"
tokens = { alice = "alices-token" }

[[mcp_server]]
id = "oauth"
url = "https://oauth.example.com/mcp"
[mcp_server.auth]
kind = "oauth2"
client_id = "bridge"
token_url = "https://login.example.com/token"

[[provider]]
name = "anthropic"
type = "anthropic"
base_url = "https://api.anthropic.com/"
keys = ["first-key", "second-key"]
[provider.bedrock]
region = "eu-west-1"
access_key_secret = "bedrock-secret"

[[provider]]
name = "resting"
type = "openai"
enabled = false
keys = ["resting-key"]
[provider.bedrock]
access_key_secret = "resting-secret"

[[budget]]
user = "*"
limit_usd = "3.00"
period = "month"
"""
)
TOKENS = {
    "oauth": {
        ALICE: {"access_token": "alices-login", "expires_at": "2999-01-01T00:00:00Z"},
        BOB: {"access_token": "bobs-login", "expires_at": "2021-01-01T00:00:00Z"},
    }
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bridge(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bridge]:
    """Run a bridge with people, tools and providers for all tests of this module."""
    directory = tmp_path_factory.mktemp("bridge")
    write_store(directory, STORE)
    write_tokens(directory, TOKENS)
    async with Collector() as collector, running(directory, collector) as started:
        yield started


# --- Who is asked for a gateway key --------------------------------------------------------

TRUSTED_ONLY = [
    pb.GetMCPServerAccessTokensBatchRequest(),
    pb.GetMCPServerAccessTokensBatchRequest(user_id=ALICE, mcp_server_config_ids=["static"]),
    pb.GetAIProvidersRequest(),
    pb.IsAuthorizedRequest(key_id=key_id("ok", "active")),
    pb.IsAuthorizedRequest(key_id="unknown123"),
]


@pytest.mark.parametrize("key", ["", "x" * 43])
@pytest.mark.parametrize("request_", TRUSTED_ONLY, ids=gw.method_of)
async def test_secrets_and_trust_are_refused_to_who_shows_no_right_gateway_key(
    bridge: Bridge, request_: Message, key: str
) -> None:
    assert await gw.refusal(bridge, request_, key=key) == ("UNAUTHENTICATED", REFUSED)


@pytest.mark.parametrize("name", ["authorization", "x-coder-ai-governance-gateway-key"])
async def test_a_gateway_key_is_taken_from_either_header(bridge: Bridge, name: str) -> None:
    value = f"Bearer {GATEWAY_KEY}" if name == "authorization" else GATEWAY_KEY

    raw = await bridge.call("ProviderConfigurator/GetAIProviders", b"", metadata=((name, value),))

    assert len(pb.GetAIProvidersResponse.FromString(raw).providers) == 2


# --- IsAuthorized --------------------------------------------------------------------------

UNAUTHENTICATED, DENIED = "UNAUTHENTICATED", "PERMISSION_DENIED"
BOTH = "both key and key_id set; exactly one required"


def key(kind: str, status: str, secret: str = SECRET) -> str:
    """Return a user's key."""
    return f"{key_id(kind, status)}-{secret}"


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"key": "x", "key_id": "x"}, "INVALID_ARGUMENT", BOTH),
        ({}, UNAUTHENTICATED, "invalid key"),
        ({"key": "nonsense"}, UNAUTHENTICATED, "invalid key"),
        ({"key": key("ok", "active") + "x"}, UNAUTHENTICATED, "invalid key"),
        ({"key": f"unknown123-{SECRET}"}, UNAUTHENTICATED, "unknown key"),
        ({"key": key("exp", "active")}, UNAUTHENTICATED, "expired"),
        ({"key": key("exp", "active", WRONG)}, UNAUTHENTICATED, "expired"),
        ({"key": key("exp", "deleted")}, UNAUTHENTICATED, "expired"),
        ({"key": key("ok", "active", WRONG)}, UNAUTHENTICATED, "invalid key"),
        ({"key": key("ok", "deleted", WRONG)}, UNAUTHENTICATED, "invalid key"),
        ({"key": key("ok", "deleted")}, DENIED, "deleted user"),
        ({"key": key("ok", "suspended")}, DENIED, "inactive user"),
        ({"key": key("ok", "dormant")}, DENIED, "inactive user"),
        ({"key": key("ok", "system")}, DENIED, "system user"),
        ({"key_id": "unknown123"}, UNAUTHENTICATED, "unknown key"),
        ({"key_id": key_id("exp", "deleted")}, UNAUTHENTICATED, "expired"),
        ({"key_id": key_id("ok", "system")}, DENIED, "system user"),
    ],
)
async def test_a_key_that_is_not_accepted_is_told_why_in_the_contracts_order(
    bridge: Bridge, fields: dict[str, str], code: str, text: str
) -> None:
    asked = pb.IsAuthorizedRequest(**fields)

    assert await gw.refusal(bridge, asked, key=GATEWAY_KEY) == (code, text)


@pytest.mark.parametrize("name", ["key", "key_id"])
async def test_a_right_key_is_answered_with_its_owner(bridge: Bridge, name: str) -> None:
    shown = {"key": key("ok", "active"), "key_id": key_id("ok", "active")}
    request = pb.IsAuthorizedRequest(**{name: shown[name]})

    # A local process without a gateway key may show a user's key.
    gateway = "" if name == "key" else GATEWAY_KEY
    answer = await gw.ask(bridge, request, pb.IsAuthorizedResponse, key=gateway)

    assert answer == pb.IsAuthorizedResponse(
        owner_id=str(UUID(int=1)), api_key_id=key_id("ok", "active"), username="active"
    )


# --- IsBudgetExceeded ----------------------------------------------------------------------


async def is_exceeded(bridge: Bridge, user_id: str) -> pb.IsBudgetExceededResponse:
    """Ask for a user's budget."""
    request = pb.IsBudgetExceededRequest(user_id=user_id)
    return await gw.ask(bridge, request, pb.IsBudgetExceededResponse)


async def spend(bridge: Bridge, user_id: str, *, requests: int) -> None:
    """Record requests that cost 0.30 USD each: 100,000 input tokens at 3 USD a million."""
    interception = gw.fresh_id()
    records = [gw.tokens(interception, input_tokens=100_000) for _ in range(requests)]
    await gw.send(bridge, gw.start(interception, initiator_id=user_id), *records)


async def test_whoever_reaches_the_limit_with_priced_usage_has_exceeded_it(
    bridge: Bridge,
) -> None:
    limit = {"spend_limit_micros": 3_000_000}
    below = pb.IsBudgetExceededResponse(exceeded=False, **limit)

    await spend(bridge, ALICE, requests=9)
    assert await is_exceeded(bridge, ALICE) == below
    await spend(bridge, ALICE, requests=1)

    assert await is_exceeded(bridge, ALICE) == pb.IsBudgetExceededResponse(exceeded=True, **limit)
    # "*" is a limit for each user, not a shared pot.
    assert await is_exceeded(bridge, BOB) == below


@pytest.mark.parametrize("user_id", [gw.fresh_id(), str(UUID(int=0))], ids=["unknown", "nil"])
async def test_a_user_whom_the_store_does_not_know_has_no_limit(
    bridge: Bridge, user_id: str
) -> None:
    assert await is_exceeded(bridge, user_id) == pb.IsBudgetExceededResponse(exceeded=False)


async def test_a_budget_of_no_uuid_is_refused(bridge: Bridge) -> None:
    code, text = await gw.refusal(bridge, pb.IsBudgetExceededRequest(user_id="alice"))

    assert (code, text.partition(":")[0]) == ("INVALID_ARGUMENT", 'invalid user_id "alice"')


# --- MCP servers and their tokens ----------------------------------------------------------


@pytest.mark.parametrize("user_id", ["", "x", ALICE])
async def test_all_servers_are_told_whoever_asks_and_coders_own_apart(
    bridge: Bridge, user_id: str
) -> None:
    request = pb.GetMCPServerConfigsRequest(user_id=user_id)

    answer = await gw.ask(bridge, request, pb.GetMCPServerConfigsResponse)

    assert answer.coder_mcp_config == pb.MCPServerConfig(
        id="coder", url="https://coder.example.com/mcp"
    )
    assert [each.id for each in answer.external_auth_mcp_configs] == ["open", "static", "oauth"]
    assert answer.external_auth_mcp_configs[0] == pb.MCPServerConfig(
        id="open",
        url="https://open.example.com/mcp",
        tool_allow_regex="^(get|list)_",
        tool_deny_regex="secret",
    )


async def batch(
    bridge: Bridge, user_id: str, *servers: str
) -> pb.GetMCPServerAccessTokensBatchResponse:
    """Ask for access tokens as a gateway."""
    request = pb.GetMCPServerAccessTokensBatchRequest(
        user_id=user_id, mcp_server_config_ids=servers
    )
    return await gw.ask(bridge, request, pb.GetMCPServerAccessTokensBatchResponse, key=GATEWAY_KEY)


@pytest.mark.parametrize("user_id", ["", "alice"])
async def test_a_request_for_no_token_is_answered_before_its_user_is_looked_at(
    bridge: Bridge, user_id: str
) -> None:
    assert await batch(bridge, user_id) == pb.GetMCPServerAccessTokensBatchResponse()


@pytest.mark.parametrize("user_id", ["", "alice"])
async def test_a_request_for_tokens_of_no_uuid_is_refused(bridge: Bridge, user_id: str) -> None:
    request = pb.GetMCPServerAccessTokensBatchRequest(
        user_id=user_id, mcp_server_config_ids=["static"]
    )

    code, text = await gw.refusal(bridge, request, key=GATEWAY_KEY)

    assert (code, text[:15]) == ("INVALID_ARGUMENT", "parse user_id: ")
    assert f'"{user_id}"' in text


@pytest.mark.parametrize(
    ("user_id", "tokens", "errors"),
    [
        (ALICE, {"static": "alices-token", "oauth": "alices-login"}, {}),
        (
            BOB,
            {},
            {
                "static": "no external auth link found",
                "oauth": "expired or invalid OAuth2 token",
            },
        ),
        (
            str(UUID(int=1)),
            {},
            {"static": "no external auth link found", "oauth": "no external auth link found"},
        ),
    ],
    ids=["alice", "bob", "somebody else"],
)
async def test_each_server_has_its_token_or_its_own_error(
    bridge: Bridge, user_id: str, tokens: dict[str, str], errors: dict[str, str]
) -> None:
    answer = await batch(bridge, user_id, "nowhere", "open", "static", "oauth")

    assert dict(answer.access_tokens) == {"open": "", **tokens}
    assert dict(answer.errors) == {"nowhere": "no MCP config found", **errors}


async def test_a_server_that_is_asked_for_twice_is_answered_and_counted_once(
    bridge: Bridge,
) -> None:
    before = await tokens_counted(bridge)

    answer = await batch(bridge, ALICE, "static", "static", "static")

    assert dict(answer.access_tokens) == {"static": "alices-token"}
    assert await tokens_counted(bridge) == before + 1


async def tokens_counted(bridge: Bridge) -> float:
    """Return how many tokens were handed out, as counted."""
    await gw.send(bridge, gw.thought(gw.fresh_id()))  # such counts are committed with a record
    return await bridge.total("aibridge_mcp_token_requests_total", aibridge_outcome="token")


async def test_logins_that_cannot_be_read_fail_no_other_server(tmp_path: Path) -> None:
    write_store(tmp_path, STORE)
    write_tokens(tmp_path, "{half written")

    async with Collector() as collector, running(tmp_path, collector) as broken:
        answer = await batch(broken, ALICE, "oauth", "static")

    assert dict(answer.access_tokens) == {"static": "alices-token"}
    assert dict(answer.errors) == {"oauth": "OAuth2 tokens cannot be read"}


# --- Providers -----------------------------------------------------------------------------


async def test_all_providers_are_told_and_secrets_of_enabled_ones_only(bridge: Bridge) -> None:
    request = pb.GetAIProvidersRequest()

    answer = await gw.ask(bridge, request, pb.GetAIProvidersResponse, key=GATEWAY_KEY)

    assert list(answer.providers) == [
        pb.AIProvider(
            name="anthropic",
            type="anthropic",
            enabled=True,
            base_url="https://api.anthropic.com/",
            keys=["first-key", "second-key"],
            bedrock=pb.AIProviderKindBedrock(
                region="eu-west-1", access_key_secret="bedrock-secret"
            ),
        ),
        pb.AIProvider(name="resting", type="openai", enabled=False),
    ]


async def test_a_watch_tells_once_at_once_and_ends_when_the_bridge_stops(tmp_path: Path) -> None:
    async with Collector() as collector, running(tmp_path, collector) as bridge:
        method = "/proto.ProviderConfigurator/WatchAIProviders"
        watch = bridge.channel.unary_stream(method)(b"")

        first = await watch.read()
        await bridge.server.stop()
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await watch.read()

    assert first == pb.WatchAIProvidersResponse().SerializeToString()
    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
