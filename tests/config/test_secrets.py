"""Secrets of the settings appear in no error and in no repr."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otelbridge.config import build_config
from otelbridge.errors import ConfigError

_SECRET = "s3cr3t-canary"
_NUMBER = 735_193_846
_OTLP = "OTEL_EXPORTER_OTLP"


def _destination(**keys: Any) -> dict[str, Any]:
    return {"destination": [{"name": "a", "endpoint": "http://h", **keys}]}


_FILES: list[dict[str, Any]] = [
    {"auth": {"metrics_token": _NUMBER}},
    {"auth": {"metrics_token": f"{_SECRET} "}},
    {"auth": {"metrics_token": [_SECRET]}},
    {"auth": {"metrics_tokn": _SECRET}},
    {"auth": _SECRET},
    {"destination": _SECRET},
    {"destination": [_SECRET]},
    _destination(headers=_SECRET),
    _destination(headers=f"authorization=Bearer {_SECRET}"),
    _destination(headers={"authorization": _NUMBER}),
    _destination(headers={"authorization": [_SECRET]}),
    _destination(header={"authorization": _SECRET}),
    _destination(endpoint=f"http://user:{_SECRET}@h"),
    _destination(endpoint=f"grpc://user:{_SECRET}@h"),
    _destination(endpoint=f"user:{_SECRET}@h:4317"),
    _destination(endpoint=f"http://h?key={_SECRET}"),
    _destination(traces_endpoint=f"grpc://h?key={_SECRET}"),
    {"journal": {"url": f"postgresql://user:{_SECRET}@h/db"}},
    {"journal": {"url": f"postgres://user:{_SECRET}@h/db"}},
    {"journal": {"url": f"mysql://user:{_SECRET}@h/db"}},
    {"journal": {"url": f"host=h password={_SECRET}"}},
]
_ENVIRONMENTS: list[dict[str, str]] = [
    {"OTELBRIDGE_AUTH__METRICS_TOKEN": f"{_SECRET}\n"},
    {"OTELBRIDGE_AUTH__METRICS_TOKEN": f'["{_SECRET}"]'},
    {"OTELBRIDGE_AUTH__METRICS_TOKEN__X": _SECRET},
    {"OTELBRIDGE_DESTINATION__0__HEADERS": f"authorization={_SECRET}"},
    {"OTELBRIDGE_DESTINATION__1__HEADERS": f'{{"authorization": "{_SECRET}"}}'},
    {f"{_OTLP}_ENDPOINT": "http://h", f"{_OTLP}_HEADERS": _SECRET},
    {f"{_OTLP}_ENDPOINT": "http://h", f"{_OTLP}_TRACES_HEADERS": f"authorization={_SECRET}"},
    {f"{_OTLP}_ENDPOINT": f"http://user:{_SECRET}@h"},
]


@pytest.mark.parametrize("data", _FILES, ids=str)
def test_a_mistake_in_the_file_does_not_repeat_a_secret(data: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as raised:
        build_config(data, {}, base=Path())

    _assert_silent(str(raised.value), repr(raised.value))


@pytest.mark.parametrize("environ", _ENVIRONMENTS, ids=str)
def test_a_mistake_in_the_environment_does_not_repeat_a_secret(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as raised:
        build_config({}, environ, base=Path())

    _assert_silent(str(raised.value), repr(raised.value))


def test_another_mistake_does_not_repeat_a_secret() -> None:
    data = {"auth": {"metrics_token": _SECRET}, "log": {"level": "loud"}}
    data |= _destination(headers={"authorization": _SECRET}, compression="zstd")

    with pytest.raises(ConfigError) as raised:
        build_config(data, {}, base=Path())

    _assert_silent(str(raised.value), repr(raised.value))


def test_the_settings_do_not_show_their_secrets() -> None:
    data = {"auth": {"metrics_token": _SECRET}}
    data |= _destination(headers={"authorization": f"Bearer {_SECRET}"})

    config = build_config(data, {}, base=Path())

    assert config.destination[0].headers == {"authorization": f"Bearer {_SECRET}"}
    _assert_silent(repr(config), str(config), f"{config.destination[0]}", repr(config.auth))


def _assert_silent(*texts: str) -> None:
    for text in texts:
        assert _SECRET not in text
        assert str(_NUMBER) not in text
