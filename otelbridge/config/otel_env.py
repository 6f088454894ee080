"""The standard OTEL_* variables.

Source: OpenTelemetry specification, "Environment Variable Specification" and
"OpenTelemetry Protocol Exporter". Durations are milliseconds there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from otelbridge.errors import ConfigError, escaped

if TYPE_CHECKING:
    from collections.abc import Mapping

_OTLP = "OTEL_EXPORTER_OTLP"
_SIGNALS = ("traces", "metrics", "logs")
_CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


def overlay_from_otel(data: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings with OTEL_* variables filled in where the file says nothing.

    Raises:
        ConfigError: If a variable has a value that its specification forbids.
    """
    interval = environ.get("OTEL_METRIC_EXPORT_INTERVAL")
    if interval:
        seconds = _milliseconds("OTEL_METRIC_EXPORT_INTERVAL", interval) / 1000
        _default(data, "metrics", "interval_s", seconds)
    capture = environ.get(_CAPTURE)
    if capture:
        # The first name of this variable's values was a boolean.
        mode = {"true": "SPAN_AND_EVENT", "false": "NO_CONTENT"}.get(capture.lower(), capture)
        _default(data, "content", "capture", mode.upper())
    if not data.get("destination"):
        destination = _destination(environ)
        if destination:
            data["destination"] = [destination]
    return data


def _default(data: dict[str, Any], section: str, key: str, value: object) -> None:
    table = data.setdefault(section, {})
    if isinstance(table, dict):
        table.setdefault(key, value)


def _destination(environ: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the single destination that the variables define, if they define one."""
    endpoints = {
        f"{signal}_endpoint": value
        for signal in _SIGNALS
        if (value := environ.get(f"{_OTLP}_{signal.upper()}_ENDPOINT"))
    }
    base = environ.get(f"{_OTLP}_ENDPOINT")
    if base:
        endpoints["endpoint"] = base
    if not endpoints:
        return None
    found: dict[str, Any] = {
        "name": "otlp",
        "signals": [signal for signal in _SIGNALS if _is_sent(signal, environ, endpoints)],
        "tls": _tls(environ),
        **endpoints,
    }
    simple = {"protocol": "PROTOCOL", "compression": "COMPRESSION"}
    found |= {k: v for k, name in simple.items() if (v := environ.get(f"{_OTLP}_{name}"))}
    headers = environ.get(f"{_OTLP}_HEADERS")
    if headers:
        found["headers"] = _headers(headers)
    timeout = environ.get(f"{_OTLP}_TIMEOUT")
    if timeout:
        found["timeout_s"] = _milliseconds(f"{_OTLP}_TIMEOUT", timeout) / 1000
    preference = environ.get(f"{_OTLP}_METRICS_TEMPORALITY_PREFERENCE", "").lower()
    if preference in {"delta", "lowmemory"}:
        found["temporality"] = "delta"
    return found


def _is_sent(signal: str, environ: Mapping[str, str], endpoints: Mapping[str, str]) -> bool:
    if environ.get(f"OTEL_{signal.upper()}_EXPORTER", "otlp").lower() == "none":
        return False
    return "endpoint" in endpoints or f"{signal}_endpoint" in endpoints


def _tls(environ: Mapping[str, str]) -> dict[str, str]:
    names = {"ca": "CERTIFICATE", "cert": "CLIENT_CERTIFICATE", "key": "CLIENT_KEY"}
    return {k: v for k, name in names.items() if (v := environ.get(f"{_OTLP}_{name}"))}


def _headers(text: str) -> dict[str, str]:
    """Parse ``key1=value1,key2=value2``, URL-encoded (W3C Baggage without properties)."""
    headers = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            # The text may hold a secret: it is not repeated.
            raise ConfigError(f"{_OTLP}_HEADERS", "not of the form key=value,key=value")
        headers[unquote(key.strip()).lower()] = unquote(value.strip())
    return headers


def _milliseconds(name: str, text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise ConfigError(name, f'"{escaped(text)}" is not a number of milliseconds above 0')
    return int(text)
