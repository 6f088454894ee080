"""README.md names commands, options, metrics and files that there are; the examples load."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from otelbridge.cli import cli
from otelbridge.config import build_config, load_config
from otelbridge.store import load_store
from otelbridge.telemetry import semconv
from otelbridge.telemetry.instruments import INSTRUMENTS
from otelbridge.transports.capture import read_capture
from tests.docs.pages import ROOT, Example, examples

_TEXT = (ROOT / "README.md").read_text()
_MAKEFILE = (ROOT / "Makefile").read_text()
_FOLDER = ROOT / "examples"
_CONTEXT = click.Context(cli)
_ENVIRON = {"DOCS_TOKEN": "t", "ANTHROPIC_API_KEY": "k"}
_DECLARED = {*INSTRUMENTS, *(name for name in vars(semconv).values() if isinstance(name, str))}

_COMMANDS = re.findall(r"(?:^ {4}|`)otelbridge ([^`\n]+)", _TEXT, re.MULTILINE)
_STORES = [example for example in examples() if example.language == "toml store"]


@pytest.mark.parametrize("line", _COMMANDS)
def test_a_command_and_its_options_exist(line: str) -> None:
    name, *arguments = shlex.split(line)

    command = cli.get_command(_CONTEXT, name)

    assert command is not None, name
    known = {option for parameter in command.params for option in parameter.opts}
    assert {each for each in arguments if each.startswith("--")} <= known


def test_every_command_is_covered_by_the_check() -> None:
    """The pattern above finds the commands that README names."""
    assert {line.split()[0] for line in _COMMANDS} == {"init", "serve", "replay", "usage", "check"}


def test_arguments_of_make_are_options_of_the_demo() -> None:
    (given,) = re.findall(r"make demo ARGS=(--\w+)", _TEXT)

    command = cli.get_command(_CONTEXT, "demo")

    assert command is not None
    assert given in {option for parameter in command.params for option in parameter.opts}


def test_both_commands_of_the_start_are_targets() -> None:
    assert re.findall(r"^ {4}make (\w+)$", _TEXT, re.MULTILINE) == ["demo", "test"]
    assert all(re.search(rf"^{name}:", _MAKEFILE, re.MULTILINE) for name in ("demo", "test"))


def test_the_python_that_is_asked_for_is_the_one_that_is_needed() -> None:
    (floor,) = re.findall(
        r'^requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )

    assert f"Python {floor} or later" in _TEXT


def test_a_capture_that_is_named_can_be_replayed() -> None:
    (named,) = re.findall(r"otelbridge replay (\S+)", _TEXT)

    assert read_capture(ROOT / named)


def test_what_is_told_is_declared() -> None:
    """Names of the table, except those in braces and families that end in a star."""
    table = _TEXT.partition("| What the gateway reports |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`((?:gen_ai|aibridge)\.[\w.]*\w)`", table))

    assert len(named) >= 6
    assert named <= _DECLARED


def test_families_of_names_have_members() -> None:
    families = re.findall(r"`((?:gen_ai|aibridge)\.[\w.]*)\*`", _TEXT)

    assert len(families) >= 2
    assert all(any(name.startswith(each) for name in _DECLARED) for each in families)


@pytest.mark.parametrize("example", _STORES, ids=lambda example: example.place)
def test_a_store_can_be_loaded(example: Example, tmp_path: Path) -> None:
    path = tmp_path / "store.toml"
    path.write_text(example.text)
    path.chmod(0o600)

    assert load_store(path, _ENVIRON).budgets


def test_there_is_a_store() -> None:
    assert len(_STORES) == 1


def test_the_example_s_settings_load_and_send_to_its_collector() -> None:
    config = load_config(_FOLDER / "otelbridge.toml", {})

    (destination,) = config.destination
    ports = re.findall(r"endpoint: 127\.0\.0\.1:(\d+)", (_FOLDER / "collector.yaml").read_text())
    assert destination.endpoint == f"http://127.0.0.1:{ports[0]}"


def test_prometheus_scrapes_the_default_listener() -> None:
    (target,) = re.findall(r'targets: \["([\d.:]+)"\]', (_FOLDER / "prometheus.yml").read_text())

    assert target == build_config({}, {}, base=Path()).listen.http
    assert f'targets: ["{target}"]' in _TEXT


@pytest.mark.parametrize("path", sorted(_FOLDER.iterdir()), ids=lambda path: path.name)
def test_an_example_is_named_in_the_readme(path: Path) -> None:
    assert f"(examples/{path.name})" in _TEXT
