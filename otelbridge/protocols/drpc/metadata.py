"""The body of an InvokeMetadata packet: pairs of text, as W3C trace context.

Source: storj.io/drpc v0.0.34, package drpcmetadata: the protobuf message
`{ map<string, string> pairs = 1; }`. It is decoded as the protobuf encoding
says: the last of equal keys counts, what is missing of a pair is empty, and
unknown fields are skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelbridge.errors import ProtocolError
from otelbridge.protocols.drpc.wire import read_varint, varint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_SIZES: Final = {_FIXED64: 8, _FIXED32: 4}
_PAIR = _KEY = b"\x0a"  # field 1, delimited
_VALUE = b"\x12"  # field 2, delimited


def encode_metadata(metadata: Mapping[str, str]) -> bytes:
    """Return the pairs in their order. A lone surrogate becomes a question mark."""
    out = bytearray()
    for key, value in metadata.items():
        pair = _delimited(_KEY, key.encode("utf-8", "replace"))
        pair += _delimited(_VALUE, value.encode("utf-8", "replace"))
        out += _delimited(_PAIR, pair)
    return bytes(out)


def decode_metadata(data: bytes) -> dict[str, str]:
    """Return the pairs; bytes that are no UTF-8 become replacement characters.

    Raises:
        ProtocolError: If the bytes are no protobuf message.
    """
    return dict(_decode_pair(pair) for number, pair in _delimited_fields(data) if number == 1)


def _delimited(tag: bytes, data: bytes) -> bytes:
    return tag + varint(len(data)) + data


def _decode_pair(data: bytes) -> tuple[str, str]:
    fields = dict(_delimited_fields(data))
    key, value = fields.get(1, b""), fields.get(2, b"")
    return key.decode("utf-8", "replace"), value.decode("utf-8", "replace")


def _delimited_fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and data of each delimited field; skip the others."""
    at = 0
    while at < len(data):
        tag, at = _number(data, at)
        wire_type = tag & 7
        if wire_type == _VARINT:
            _, at = _number(data, at)
            continue
        size = _SIZES.get(wire_type)
        if size is None:
            if wire_type != _DELIMITED:
                raise ProtocolError("framing", f"drpc metadata with wire type {wire_type}")
            size, at = _number(data, at)
        start, at = at, at + size
        if at > len(data):
            raise _cut_short(data)
        if wire_type == _DELIMITED:
            yield tag >> 3, data[start:at]


def _number(data: bytes, at: int) -> tuple[int, int]:
    found = read_varint(data, at)
    if found is None:
        raise _cut_short(data)
    return found


def _cut_short(data: bytes) -> ProtocolError:
    return ProtocolError("framing", f"drpc metadata of {len(data)} bytes is cut short")
