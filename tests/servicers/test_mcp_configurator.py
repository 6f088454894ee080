"""The MCPConfigurator service, from the store's files to its answers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from otelbridge.domain.ledger import Changes
from otelbridge.errors import InvalidRequestError, LimitExceededError
from otelbridge.oauth.http import OAuthHttp
from otelbridge.oauth.tokens import AccessTokens
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.servicers.mcp_configurator import MCPConfiguratorServicer
from otelbridge.servicers.methods import Call
from tests.store.files import ALICE, BOB, GATEWAY, OAUTH2, PEOPLE, open_store, write_tokens

if TYPE_CHECKING:
    from pathlib import Path

NOW_NS = 1_798_761_600_000_000_000  # 2027-01-01T00:00:00Z
CALL = Call(raw=b"", gateway="eu-1", trusted=True)
SERVERS = f"""{PEOPLE}
[[mcp_server]]
id = "coder"
url = "https://coder.example.com/api/experimental/mcp/http"
receives_coder_token = true

[[mcp_server]]
id = "open"
url = "https://open.example.com/mcp"

[[mcp_server]]
id = "docs"
url = "https://docs.example.com/mcp"
tool_allow_regex = "^get_"
tool_deny_regex = "_secret$"
auth = {{ kind = "static", tokens = {{ alice = "alice's" }} }}

