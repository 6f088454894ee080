"""``otelbridge mcp login``, as people run it, against a real authorization server over TLS."""

from __future__ import annotations

import json
import signal
import socket
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from otelbridge.clock import SteadyClock
from otelbridge.domain.access import Secret
from otelbridge.oauth.http import OAuthHttp
from otelbridge.oauth.tokens import AccessTokens
from otelbridge.store import load_store
from otelbridge.store.token_file import TokenFile
from tests.commands.mcp_world import ALICE, BOB, SECRET, Installation, oauth2, secrets_of
from tests.oauth.authorization_server import Reply
from tests.oauth.login_server import LoginServer
from tests.store.files import write_tokens

if TYPE_CHECKING:
    pass

ALICE_ID = UUID(ALICE)
CONFIDENTIAL = {"client_id": '"confidential"', "client_secret": '{ env = "CLIENT_SECRET" }'}


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
