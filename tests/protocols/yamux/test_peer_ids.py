"""Each id is used once, whatever the order, in bounded memory."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from otelbridge.protocols.yamux.peer_ids import PeerIds


def test_an_id_that_was_skipped_may_come_after_others() -> None:
    peer_ids = PeerIds(1)

    assert [peer_ids.use(stream_id) for stream_id in (5, 7, 9, 3, 3, 5, 1, 7)] == [
        *(True, True, True, True),
        *(False, False, True, False),
    ]


@given(st.lists(st.integers(0, 300).map(lambda count: 2 * count + 1), max_size=100))
def test_an_id_is_new_once(ids: list[int]) -> None:
    peer_ids = PeerIds(1)
    used: set[int] = set()

    for stream_id in ids:
        assert peer_ids.use(stream_id) == (stream_id not in used)
        used.add(stream_id)


@given(st.lists(st.integers(0, 2**31 - 1).map(lambda count: 2 * count + 1), max_size=50))
def test_no_id_is_new_twice_however_far_they_are_apart(ids: list[int]) -> None:
    peer_ids = PeerIds(1)

    new = [stream_id for stream_id in ids if peer_ids.use(stream_id)]

    assert len(new) == len(set(new))


def test_an_id_may_come_4096_places_late() -> None:
    peer_ids = PeerIds(1)
    last = 1 + 2 * 5000

    assert peer_ids.use(last)
    assert peer_ids.use(last - 2 * 4096)
    assert not peer_ids.use(last - 2 * 4097)


def test_what_was_skipped_takes_little_memory() -> None:
    peer_ids = PeerIds(1)

    for stream_id in (*range(1, 100_000, 4), 2**31 + 1, 5, 2**32 - 1, 2**32 - 3):
        peer_ids.use(stream_id)
        assert sys.getsizeof(peer_ids._skipped) < 1000  # noqa: SLF001  # what may grow
