"""OTLP messages as bytes: the few that are told, written without message objects.

Source: opentelemetry-proto, trace.proto, logs.proto and common.proto; Protocol
Buffers encoding. Fields are written in ascending order, as the library does.

An attribute is a `KeyValue` with its length before it: `joined` puts the tag
of the field that holds it in front of each.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CONTINUED: Final = 0x80
_TWO_BYTES: Final = 0x4000
_SMALL: Final = tuple(bytes((number,)) for number in range(_CONTINUED))
_UINT64: Final = (1 << 64) - 1
_FIXED64 = struct.Struct("<Q")
_DOUBLE = struct.Struct("<d")

SPAN_ATTRIBUTES: Final = b"\x4a"
SPAN_EVENTS: Final = b"\x5a"
SPAN_LINKS: Final = b"\x6a"
EVENT_ATTRIBUTES: Final = b"\x1a"
LOG_ATTRIBUTES: Final = b"\x32"
#: ``ScopeSpans.spans`` and ``ScopeLogs.log_records``: both are field 2.
SCOPE_ITEMS: Final = b"\x12"

# Sampled (W3C trace context), and: whether the parent is remote is known, it is not.
_SPAN_FLAGS: Final = b"\x85\x01" + struct.pack("<I", 0x101)
_LINK_FLAGS: Final = b"\x35" + struct.pack("<I", 0x101)
_LOG_FLAGS: Final = b"\x45" + struct.pack("<I", 0x001)
# SeverityNumber INFO is 9.
_INFO: Final = b"\x10\x09\x1a\x04INFO"
_STATUS_ERROR: Final = b"\x18\x02"


def varint(number: int) -> bytes:
    """Return a non-negative number of at most 64 bits as a varint."""
    if number < _CONTINUED:
        return _SMALL[number]
    if number < _TWO_BYTES:
        return bytes((number & 0x7F | _CONTINUED, number >> 7))
    out = bytearray()
    while number >= _CONTINUED:
        out.append(number & 0x7F | _CONTINUED)
        number >>= 7
    out.append(number)
    return bytes(out)


def delimited(data: bytes) -> bytes:
    """Return the bytes with their length before them."""
    size = len(data)
    return (_SMALL[size] if size < _CONTINUED else varint(size)) + data


def joined(tag: bytes, parts: Iterable[bytes]) -> bytes:
    """Return a repeated field: the tag before each delimited part."""
    found = tag.join(parts)
    return tag + found if found else b""


def text(key: str, value: str) -> bytes:
    """Return a string attribute. A lone surrogate is told as a question mark."""
    data = value.encode("utf-8", "replace")
    return _text_head(key, len(data)) + data


#: `text` for values that come again and again; never for content or ids drawn once.
label = lru_cache(maxsize=4096)(text)


@lru_cache(maxsize=512)
def boolean(key: str, value: bool) -> bytes:  # noqa: FBT001  # the value to be told
    """Return a boolean attribute."""
    return _head(key, 2) + (b"\x10\x01" if value else b"\x10\x00")


def integer(key: str, value: int) -> bytes:
    """Return an integer attribute; the value must fit into 64 bits with its sign."""
    any_value = b"\x18" + varint(value & _UINT64)
    return _head(key, len(any_value)) + any_value


def double(key: str, value: float) -> bytes:
    """Return a floating-point attribute."""
    return _head(key, 9) + b"\x21" + _DOUBLE.pack(value)


def texts(key: str, values: Sequence[str]) -> bytes:
    """Return an attribute that is an array of strings."""
    items = [delimited(b"\x0a" + delimited(v.encode("utf-8", "replace"))) for v in values]
    any_value = b"\x2a" + delimited(joined(b"\x0a", items))
    return _head(key, len(any_value)) + any_value


# What stands before a value depends on the key and the value's size alone.
@lru_cache(maxsize=8192)
def _head(key: str, size: int) -> bytes:
    """Return all of an attribute that stands before an ``AnyValue`` of so many bytes."""
    before = b"\x0a" + delimited(key.encode("utf-8", "replace")) + b"\x12" + varint(size)
    return varint(len(before) + size) + before


@lru_cache(maxsize=8192)
def _text_head(key: str, size: int) -> bytes:
    """Return all of a string attribute that stands before so many bytes of text."""
    string = b"\x0a" + varint(size)
    return _head(key, len(string) + size) + string


@lru_cache(maxsize=16)
def _event_name(name: str) -> bytes:
    return delimited(name.encode())


def event(name: str, at_ns: int, attributes: Sequence[bytes]) -> bytes:
    """Return a span event, delimited."""
    return delimited(
        b"\x09"
        + _FIXED64.pack(at_ns)
        + b"\x12"
        + _event_name(name)
        + joined(EVENT_ATTRIBUTES, attributes)
    )


def link(trace_id: bytes, span_id: bytes) -> bytes:
    """Return a link to another span, delimited."""
    return delimited(b"\x0a\x10" + trace_id + b"\x12\x08" + span_id + _LINK_FLAGS)


def error_status(message: str) -> bytes:
    """Return the status ERROR with a message, which may be empty."""
    said = b"\x12" + delimited(message.encode("utf-8", "replace")) if message else b""
    return b"\x7a" + delimited(said + _STATUS_ERROR)


class SpanPlace(NamedTuple):
    """Where a span stands.

    Attributes:
        trace_id: 16 bytes.
        span_id: 8 bytes.
        parent_id: 8 bytes, or nothing for the root of a trace.
    """

    trace_id: bytes
    span_id: bytes
    parent_id: bytes = b""


class SpanKind(IntEnum):
    """``Span.SpanKind``, as far as it is used."""

    INTERNAL = 1
    CLIENT = 3


def span(  # a span's fields
    place: SpanPlace,
    name: str,
    *,
    kind: SpanKind,
    times_ns: tuple[int, int],
    attributes: Sequence[bytes],
    events: Sequence[bytes] = (),
    dropped_events: int = 0,
    links: Sequence[bytes] = (),
    status: bytes = b"",
) -> bytes:
    """Return a span, delimited.

    Args:
        place: Its ids.
        name: Its name.
        kind: Its kind.
        times_ns: Its start and end.
        attributes: Attributes made by this module.
        events: Events made by `event`.
        dropped_events: How many more events there were.
        links: Links made by `link`.
        status: Made by `error_status`; empty if it is unset.
    """
    parent = b"\x22\x08" + place.parent_id if place.parent_id else b""
    dropped = b"\x60" + varint(dropped_events) if dropped_events else b""
    return delimited(
        b"".join(
            (
                b"\x0a\x10" + place.trace_id + b"\x12\x08" + place.span_id + parent,
                b"\x2a" + delimited(name.encode("utf-8", "replace")),
                b"\x30" + _SMALL[kind],
                b"\x39" + _FIXED64.pack(times_ns[0]) + b"\x41" + _FIXED64.pack(times_ns[1]),
                joined(SPAN_ATTRIBUTES, attributes),
                joined(SPAN_EVENTS, events) + dropped,
                joined(SPAN_LINKS, links) + status + _SPAN_FLAGS,
            )
        )
    )


def log_record(
    place: SpanPlace, event_name: str, at_ns: int, *, attributes: Sequence[bytes]
) -> bytes:
    """Return a log record of severity INFO that is an event of a span, delimited.

    It has no observed time: the same record must give the same bytes, whenever
    it arrived.
    """
    return delimited(
        b"".join(
            (
                b"\x09" + _FIXED64.pack(at_ns) + _INFO,
                joined(LOG_ATTRIBUTES, attributes),
                _LOG_FLAGS + b"\x4a\x10" + place.trace_id + b"\x52\x08" + place.span_id,
                b"\x62" + _event_name(event_name),
            )
        )
    )
