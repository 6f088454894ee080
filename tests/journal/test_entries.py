"""Entries: how the journal keeps records."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from otelbridge.domain.records import Identity, RecordKind
from otelbridge.journal.entries import Entry, pack, unpack

entries = st.builds(
    Entry,
    kind=st.sampled_from(RecordKind),
    received_at_ns=st.integers(0, 2**63 - 1),
    length=st.none() | st.integers(0, 2**31 - 1),
    interception_id=st.uuids(),
    identity=st.binary(min_size=16, max_size=16).map(Identity),
    payload=st.binary(max_size=50),
    prints=st.binary(max_size=48),
)


@given(sent=st.lists(entries, max_size=5))
def test_what_was_packed_is_unpacked(sent: list[Entry]) -> None:
    assert unpack(pack(sent)) == (sent, 0)


@given(sent=st.lists(entries, min_size=1, max_size=3), cut=st.integers(1, 40))
def test_a_blob_that_is_cut_short_loses_its_last_entries_alone(sent: list[Entry], cut: int) -> None:
    blob = pack(sent)[:-cut]

    found, damaged = unpack(blob)

    assert found == sent[: len(found)]
    assert len(pack(found)) == len(blob) - damaged


@given(sent=st.lists(entries, min_size=1, max_size=4), data=st.data())
def test_a_flipped_bit_costs_the_one_entry_that_it_is_in(
    sent: list[Entry], data: st.DataObject
) -> None:
    hit = data.draw(st.integers(0, len(sent) - 1))
    begin, size = len(pack(sent[:hit])), len(pack([sent[hit]]))
    bit = data.draw(st.integers(0, size * 8 - 1))
    blob = bytearray(pack(sent))
    blob[begin + bit // 8] ^= 1 << bit % 8

    found, damaged = unpack(bytes(blob))

    assert found == [*sent[:hit], *sent[hit + 1 :]]
    assert damaged == size


def test_a_kind_that_is_not_known_is_damage_even_under_a_right_checksum() -> None:
    entry = Entry(7, 1, None, UUID(int=1), Identity(bytes(16)), b"")  # type: ignore[arg-type]
    blob = pack([entry])

    assert unpack(blob) == ([], len(blob))
