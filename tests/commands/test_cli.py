"""The command line as a whole."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from otelbridge.cli import Commands, cli
from otelbridge.errors import ConfigError
from tests.commands.programs import run
from tests.store.files import GATEWAY, write_store

_COMMANDS = (
    "init",
    "serve",
    "demo",
    "check",
    "doctor",
    "users",
    "keys",
    "gateways",
    "mcp",
    "replay",
    "usage",
    "top",
    "journal",
    "reconcile",
    "deadletters",
)


def test_the_version_is_the_packages() -> None:
    done = CliRunner().invoke(cli, ["--version"], prog_name="otelbridge")

    assert done.stdout == f"otelbridge {version('otelbridge')}\n"


def test_help_names_every_command_with_a_sentence() -> None:
    done = CliRunner().invoke(cli, ["--help"])

    lines = done.stdout.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == list(_COMMANDS)
    assert all(len(line.split()) > 2 for line in lines)


@pytest.mark.parametrize("arguments", [["nope"], ["serve", "--nope"], ["replay"], ["usage", "x"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    done = CliRunner().invoke(cli, arguments)

    assert (done.exit_code, done.stdout) == (2, "")
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_of_ours_is_a_line_a_mistake_and_exit_1() -> None:
    class OneCommand(Commands):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:  # noqa: ARG002  # click's
            def fail() -> None:
                raise ConfigError("", "a: wrong\nb: wrong too")

            return click.Command(cmd_name, callback=fail)

    done = CliRunner().invoke(OneCommand(name="x"), ["serve"])

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "Error: a: wrong\nError: b: wrong too\n"


@pytest.mark.parametrize("command", ["serve", "check", "usage"])
def test_settings_are_looked_for_in_the_working_directory(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    done = CliRunner().invoke(cli, [command])

    assert (done.exit_code, done.stdout) == (1, "")
    told = "otelbridge.toml: no such file; `otelbridge init` writes one"
    assert done.stderr == f"Error: {told}\n"


@pytest.mark.parametrize("command", ["serve", "check", "usage"])
def test_a_wrong_setting_is_named_with_its_file(command: str, tmp_path: Path) -> None:
    config = tmp_path / "my.toml"
    config.write_text("[listen]\ngrpc = '127.0.0.1:99999'\nport = 7\n")
    write_store(tmp_path, GATEWAY)

    done = CliRunner().invoke(cli, [command, "--config", str(config)])

    assert (done.exit_code, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first == f'Error: {config}: listen.grpc: port "99999" is not a number from 0 to 65535'
    assert second.startswith(f"Error: {config}: listen.port: unknown key")


async def test_the_module_is_the_command(tmp_path: Path) -> None:
    done = await run("--version", folder=tmp_path)

    assert (done.code, done.out) == (0, f"otelbridge {version('otelbridge')}\n")
