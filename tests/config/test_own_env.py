"""OTELBRIDGE_SECTION__KEY: every key of the file, from the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otelbridge.config import Config, build_config
from otelbridge.errors import ConfigError

_BASE = Path("/etc/otelbridge")


def _build(file: dict[str, Any] | None = None, **environ: str) -> Config:
    return _build_from(file or {}, environ)


def _build_from(file: dict[str, Any], environ: dict[str, str]) -> Config:
    own = {f"OTELBRIDGE_{name}": value for name, value in environ.items()}
    return build_config(file, own, base=_BASE)


def test_a_variable_wins_over_the_file() -> None:
    config = _build({"assembly": {"grace_s": 1.0, "max_age_s": 2.0}}, ASSEMBLY__GRACE_S="3")

    assert (config.assembly.grace_s, config.assembly.max_age_s) == (3.0, 2.0)


def test_a_relative_path_is_relative_to_the_file() -> None:
    config = _build(STORE__PATH="people.toml")

    assert config.store.path == _BASE / "people.toml"


def test_a_destination_is_defined_by_its_number() -> None:
    config = _build(
        DESTINATION__0__NAME="collector",
        DESTINATION__0__ENDPOINT="http://127.0.0.1:4317",
        DESTINATION__0__HEADERS__AUTHORIZATION="Bearer x",
        DESTINATION__0__FROM="beginning",
    )

    (destination,) = config.destination
    assert destination.name == "collector"
    assert destination.endpoint == "http://127.0.0.1:4317"
    assert destination.headers == {"authorization": "Bearer x"}
    assert destination.start == "beginning"


def test_a_variable_changes_a_destination_of_the_file() -> None:
    file = {"destination": [{"name": n, "endpoint": f"http://{n}"} for n in ("a", "b")]}

    config = _build(file, DESTINATION__1__ENDPOINT="http://c")

    assert [d.endpoint for d in config.destination] == ["http://a", "http://c"]


def test_destinations_are_taken_in_the_order_of_their_numbers() -> None:
    numbers = range(12)
    variables = {f"DESTINATION__{n}__NAME": f"d{n}" for n in numbers}
    variables |= {f"DESTINATION__{n}__ENDPOINT": f"http://h{n}" for n in numbers}

    config = _build_from({}, variables)

    assert [d.name for d in config.destination] == [f"d{n}" for n in numbers]


@pytest.mark.parametrize("number", ["1", "-1", "x", "²", "00000000000000000000"])
def test_a_destination_is_added_at_the_end_only(number: str) -> None:
    with pytest.raises(ConfigError) as raised:
        _build_from({}, {f"DESTINATION__{number}__NAME": "x"})

    assert str(raised.value) == (
        f"OTELBRIDGE_DESTINATION__{number}__NAME: the next destination has the number 0"
    )


def test_lists_and_tables_are_written_as_json() -> None:
    config = _build(
        METRICS__LIMITS='{"gen_ai.request.model": 7}',
        DESTINATION__0__NAME="a",
        DESTINATION__0__ENDPOINT="http://h",
        DESTINATION__0__SIGNALS='["traces"]',
    )

    assert config.metrics.limits == {"gen_ai.request.model": 7}
    assert config.destination[0].signals == ("traces",)


def test_an_address_in_brackets_is_not_taken_for_json() -> None:
    assert _build(LISTEN__GRPC="[::1]:50051").listen.grpc == "[::1]:50051"


def test_an_error_calls_a_key_by_the_variable_that_set_it() -> None:
    with pytest.raises(ConfigError) as raised:
        _build({"mcp": {"timeout_s": 0}}, LISTEN__DRAIN_S="soon", METRICS__LIMITS='{"x": 0}')

    assert str(raised.value).splitlines() == [
        'OTELBRIDGE_LISTEN__DRAIN_S: "soon" is not a number',
        "mcp.timeout_s: 0 is not more than 0",
        "OTELBRIDGE_METRICS__LIMITS: 0 is less than 1",
    ]


@pytest.mark.parametrize("name", ["LISTEN__GRCP", "LISEN__GRPC", "__GRPC", "LISTEN____"])
def test_a_variable_for_an_unknown_key_is_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^OTELBRIDGE_{name}: unknown key; known: "):
        _build_from({}, {name: "x"})


@pytest.mark.parametrize("name", ["LISTEN__GRPC__HOST", "DESTINATION__X", "LOG__LEVEL__0__X"])
def test_a_variable_that_points_into_a_value_is_an_error(name: str) -> None:
    file = {"listen": {"grpc": "127.0.0.1:1"}, "log": {"level": "info"}}

    with pytest.raises(ConfigError, match=rf"^OTELBRIDGE_{name}: "):
        _build_from(file, {name: "x"})


def test_variables_of_other_programs_are_left_alone() -> None:
    environ = {"LISTEN__GRPC": "x", "OTELBRIDGE": "x", "OTELBRIDGE_VERSION": "x", "PATH": "/bin"}

    assert build_config({}, environ, base=_BASE) == build_config({}, {}, base=_BASE)
