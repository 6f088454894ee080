"""``otelbridge mcp status --check`` and ``logout``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from otelbridge.domain.access import Secret
from otelbridge.store.token_file import TokenFile
from otelbridge.store.tokens import Link
from tests.commands.mcp_logins import (
    ALICE_ID,
    BOB_ID,
    NOBODY,
    installed,
    link,
    mcp,
    put,
)
from tests.commands.mcp_world import ALICE, BOB, Installation, oauth2
from tests.commands.programs import Done
from tests.oauth.authorization_server import METADATA, Authority, Reply
from tests.oauth.login_server import LoginServer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def here(tmp_path: Path, authority: Authority, server: LoginServer) -> Installation:
    installation = Installation(tmp_path, authority)
    installation.store(oauth2(server, validate_url=f'"{server.url("/user")}"'))
    return installation


def logged_in(here: Installation, server: LoginServer, user: str = ALICE) -> tuple[str, str]:
    access, refresh = server.validator.issue(user, "repo")
    new = Link(access_token=Secret(access), refresh_token=Secret(refresh))
    put(here.tokens, "github", UUID(user), new)
    return access, refresh


async def test_tokens_are_tried_only_if_that_is_asked_for(
    here: Installation, server: LoginServer
) -> None:
    access, _ = logged_in(here, server)
    del server.validator.access_tokens[access]

    offline = json.loads((await here.mcp("status", "--json")).out)
    assert server.requests == []
    tried = json.loads((await here.mcp("status", "--json", "--check")).out)

    assert [row["state"] for row in offline + tried] == ["valid", "refused"]
    assert tried[0]["works"] is True
    assert tried[0]["problem"] == "validate_url answers 401: it is refreshed when it is needed"


@pytest.mark.parametrize(
    ("reply", "state", "problem"),
    [
        (Reply(), "valid", None),
        (Reply(status=403), "refused", "validate_url answers 403: "),
        (Reply(status=403, headers={"retry-after": "9"}), "valid", "cannot be tried: https://"),
        (Reply(status=503), "valid", "cannot be tried: https://"),
        (Reply(status=302, headers={"location": "/mcp"}), "valid", "cannot be tried: https://"),
    ],
)
async def test_only_a_clear_refusal_says_that_a_token_is_of_no_use(
    here: Installation, server: LoginServer, reply: Reply, state: str, problem: str | None
) -> None:
    logged_in(here, server)
    server.script("/user", reply)

    [told] = json.loads((await here.mcp("status", "--json", "--check")).out)

    assert told["state"] == state
    assert (told["problem"] or "").startswith(problem or "")
    assert (told["problem"] is None) == (problem is None)


async def test_a_logout_revokes_the_tokens_and_removes_the_login(
    here: Installation, server: LoginServer
) -> None:
    access, refresh = logged_in(here, server)
    kept, _ = logged_in(here, server, BOB)

    done = await here.run("logout", "github", "--user", "alice")

    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines() == [
        'removed the login of "alice" at MCP server "github"',
        "its tokens are revoked",
    ]
    assert not server.validator.refresh_tokens.keys() & {refresh}
    assert server.validator.access_tokens.keys() & {access, kept} == {kept}
    assert list(TokenFile(here.tokens).read()) == [("github", BOB_ID)]


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (Reply(status=503), "/revoke: status 503"),
        (Reply(status=307, headers={"location": "https://evil.example"}), "are not followed"),
    ],
)
async def test_tokens_that_cannot_be_revoked_are_removed_all_the_same(
    here: Installation, server: LoginServer, reply: Reply, problem: str
) -> None:
    logged_in(here, server)
    server.script("/revoke", reply)

    done = await here.mcp("logout", "github", "--user", "alice")

    assert done.code == 0
    told = done.err.splitlines()[-1]
    assert told.startswith("its tokens are not revoked, they stay good until they end: ")
    assert problem in told
    assert TokenFile(here.tokens).read() == {}


async def test_where_nothing_revokes_tokens_a_logout_says_so(
    here: Installation, server: LoginServer
) -> None:
    logged_in(here, server)
    del server.metadata["revocation_endpoint"]

    done = await here.mcp("logout", "github", "--user", "alice")

    assert done.err.endswith("until they end: no revocation endpoint is known\n")
    assert server.count(METADATA) == 1


async def test_a_logout_needs_no_secret_of_the_server(
    here: Installation, server: LoginServer
) -> None:
    logged_in(here, server)
    here.store(oauth2(server, client_secret='{ env = "NOT_SET_HERE" }'))

    done = await here.mcp("logout", "github", "--user", "alice")

    assert done.code == 0
    assert done.err.endswith('client_secret: environment variable "NOT_SET_HERE" is not set\n')
    assert TokenFile(here.tokens).read() == {}


@pytest.mark.parametrize(("server_id", "owner"), [("gone", ALICE_ID), ("github", NOBODY)])
def test_logins_of_nobody_and_nowhere_can_be_removed(
    tmp_path: Path, server_id: str, owner: UUID
) -> None:
    installed(tmp_path, {(server_id, owner): link()})

    done = mcp(tmp_path, "logout", server_id, "--user", str(owner))

    assert done.code == 0
    assert "its tokens are not revoked" in done.err
    assert TokenFile(tmp_path / "tokens.json").read() == {}


@pytest.mark.parametrize(
    ("server_id", "user", "problem"),
    [
        ("github", "bob", 'no login of "bob" at MCP server "github"'),
        ("nope", "alice", 'no login of "alice" at MCP server "nope"'),
        ("github", "nobody", 'store.toml: no user is named "nobody"'),
    ],
)
def test_a_login_that_there_is_not_is_one_line(
    tmp_path: Path, server_id: str, user: str, problem: str
) -> None:
    installed(tmp_path, {("github", ALICE_ID): link()})

    done = mcp(tmp_path, "logout", server_id, "--user", user)

    assert done == Done(1, "", f"Error: {problem}\n")
    assert list(TokenFile(tmp_path / "tokens.json").read()) == [("github", ALICE_ID)]
