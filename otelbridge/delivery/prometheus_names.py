"""Names on /metrics: what Prometheus itself makes of OTLP names.

One dashboard then serves both ways in.

Source: Prometheus, OTLP translation strategy ``UnderscoreEscapingWithSuffixes``
(github.com/prometheus/otlptranslator); OpenTelemetry specification,
"Prometheus and OpenMetrics Compatibility".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from otelbridge.telemetry.instrument import InstrumentKind

if TYPE_CHECKING:
    from otelbridge.telemetry.instrument import Instrument

#: The units of otlptranslator's table that our instruments could have.
_UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "%": "percent",
    "1": "",
}
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_IN_LABELS = re.compile(r"[^a-zA-Z0-9_]")


def family_name(instrument: Instrument) -> str:
    """Return an instrument's name on /metrics, without a counter's ``_total``."""
    words = [word for word in _NOT_IN_NAMES.split(instrument.name) if word]
    unit = unit_name(instrument)
    if unit and unit not in words:
        words.append(unit)
    if instrument.kind is InstrumentKind.COUNTER:
        words = [word for word in words if word != "total"]
    if instrument.kind is InstrumentKind.GAUGE and instrument.unit == "1":
        words = [*(word for word in words if word != "ratio"), "ratio"]
    name = "_".join(words)
    return f"_{name}" if name[:1].isdigit() else name


def unit_name(instrument: Instrument) -> str:
    """Return the word for an instrument's unit; empty for an annotation as ``{token}``."""
    unit = instrument.unit.strip()
    if "{" in unit:
        return ""
    return "_".join(word for word in _NOT_IN_NAMES.split(_UNITS.get(unit, unit)) if word)


def label_name(key: str) -> str:
    """Return an attribute key's name as a label."""
    name = _NOT_IN_LABELS.sub("_", key)
    return f"key_{name}" if name[:1].isdigit() else name
