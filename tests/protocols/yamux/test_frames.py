"""Any bytes, cut anywhere, give the same events, or the same mistake."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from otelbridge.errors import ProtocolError
from otelbridge.protocols.yamux import Event, Limits, Role, Session
from tests.protocols.yamux.wire import DATA, SYN, Frame, data, split, update

_LIMITS = Limits(window_bytes=20, max_frame_bytes=18, max_streams=3)
_flags = st.one_of(st.sampled_from([0, 1, 2, 4, 8]), st.integers(0, 31))
_ids = st.integers(0, 7)
_payloads = st.builds(
    lambda stream_id, payload, flags: Frame(DATA, flags, stream_id, len(payload), payload),
    _ids,
    st.binary(max_size=24),
    _flags,
)
_controls = st.builds(
    Frame, st.integers(1, 3), _flags, _ids, st.one_of(st.integers(0, 9), st.just(2**32 - 1))
)
_openings = st.sampled_from([Frame(1, SYN, stream_id, 0) for stream_id in (1, 3, 5)])
_streams = st.lists(st.one_of(_openings, _payloads, _controls), max_size=12).map(
    lambda frames: b"".join(frame.serialize() for frame in frames)
)


class Outcome:
    """What became of a session that was given these pieces."""

    def __init__(self, role: Role, pieces: list[bytes]) -> None:
        session = Session(role, limits=_LIMITS, now=0.0)
        if role is Role.CLIENT:
            session.open_stream()
        self.events: list[Event] = []
        self.sent = b""
        self.mistake = ""
        for piece in pieces:
            try:
                session.receive_data(piece, now=0.0)
            except ProtocolError as error:
                assert not self.mistake
                self.mistake = f"{error.kind}: {error}"
            self.events += session.events_received()
            self.sent += b"".join(session.data_to_send())
        assert session.is_closed == bool(self.mistake)
        assert split(self.sent)[1] == b""


def cut(stream: bytes, sizes: list[int]) -> list[bytes]:
    """Cut bytes into pieces of these sizes, again and again."""
    pieces = []
    while stream:
        for size in sizes:
            pieces.append(stream[:size])
            stream = stream[size:]
    return pieces


@given(
    role=st.sampled_from(Role),
    stream=_streams,
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=9),
)
@example(role=Role.SERVER, stream=update(1, flags=SYN) + data(1, b"abc") * 2, sizes=[12, 3])
def test_events_do_not_depend_on_how_the_bytes_are_cut(
    role: Role, stream: bytes, sizes: list[int]
) -> None:
    whole = Outcome(role, [stream])

    pieces = Outcome(role, cut(stream, sizes) or [b""])

    assert pieces.events == whole.events
    assert pieces.mistake == whole.mistake
    assert pieces.sent == whole.sent


@given(role=st.sampled_from(Role), stream=st.binary(max_size=200), size=st.integers(1, 20))
def test_any_bytes_give_events_or_a_mistake(role: Role, stream: bytes, size: int) -> None:
    assert Outcome(role, cut(stream, [size])).events == Outcome(role, [stream]).events


def test_a_stream_may_be_cut_in_any_two_places() -> None:
    dropped = data(7, b"x" * 9)
    stream = data(1, b"abc", SYN) + update(1, 5) + dropped + data(1, b"defg") + dropped
    whole = Outcome(Role.SERVER, [stream])

    for first in range(len(stream) + 1):
        for second in range(first, len(stream) + 1):
            pieces = [stream[:first], stream[first:second], stream[second:]]
            assert Outcome(Role.SERVER, pieces).events == whole.events

    assert len(whole.events) == 3


def test_an_empty_piece_changes_nothing() -> None:
    pieces = [data(1, b"abc", SYN)[:5], b"", data(1, b"abc", SYN)[5:12], b"", b"a", b"", b"bc"]

    assert Outcome(Role.SERVER, pieces).events == Outcome(Role.SERVER, [b"".join(pieces)]).events
