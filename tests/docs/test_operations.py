"""docs/operations.md has a section for each alert, and commands that exist."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from otelbridge.cli import cli
from tests.dashboards.told import known, rules
from tests.docs.pages import ROOT
from tests.docs.test_pages import _anchors

_TEXT = (ROOT / "docs/operations.md").read_text()
_ALERTS = [rule["alert"] for rule in rules("alert")]
_SECTIONS = dict(
    re.findall(r"^### (Otelbridge\w+)\n(.*?)(?=^##|\Z)", _TEXT, re.MULTILINE | re.DOTALL)
)
#: What stands for something of the reader's.
_PLACEHOLDERS = {"FILE", "ID", "NAME"}
_SHOWN = re.findall(r"`otelbridge ([^`]+)`|^    otelbridge (.+)$", _TEXT, re.MULTILINE)
_COMMANDS = sorted({" ".join((inline or block).split()) for inline, block in _SHOWN})


def test_every_alert_has_its_section_and_every_section_its_alert() -> None:
    assert sorted(_SECTIONS) == sorted(_ALERTS)


@pytest.mark.parametrize("alert", _ALERTS)
def test_a_section_says_what_it_means_how_to_look_and_what_to_do(alert: str) -> None:
    meaning, look, do = re.split(r"\n\n(?:Look|Do): ", _SECTIONS[alert].strip())

    assert all(len(part) > 40 for part in (meaning, look, do))


@pytest.mark.parametrize("alert", rules("alert"), ids=lambda rule: rule["alert"])
def test_a_runbook_leads_to_its_section(alert: dict[str, dict[str, str]]) -> None:
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")

    assert page == "docs/operations.md"
    assert anchor in _anchors(_TEXT)


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_command_that_is_shown_exists_with_its_options(command: str) -> None:
    found: click.Command | None = cli
    words = shlex.split(command)
    while isinstance(found, click.Group):
        found = found.get_command(click.Context(found), words.pop(0))
    assert found is not None
    options = {name: each for each in found.params for name in each.opts if name[0] == "-"}
    values = 0
    while words:
        word = words.pop(0)
        if word.startswith("-"):
            option = options[word]
            assert isinstance(option, click.Option)
            if not option.is_flag:
                words.pop(0)
        else:
            values += 1
            assert word in _PLACEHOLDERS or word.startswith("/")
    arguments = [each for each in found.params if isinstance(each, click.Argument)]
    assert sum(each.required for each in arguments) <= values <= len(arguments)


def test_there_are_commands() -> None:
    assert len(_COMMANDS) >= 14


def test_a_metric_that_is_named_is_told() -> None:
    named = set(re.findall(r"`((?:otelbridge|aibridge|gen_ai)_\w+)`", _TEXT))

    assert named
    assert named <= known().keys()
