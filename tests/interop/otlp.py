"""OTLP's JSON form, as Jaeger and the collector write it, read back into messages.

Source: OTLP specification, "JSON Protobuf Encoding": the protobuf JSON mapping,
but with trace and span ids in hexadecimal instead of base64.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, TypeAlias

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

Json: TypeAlias = dict[str, Any]
Value: TypeAlias = "str | bool | int | float | bytes | list[Value] | dict[str, Value] | None"

_ID_FIELDS = ("traceId", "spanId", "parentSpanId")


def load(text: str) -> Json:
    """Parse one JSON document, turning ids into what the protobuf mapping wants."""
    document: Json = json.loads(text, object_hook=_with_base64_ids)
    return document


def _with_base64_ids(node: Json) -> Json:
    for field in _ID_FIELDS:
        if field in node:
            node[field] = base64.b64encode(bytes.fromhex(node[field])).decode()
    return node


def spans(document: Json) -> Iterator[Span]:
    """Yield the spans of a document; none if it holds another signal."""
    for resource in ParseDict(document, TracesData(), ignore_unknown_fields=True).resource_spans:
        for scope in resource.scope_spans:
            yield from scope.spans


def metrics(document: Json) -> Iterator[Metric]:
    """Yield the metrics of a document; none if it holds another signal."""
    data = ParseDict(document, MetricsData(), ignore_unknown_fields=True)
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            yield from scope.metrics


def log_records(document: Json) -> Iterator[LogRecord]:
    """Yield the log records of a document; none if it holds another signal."""
    for resource in ParseDict(document, LogsData(), ignore_unknown_fields=True).resource_logs:
        for scope in resource.scope_logs:
            yield from scope.log_records


def attributes(pairs: Iterable[KeyValue]) -> dict[str, Value]:
    """Return attributes as plain values."""
    return {pair.key: _plain(pair.value) for pair in pairs}


def _plain(value: AnyValue) -> Value:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_plain(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return attributes(value.kvlist_value.values)
    plain: Value = getattr(value, kind)
    return plain
