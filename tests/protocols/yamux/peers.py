"""Two sessions joined in memory, and what either must never write."""

from __future__ import annotations

from collections import Counter

from otelbridge.protocols.yamux import (
    DataReceived,
    Limits,
    PongReceived,
    Role,
    Session,
    SessionEnded,
    StreamEnded,
    StreamOpened,
    StreamReset,
)
from tests.protocols.yamux.wire import ACK, DATA, FIN, RST, SYN, WINDOW_UPDATE, Frame, split


class Log:
    """What the frames of one end did, up to some byte."""

    def __init__(self) -> None:
        self.flags: Counter[tuple[int, int]] = Counter()
        self.payload: Counter[int] = Counter()
        self.window: Counter[int] = Counter()
        self._rest = b""

    def feed(self, stream: bytes) -> list[Frame]:
        frames, self._rest = split(self._rest + stream)
        return frames

    def note(self, frame: Frame) -> None:
        if frame.kind in {DATA, WINDOW_UPDATE}:
            for flag in (SYN, ACK, FIN, RST):
                self.flags[flag, frame.stream_id] += bool(frame.flags & flag)
            counted = self.payload if frame.kind == DATA else self.window
            counted[frame.stream_id] += frame.value

    def has(self, flag: int, stream_id: int) -> bool:
        return self.flags[flag, stream_id] > 0


class Wire:
    """One direction of the connection: what was written, and what has arrived."""

    def __init__(self) -> None:
        self.flying = b""
        self.written = Log()
        self.delivered = Log()

    def deliver(self, size: int) -> bytes:
        piece, self.flying = self.flying[:size], self.flying[size:]
        for frame in self.delivered.feed(piece):
            self.delivered.note(frame)
        return piece


class End:
    """A session, who uses it, and the rules for what it writes."""

    def __init__(self, role: Role, limits: Limits, *, out: Wire, into: Wire) -> None:
        self.session = Session(role, limits=limits, now=0.0)
        self.sent: dict[int, bytes] = {}
        self.got: dict[int, bytes] = {}
        self.unread: Counter[int] = Counter()
        self.ended: set[int] = set()
        self.has_fin: set[int] = set()
        self.has_reset: set[int] = set()
        self.pongs = 0
        self._is_server = role is Role.SERVER
        self._window = limits.window_bytes
        self._out = out
        self._into = into

    def usable(self) -> list[int]:
        """Return the streams that may be written to."""
        return [i for i in self.sent if i not in self.ended | self.has_reset]

    def begin(self, stream_id: int) -> None:
        self.sent[stream_id] = self.got[stream_id] = b""

    def send(self, stream_id: int, data: bytes) -> None:
        self.session.send_data(stream_id, data)
        self.sent[stream_id] += data

    def end(self, stream_id: int) -> None:
        self.session.end_stream(stream_id)
        self.ended.add(stream_id)

    def reset(self, stream_id: int) -> None:
        self.session.reset_stream(stream_id)
        self.has_reset.add(stream_id)

    def read(self, stream_id: int, size: int) -> None:
        self.session.acknowledge(stream_id, size)
        self.unread[stream_id] -= size

    def write(self, *, joined: bool) -> None:
        """Put what is to be sent on the wire, if it keeps the rules."""
        written = b"".join(self.session.data_to_send(joined=joined))
        for frame in self._out.written.feed(written):
            if frame.kind in {DATA, WINDOW_UPDATE}:
                self._check(frame)
            self._out.written.note(frame)
        self._out.flying += written

    def _check(self, frame: Frame) -> None:
        ours, theirs, i = self._out.written, self._into.delivered, frame.stream_id
        assert not ours.has(RST, i), "nothing follows a reset"
        if frame.flags & FIN:
            assert not ours.has(FIN, i), "FIN is sent once"
            assert theirs.has(FIN, i) or not self._is_server, "a server's FIN comes second"
        if frame.flags & ACK:
            assert not ours.has(ACK, i), "a stream is accepted once"
            assert theirs.has(SYN, i), "a stream is opened before it is accepted"
        if frame.kind == DATA:
            assert not ours.has(FIN, i), "no data follows FIN"
            allowed = self._window + theirs.window[i]
            assert ours.payload[i] + frame.value <= allowed, "no more than the window is sent"

    def take(self, size: int) -> None:
        """Let bytes arrive and note what they meant."""
        self.session.receive_data(self._into.deliver(size), now=0.0)
        for event in self.session.events_received():
            if isinstance(event, StreamOpened):
                self.begin(event.stream_id)
            elif isinstance(event, DataReceived):
                assert event.stream_id not in self.has_fin | self.has_reset
                self.got[event.stream_id] += event.data
                self.unread[event.stream_id] += len(event.data)
            elif isinstance(event, StreamEnded):
                assert event.stream_id not in self.has_fin | self.has_reset
                self.has_fin.add(event.stream_id)
            elif isinstance(event, StreamReset):
                assert event.stream_id not in self.has_reset
                self.has_reset.add(event.stream_id)
            else:
                assert isinstance(event, PongReceived)
                self.pongs += 1

    def lose(self) -> None:
        """Lose the connection."""
        self.session.receive_eof()
        assert [type(event) for event in self.session.events_received()] == [SessionEnded]
        assert self.session.stream_count == 0

    def check_windows(self) -> None:
        streams = self.session._streams  # noqa: SLF001  # what no caller may see
        for stream in streams.by_id.values():
            assert stream.send_window >= 0
            assert 0 <= stream.receive_window <= self._window
            assert 0 <= stream.consumed <= self._window - stream.receive_window
        assert streams.waiting == sum(stream.waiting for stream in streams.by_id.values())
