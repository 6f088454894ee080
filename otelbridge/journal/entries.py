"""Entries: how the journal keeps records. One blob holds all records of one commit.

An entry is a fixed head, what else is known of its content, then the payload:

    checksum u32, kind u8, received_at_ns i64, content length i32 (-1: none, or
    still in the payload), interception id 16 bytes, identity 16 bytes, prints
    size u8, payload size u32; prints; payload

all little endian. The checksum (CRC-32) covers everything behind it, so that a
damaged byte costs one record and not its neighbours.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from otelbridge.domain.records import Identity, RecordKind

if TYPE_CHECKING:
    from collections.abc import Iterable

_CHECKSUM = struct.Struct("<I")
_HEAD = struct.Struct("<Bqi16s16sBI")
_SIZE = _CHECKSUM.size + _HEAD.size
_KINDS = {kind.value: kind for kind in RecordKind}


class Entry(NamedTuple):
    """One acknowledged record.

    Attributes:
        kind: What it is about.
        received_at_ns: When it arrived.
        length: Length of its content if the content was not kept, or not all of it.
        interception_id: Which interception it belongs to.
        identity: The record's identity.
        payload: The request, as protobuf.
        prints: What else is known of its content; see `otelbridge.domain.records.Prints`.
    """

    kind: RecordKind
    received_at_ns: int
    length: int | None
    interception_id: UUID
    identity: Identity
    payload: bytes
    prints: bytes = b""


class Unpacked(NamedTuple):
    """What a blob holds.

    Attributes:
        entries: Those that are whole, in order.
        damaged_bytes: How much of the blob belongs to none of them.
    """

    entries: list[Entry]
    damaged_bytes: int


def pack(entries: Iterable[Entry]) -> bytes:
    """Return the blob that holds the entries, in order."""
    parts: list[bytes] = []
    for kind, received, length, interception, identity, payload, prints in entries:
        size = -1 if length is None else length
        sizes = len(prints), len(payload)
        number = interception.int.to_bytes(16, "big")  # UUID.bytes is a property in Python
        head = _HEAD.pack(kind, received, size, number, identity, *sizes) + prints
        checksum = zlib.crc32(payload, zlib.crc32(head))
        parts += (_CHECKSUM.pack(checksum), head, payload)
    return b"".join(parts)


def unpack(blob: bytes) -> Unpacked:
    """Return the entries of a blob; what is damaged is left out."""
    entries: list[Entry] = []
    damaged = offset = 0
    while offset < len(blob):
        entry = _entry_at(blob, offset)
        if entry is None:
            # Where the next entry begins is not known: wherever the checksum is right.
            damaged += 1
            offset += 1
        else:
            entries.append(entry)
            offset += _SIZE + len(entry.prints) + len(entry.payload)
    return Unpacked(entries, damaged)


def _entry_at(blob: bytes, offset: int) -> Entry | None:
    """Return the entry that begins at a place; None if none does."""
    begin = offset + _CHECKSUM.size
    end = offset + _SIZE
    if end > len(blob):
        return None
    kind, received, length, interception, identity, prints, size = _HEAD.unpack_from(blob, begin)
    end += prints
    if kind not in _KINDS or size > len(blob) - end:
        return None
    payload = blob[end : end + size]
    (checksum,) = _CHECKSUM.unpack_from(blob, offset)
    if zlib.crc32(payload, zlib.crc32(blob[begin:end])) != checksum:
        return None
    return Entry(
        _KINDS[kind],
        received,
        None if length < 0 else length,
        UUID(bytes=interception),
        Identity(identity),
        payload,
        blob[end - prints : end],
    )
