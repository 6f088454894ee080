"""A peer is pinged, and dropped if nothing comes after it."""

from __future__ import annotations

import pytest

from otelbridge.errors import ProtocolError
from otelbridge.protocols.yamux import Limits, Role, Session, SessionEnded
from tests.protocols.yamux.wire import ACK, PING, SYN, Frame, ping, received, sent, update

PINGED = Frame(PING, SYN, 0, 0)


def session(**limits: float) -> Session:
    """Return a session that begins at 100 s."""
    return Session(Role.SERVER, limits=Limits(**limits), now=100.0)  # type: ignore[arg-type]


def test_a_ping_is_sent_every_30_s() -> None:
    server = session()

    assert server.next_deadline() == 130.0
    server.advance(129.9)
    assert sent(server) == []
    server.advance(130.0)
    assert sent(server) == [PINGED]


def test_an_answered_session_lives() -> None:
    server = session()
    now = 100.0

    for _ in range(100):
        now = server.next_deadline() or 0.0
        server.advance(now)
        for asked in sent(server):
            received(server, ping(asked.value, ACK), now=now + 9.9)

    assert now == 100.0 + 100 * 30.0
    assert not server.is_closed


def test_a_peer_silent_for_10_s_after_a_ping_is_dropped() -> None:
    server = session()
    server.advance(130.0)
    assert server.next_deadline() == 140.0
    server.advance(139.9)

    with pytest.raises(ProtocolError, match="silent for 10 s after a ping") as caught:
        server.advance(140.0)

    assert caught.value.kind == "timeout"
    assert server.events_received() == [SessionEnded("yamux peer silent for 10 s after a ping")]
    assert server.data_to_send() == []


@pytest.mark.parametrize("sign", [update(9), b"\0"])
def test_anything_that_arrives_is_a_sign_of_life(sign: bytes) -> None:
    server = session()
    server.advance(130.0)

    received(server, sign, now=139.9)
    server.advance(140.0)

    assert not server.is_closed
    assert server.next_deadline() == 160.0


def test_what_arrives_in_the_moment_of_the_ping_is_a_sign_of_life() -> None:
    server = session()
    server.advance(130.0)

    received(server, ping(0, ACK), now=130.0)
    server.advance(140.0)

    assert not server.is_closed


def test_pinging_again_gives_a_silent_peer_no_more_time() -> None:
    server = session()
    server.ping(now=100.0)

    server.ping(now=109.0)

    assert server.next_deadline() == 110.0


def test_a_late_turn_pings_once_before_it_drops_anyone() -> None:
    server = session()

    server.advance(1000.0)

    assert sent(server) == [PINGED]
    assert server.next_deadline() == 1010.0


def test_the_times_are_settings() -> None:
    server = session(ping_interval_s=2.0, ping_timeout_s=5.0)

    server.advance(102.0)

    assert server.next_deadline() == 107.0
