"""Export requests by framing alone: what will be told is encoded already.

Source: opentelemetry-proto v1. ExportTraceServiceRequest, ResourceSpans and
ScopeSpans have the same field numbers as their twins for logs and metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.proto.resource.v1.resource_pb2 import Resource

SCOPE_NAME = "otelbridge"

_LEN = 2  # wire type of a length-delimited field
_RESOURCE_SPANS = bytes([1 << 3 | _LEN])  # ExportTraceServiceRequest.resource_spans
_RESOURCE = bytes([1 << 3 | _LEN])  # ResourceSpans.resource
_SCOPE_SPANS = bytes([2 << 3 | _LEN])  # ResourceSpans.scope_spans
_SCOPE = bytes([1 << 3 | _LEN])  # ScopeSpans.scope
_SCHEMA_URL = bytes([3 << 3 | _LEN])  # ScopeSpans.schema_url


class Envelope:
    """What every request to a destination has around its items.

    Args:
        resource: Who tells.
        version: Version of the scope ``otelbridge``.
        schema_url: Which semantic conventions the items follow; empty if it
            is no single released version.
    """

    def __init__(self, resource: Resource, *, version: str, schema_url: str = "") -> None:
        scope = InstrumentationScope(name=SCOPE_NAME, version=version)
        self._resource = _field(_RESOURCE, resource.SerializeToString(deterministic=True))
        self._scope = _field(_SCOPE, scope.SerializeToString(deterministic=True))
        self._schema_url = _field(_SCHEMA_URL, schema_url.encode()) if schema_url else b""

    def wrap(self, bodies: Sequence[bytes]) -> bytes:
        """Return an export request.

        Args:
            bodies: Serialised ScopeSpans, ScopeLogs or ScopeMetrics that hold
                nothing but spans, log records or metrics.
        """
        size = len(self._scope) + sum(map(len, bodies)) + len(self._schema_url)
        head = _SCOPE_SPANS + _varint(size)
        inner = len(self._resource) + len(head) + size
        return b"".join(
            (
                _RESOURCE_SPANS,
                _varint(inner),
                self._resource,
                head,
                self._scope,
                *bodies,
                self._schema_url,
            )
        )


def _field(tag: bytes, value: bytes) -> bytes:
    return tag + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:  # noqa: PLR2004  # seven bits a byte
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
