"""Entries: how the journal keeps records."""

from __future__ import annotations

from uuid import UUID

import pytest
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
)


@given(sent=st.lists(entries, max_size=5))
def test_what_was_packed_is_unpacked(sent: list[Entry]) -> None:
    assert list(unpack(pack(sent))) == sent


@given(sent=st.lists(entries, min_size=1, max_size=3), cut=st.integers(1, 40))
def test_a_blob_that_is_cut_short_is_refused_and_never_misread(sent: list[Entry], cut: int) -> None:
    blob = pack(sent)[:-cut]

    try:
        found = list(unpack(blob))
    except ValueError:
        return

    assert found == sent[: len(found)]
    assert len(pack(found)) == len(blob)


def test_an_unknown_kind_is_refused() -> None:
    entry = Entry(RecordKind.END, 1, None, UUID(int=1), Identity(bytes(16)), b"")
    blob = b"\xff" + pack([entry])[1:]

    with pytest.raises(ValueError, match="255"):
        list(unpack(blob))
