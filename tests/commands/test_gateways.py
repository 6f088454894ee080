"""``otelbridge gateways``."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from otelbridge.cli import cli
from otelbridge.commands.gateways import items
from otelbridge.domain.access import gateway_of
from otelbridge.transports.control import ControlServer, control_path
from tests.commands.stores import STORE, Bridge
from tests.store.files import GATEWAY, GATEWAY_KEY, PEOPLE

if TYPE_CHECKING:
    from pathlib import Path

LABEL = "is not allowed: 1 to 64 printable characters, no space at the ends"


def test_the_key_of_a_new_gateway_is_all_that_standard_output_has(tmp_path: Path) -> None:
    done = Bridge(tmp_path).run("gateways", "add", "eu-2")

    assert done.exit_code == 0
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}\n", done.stdout)
    assert done.stderr == 'added gateway "eu-2"; keep the key: only its hash is stored\n'


def test_the_key_is_accepted_and_only_its_hash_is_stored(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path)

    key = bridge.run("gateways", "add", "eu-2").stdout.strip()

    gateway = gateway_of(bridge.snapshot, key)
    assert gateway is not None
    assert gateway.name == "eu-2"
    assert key not in bridge.store.read_text()


def test_a_revoked_gateway_is_nobody_and_all_else_stays(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path)

    done = bridge.run("gateways", "revoke", "eu-1")

    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == 'revoked the key of gateway "eu-1"\n'
    assert gateway_of(bridge.snapshot, GATEWAY_KEY) is None
    assert bridge.store.read_text().split() == STORE.replace(GATEWAY, "").split()


def test_where_no_bridge_runs_nobody_knows_who_is_connected(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path)
    bridge.run("gateways", "add", "eu-2")

    table, as_json = bridge.run("gateways", "list"), bridge.run("gateways", "list", "--json")

    assert [line.split() for line in table.stdout.splitlines()] == [
        ["name", "connected", "sessions", "api", "version", "build", "since", "peer"],
        ["eu-1", *"------"],
        ["eu-2", *"------"],
    ]
    nothing = dict.fromkeys(
        ("connected", "sessions", "api_version", "build", "since", "peer"), None
    )
    assert json.loads(as_json.stdout) == [{"name": name, **nothing} for name in ("eu-1", "eu-2")]


def _session(name: str, peer: str, *, at_s: int = 0, build: str = "v2.36.0") -> dict[str, Any]:
    """Return a session as a running bridge tells of it."""
    since_ns = (1_800_000_000 + at_s) * 10**9
    return {"name": name, "version": "1.2", "build": build, "peer": peer, "since_ns": since_ns}


async def test_a_running_bridge_is_asked_who_is_connected(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path)
    sessions = [_session("eu-1", "ipv4:10.0.0.7:4711"), _session("revoked", "ipv4:10.0.0.8:1")]
    control = ControlServer(
        control_path(tmp_path / "journal.db"), {"gateways": lambda _query: sessions}
    )
    await control.start()
    try:
        table = await asyncio.to_thread(bridge.run, "gateways", "list")
        as_json = await asyncio.to_thread(bridge.run, "gateways", "list", "--json")
    finally:
        await control.stop()

    row = ["eu-1", "yes", "1", "1.2", "v2.36.0", "2027-01-15T08:00:00Z", "10.0.0.7"]
    assert table.stdout.splitlines()[1].split() == row
    assert json.loads(as_json.stdout) == [
        {
            "name": "eu-1",
            "connected": True,
            "sessions": 1,
            "api_version": "1.2",
            "build": "v2.36.0",
            "since": "2027-01-15T08:00:00Z",
            "peer": "10.0.0.7",
        }
    ]


def test_a_gateway_that_is_not_connected_is_told_so() -> None:
    [item] = items(["eu-1"], [])

    assert (item["connected"], item["sessions"], item["peer"]) == (False, 0, None)


def test_of_many_sessions_what_differs_is_told_and_the_first_one_s_time() -> None:
    sessions = [
        _session("eu", f"ipv6:[2001:db8::{number % 5}]:{number}", at_s=60 - number, build=build)
        for number, build in enumerate(["v2.36.0", "v2.36.0", "v2.37.1", "v2.36.0", "", ""])
    ]

    [item] = items(["eu"], sessions)

    assert item == {
        "name": "eu",
        "connected": True,
        "sessions": 6,
        "api_version": "1.2",
        "build": "v2.36.0, v2.37.1",
        "since": "2027-01-15T08:00:55Z",
        "peer": "2001:db8::0, 2001:db8::1, 2001:db8::2 and 2 more",
    }


def test_a_list_of_no_gateways_says_so_beside_the_list(tmp_path: Path) -> None:
    done = Bridge(tmp_path, PEOPLE).run("gateways", "list")

    assert (done.stdout, done.stderr) == ("", "no gateways\n")


def test_the_last_table_of_a_store_stays(tmp_path: Path) -> None:
    assert Bridge(tmp_path, GATEWAY).refusal("gateways", "revoke", "eu-1").splitlines() == [
        "Error: not written, for it would be wrong:",
        "Error: store.toml: there is no table in it: a truncated file must not lock everybody out",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add", "eu-1"), 'gateway.name: "eu-1" is used already'),
        (
            ("add", "x" * 65),
            f'gateway.name: "{"x" * 64}" {LABEL}',
        ),
        (("revoke", "eu-2"), 'no gateway has the name "eu-2"'),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    assert Bridge(tmp_path).refusal("gateways", *arguments) == f"Error: {told}\n"


@pytest.mark.parametrize("arguments", [[], ["add"], ["revoke"], ["list", "x"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    done = CliRunner().invoke(cli, ["gateways", *arguments])

    assert (done.exit_code, done.stdout) == (2, "")
