"""``otelbridge mcp login``, as people run it, against a real authorization server over TLS."""

from __future__ import annotations

import json
import signal
import socket
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from click.testing import CliRunner

from otelbridge.cli import cli
from otelbridge.clock import SteadyClock
from otelbridge.domain.access import Secret
from otelbridge.oauth.http import OAuthHttp
from otelbridge.oauth.tokens import AccessTokens
from otelbridge.store import load_store
from otelbridge.store.token_file import TokenFile
from tests.commands.mcp_world import ALICE, BOB, Installation, oauth2
from tests.oauth.authorization_server import Authority, Reply
from tests.oauth.login_server import LoginServer
from tests.store.files import PEOPLE, write_store, write_tokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ALICE_ID = UUID(ALICE)
SECRET = "s3cret-of-the-client"
CONFIDENTIAL = {"client_id": '"confidential"', "client_secret": '{ env = "CLIENT_SECRET" }'}
OTHERS = """
[[mcp_server]]
id = "docs"
url = "https://docs.example.com"
[mcp_server.auth]
kind = "static"
token = { env = "NOT_SET_HERE" }

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
client_secret = { env = "NOT_SET_HERE" }
token_url = "https://login.example.com/token"

[[mcp_server]]
id = "secretive"
url = "https://s.example.com"
[mcp_server.auth]
kind = "oauth2"
client_id = "c"
client_secret = { env = "NOT_SET_HERE" }
token_url = "https://login.example.com/token"
authorization_url = "https://login.example.com/authorize"
"""

SERVERS = "docs, open, robots, secretive"
NOT_SET = (
    'MCP server "secretive": auth.client_secret: environment variable "NOT_SET_HERE" is not set'
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def server(authority: Authority) -> AsyncIterator[LoginServer]:
    async with LoginServer(authority.server) as started:
        started.publish()
        yield started


@pytest.fixture
def here(tmp_path: Path, authority: Authority, server: LoginServer) -> Installation:
    installation = Installation(tmp_path, authority)
    installation.store(oauth2(server), OTHERS)
    return installation


def secrets_of(server: LoginServer) -> set[str]:
    """Return all that must be shown nowhere."""
    known = server.validator
    sent = {
        request.form[name]
        for request in server.requests
        for name in ("code", "code_verifier", "device_code", "client_secret")
        if name in request.form
    }
    return {
        SECRET,
        *known.access_tokens,
        *known.refresh_tokens,
        *known.codes,
        *known.devices,
        *sent,
    }


async def test_a_browser_opens_and_the_login_is_stored(
    here: Installation, server: LoginServer
) -> None:
    here.install_browser()

    done = await here.run("login", "github", "--user", "alice")

    assert done.code == 0, done.err
    assert 'logged "alice" in at MCP server "github"; the access token is good until' in done.err
    link = TokenFile(here.tokens).read()["github", ALICE_ID]
    assert server.validator.access_tokens[link.access_token.reveal()].user == "alice"
    assert (link.scopes, link.broken) == (("repo",), None)
    assert here.tokens.stat().st_mode & 0o777 == 0o600


async def test_a_running_bridge_uses_the_new_login_at_once(
    here: Installation, server: LoginServer
) -> None:
    here.install_browser()
    github = load_store(here.folder / "store.toml", {"NOT_SET_HERE": "x"}).mcp_servers["github"]
    bridge = AccessTokens(
        TokenFile(here.tokens),
        OAuthHttp(timeout_s=5.0, context=here.authority.client),
        timeout_s=5.0,
        clock_ns=SteadyClock(),
    )
    assert not isinstance(await bridge.acquire(github, ALICE_ID), Secret)

    await here.mcp("login", "github", "--user", "alice")

    token = await bridge.acquire(github, ALICE_ID)
    assert isinstance(token, Secret)
    assert token.reveal() in server.validator.access_tokens
    await bridge.close(1.0)


async def test_without_a_browser_the_page_is_printed(
    here: Installation, server: LoginServer
) -> None:
    here.install_browser()
    login = await here.start_login("--no-browser")

    page = await login.browse(await login.line_with("/authorize?"))
    done = await login.end()

    assert (page.status_code, done.code) == (200, 0), done.err
    assert not here.browser_arguments.exists()
    [asked] = server.seen("/authorize")
    assert (asked.form["scope"], asked.form["resource"]) == ("repo", server.url("/mcp"))


async def test_a_confidential_client_shows_no_secret(
    here: Installation, server: LoginServer
) -> None:
    here.install_browser()
    here.env["CLIENT_SECRET"] = SECRET
    here.store(oauth2(server, **CONFIDENTIAL))

    done = await here.run("login", "github", "--user", "alice")

    assert done.code == 0, done.err
    shown = done.out + done.err + here.browser_arguments.read_text()
    assert server.url("/authorize") in shown
    assert len(secrets_of(server)) == 5
    assert not [secret for secret in secrets_of(server) if secret in shown]


async def test_a_failure_shows_no_secret(here: Installation, server: LoginServer) -> None:
    """The token endpoint repeats what it was sent."""
    here.install_browser()
    here.env["CLIENT_SECRET"] = SECRET
    here.store(oauth2(server, **CONFIDENTIAL))
    server.script("/token", Reply(status=400, is_processed=True, body=b'{"error": "nope"}'))

    done = await here.mcp("login", "github", "--user", "alice")

    assert (done.code, done.err.splitlines()[-1]) == (
        1,
        f"Error: {server.url('/token')}: status 400: nope",
    )
    assert not [secret for secret in secrets_of(server) if secret in done.out + done.err]
    assert not here.tokens.exists()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"iss": "https://evil.example"}, 'the answer comes from "https://evil.example"'),
        ({"iss": None}, "the answer has no iss"),
        ({"code": None}, "the answer has 0 codes"),
        (
            {"error": "server_error", "error_description": "\x1b]0;owned\x07\x1b[2J\nError: ha"},
            r"server_error: \x1b]0;owned\x07\x1b[2J\x0aError: ha",
        ),
    ],
)
async def test_an_answer_that_is_not_right_is_one_line(
    here: Installation, server: LoginServer, answer: dict[str, str | None], problem: str
) -> None:
    here.install_browser()
    server.answer = answer

    done = await here.mcp("login", "github", "--user", "alice")

    assert (done.code, done.out) == (1, "")
    assert problem in done.err.splitlines()[-1]
    assert done.err.replace("\n", "").isprintable()
    assert not server.seen("/token")
    assert not here.tokens.exists()


