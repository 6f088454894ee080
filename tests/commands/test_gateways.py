"""``otelbridge gateways``."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from otelbridge.cli import cli
from otelbridge.domain.access import gateway_of
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


def test_gateways_are_listed_without_their_hashes(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path)
    bridge.run("gateways", "add", "eu-2")

    table, as_json = bridge.run("gateways", "list"), bridge.run("gateways", "list", "--json")

    assert [line.rstrip() for line in table.stdout.splitlines()] == ["name", "eu-1", "eu-2"]
    assert json.loads(as_json.stdout) == [{"name": "eu-1"}, {"name": "eu-2"}]


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