[[mcp_server]]
id = "wiki"
url = "https://wiki.example.com/mcp"
auth = {{ kind = "static", token = "all" }}
{OAUTH2}"""


def configurator(
    directory: Path, text: str = SERVERS, *, changes: Changes | None = None
) -> MCPConfiguratorServicer:
    store = open_store(directory, text)
    count = (Changes() if changes is None else changes).count
    http = OAuthHttp(timeout_s=5)
    tokens = AccessTokens(store.tokens, http, timeout_s=5, clock_ns=lambda: NOW_NS)
    return MCPConfiguratorServicer(store, tokens, count=count)


async def tokens(
    servicer: MCPConfiguratorServicer, *ids: str, user_id: str = ALICE
) -> tuple[dict[str, str], dict[str, str]]:
    request = pb.GetMCPServerAccessTokensBatchRequest(user_id=user_id, mcp_server_config_ids=ids)
    response = await servicer.GetMCPServerAccessTokensBatch(request, CALL)
    return dict(response.access_tokens), dict(response.errors)


@pytest.mark.parametrize("user_id", [ALICE, "", "nobody"])
async def test_all_servers_are_told_to_anybody_and_the_one_for_coder_tokens_apart(
    tmp_path: Path, user_id: str
) -> None:
    request = pb.GetMCPServerConfigsRequest(user_id=user_id)

    response = await configurator(tmp_path).GetMCPServerConfigs(request, CALL)

    assert response.coder_mcp_config == pb.MCPServerConfig(
        id="coder", url="https://coder.example.com/api/experimental/mcp/http"
    )
    others = response.external_auth_mcp_configs
    assert [server.id for server in others] == ["open", "docs", "wiki", "github"]
    assert others[1] == pb.MCPServerConfig(
        id="docs",
        url="https://docs.example.com/mcp",
        tool_allow_regex="^get_",
        tool_deny_regex="_secret$",
    )


async def test_no_server_receives_coder_tokens_unless_the_store_says_so(tmp_path: Path) -> None:
    servicer = configurator(tmp_path, OAUTH2)

    response = await servicer.GetMCPServerConfigs(pb.GetMCPServerConfigsRequest(), CALL)

    assert not response.HasField("coder_mcp_config")
    assert len(response.external_auth_mcp_configs) == 1


async def test_a_store_without_servers_has_none(tmp_path: Path) -> None:
    servicer = configurator(tmp_path, GATEWAY)

    response = await servicer.GetMCPServerConfigs(pb.GetMCPServerConfigsRequest(), CALL)

    assert response == pb.GetMCPServerConfigsResponse()


async def test_nothing_asked_is_nothing_answered_before_the_user_is_looked_at(
    tmp_path: Path,
) -> None:
    assert await tokens(configurator(tmp_path), user_id="not a UUID") == ({}, {})


async def test_each_server_has_its_token_or_its_reason(tmp_path: Path) -> None:
    write_tokens(
        tmp_path,
        {"github": {ALICE: {"access_token": "at", "expires_at": "2027-01-01T00:00:31Z"}}},
    )

    answer = await tokens(configurator(tmp_path), "open", "docs", "wiki", "github", "gone")

    assert answer == (
        {"open": "", "docs": "alice's", "wiki": "all", "github": "at"},
        {"gone": "no MCP config found"},
    )


async def test_a_user_without_tokens_is_told_so_for_each_server(tmp_path: Path) -> None:
    answer = await tokens(configurator(tmp_path), "docs", "wiki", "github", user_id=BOB)

    assert answer == (
        {"wiki": "all"},
        {"docs": "no external auth link found", "github": "no external auth link found"},
    )


async def test_a_token_that_ends_within_thirty_seconds_is_expired(tmp_path: Path) -> None:
    write_tokens(
        tmp_path,
        {"github": {ALICE: {"access_token": "at", "expires_at": "2027-01-01T00:00:30Z"}}},
    )

    answer = await tokens(configurator(tmp_path), "github", "wiki")

    assert answer == ({"wiki": "all"}, {"github": "expired or invalid OAuth2 token"})


async def test_an_id_asked_twice_is_answered_once(tmp_path: Path) -> None:
    answer = await tokens(configurator(tmp_path), "wiki", "gone", "wiki", "gone")

    assert answer == ({"wiki": "all"}, {"gone": "no MCP config found"})


async def test_a_new_login_is_seen_by_the_next_call(tmp_path: Path) -> None:
    servicer = configurator(tmp_path)
    assert await tokens(servicer, "github") == ({}, {"github": "no external auth link found"})

    write_tokens(tmp_path, {"github": {ALICE: {"access_token": "at"}}})

    assert await tokens(servicer, "github") == ({"github": "at"}, {})


async def test_unreadable_tokens_fail_only_who_needs_them_and_are_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_tokens(tmp_path, '{"github": "CANARY', mode=0o600)
    servicer = configurator(tmp_path)

    with caplog.at_level(logging.WARNING):
        answers = [await tokens(servicer, "github", "wiki") for _ in range(3)]

    assert answers == [({"wiki": "all"}, {"github": "OAuth2 tokens cannot be read"})] * 3
    assert len(caplog.messages) == 1
    assert "tokens.json: not a JSON file" in caplog.text
    assert "CANARY" not in caplog.text


async def test_unreadable_tokens_are_logged_again_after_they_could_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    servicer = configurator(tmp_path)

    for data in ("{", "{}", "{"):
        write_tokens(tmp_path, data)
        await tokens(servicer, "github")

    assert len(caplog.messages) == 2


@pytest.mark.parametrize(
    ("user_id", "text"),
    [
        ("", 'parse user_id: "": not a UUID'),
        ("alice\x1b", r'parse user_id: "alice\x1b": not a UUID'),
        ("x" * 100, f'parse user_id: "{"x" * 64}": not a UUID'),
    ],
)
async def test_a_user_id_that_is_no_uuid_is_named_escaped_and_cut(
    tmp_path: Path, user_id: str, text: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await tokens(configurator(tmp_path), "wiki", user_id=user_id)

    assert str(caught.value) == text


async def test_so_many_ids_at_once_are_answered_and_no_more(tmp_path: Path) -> None:
    servicer = configurator(tmp_path)

    _, errors = await tokens(servicer, *(f"id{number}" for number in range(1000)))
    with pytest.raises(LimitExceededError) as caught:
        await tokens(servicer, *["wiki"] * 1001)

    assert len(errors) == 1000
    assert str(caught.value) == "mcp_server_config_ids: 1001 ids, at most 1000 are accepted"


async def test_token_requests_are_counted_by_outcome(tmp_path: Path) -> None:
    changes = Changes()

    await tokens(configurator(tmp_path, changes=changes), "wiki", "nobody's")

    assert changes.counts == {
        ("aibridge.mcp.token_requests", ("token",)): 1,
        ("aibridge.mcp.token_requests", ("no_server",)): 1,
    }