async def test_a_user_who_refuses_is_told_so_and_an_older_login_stays(
    here: Installation, server: LoginServer
) -> None:
    write_tokens(here.folder, {"github": {ALICE: {"access_token": "old"}}})
    here.install_browser()
    server.user = None

    done = await here.mcp("login", "github", "--user", "alice")

    assert done.code == 1
    assert done.err.endswith("Error: the authorization server answers access_denied\n")
    assert TokenFile(here.tokens).read()["github", ALICE_ID].access_token == Secret("old")


async def test_a_login_goes_on_after_an_answer_to_another_one(
    here: Installation, server: LoginServer
) -> None:
    login = await here.start_login("--no-browser")
    url = await login.line_with("/authorize?")
    [redirect] = parse_qs(urlsplit(url).query)["redirect_uri"]

    page = await login.browse(f"{redirect}?state=x&code=of-an-attacker")
    told = await login.line_with("ignored")
    await login.browse(url)
    done = await login.end()

    assert page.status_code == 400
    assert told == "ignored: a page sent the browser here with an answer to another login"
    assert done.code == 0
    [sent] = server.seen("/token")
    assert sent.form["code"] != "of-an-attacker"


async def test_only_what_was_granted_is_stored_and_it_is_told(
    here: Installation, server: LoginServer
) -> None:
    here.install_browser()
    answer = {"access_token": "AT", "token_type": "Bearer", "expires_in": 60, "scope": "read\x1b"}
    server.script("/token", Reply(status=200, body=json.dumps(answer).encode()))

    done = await here.mcp("login", "github", "--user", "bob")

    assert r"granted scopes: read\x1b" in done.err
    assert "gave no refresh token: another login is needed by then" in done.err
    assert TokenFile(here.tokens).read()["github", UUID(BOB)].refresh_token is None


async def test_the_port_can_be_chosen(here: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        done = await here.mcp("login", "github", "--user", "alice", "--port", str(port))

    assert done.err == f"Error: port {port} on 127.0.0.1: Address already in use\n"


async def test_ctrl_c_ends_a_login_without_a_word_too_many(here: Installation) -> None:
    login = await here.start_login("--no-browser")
    await login.line_with("waiting for the answer")

    login.process.send_signal(signal.SIGINT)
    done = await login.end()

    assert (done.code, done.out) == (130, "")
    assert done.err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in done.err


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
    write_store(tmp_path, PEOPLE + OTHERS)
    config = ("--config", str(tmp_path / "otelbridge.toml"))

    done = CliRunner().invoke(cli, ["mcp", "login", *arguments, *config])

    assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"Error: {problem}\n")
