"""A client and a server, joined in memory, under any order of what can happen."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from otelbridge.protocols.yamux import Limits, Role
from tests.protocols.yamux.peers import End, Wire
from tests.protocols.yamux.wire import FIN

_MAX_CLIENT_STREAMS = 6
_ends = st.integers(0, 1)
_picks = st.integers(0, 99)
_payloads = st.binary(min_size=1, max_size=20)
_MANY = 3


def chosen(pairs: list[tuple[End, int]], pick: int) -> tuple[End, int]:
    return pairs[pick % len(pairs)]


class Joined(RuleBasedStateMachine):
    """Streams are opened, written, read, ended and reset while bytes are on their way."""

    @initialize(window=st.sampled_from([1, 2, 3, 7, 50]), streams=st.integers(1, 5))
    def connect(self, window: int, streams: int) -> None:
        self.window, self.streams = window, streams
        self._connect()

    def _connect(self) -> None:
        to_server, to_client = Wire(), Wire()
        granting = Limits(window_bytes=self.window, max_streams=self.streams, accept_backlog=3)
        using = Limits(window_bytes=self.window, max_streams=_MAX_CLIENT_STREAMS)
        self.wires = (to_server, to_client)
        self.client = End(Role.CLIENT, using, out=to_server, into=to_client)
        self.server = End(Role.SERVER, granting, out=to_client, into=to_server)
        self.ends = (self.client, self.server)
        self.pings = [0, 0]

    def _usable(self) -> list[tuple[End, int]]:
        return [(end, stream_id) for end in self.ends for stream_id in end.usable()]

    @precondition(lambda self: self.client.session.stream_count < _MAX_CLIENT_STREAMS)
    @rule(data=_payloads)
    def call(self, data: bytes) -> None:
        stream_id = self.client.session.open_stream()
        self.client.begin(stream_id)
        self.client.send(stream_id, data)

    @precondition(lambda self: bool(self._usable()))
    @rule(pick=_picks, pieces=st.lists(_payloads, min_size=1, max_size=4))
    def send(self, pick: int, pieces: list[bytes]) -> None:
        end, stream_id = chosen(self._usable(), pick)
        for piece in pieces:
            end.send(stream_id, piece)

    @precondition(lambda self: bool(self._usable()))
    @rule(pick=_picks)
    def end(self, pick: int) -> None:
        end, stream_id = chosen(self._usable(), pick)
        end.end(stream_id)

    @rule(end=_ends)
    def end_again(self, end: int) -> None:
        for stream_id in sorted(self.ends[end].ended):
            self.ends[end].end(stream_id)

    @precondition(lambda self: len(self._usable()) >= _MANY)
    @rule(pick=_picks)
    def reset(self, pick: int) -> None:
        end, stream_id = chosen(self._usable(), pick)
        end.reset(stream_id)

    def _unread(self) -> list[tuple[End, int]]:
        return [(end, i) for end in self.ends for i, size in end.unread.items() if size]

    @precondition(lambda self: bool(self._unread()))
    @rule(pick=_picks, most=st.integers(1, 30))
    def read(self, pick: int, most: int) -> None:
        end, stream_id = chosen(self._unread(), pick)
        end.read(stream_id, min(most, end.unread[stream_id]))

    @rule(end=_ends)
    def ping(self, end: int) -> None:
        self.ends[end].session.ping(now=0.0)
        self.pings[end] += 1

    @rule(end=_ends, joined=st.booleans())
    def write(self, end: int, *, joined: bool) -> None:
        self.ends[end].write(joined=joined)

    @rule(end=_ends, size=st.one_of(st.integers(1, 30), st.just(10_000)))
    def deliver(self, end: int, size: int) -> None:
        self.ends[end].take(size)

    @rule(end=_ends)
    def turn(self, end: int) -> None:
        """Write and deliver everything in one direction."""
        self.ends[end].write(joined=True)
        self.ends[1 - end].take(10_000)

    @precondition(lambda self: len(self.client.sent) >= 2 * _MAX_CLIENT_STREAMS)
    @rule()
    def lose(self) -> None:
        for end in self.ends:
            end.lose()
        self._connect()

    @invariant()
    def windows_are_sound(self) -> None:
        for end in getattr(self, "ends", ()):
            end.check_windows()

    @invariant()
    def bytes_arrive_in_their_order(self) -> None:
        for reader, writer in self._pairs():
            for stream_id, got in reader.got.items():
                assert writer.sent.get(stream_id, b"").startswith(got)

    def teardown(self) -> None:
        if not hasattr(self, "ends"):
            return
        self._settle()
        for reader, writer in self._pairs():
            for stream_id in self._unharmed():
                assert reader.got[stream_id] == writer.sent[stream_id], "no byte is stuck"
        for end in self.ends:
            for stream_id in end.usable():
                end.end(stream_id)
        self._settle()
        self._check_that_all_is_over()

    def _settle(self) -> None:
        """Read, write and deliver until nothing moves."""
        moved = True
        while moved:
            moved = False
            for end in self.ends:
                for stream_id, size in end.unread.items():
                    end.read(stream_id, size)
                end.write(joined=True)
            for end, wire in zip(self.ends, reversed(self.wires), strict=True):
                moved = moved or bool(wire.flying)
                end.take(len(wire.flying))

    def _check_that_all_is_over(self) -> None:
        for end, wire, pings in zip(self.ends, self.wires, self.pings, strict=True):
            assert (end.session.stream_count, end.session.queued_bytes) == (0, 0)
            assert all(wire.written.flags[FIN, stream_id] == 1 for stream_id in self._unharmed())
            assert self._unharmed() <= end.has_fin
            assert bool(end.pongs) == bool(pings)

    def _unharmed(self) -> set[int]:
        return set(self.client.sent) - self.client.has_reset - self.server.has_reset

    def _pairs(self) -> list[tuple[End, End]]:
        return [(self.client, self.server), (self.server, self.client)] if self._is_on() else []

    def _is_on(self) -> bool:
        return hasattr(self, "ends")


Joined.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestJoined = Joined.TestCase
