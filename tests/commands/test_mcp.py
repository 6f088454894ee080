"""``otelbridge mcp list``, ``status`` and ``logout``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from click.testing import CliRunner

from otelbridge.cli import cli
from otelbridge.commands.mcp.status import standings
from otelbridge.domain.access import OAuth2Auth, Secret
from otelbridge.oauth.marks import fingerprint
from otelbridge.store import load_store
from otelbridge.store.token_file import TokenFile
from otelbridge.store.tokens import ALL_USERS, Broken, Link
from tests.commands.mcp_world import ALICE, BOB, Installation, oauth2
from tests.commands.programs import Done
from tests.oauth.authorization_server import METADATA, Authority, Reply
from tests.oauth.login_server import LoginServer
from tests.oauth.world import NOW_NS, S
from tests.store.files import PEOPLE, write_store, write_tokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
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


def stands(snapshot: Snapshot, *links: tuple[str, UUID, Link]) -> dict[str, dict[str, Any]]:
    """Return what is told of each server and user, by their names."""
    known = {(server_id, owner): each for server_id, owner, each in links}
    found = standings(snapshot, known, now_ns=NOW_NS)
    return {f"{each.server}/{each.user}": each.item() for each in found}


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    path = write_store(tmp_path, PEOPLE + SERVERS)
    return load_store(path, {"NOT_SET_HERE": "set"})


def github(snapshot: Snapshot) -> OAuth2Auth:
    auth = snapshot.mcp_servers["github"].auth
    assert isinstance(auth, OAuth2Auth)
    return auth


def test_the_list_tells_how_many_users_have_a_token(tmp_path: Path) -> None:
    installed(tmp_path, {("github", ALICE_ID): link(), ("github", NOBODY): link()})

    done = mcp(tmp_path, "list")

    assert (done.code, done.err) == (0, "")
    assert [line.split() for line in done.out.splitlines()] == [
        ["id", "auth", "users", "tool", "allow", "regex", "tool", "deny", "regex", "url"],
        ["github", "oauth2", "1", "^get_", "-", "https://mcp.example.com/mcp"],
        ["docs", "static", "1", "-", "-", "https://docs.example.com"],
        ["shared", "static", "2", "-", "drop", "https://shared.example.com"],
        ["open", "none", "2", "-", "-", "https://open.example.com"],
        ["robots", "client_credentials", "2", "-", "-", "https://robots.example.com"],
    ]


def test_the_list_is_json_for_programs(tmp_path: Path) -> None:
    installed(tmp_path)

    done = mcp(tmp_path, "list", "--json")

    assert json.loads(done.out)[0] == {
        "id": "github",
        "auth": "oauth2",
        "users": 0,
        "tool_allow_regex": "^get_",
        "tool_deny_regex": None,
        "url": "https://mcp.example.com/mcp",
    }


def test_without_mcp_servers_there_is_nothing_to_list(tmp_path: Path) -> None:
    (tmp_path / "otelbridge.toml").touch()
    write_store(tmp_path, PEOPLE)

    assert mcp(tmp_path, "list") == Done(0, "", "no MCP servers\n")
    assert mcp(tmp_path, "status", "--json") == Done(0, "[]\n", "")


def test_a_login_stands_by_when_it_ends_and_whether_it_can_be_refreshed(
    snapshot: Snapshot,
) -> None:
    states = {}
    for name, each in {
        "good": link(3600),
        "endless": link(None, refresh_token=None),
        "ended": link(-1),
        "ending": link(29),
        "over": link(-1, refresh_token=None),
        "pending": link(-1, refresh_began_ns=NOW_NS - 60 * S),
        "good, pending": link(3600, refresh_began_ns=NOW_NS - 60 * S),
        "garbled": Link(access_token=Secret(""), expires_at_ns=0),
    }.items():
        told = stands(snapshot, ("github", ALICE_ID, each))["github/alice"]
        states[name] = (told["state"], told["works"], told["since"])

    assert states == {
        "good": ("valid", True, None),
        "endless": ("valid", True, None),
        "ended": ("refresh due", True, None),
        "ending": ("refresh due", True, None),
        "over": ("expired", False, None),
        "pending": ("refresh pending", True, "2026-12-31T23:59:00Z"),
        "good, pending": ("valid", True, "2026-12-31T23:59:00Z"),
        "garbled": ("broken", False, None),
    }


def test_what_is_told_of_a_login_has_stable_keys(snapshot: Snapshot) -> None:
    mark = Broken(reason="https://login.example.com/token: invalid_grant", since_ns=NOW_NS - S)

    told = stands(snapshot, ("github", ALICE_ID, link(broken=mark)))["github/alice"]

    assert told == {
        "server": "github",
        "user": "alice",
        "state": "broken",
        "works": False,
        "expires_at": "2027-01-01T01:00:00Z",
        "since": "2026-12-31T23:59:59Z",
        "problem": "https://login.example.com/token: invalid_grant",
    }


@pytest.mark.parametrize(("is_same", "state"), [(True, "broken"), (False, "valid")])
def test_settings_that_were_refused_and_corrected_break_nothing(
    snapshot: Snapshot, *, is_same: bool, state: str
) -> None:
    settings = fingerprint(github(snapshot)) if is_same else "another"
    mark = Broken(reason="invalid_client", since_ns=NOW_NS, settings=settings)

    told = stands(snapshot, ("github", ALICE_ID, link(broken=mark)))

    assert told["github/alice"]["state"] == state


def test_whether_a_secret_that_is_not_here_was_corrected_is_not_guessed(tmp_path: Path) -> None:
    mark = Broken(reason="invalid_client", since_ns=NOW_NS, settings="of the bridge's shell")
    installed(tmp_path, {("github", ALICE_ID): link(broken=mark)})

    [told] = [row for row in json.loads(mcp(tmp_path, "status", "--json").out) if row["since"]]

    assert (told["server"], told["state"]) == ("github", "broken")


def test_every_server_is_told_also_where_nobody_logged_in(snapshot: Snapshot) -> None:
    told = stands(snapshot)

    assert {name: (each["state"], each["works"]) for name, each in told.items()} == {
        "github/None": ("no login", False),
        "docs/bob": ("fixed", True),
        "shared/None": ("fixed", True),
        "open/None": ("fixed", True),
        "robots/None": ("refresh due", True),
    }


def test_a_token_that_all_share_is_everybodys(snapshot: Snapshot) -> None:
    told = stands(snapshot, ("robots", ALL_USERS, link(-1, refresh_token=None)))

    assert told["robots/None"]["state"] == "refresh due"


def test_logins_that_nothing_uses_are_told(snapshot: Snapshot) -> None:
    told = stands(
        snapshot,
        ("gone", ALICE_ID, link()),
        ("github", NOBODY, link()),
        ("github", ALL_USERS, link()),
        ("docs", BOB_ID, link()),
        ("robots", ALICE_ID, link()),
    )

    unused = {name: each["problem"] for name, each in told.items() if each["state"] == "unused"}
    assert unused == {
        "gone/alice": "no MCP server has this id",
        f"github/{NOBODY}": "no such user",
        "github/None": "auth of this server is oauth2",
        "docs/bob": "auth of this server is static",
        "robots/alice": "auth of this server is client_credentials",
    }


def test_the_status_is_a_table_without_any_token(tmp_path: Path) -> None:
    mark = Broken(reason="invalid_grant: \x1b[2Jgone", since_ns=NOW_NS)
    installed(tmp_path, {("github", ALICE_ID): link(broken=mark), ("gone", BOB_ID): link()})

    done = mcp(tmp_path, "status")

    assert (done.code, done.err) == (0, "")
    since = "2027-01-01T00:00:00Z"
    rows = [" ".join(line.split()) for line in done.out.splitlines()]
    assert rows == [
        "server user state expires problem",
        rf"github alice broken 2027-01-01T01:00:00Z since {since}: invalid_grant: \x1b[2Jgone",
        'docs bob fixed - environment variable "NOT_SET_HERE" is not set in this shell',
        "shared (everybody) fixed - -",
        "open (everybody) fixed - -",
        "robots (everybody) refresh due - not asked for yet",
        "gone bob unused - no MCP server has this id",
    ]
    assert "canary" not in done.out + mcp(tmp_path, "status", "--json").out


def test_nobody_is_no_user(tmp_path: Path) -> None:
    installed(tmp_path)

    row = mcp(tmp_path, "status").out.splitlines()[1]

    assert row.split() == ["github", "-", "no", "login", "-", "nobody", "has", "logged", "in"]


def test_tokens_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    installed(tmp_path)
    write_tokens(tmp_path, f'{{"github": "{CANARY}')

    done = mcp(tmp_path, "status")

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("Error: tokens.json: not a JSON file: ")
    assert CANARY not in done.err


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
