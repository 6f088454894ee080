"""Any bytes are events or one ProtocolError to a yamux session, and what it writes is right.

An input's first byte says which end we are and how to read the rest: as bytes, or as a
list of frames with small numbers in them, which gets further. The second byte is the size
of the pieces in which it arrives.
"""

from __future__ import annotations

import struct
from collections import Counter

from otelbridge.errors import CallError, ProtocolError
from otelbridge.protocols.yamux import (
    MAX_MESSAGE_BYTES,
    DataReceived,
    Event,
    Limits,
    Role,
    Session,
    SessionEnded,
    StreamEnded,
    StreamOpened,
)

_SERVER, _AS_FRAMES, _LAZY, _TIMED = 1, 2, 4, 8
_LIMITS = Limits(
    window_bytes=64, max_streams=4, accept_backlog=3, max_queued_bytes=4096, max_queued_replies=64
)
# Beyond the limit: frames of our own, that only follow what the limits have let in.
_MOST_QUEUED = 2 * 4096
_HEADER = struct.Struct(">BBHII")
_DATA, _FIN, _RST, _ACK = 0, 4, 8, 2


class Wrong(Exception):  # noqa: N818  # it says what is
    """The session has done what it must never do."""


def fuzz(data: bytes) -> None:
    """Give a session these bytes and use it as they say.

    Raises:
        Wrong: If it breaks a rule; whatever else is raised is a mistake, too.
    """
    mode, size = (*data[:2], 0, 0)[:2]
    stream = _frames(data[2:]) if mode & _AS_FRAMES else data[2:]
    user = _User(mode)
    size = size % 80 + 1
    for start in range(0, len(stream), size):
        user.take(stream[start : start + size])
    user.leave()


def _frames(data: bytes) -> bytes:
    """Make frames of five bytes each: type, flags, stream id, and twice the number at the end."""
    frames = []
    for start in range(0, len(data) - 4, 5):
        kind, flags, stream_id, high, low = data[start : start + 5]
        number = low if high < 0xF0 else (high << 24) + low  # noqa: PLR2004  # mostly small
        frames.append(_HEADER.pack(0, kind % 5, flags, stream_id % 16, number))
        if kind % 5 == _DATA:
            frames.append(bytes(min(number, 200)))
    return b"".join(frames)


class _User:
    """Opens, answers, acknowledges, ends and resets, and looks at everything that is written."""

    def __init__(self, mode: int) -> None:
        role = Role.SERVER if mode & _SERVER else Role.CLIENT
        self._session = Session(role, limits=_LIMITS, now=0.0)
        self._is_server = role is Role.SERVER
        self._is_lazy = bool(mode & _LAZY)
        self._is_timed = bool(mode & _TIMED)
        self._now = 0.0
        self._turns = 0
        self._is_over = False
        self._ended: set[int] = set()
        self._flags: Counter[tuple[int, int]] = Counter()
        self._opened: set[int] = set()
        self._unread: Counter[int] = Counter()

    def take(self, data: bytes) -> None:
        """Let a piece arrive, and use the session."""
        session = self._session
        self._turns += 1
        self._now += 1.0
        self._attempt(data)
        for event in session.events_received():
            self._handle(event)
        if session.can_open and self._turns % 3 == 0 and session.stream_count < _LIMITS.max_streams:
            session.open_stream()
        if not (self._is_lazy and self._turns % 16):
            self._write()
        self._check()

    def leave(self) -> None:
        """Lose the connection."""
        self._session.receive_eof()
        for event in self._session.events_received():
            self._handle(event)
        self._write()
        self._check()
        if not self._is_over or self._session.stream_count:
            raise Wrong("the session has outlived its connection")

    def _attempt(self, data: bytes) -> None:
        was_closed = self._session.is_closed
        try:
            self._session.receive_data(data, now=self._now)
            if self._is_timed and self._turns % 5 == 0:
                self._now += 35.0
                self._session.advance(self._now)
        except ProtocolError as error:
            if was_closed or self._session.error is not error:
                raise Wrong("a session has failed twice, or does not say why") from error

    def _handle(self, event: Event) -> None:
        session = self._session
        if self._is_over:
            raise Wrong(f"{event} after the end")
        if isinstance(event, StreamOpened):
            self._opened.add(event.stream_id)
        elif isinstance(event, DataReceived):
            self._answer(event.stream_id, event.data)
        elif isinstance(event, StreamEnded):
            if self._unread[event.stream_id] % 7:
                session.end_stream(event.stream_id)
            else:
                session.reset_stream(event.stream_id)
        elif isinstance(event, SessionEnded):
            self._is_over = True

    def _answer(self, stream_id: int, data: bytes) -> None:
        session = self._session
        self._unread[stream_id] += len(data)
        if stream_id in self._ended:
            return
        try:
            session.send_data(stream_id, data * 3)
        except CallError:
            session.reset_stream(stream_id)
        if len(data) % 4:
            session.acknowledge(stream_id, self._unread.pop(stream_id))
        if len(data) % 5 == 0:
            self._ended.add(stream_id)
            session.end_stream(stream_id)

    def _write(self) -> None:
        messages = self._session.data_to_send(joined=bool(self._turns % 2))
        if any(not 0 < len(message) <= MAX_MESSAGE_BYTES for message in messages):
            raise Wrong("a message has a size that a peer refuses")
        written = b"".join(messages)
        while written:
            version, kind, flags, stream_id, number = _HEADER.unpack_from(written)
            size = _HEADER.size + (number if kind == _DATA else 0)
            if version or kind > 3 or len(written) < size:  # noqa: PLR2004  # the last type
                raise Wrong("what is written is no frame")
            self._look(kind, flags, stream_id)
            written = written[size:]

    def _look(self, kind: int, flags: int, stream_id: int) -> None:
        """Look at a written frame: each flag is sent once, and nothing after the last."""
        if kind > 1:
            return
        if self._flags[_RST, stream_id]:
            raise Wrong(f"stream {stream_id} goes on after its reset")
        if kind == _DATA and self._flags[_FIN, stream_id]:
            raise Wrong(f"stream {stream_id} goes on after its end")
        for flag in (_ACK, _FIN, _RST):
            self._flags[flag, stream_id] += bool(flags & flag)
            if self._flags[flag, stream_id] > 1:
                raise Wrong(f"stream {stream_id} has flag {flag} twice")

    def _check(self) -> None:
        session = self._session
        if session.stream_count > _LIMITS.max_streams:
            raise Wrong(f"{session.stream_count} streams are open")
        if session.queued_bytes > _MOST_QUEUED:
            raise Wrong(f"{session.queued_bytes} bytes are queued")
        for stream in session._streams.by_id.values():  # noqa: SLF001  # what no user may see
            if min(stream.send_window, stream.receive_window, stream.waiting, stream.consumed) < 0:
                raise Wrong("a window is below zero")
