"""The standard OTEL_* variables.

Source: OpenTelemetry specification, "Environment Variable Specification" and
"OpenTelemetry Protocol Exporter". Durations are milliseconds there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from otelbridge.errors import ConfigError, escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from otelbridge.config.overlay import Overlay

_OTLP = "OTEL_EXPORTER_OTLP"
_SIGNALS = ("traces", "metrics", "logs")
_CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"
_TEMPORALITY = f"{_OTLP}_METRICS_TEMPORALITY_PREFERENCE"
_MAX_DIGITS = 12  # of a number of milliseconds: 30 years


def overlay_from_otel(overlay: Overlay, environ: Mapping[str, str]) -> None:
    """Fill in what OTEL_* variables say where the settings say nothing.

    Raises:
        ConfigError: If a variable has a value that its specification forbids.
    """
    interval = environ.get(_INTERVAL)
    if interval:
        seconds = _seconds(_INTERVAL, interval)
        overlay.default("metrics", "interval_s", seconds, source=_INTERVAL)
    capture = environ.get(_CAPTURE)
    if capture:
        # The first name of this variable's values was a boolean.
        mode = {"true": "SPAN_AND_EVENT", "false": "NO_CONTENT"}.get(capture.lower(), capture)
        overlay.default("content", "capture", mode.upper(), source=_CAPTURE)
    if not overlay.data.get("destination"):
        _add_destination(overlay, environ)


def _add_destination(overlay: Overlay, environ: Mapping[str, str]) -> None:
    """Add the single destination that the variables define, if they define one."""
    signals = [signal for signal in _SIGNALS if _is_sent(signal, environ)]
    if not signals:
        return
    overlay.data["destination"] = [{"name": "otlp", "signals": signals}]
    variables = _Variables(environ, signals)
    for name, key, parse in _OPTIONS:
        variable, text = variables.shared(name)
        if text:
            path = ("destination", "0", *key.split("."))
            overlay.set(path, parse(variable, text), source=variable)
    for variable, key in _endpoint_variables(environ):
        value = variables.with_scheme(variable)
        overlay.set(("destination", "0", key), value, source=variable)
    preference = environ.get(_TEMPORALITY, "").lower()
    if preference in {"delta", "lowmemory"}:
        overlay.set(("destination", "0", "temporality"), "delta", source=_TEMPORALITY)


def _is_sent(signal: str, environ: Mapping[str, str]) -> bool:
    """Return whether a signal has an endpoint and no other exporter was chosen for it."""
    exporters = environ.get(f"OTEL_{signal.upper()}_EXPORTER") or "otlp"
    chosen = (name.strip().lower() for name in exporters.split(","))
    endpoints = (f"{_OTLP}_ENDPOINT", f"{_OTLP}_{signal.upper()}_ENDPOINT")
    return any(name.startswith("otlp") for name in chosen) and any(map(environ.get, endpoints))


def _endpoint_variables(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the endpoint variables that are set, each with its key."""
    names = [(f"{_OTLP}_ENDPOINT", "endpoint")]
    names += [(f"{_OTLP}_{s.upper()}_ENDPOINT", f"{s}_endpoint") for s in _SIGNALS]
    return [(name, key) for name, key in names if environ.get(name)]


class _Variables:
    """The variables that a signal may have of its own.

    Args:
        environ: The environment.
        signals: What is sent.
    """

    def __init__(self, environ: Mapping[str, str], signals: Sequence[str]) -> None:
        self._environ = environ
        self._signals = signals

    def shared(self, name: str) -> tuple[str, str]:
        """Return the variable to be blamed and the value, which all signals must share."""
        found = {self._own(signal, name) for signal in self._signals}
        values = {value for _, value in found}
        if len(values) > 1:
            raise ConfigError(
                f"{_OTLP}_*_{name}",
                "differs between signals, which takes a [[destination]] for each in the file",
            )
        return min(found)

    def with_scheme(self, variable: str) -> str:
        """Return an endpoint as a URL: over gRPC it may be written as HOST:PORT."""
        value = self._environ[variable]
        if "://" in value or self.shared("PROTOCOL")[1] not in {"", "grpc"}:
            return value
        scheme = "http" if self.shared("INSECURE")[1].lower() == "true" else "https"
        return f"{scheme}://{value}"

    def _own(self, signal: str, name: str) -> tuple[str, str]:
        own, general = f"{_OTLP}_{signal.upper()}_{name}", f"{_OTLP}_{name}"
        value = self._environ.get(own)
        return (own, value) if value else (general, self._environ.get(general, ""))


def _text(_name: str, text: str) -> str:
    return text


def _path(_name: str, text: str) -> str:
    """Return the path, relative to the working directory as with every user of these variables."""
    return str(Path(text).absolute())


def _headers(name: str, text: str) -> dict[str, str]:
    """Parse ``key1=value1,key2=value2``, URL-encoded (W3C Baggage without properties)."""
    headers = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            # The text may hold a secret: it is not repeated.
            raise ConfigError(name, "not of the form key=value,key=value")
        headers[unquote(key.strip()).lower()] = unquote(value.strip())
    return headers


def _seconds(name: str, text: str) -> float:
    is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    if not is_number or int(text) == 0:
        raise ConfigError(name, f'"{escaped(text)}" is not a number of milliseconds above 0')
    return int(text) / 1000


_OPTIONS: tuple[tuple[str, str, Callable[[str, str], object]], ...] = (
    ("PROTOCOL", "protocol", _text),
    ("COMPRESSION", "compression", _text),
    ("HEADERS", "headers", _headers),
    ("TIMEOUT", "timeout_s", _seconds),
    ("CERTIFICATE", "tls.ca", _path),
    ("CLIENT_CERTIFICATE", "tls.cert", _path),
    ("CLIENT_KEY", "tls.key", _path),
)
