"""Entries: how the journal keeps records. One blob holds all records of one commit.

An entry is a fixed head, then the payload:

    kind u8, received_at_ns i64, content length i32 (-1: none, or still in the
    payload), interception id 16 bytes, identity 16 bytes, payload size u32

all little endian.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from otelbridge.domain.records import Identity, RecordKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_HEAD = struct.Struct("<Bqi16s16sI")


class Entry(NamedTuple):
    """One acknowledged record.

    Attributes:
        kind: What it is about.
        received_at_ns: When it arrived.
        length: Length of its content if the content was not kept.
        interception_id: Which interception it belongs to.
        identity: The record's identity.
        payload: The request, as protobuf.
    """

    kind: RecordKind
    received_at_ns: int
    length: int | None
    interception_id: UUID
    identity: Identity
    payload: bytes


def pack(entries: Iterable[Entry]) -> bytes:
    """Return the blob that holds the entries, in order."""
    parts: list[bytes] = []
    for kind, received, length, interception, identity, payload in entries:
        size = -1 if length is None else length
        head = _HEAD.pack(kind, received, size, interception.bytes, identity, len(payload))
        parts += (head, payload)
    return b"".join(parts)


def unpack(blob: bytes) -> Iterator[Entry]:
    """Yield the entries of a blob.

    Raises:
        ValueError: If the blob is cut short or names an unknown kind.
    """
    offset = 0
    while offset < len(blob):
        try:
            head = _HEAD.unpack_from(blob, offset)
        except struct.error as error:
            raise ValueError(f"cut short at byte {offset}") from error
        kind, received, length, interception, identity, size = head
        offset += _HEAD.size
        payload = blob[offset : offset + size]
        if len(payload) != size:
            raise ValueError(f"payload of {size} bytes is cut short at byte {offset}")
        offset += size
        yield Entry(
            RecordKind(kind),
            received,
            None if length < 0 else length,
            UUID(bytes=interception),
            Identity(identity),
            payload,
        )
