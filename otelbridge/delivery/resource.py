"""The resource: who it is that tells.

Source: OpenTelemetry specification, "Resource SDK" ("Specifying resource
information via an environment variable") and the service.* conventions.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import unquote

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
from opentelemetry.sdk.resources import (
    SERVICE_INSTANCE_ID,
    SERVICE_NAME,
    SERVICE_VERSION,
    Resource,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import AnyValue as AttributeValue

logger = logging.getLogger(__name__)

_DEFAULT_NAME = "otelbridge"


def build_resource(environ: Mapping[str, str], *, instance_id: str, version: str) -> Resource:
    """Return the resource of this bridge.

    ``OTEL_SERVICE_NAME`` wins over ``OTEL_RESOURCE_ATTRIBUTES``, which wins
    over what is given here.

    Args:
        environ: Where the OTEL_* variables are read from.
        instance_id: ``service.instance.id``: durable, or every restart would
            look like a new instance.
        version: ``service.version``.
    """
    own = {
        SERVICE_NAME: _DEFAULT_NAME,
        SERVICE_INSTANCE_ID: instance_id,
        SERVICE_VERSION: version,
    }
    given = _attributes(environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    name = environ.get("OTEL_SERVICE_NAME")
    if name:
        given[SERVICE_NAME] = _utf8(name)
    return Resource(own).merge(Resource(given))


def _attributes(text: str) -> dict[str, str]:
    """Parse ``key1=value1,key2=value2``, percent-encoded.

    An error discards the whole text, as the specification wants it.
    """
    found = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            logger.warning(
                "OTEL_RESOURCE_ATTRIBUTES is ignored: not of the form key=value,key=value"
            )
            return {}
        found[_utf8(unquote(key.strip()))] = _utf8(unquote(value.strip()))
    return found


def _utf8(text: str) -> str:
    """Replace what the environment holds and protobuf refuses: bytes that are not UTF-8."""
    return text.encode("utf-8", "replace").decode()


def encode_resource(resource: Resource) -> ResourceMessage:
    """Return the resource as OTLP has it, its attributes in the order of their keys."""
    attributes = sorted(resource.attributes.items())
    return ResourceMessage(
        attributes=[KeyValue(key=key, value=_encode_value(value)) for key, value in attributes]
    )


def _encode_value(value: AttributeValue) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list | tuple):
        return AnyValue(array_value=ArrayValue(values=[_encode_value(each) for each in value]))
    return AnyValue(string_value=str(value))
