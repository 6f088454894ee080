"""Metadata: values of any type, as gateways send them.

Source: google/protobuf/any.proto and struct.proto.
"""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.domain.records import MetadataValue

# Tags of Value.struct_value and Value.list_value: the kinds whose bytes depend on map order.
_NESTED_TAGS = (b"\x2a", b"\x32")
_VALUE_URL = "type.googleapis.com/google.protobuf.Value"
# Value.number_value: its tag, then a double, little endian.
_NUMBER_TAG = 0x11
_NUMBER = struct.Struct("<Bd")


def canonicalise(metadata: Mapping[str, Any]) -> None:
    """Bring values to one form, in place: the order of a map's keys makes no difference."""
    if not metadata:
        return
    for key in metadata:  # not values(): that one is written in Python
        packed = metadata[key]
        value = packed.value
        if value[:1] in _NESTED_TAGS and _is_value(packed):
            packed.value = _canonical(value)


_NO_METADATA: dict[str, MetadataValue] = {}


def plain_metadata(metadata: Mapping[str, Any]) -> dict[str, MetadataValue]:
    """Return metadata as what JSON can hold.

    What is no `google.protobuf.Value` is kept as its type and its bytes, as base64.
    """
    if not metadata:
        return _NO_METADATA
    return {key: _unpacked(metadata[key]) for key in metadata}


def _is_value(packed: Any) -> bool:
    url: str = packed.type_url
    return url == _VALUE_URL or url.rpartition("/")[2] == "google.protobuf.Value"


def _unpacked(packed: Any) -> MetadataValue:
    if _is_value(packed):
        value = packed.value
        if len(value) == _NUMBER.size and value[0] == _NUMBER_TAG:  # most are numbers
            return float(_NUMBER.unpack(value)[1])
        try:
            return _plain(Value.FromString(value))
        except DecodeError:
            pass  # told below as what it is: bytes that claim to be a Value
    return {"type_url": packed.type_url, "value": base64.b64encode(packed.value).decode()}


def _plain(value: Any) -> MetadataValue:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return {key: _plain(item) for key, item in value.struct_value.fields.items()}
    if kind == "list_value":
        return [_plain(item) for item in value.list_value.values]
    if kind is None or kind == "null_value":
        return None
    plain: MetadataValue = getattr(value, kind)
    return plain


def _canonical(packed: bytes) -> bytes:
    try:
        return Value.FromString(packed).SerializeToString(deterministic=True)
    except DecodeError:
        return packed
