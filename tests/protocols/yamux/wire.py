"""yamux frames as bytes and back, apart from the code under test."""

from __future__ import annotations

import struct
from typing import NamedTuple

from otelbridge.protocols.yamux import Event, Session

SYN, ACK, FIN, RST = 1, 2, 4, 8
DATA, WINDOW_UPDATE, PING, GO_AWAY = 0, 1, 2, 3


class Frame(NamedTuple):
    """A frame; ``value`` is the field after the stream id."""

    kind: int
    flags: int
    stream_id: int
    value: int
    payload: bytes = b""

    def serialize(self) -> bytes:
        head = struct.pack(">BBHII", 0, self.kind, self.flags, self.stream_id, self.value)
        return head + self.payload


def data(stream_id: int, payload: bytes = b"", flags: int = 0) -> bytes:
    return Frame(DATA, flags, stream_id, len(payload), payload).serialize()


def announce(stream_id: int, length: int, flags: int = 0) -> bytes:
    """Return a DATA header without its payload."""
    return Frame(DATA, flags, stream_id, length).serialize()


def update(stream_id: int, delta: int = 0, flags: int = 0) -> bytes:
    return Frame(WINDOW_UPDATE, flags, stream_id, delta).serialize()


def ping(token: int, flags: int = SYN) -> bytes:
    return Frame(PING, flags, 0, token).serialize()


def go_away(code: int = 0) -> bytes:
    return Frame(GO_AWAY, 0, 0, code).serialize()


def split(stream: bytes) -> tuple[list[Frame], bytes]:
    """Return the whole frames at the start of these bytes, and the rest."""
    frames = []
    while len(stream) >= 12:
        version, kind, flags, stream_id, value = struct.unpack_from(">BBHII", stream)
        assert version == 0
        end = 12 + value if kind == DATA else 12
        if len(stream) < end:
            break
        frames.append(Frame(kind, flags, stream_id, value, stream[12:end]))
        stream = stream[end:]
    return frames, stream


def received(session: Session, *pieces: bytes, now: float = 0.0) -> list[Event]:
    """Return the events that these bytes make."""
    for piece in pieces:
        session.receive_data(piece, now=now)
    return session.events_received()


def sent(session: Session) -> list[Frame]:
    """Return the frames that a session has to send."""
    frames, rest = split(b"".join(session.data_to_send()))
    assert not rest
    return frames
