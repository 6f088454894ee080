"""The standard OTEL_* variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otelbridge.config import Config, DestinationConfig, build_config
from otelbridge.errors import ConfigError

_OTLP = "OTEL_EXPORTER_OTLP"
_CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_ENDPOINT = {f"{_OTLP}_ENDPOINT": "http://collector:4317"}


def _build(environ: dict[str, str], data: dict[str, Any] | None = None) -> Config:
    return build_config(data or {}, environ, base=Path("/etc/otelbridge"))


def _destination(**environ: str) -> DestinationConfig:
    """Return what the variables define besides an endpoint."""
    config = _build(_ENDPOINT | {f"{_OTLP}_{name}": value for name, value in environ.items()})
    (destination,) = config.destination
    return destination


def _error(environ: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as raised:
        _build(environ)
    return str(raised.value)


def test_an_endpoint_defines_the_single_destination() -> None:
    destination = _destination()

    assert destination == DestinationConfig(name="otlp", endpoint="http://collector:4317")


def test_without_an_endpoint_there_is_no_destination() -> None:
    assert _build({f"{_OTLP}_PROTOCOL": "grpc", f"{_OTLP}_ENDPOINT": ""}).destination == ()


def test_the_file_s_destinations_win() -> None:
    file = {"destination": [{"name": "a", "endpoint": "http://a"}]}

    config = _build(_ENDPOINT, file)

    assert [d.name for d in config.destination] == ["a"]


def test_every_option_has_its_variable() -> None:
    destination = _destination(
        PROTOCOL="http/protobuf",
        COMPRESSION="gzip",
        HEADERS="Authorization=Bearer%20x, x-tenant=a%2Cb",
        TIMEOUT="2500",
        METRICS_TEMPORALITY_PREFERENCE="Delta",
        CERTIFICATE="/tls/ca.crt",
        CLIENT_CERTIFICATE="/tls/client.crt",
        CLIENT_KEY="/tls/client.key",
    )

    assert (destination.protocol, destination.compression) == ("http/protobuf", "gzip")
    assert destination.headers == {"authorization": "Bearer x", "x-tenant": "a,b"}
    assert destination.timeout_s == 2.5
    assert destination.temporality == "delta"
    tls = destination.tls
    assert (tls.ca, tls.cert, tls.key) == (
        Path("/tls/ca.crt"),
        Path("/tls/client.crt"),
        Path("/tls/client.key"),
    )


def test_a_certificate_is_looked_for_where_other_programs_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert _destination(CERTIFICATE="ca.crt").tls.ca == tmp_path / "ca.crt"


def test_only_signals_with_an_endpoint_are_sent() -> None:
    (destination,) = _build({f"{_OTLP}_TRACES_ENDPOINT": "http://jaeger:4317/x?y"}).destination

    assert destination.signals == ("traces",)
    assert destination.traces_endpoint == "http://jaeger:4317/x?y"


@pytest.mark.parametrize(
    ("exporter", "signals"),
    [
        ("none", ("traces", "logs")),
        ("prometheus", ("traces", "logs")),
        ("prometheus, otlp", ("traces", "metrics", "logs")),
        ("otlp", ("traces", "metrics", "logs")),
        ("", ("traces", "metrics", "logs")),
    ],
)
def test_a_signal_with_another_exporter_is_not_sent(
    exporter: str, signals: tuple[str, ...]
) -> None:
    (destination,) = _build({**_ENDPOINT, "OTEL_METRICS_EXPORTER": exporter}).destination

    assert destination.signals == signals


def test_with_no_signal_left_there_is_no_destination() -> None:
    off = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}

    assert _build(_ENDPOINT | off).destination == ()


def test_a_signal_s_own_option_counts_if_it_is_the_only_one_sent() -> None:
    environ = {
        f"{_OTLP}_TRACES_ENDPOINT": "http://jaeger:4318/v1/traces",
        f"{_OTLP}_TRACES_PROTOCOL": "http/protobuf",
        f"{_OTLP}_PROTOCOL": "grpc",
    }

    assert _build(environ).destination[0].protocol == "http/protobuf"


def test_options_that_differ_between_signals_take_a_file() -> None:
    assert _error({**_ENDPOINT, f"{_OTLP}_TRACES_HEADERS": "a=b"}) == (
        "OTEL_EXPORTER_OTLP_*_HEADERS: differs between signals, "
        "which takes a [[destination]] for each in the file"
    )


@pytest.mark.parametrize(
    ("insecure", "endpoint"),
    [("true", "http://collector:4317"), ("", "https://collector:4317")],
)
def test_an_address_without_a_scheme_is_for_grpc(insecure: str, endpoint: str) -> None:
    environ = {f"{_OTLP}_ENDPOINT": "collector:4317", f"{_OTLP}_INSECURE": insecure}

    assert _build(environ).destination[0].endpoint == endpoint


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        (
            f"{_OTLP}_ENDPOINT",
            "grpc://collector:4317",
            '"grpc://collector:4317" is not a URL of the form http(s)://HOST[:PORT][/PATH]',
        ),
        (f"{_OTLP}_PROTOCOL", "http/json", "\"http/json\" is not one of 'grpc' or 'http/protobuf'"),
        (f"{_OTLP}_COMPRESSION", "zstd", "\"zstd\" is not one of 'none' or 'gzip'"),
        (f"{_OTLP}_HEADERS", "Bearer x", "not of the form key=value,key=value"),
        (f"{_OTLP}_TIMEOUT", "10s", '"10s" is not a number of milliseconds above 0'),
        (f"{_OTLP}_TIMEOUT", "600001", "600.001 is more than 600"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", '"0" is not a number of milliseconds above 0'),
        ("OTEL_METRIC_EXPORT_INTERVAL", "²", '"²" is not a number of milliseconds above 0'),
        ("OTEL_METRIC_EXPORT_INTERVAL", "10", "0.01 is less than 0.05"),
    ],
)
def test_a_wrong_value_is_an_error_of_its_variable(name: str, value: str, line: str) -> None:
    assert _error({**_ENDPOINT, name: value}) == f"{name}: {line}"


def test_a_metric_interval_is_milliseconds() -> None:
    config = _build({"OTEL_METRIC_EXPORT_INTERVAL": "15000"})

    assert config.metrics.interval_s == 15.0


@pytest.mark.parametrize(
    ("value", "mode"),
    [
        ("span_only", "SPAN_ONLY"),
        ("EVENT_ONLY", "EVENT_ONLY"),
        ("true", "SPAN_AND_EVENT"),
        ("False", "NO_CONTENT"),
    ],
)
def test_content_capture_has_the_ecosystem_s_variable(value: str, mode: str) -> None:
    assert _build({_CAPTURE: value}).content.capture == mode


def test_the_file_wins_over_standard_variables() -> None:
    environ = {_CAPTURE: "SPAN_ONLY", "OTEL_METRIC_EXPORT_INTERVAL": "1000"}
    file = {"content": {"capture": "NO_CONTENT"}, "metrics": {"interval_s": 5}}

    config = _build(environ, file)

    assert (config.content.capture, config.metrics.interval_s) == ("NO_CONTENT", 5.0)


def test_own_variables_win_over_standard_ones() -> None:
    environ = {_CAPTURE: "SPAN_ONLY", "OTELBRIDGE_CONTENT__CAPTURE": "EVENT_ONLY"}

    assert _build(environ).content.capture == "EVENT_ONLY"
