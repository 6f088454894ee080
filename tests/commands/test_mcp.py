"""``otelbridge mcp list``, ``status`` and ``logout``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from otelbridge.commands.mcp.status import standings
from otelbridge.domain.access import Secret
from otelbridge.oauth.marks import fingerprint
from otelbridge.store import load_store
from otelbridge.store.tokens import ALL_USERS, Broken, Link
from tests.commands.mcp_logins import (
    ALICE_ID,
    BOB_ID,
    CANARY,
    NOBODY,
    SERVERS,
    github,
    installed,
    link,
    mcp,
)
from tests.commands.programs import Done
from tests.oauth.world import NOW_NS, S
from tests.store.files import PEOPLE, write_store, write_tokens

if TYPE_CHECKING:
    from pathlib import Path

    from otelbridge.domain.access import Snapshot


def stands(snapshot: Snapshot, *links: tuple[str, UUID, Link]) -> dict[str, dict[str, Any]]:
    """Return what is told of each server and user, by their names."""
    known = {(server_id, owner): each for server_id, owner, each in links}
    found = standings(snapshot, known, now_ns=NOW_NS)
    return {f"{each.server}/{each.user}": each.item() for each in found}


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    path = write_store(tmp_path, PEOPLE + SERVERS)
    return load_store(path, {"NOT_SET_HERE": "set"})


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
