"""What a bridge tells Prometheus: every series' name and labels, from the table of instruments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from otelbridge.delivery.prometheus_names import family_name, label_name
from otelbridge.telemetry.instrument import InstrumentKind
from otelbridge.telemetry.instruments import INSTRUMENTS
from tests.dashboards.promql import Labels, labels_of

ROOT = Path(__file__).parents[2]
RULES = ROOT / "dashboards" / "rules" / "otelbridge.yml"
RULE_TESTS = RULES.with_name("otelbridge_test.yml")

#: What Prometheus puts on every series, however it came.
TARGET = frozenset({"job", "instance"})
# The bridge's resource (docs/telemetry.md); over OTLP service.name and service.instance.id
# become job and instance and are not repeated.
_RESOURCE = TARGET | {"service_version"}


def told() -> dict[str, frozenset[str]]:
    """Return the labels of every series that a bridge tells, and of Prometheus' own `up`."""
    found = {"target_info": _RESOURCE, "up": TARGET}
    for instrument in INSTRUMENTS.values():
        labels = TARGET | {label_name(key) for key in instrument.attributes}
        name = family_name(instrument)
        if instrument.kind is InstrumentKind.HISTOGRAM:
            found[f"{name}_bucket"] = labels | {"le"}
            found |= {f"{name}_sum": labels, f"{name}_count": labels}
        elif instrument.kind is InstrumentKind.COUNTER:
            found[f"{name}_total"] = labels
        else:
            found[name] = labels
    return found


def rules(kind: str) -> list[dict[str, Any]]:
    """Return the rules of a kind, alert or record, in the order of the file."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def recorded() -> dict[str, frozenset[str]]:
    """Return the labels of every series that the recording rules make."""
    found: dict[str, frozenset[str]] = {}
    for rule in rules("record"):
        labels = labels_of(rule["expr"], told() | found)
        found[rule["record"]] = labels or frozenset()
    return found


def known() -> dict[str, Labels]:
    """Return the labels of every series that a query may ask for."""
    return {**told(), **recorded()}
