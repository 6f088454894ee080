"""An installation with MCP servers of every kind, and logins at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from click.testing import CliRunner

from otelbridge.cli import cli
from otelbridge.domain.access import OAuth2Auth, Secret
from otelbridge.store.token_file import TokenFile
from otelbridge.store.tokens import Link
from tests.commands.mcp_world import ALICE, BOB
from tests.commands.programs import Done
from tests.oauth.world import NOW_NS, S
from tests.store.files import PEOPLE, write_store

if TYPE_CHECKING:
    from pathlib import Path

    from otelbridge.domain.access import Snapshot

ALICE_ID, BOB_ID = UUID(ALICE), UUID(BOB)
NOBODY = UUID("99999999-3333-4c4b-9d5a-0a0b0c0d0e0f")
CANARY = "AT-canary"
SERVERS = f"""
[[mcp_server]]
id = "github"
url = "https://mcp.example.com/mcp"
tool_allow_regex = "^get_"
[mcp_server.auth]
kind = "oauth2"
client_id = "c"
client_secret = {{ env = "NOT_SET_HERE" }}
token_url = "https://login.example.com/token"

[[mcp_server]]
id = "docs"
url = "https://docs.example.com"
[mcp_server.auth]
kind = "static"
tokens = {{ bob = {{ env = "NOT_SET_HERE" }} }}

[[mcp_server]]
id = "shared"
url = "https://shared.example.com"
tool_deny_regex = "drop"
[mcp_server.auth]
kind = "static"
token = "{CANARY}"

[[mcp_server]]
id = "open"
url = "https://open.example.com"

[[mcp_server]]
id = "robots"
url = "https://robots.example.com"
[mcp_server.auth]
kind = "oauth2"
grant = "client_credentials"
client_id = "c"
client_secret = "{CANARY}"
token_url = "https://login.example.com/token"
"""


def installed(folder: Path, links: dict[tuple[str, UUID], Link] | None = None) -> None:
    (folder / "otelbridge.toml").touch()
    write_store(folder, PEOPLE + SERVERS)
    for (server_id, user_id), each in (links or {}).items():
        put(folder / "tokens.json", server_id, user_id, each)


def put(tokens: Path, server_id: str, user_id: UUID, new: Link) -> None:
    TokenFile(tokens).update(server_id, user_id, lambda _: new)


def mcp(folder: Path, *arguments: str) -> Done:
    config = ("--config", str(folder / "otelbridge.toml"))
    done = CliRunner(env={"COLUMNS": "200"}).invoke(cli, ["mcp", *arguments, *config])
    return Done(done.exit_code, done.stdout, done.stderr)


def link(left_s: float | None = 3600, **fields: Any) -> Link:
    expires_at_ns = None if left_s is None else NOW_NS + int(left_s * S)
    refresh = Secret("RT-canary")
    fields = {"refresh_token": refresh, **fields}
    return Link(access_token=Secret(CANARY), expires_at_ns=expires_at_ns, **fields)


def github(snapshot: Snapshot) -> OAuth2Auth:
    auth = snapshot.mcp_servers["github"].auth
    assert isinstance(auth, OAuth2Auth)
    return auth
