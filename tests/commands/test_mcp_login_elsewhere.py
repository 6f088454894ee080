"""``otelbridge mcp login``: on another machine, and what cannot be logged in to."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from click.testing import CliRunner

from otelbridge.cli import cli
from otelbridge.store.token_file import TokenFile
from tests.commands.mcp_world import BOB, OTHER_SERVERS, Installation, oauth2, secrets_of
from tests.oauth.login_server import LoginServer
from tests.store.files import PEOPLE, write_store, write_tokens

if TYPE_CHECKING:
    from pathlib import Path

SERVERS = "docs, open, robots, secretive"
NOT_SET = (
    'MCP server "secretive": auth.client_secret: environment variable "NOT_SET_HERE" is not set'
)


async def test_a_code_can_be_entered_on_another_machine(
    here: Installation, server: LoginServer
) -> None:
    here.install_browser()
    login = await here.start_login("--device", user="bob")
    server.user = "bob"
    assert await login.line_with("/activate") == server.url("/activate")
    user_code = await login.line_with("")

    server.enter(user_code)
    done = await login.end()

    assert done.code == 0, done.err
    assert 'logged "bob" in at MCP server "github"' in done.err
    link = TokenFile(here.tokens).read()["github", UUID(BOB)]
    assert server.validator.access_tokens[link.access_token.reveal()].user == "bob"
    assert not [secret for secret in secrets_of(server) if secret in done.out + done.err]
    assert not here.browser_arguments.exists()


async def test_a_code_that_is_refused_is_one_line(here: Installation, server: LoginServer) -> None:
    server.fate = "access_denied"

    done = await here.mcp("login", "github", "--user", "alice", "--device")

    assert (done.code, done.err.splitlines()[-1]) == (1, "Error: the user refused the login")
    assert not here.tokens.exists()


@pytest.mark.parametrize(
    ("options", "missing", "problem"),
    [
        (
            (),
            "authorization_endpoint",
            "authorization_url is not set, and {issuer} publishes none: set it, or try --device",
        ),
        (
            ("--device",),
            "device_authorization_endpoint",
            "device_authorization_url is not set, and {issuer} publishes none: set it",
        ),
    ],
)
async def test_an_endpoint_that_nobody_knows_is_one_line(
    here: Installation, server: LoginServer, options: tuple[str, ...], missing: str, problem: str
) -> None:
    del server.metadata[missing]

    done = await here.mcp("login", "github", "--user", "alice", *options)

    expected = problem.format(issuer=server.url())
    assert (done.code, done.err) == (1, f'Error: MCP server "github": auth.{expected}\n')


async def test_a_server_that_does_not_promise_pkce_is_not_sent_anybody(
    here: Installation, server: LoginServer
) -> None:
    here.install_browser()
    server.metadata["code_challenge_methods_supported"] = ["plain"]

    done = await here.mcp("login", "github", "--user", "alice")

    assert (done.code, server.count("/authorize")) == (1, 0)
    assert "code_challenge_methods_supported is plain, S256 is needed" in done.err


@pytest.mark.parametrize(
    ("way", "problem"),
    [
        ("--no-browser", "nobody logged in within 1 s; "),
        ("--device", "nobody entered the code within 1 s\n"),
    ],
)
async def test_nobody_is_waited_for_longer_than_was_said(
    here: Installation, way: str, problem: str
) -> None:
    done = await here.mcp("login", "github", "--user", "alice", way, "--timeout", "1")

    assert done.code == 1
    assert f"Error: {problem}" in done.err


async def test_an_mcp_server_that_is_told_nothing_about_is_asked(
    here: Installation, server: LoginServer
) -> None:
    """Only the token endpoint is in the store file; the rest comes from the MCP server's 401."""
    here.install_browser()
    here.store(oauth2(server, issuer="", token_url=f'"{server.url("/token")}"'))
    server.challenge = f'Bearer resource_metadata="{server.url("/prm")}"'
    server.documents["/prm"] = {
        "resource": server.url("/mcp"),
        "authorization_servers": [server.url()],
    }

    done = await here.mcp("login", "github", "--user", "alice")

    assert done.code == 0, done.err


async def test_a_certificate_of_nobody_known_is_refused(
    here: Installation, server: LoginServer
) -> None:
    del here.env["SSL_CERT_FILE"]

    done = await here.mcp("login", "github", "--user", "alice")

    assert done.code == 1
    assert "certificate verify failed" in done.err.replace("_", " ").lower()
    assert server.requests == []


async def test_a_file_that_cannot_hold_a_login_is_told_before_it(
    here: Installation, server: LoginServer
) -> None:
    write_tokens(here.folder, {}, mode=0o644)

    done = await here.mcp("login", "github", "--user", "alice")

    assert done.code == 1
    assert done.err.startswith("Error: tokens.json: mode 0644 is open to others")
    assert server.requests == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ("nope\x1b[2J", "--user", "alice"),
            r'store.toml: no MCP server has the id "nope\x1b[2J"; known: ' + SERVERS,
        ),
        (("docs", "--user", "nobody"), 'store.toml: no user is named "nobody"'),
        (
            ("docs", "--user", "alice"),
            'MCP server "docs": auth.kind is static, nobody logs in there',
        ),
        (("open", "--user", "alice"), 'MCP server "open": auth.kind is none, nobody logs in there'),
        (
            ("robots", "--user", "alice"),
            'MCP server "robots": auth.grant is client_credentials, nobody logs in there',
        ),
        (
            ("secretive", "--user", "alice"),
            NOT_SET,
        ),
        (
            ("secretive", "--user", "alice", "--device"),
            NOT_SET,
        ),
    ],
)
def test_what_cannot_be_logged_in_to_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], problem: str
) -> None:
    (tmp_path / "otelbridge.toml").touch()
    write_store(tmp_path, PEOPLE + OTHER_SERVERS)
    config = ("--config", str(tmp_path / "otelbridge.toml"))

    done = CliRunner().invoke(cli, ["mcp", "login", *arguments, *config])

    assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"Error: {problem}\n")
