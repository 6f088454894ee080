"""docs/store.md says what the store is: tables, commands, what is logged; its start works."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import socket
import sys
import tomllib
from enum import StrEnum
from pathlib import Path

import click
import pytest
from pydantic.fields import FieldInfo

from otelbridge.cli import cli
from otelbridge.domain.access import Grant, Secret, Status
from otelbridge.domain.budgets import Period
from otelbridge.store import load_store, schema
from otelbridge.store.holder import StoreHealth
from otelbridge.telemetry.instruments import INSTRUMENTS
from tests.commands.programs import ended, environment
from tests.docs.pages import ROOT, examples
from tests.store.files import write_store
from tests.store.watchers import edit, watching

_TEXT = (ROOT / "docs/store.md").read_text()
_EXAMPLES = [each for each in examples() if each.place.startswith("docs/store.md:")]
_BLOCK = re.compile(r"<!-- store: ([a-z0-9._]+) -->\n((?:\|.*\n)*)<!-- end -->")
_ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (?:(.+) )?\|$", re.MULTILINE)
_TABLES: dict[str, type[schema.Table]] = {
    "gateway": schema.GatewayTable,
    "user": schema.UserTable,
    "key": schema.KeyTable,
    "mcp_server": schema.McpServerTable,
    "mcp_server.auth.static": schema.StaticAuthTable,
    "mcp_server.auth.oauth2": schema.OAuth2AuthTable,
    "provider": schema.ProviderTable,
    "provider.bedrock": schema.BedrockTable,
    "budget": schema.BudgetTable,
}
_FIELDS = [
    (name, key, field)
    for name, table in _TABLES.items()
    for key, field in table.model_fields.items()
]
_ENUMS: tuple[type[StrEnum], ...] = (Status, Grant, Period)
_ENVIRON = {"DOCS_TOKEN": "t", "ANTHROPIC_API_KEY": "k"}
_GROUPS = ("users", "keys", "gateways", "mcp")


def _rows(name: str) -> dict[str, tuple[str, str]]:
    """Return value and default of each key of a table."""
    (rows,) = [rows for found, rows in _BLOCK.findall(_TEXT) if found == name]
    return {key: (value, default) for key, value, default, _ in _ROW.findall(rows)}


def _blocks(language: str) -> list[str]:
    return [example.text for example in _EXAMPLES if example.language == language]


def test_every_table_of_the_schema_is_described() -> None:
    known = {*schema.Table.__subclasses__()} - {schema.Document, schema.NoAuthTable}

    assert [name for name, _ in _BLOCK.findall(_TEXT)] == list(_TABLES)
    assert {*_TABLES.values()} == known
    assert {name for name in _TABLES if "." not in name} == set(schema.Document.model_fields)


@pytest.mark.parametrize("name", _TABLES)
def test_a_table_has_the_keys_of_the_schema(name: str) -> None:
    assert list(_rows(name)) == list(_TABLES[name].model_fields)


@pytest.mark.parametrize(("name", "key", "field"), _FIELDS, ids=lambda value: str(value)[:20])
def test_a_default_is_the_one_of_the_schema(name: str, key: str, field: FieldInfo) -> None:
    _, default = _rows(name)[key]

    assert (default == "required") == field.is_required()
    if default.startswith("`"):
        assert tomllib.loads(f"x = {default[1:-1]}")["x"] == field.default
    elif default != "required":
        assert default in {"none", "no token"}
        assert field.default in (None, {}, schema.NoAuthTable())


@pytest.mark.parametrize(("name", "key", "field"), _FIELDS, ids=lambda value: str(value)[:20])
def test_a_value_is_a_secret_or_one_of_a_few_where_the_schema_says_so(
    name: str, key: str, field: FieldInfo
) -> None:
    value, _ = _rows(name)[key]
    enums = [each for each in _ENUMS if each.__name__ in str(field.annotation)]

    assert ("secret" in value) == (Secret.__name__ in f"{field.annotation} {field.metadata}")
    for enum in enums:
        assert re.findall(r'`"(\w+)"`', value) == [each.value for each in enum]


def test_the_example_has_every_table_and_can_be_loaded(tmp_path: Path) -> None:
    (text,) = _blocks("toml store.toml")
    (tmp_path / "alice.token").write_text("t")

    assert load_store(write_store(tmp_path, text), _ENVIRON).budgets
    assert tomllib.loads(text).keys() == schema.Document.model_fields.keys()


def _commands() -> list[list[str]]:
    rows = re.findall(r"^\| `otelbridge (.+?)` \|", _TEXT, re.MULTILINE)
    return [shlex.split(re.sub(r"[\[\]]", "", row)) for row in rows]


def _command(words: list[str]) -> click.Command:
    group = cli.get_command(click.Context(cli), words[0])
    assert isinstance(group, click.Group)
    return group.commands[words[1]]


@pytest.mark.parametrize("words", _commands(), ids=" ".join)
def test_a_command_is_written_as_it_is_called(words: list[str]) -> None:
    command = _command(words)

    parameters = {option: each for each in command.params for option in each.opts}
    assert {word for word in words if word.startswith("--")} <= parameters.keys()
    needed = [each for each in command.params if each.required]
    assert all(
        each.make_metavar(click.Context(command)) in words
        if isinstance(each, click.Argument)
        else each.opts[0] in words
        for each in needed
    )


def test_every_command_that_edits_or_lists_the_store_is_described() -> None:
    groups = [cli.get_command(click.Context(cli), name) for name in _GROUPS]
    known = {
        (group.name, name)
        for group in groups
        if isinstance(group, click.Group)
        for name in group.commands
    }

    assert {(words[0], words[1]) for words in _commands()} == known


def test_the_age_is_a_metric_and_readiness_says_what_is_shown() -> None:
    (shown,) = _blocks("json")

    assert "otelbridge.store.age" in INSTRUMENTS
    assert json.loads(shown) == StoreHealth(problems=1, age_s=12.5).told()


async def test_the_log_of_a_mistake_is_the_one_that_is_shown(tmp_path: Path) -> None:
    (shown,) = _blocks("text log")
    (text,) = _blocks("toml store.toml")
    people, server = text.partition("[[mcp_server]]")[0], '[[mcp_server]]\nid = "docs"\nurl = "{}"'

    async with watching(tmp_path, people) as (_, lines):
        edit(tmp_path, people + server.format("ftp://mcp.example.com"))
        told = [await lines.next(), await lines.next()]
        edit(tmp_path, people + server.format("https://mcp.example.com"))
        told.append(await lines.next())

    name = "otelbridge.store.watching"
    assert shown.splitlines() == [f"{level.lower()} {name}: {line}" for level, line in told]


def _free_address() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


async def _bash(script: str, *, folder: Path, path: Path, **env: str) -> asyncio.subprocess.Process:
    """Run a script with `otelbridge` first on the path."""
    environ = environment(**env)
    return await asyncio.create_subprocess_exec(
        "bash",
        "-euo",
        "pipefail",
        "-c",
        script,
        cwd=folder,
        env={**environ, "PATH": f"{path}:{environ['PATH']}"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_a_team_has_access_after_the_commands_of_the_first_chapter(tmp_path: Path) -> None:
    """Both terminals' commands as they stand there; only the port is a free one."""
    program = tmp_path / "otelbridge"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m otelbridge "$@"\n')
    program.chmod(0o755)
    address = _free_address()
    listen = {"OTELBRIDGE_LISTEN__GRPC": address, "OTELBRIDGE_LISTEN__HTTP": "127.0.0.1:0"}
    (first,) = _blocks("sh first")
    second = "".join(_blocks("sh second")).replace("127.0.0.1:50051", address)
    serving = await _bash(
        first.replace("otelbridge serve", "exec otelbridge serve"),
        folder=tmp_path,
        path=tmp_path,
        **listen,
    )
    try:
        async with asyncio.timeout(20):
            while not (await serving.stdout.readline()).startswith(b"no destination"):  # type: ignore[union-attr]  # a pipe
                pass

        done = await ended(await _bash(second, folder=tmp_path / "bridge", path=tmp_path, **listen))
    finally:
        serving.terminate()
        served = await ended(serving)

    assert (done.code, served.code) == (0, 0), done.err
    (answer,) = _blocks("text")
    assert done.out.startswith(answer)
    assert "users: 2, keys: 2, gateways: 2, MCP servers: 0, providers: 0, budgets: 1" in done.out
    assert done.err.endswith('user "alice" is suspended\n')
