"""What a real collector received is what the tables declare, and what the conventions know."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.semconv import _incubating, attributes, metrics
from opentelemetry.semconv.schemas import Schemas

from otelbridge.telemetry.instrument import InstrumentKind
from otelbridge.telemetry.instruments import INSTRUMENTS
from otelbridge.telemetry.semconv import ATTRIBUTES
from tests.interop.bridge import Bridge
from tests.interop.collector import PROTOCOLS, Collector, Received, destinations
from tests.interop.conftest import StartBridge
from tests.interop.programs import eventually

pytestmark = pytest.mark.interop

CAPTURES = (
    "anthropic-agent-session",
    "errors",
    "injected-tools-paced",
    "openai-chat-session",
    "openai-responses-session",
    "seed-era-anthropic-agent-session",
)
#: Names with these beginnings are a convention's.
CONVENTIONAL = ("error.", "gen_ai.", "mcp.", "rpc.", "server.", "user.", "user_agent.")
#: Keys are a gateway's after these.
TEMPLATES = ("aibridge.metadata.", "aibridge.usage.extra.")
#: Newer than the package, whose GenAI part ended with 1.41.
NEWER = {
    "gen_ai.client.inference.duration",
    "gen_ai.client.inference.operation.input_tokens",
    "gen_ai.client.inference.operation.output_tokens",
    "gen_ai.client.inference.usage.cache_read.input_tokens",
    "gen_ai.client.inference.usage.cache_write.input_tokens",
    "gen_ai.client.inference.usage.input_tokens",
    "gen_ai.client.inference.usage.output_tokens",
    "gen_ai.client.inference.usage.reasoning.output_tokens",
    "gen_ai.token.modality",
    "gen_ai.usage.cache_write.input_tokens",
}
#: What JSON has of each kind of instrument.
DATA = {
    InstrumentKind.COUNTER: "sum",
    InstrumentKind.UP_DOWN_COUNTER: "sum",
    InstrumentKind.GAUGE: "gauge",
    InstrumentKind.HISTOGRAM: "histogram",
}


@pytest.fixture(scope="module", params=PROTOCOLS)
def received(
    request: pytest.FixtureRequest, delivered: tuple[Bridge, Collector]
) -> list[dict[str, Any]]:
    """Return every export that came over a protocol."""
    return list(delivered[1].over[request.param].documents())


@pytest.fixture(scope="module")
def delivered(
    collector: Collector, start_bridge: StartBridge, captures: Path
) -> tuple[Bridge, Collector]:
    bridge = start_bridge(*destinations(collector, "traces", "metrics", "logs"), events="both")
    for name in CAPTURES:
        bridge.replay(captures / f"{name}.jsonl")
    for each in collector.over.values():
        eventually(partial(_has_everything, each))
    return bridge, collector


def _has_everything(over: Received) -> None:
    assert sum(over.counter("aibridge.interceptions").values()) == 83
    assert sum(span.name.startswith("chat") for span in over.spans()) == 83
    assert over.log_records()


def test_every_attribute_is_declared(received: list[dict[str, Any]]) -> None:
    keys = {pair["key"] for kind in ("spans", "logRecords") for pair in _pairs(received, kind)}

    assert len(keys) > 40
    assert {key for key in keys if not key.startswith(TEMPLATES)} - ATTRIBUTES.keys() == set()


def test_every_name_of_a_convention_is_in_its_package_or_newer(
    received: list[dict[str, Any]],
) -> None:
    told = {pair["key"] for kind in KINDS for pair in _pairs(received, kind)}
    told |= {metric["name"] for metric in _items(received, "metrics")}
    conventional = {name for name in told if name.startswith(CONVENTIONAL)}

    assert len(conventional) > 30
    assert conventional - _known() <= NEWER
    assert _known() & NEWER == set()


def test_token_counts_are_integers(received: list[dict[str, Any]]) -> None:
    counts = [
        pair["value"]
        for pair in _pairs(received, "spans")
        if pair["key"].startswith("gen_ai.usage.")
    ]

    assert {key for value in counts for key in value} == {"intValue"}


def test_a_metric_has_the_unit_description_kind_and_labels_of_its_table(
    received: list[dict[str, Any]],
) -> None:
    for metric in _items(received, "metrics"):
        declared = INSTRUMENTS[metric["name"]]
        assert metric.get("unit", "") == declared.unit
        assert metric["description"] == declared.description
        points = metric[DATA[declared.kind]].get("dataPoints", [])
        labels = {pair["key"] for point in points for pair in point.get("attributes", [])}
        assert labels <= set(declared.attributes), metric["name"]


def test_scope_schema_and_resource_are_as_documented(received: list[dict[str, Any]]) -> None:
    for scope, resource in _scopes(received):
        assert scope["scope"]["name"] == "otelbridge"
        assert scope["schemaUrl"] == Schemas.V1_41_1.value
        assert {"service.name", "service.version", "service.instance.id"} <= {
            pair["key"] for pair in resource["attributes"]
        }


KINDS = ("spans", "logRecords", "metrics")


def _scopes(documents: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for document in documents:
        for resources in document.values():
            for each in resources:
                for key in ("scopeSpans", "scopeLogs", "scopeMetrics"):
                    for scope in each.get(key, []):
                        yield scope, each["resource"]


def _items(documents: Iterable[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [item for scope, _ in _scopes(documents) for item in scope.get(kind, [])]


def _pairs(documents: Iterable[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return all attributes of items of a kind, of their events, links and points too."""
    found: list[dict[str, Any]] = []

    def look(node: Any) -> None:
        if isinstance(node, dict):
            found.extend(node.get("attributes", []))
            node = list(node.values())
        if isinstance(node, list):
            for each in node:
                look(each)

    look(_items(documents, kind))
    return found


def _known() -> set[str]:
    """Return every attribute key and metric name that the package knows."""
    incubating = _incubating.__name__
    packages = (
        f"{incubating}.attributes",
        f"{incubating}.metrics",
        attributes.__name__,
        metrics.__name__,
    )
    modules = [
        import_module(f"{package}.{module.name}")
        for package in packages
        for module in pkgutil.iter_modules(import_module(package).__path__)
    ]
    return {
        value
        for module in modules
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)
    }
