"""docs/configuration.md says what the settings are: no more, no less, nothing else."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from otelbridge.config import build_config
from otelbridge.config.section import Section
from otelbridge.config.sections import Config
from otelbridge.delivery.resource import build_resource
from otelbridge.errors import ConfigError
from otelbridge.telemetry.prices import load_prices
from tests.docs.pages import Example, examples
from tests.docs.reference import BLOCK, PAGE, tables, written

_TEXT = PAGE.read_text()
_SIGNALS = ("TRACES", "METRICS", "LOGS")
_OWN_VARIABLES = re.findall(r"^\| .* \| `(OTELBRIDGE_\w+)` \|", _TEXT, re.MULTILINE)
_ROW = re.compile(
    r"^\| `(?P<key>\w+)` \| .+ \| (?P<default>.+) \| `(?P<variable>\w+)` \|", re.MULTILINE
)
_SETTINGS = [example for example in examples() if example.language == "toml"]
_PRICES = [example for example in examples() if example.language == "toml prices"]


class _Environment(dict[str, str]):
    """Variables that remember which of them were asked for."""

    def __init__(self, variables: dict[str, str]) -> None:
        super().__init__(variables)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        """Return a variable."""
        self.asked.add(key)
        return super().get(key, default)


def test_the_tables_are_those_of_the_settings() -> None:
    assert written(_TEXT) == _TEXT, "run: python -m tests.docs.reference"


def test_every_section_has_its_table() -> None:
    assert {block["name"] for block in BLOCK.finditer(_TEXT)} == tables().keys()


def test_every_section_has_its_heading() -> None:
    headings = re.findall(r"^## `\[+(\w+)\]+`$", _TEXT, re.MULTILINE)

    assert headings == list(Config.model_fields)


def test_a_row_has_key_value_default_variable_and_meaning() -> None:
    assert tables()["journal"].splitlines()[3] == (
        '| `max_bytes` | size, 1 MiB or more, at most 1 EiB | `"1GiB"` '
        "| `OTELBRIDGE_JOURNAL__MAX_BYTES` | How much telemetry may wait for a destination that "
        "names no limit of its own. Beyond it content is left out first, then the oldest items "
        "are given up, and all of it is counted. |"
    )


@pytest.mark.parametrize("name", list(Config.model_fields)[:-1])
def test_the_documented_defaults_are_the_defaults(name: str) -> None:
    """Written into a file they change nothing."""
    rows = {row["key"]: row["default"] for row in _ROW.finditer(tables()[name])}
    given = {key: tomllib.loads(f"x = {d[1:-1]}")["x"] for key, d in rows.items() if d != "none"}
    left_out = [key for key, default in rows.items() if default == "none"]

    config = build_config({name: given}, {}, base=Path())

    default = getattr(Config(), name)
    assert getattr(config, name) == default
    values = [getattr(default, key) for key in left_out]
    assert not any(value for value in values if not isinstance(value, Section))  # has a table


@pytest.mark.parametrize("variable", _OWN_VARIABLES)
def test_a_documented_variable_sets_its_key(variable: str) -> None:
    """A value of a wrong type is an error of the variable, not of an unknown key."""
    destination = {"name": "otlp", "endpoint": "http://h"}

    with pytest.raises(ConfigError) as raised:
        build_config({"destination": [destination]}, {variable: "[[]]"}, base=Path())

    assert str(raised.value).startswith(f"{variable}: ")
    assert "unknown key" not in str(raised.value)


def test_the_documented_opentelemetry_variables_are_those_that_are_read() -> None:
    environ = _Environment({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"})

    build_config({}, environ, base=Path())
    build_resource(environ, instance_id="", version="")

    assert _opentelemetry_variables() == environ.asked


@pytest.mark.parametrize("example", _SETTINGS, ids=lambda example: example.place)
def test_an_example_can_be_loaded(example: Example) -> None:
    data = tomllib.loads(example.text)

    config = build_config(data, {}, base=Path())

    assert config != build_config({}, {}, base=Path())


@pytest.mark.parametrize("example", _PRICES, ids=lambda example: example.place)
def test_an_example_of_prices_can_be_loaded(example: Example, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(example.text)

    assert load_prices(path)


def test_there_are_examples() -> None:
    places = [example.place.partition(":")[0] for example in _SETTINGS]

    assert places.count("docs/configuration.md") >= 6
    assert len(_PRICES) == 1


def _opentelemetry_variables() -> set[str]:
    found: set[str] = set()
    for name in re.findall(r"^\| `(OTEL_[A-Z_<>]+)` \|", _TEXT, re.MULTILINE):
        found |= {name.replace("<SIGNAL>", signal) for signal in _SIGNALS}
    return found
