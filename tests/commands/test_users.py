"""``otelbridge users``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from click.testing import CliRunner

from otelbridge.cli import cli
from otelbridge.domain.access import Status
from otelbridge.store import load_store
from tests.commands.programs import run
from tests.commands.stores import STORE, Bridge
from tests.store.files import ALICE, BOB, MCP, PEOPLE

if TYPE_CHECKING:
    from pathlib import Path

CAROL = "9b3e4a8f-3333-4c4b-9d5a-0a0b0c0d0e0f"


def test_a_user_is_added_and_all_else_stays(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path)

    done = bridge.run("users", "add", "carol", "--id", CAROL.upper())

    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == f'added user "carol" with the id {CAROL}\n'
    table = f'[[user]]\nid = "{CAROL}"\nname = "carol"\nstatus = "active"\n\n'
    assert bridge.store.read_text().replace(table, "") == STORE


def test_a_user_without_an_id_gets_a_random_one(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path)

    bridge.run("users", "add", "carol")
    bridge.run("users", "add", "dave")

    ids = {user.name: user.id for user in bridge.snapshot.users.values()}
    assert ids["carol"] != ids["dave"]
    assert ids["carol"].version == 4


def test_a_suspended_user_is_active_again(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path)
    told = []

    for command in ("suspend", "suspend", "activate", "activate"):
        told.append(bridge.run("users", command, "bob").stderr)
        told.append(bridge.snapshot.users[UUID(BOB)].status)

    assert told == [
        'user "bob" is suspended\n',
        Status.SUSPENDED,
        'user "bob" is suspended already\n',
        Status.SUSPENDED,
        'user "bob" is active\n',
        Status.ACTIVE,
        'user "bob" is active already\n',
        Status.ACTIVE,
    ]
    assert bridge.store.read_text() == STORE


def test_a_user_goes_with_all_that_is_theirs_and_it_is_told(tmp_path: Path) -> None:
    tokens = '[mcp_server.auth]\nkind = "static"\ntoken = "t"\ntokens = { alice = "CANARY" }\n'
    budget = '[[budget]]\nuser = "alice"\nlimit_usd = "5"\nperiod = "day"\n'
    bridge = Bridge(tmp_path, STORE + MCP + tokens + budget)

    done = bridge.run("users", "remove", "alice")

    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        'removed user "alice"',
        "removed key aliceKey01",
        'removed the budget of "alice"',
        'removed the token of "alice" at MCP server "a"',
    ]
    assert "alice" not in bridge.store.read_text()
    assert [user.name for user in bridge.snapshot.users.values()] == ["bob"]


def test_users_are_listed(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path)
    bridge.run("users", "suspend", "bob")

    done = bridge.run("users", "list")

    assert [line.rstrip() for line in done.stdout.splitlines()] == [
        "name   status     keys  id",
        f"alice  active        1  {ALICE}",
        f"bob    suspended     0  {BOB}",
    ]
    assert (done.exit_code, done.stderr) == (0, "")


def test_a_list_that_is_piped_is_not_folded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")

    done = Bridge(tmp_path).run("users", "list")

    assert len(done.stdout.splitlines()) == 3
    assert ALICE in done.stdout


def test_users_are_listed_for_programs(tmp_path: Path) -> None:
    done = Bridge(tmp_path).run("users", "list", "--json")

    assert json.loads(done.stdout) == [
        {"name": "alice", "status": "active", "keys": 1, "id": ALICE},
        {"name": "bob", "status": "active", "keys": 0, "id": BOB},
    ]


def test_a_list_of_nobody_says_so_beside_the_list(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path, MCP)

    table, as_json = bridge.run("users", "list"), bridge.run("users", "list", "--json")

    assert (table.stdout, table.stderr) == ("", "no users\n")
    assert (as_json.stdout, as_json.stderr) == ("[]\n", "")


def test_a_name_can_do_nothing_to_a_terminal(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path)
    bridge.run("users", "add", "[bold]x[/bold]")

    assert "[bold]x[/bold]" in bridge.run("users", "list").stdout
    assert bridge.refusal("users", "suspend", "\x1b[31m") == (
        'Error: no user has the name "\\x1b[31m"\n'
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add", "alice"), 'user.name: "alice" is used already'),
        (("add", "carol", "--id", ALICE), f'user.id: "{ALICE}" is used already'),
        (("add", "carol", "--id", "7"), 'user.id: "7" is not a UUID'),
        (
            ("add", ""),
            'user.name: "" is not allowed: 1 to 64 printable characters, no space at the ends',
        ),
        (("suspend", "eve"), 'no user has the name "eve"'),
        (("activate", "eve"), 'no user has the name "eve"'),
        (("remove", "eve"), 'no user has the name "eve"'),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    assert Bridge(tmp_path).refusal("users", *arguments) == f"Error: {told}\n"


@pytest.mark.parametrize("command", [("add", "x"), ("list",), ("remove", "alice")])
def test_a_store_that_is_wrong_is_told_with_all_its_mistakes(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    bridge = Bridge(tmp_path, PEOPLE.replace("alice", "bob") + "[[gateway]]\n")

    assert bridge.refusal("users", *command).splitlines() == [
        "Error: store.toml: gateway[0].name: missing, it has no default",
        "Error: store.toml: gateway[0].key_sha256: missing, it has no default",
        'Error: store.toml: user[1].name: "bob" is used already, by user[0]',
    ]


@pytest.mark.parametrize("arguments", [[], ["add"], ["nope"], ["remove", "a", "b"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    done = CliRunner().invoke(cli, ["users", *arguments])

    assert (done.exit_code, done.stdout) == (2, "")


async def test_the_settings_of_the_working_directory_are_the_default(tmp_path: Path) -> None:
    await run("init", ".", folder=tmp_path)

    done = await run("users", "add", "carol", folder=tmp_path)

    assert (done.code, done.out) == (0, "")
    users = load_store(tmp_path / "store.toml", {}).users.values()
    assert [user.name for user in users] == ["admin", "carol"]
