"""The fuzz target finds nothing, neither in its corpus nor near it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.drpc import fuzz
from fuzz.inputs import kept
from tests.protocols.drpc.frames import streams

_BYTES, _FRAMES = 0, 2
_modes = st.sampled_from([0, 1, 4, 5])
_sizes = st.integers(0, 39)
_byte = st.integers(0, 255)
# First byte, stream, message, and size, as the target makes frames of them.
_frames = st.tuples(
    st.sampled_from([0x03, 0x05, 0x04, 0x07, 0x0B, 0x0D, 0x0F, 0x89]) | _byte,
    st.integers(1, 3),
    st.integers(0, 9),
    st.integers(0, 9) | _byte,
).map(bytes)
_lists = st.lists(_frames, max_size=12).map(b"".join)


@pytest.mark.parametrize("data", kept("drpc"))
def test_what_was_found_once_is_right(data: bytes) -> None:
    fuzz(data)


@settings(deadline=None, max_examples=300)
@given(mode=_modes, size=_sizes, data=streams | st.binary(max_size=200))
def test_any_bytes_are_right(mode: int, size: int, data: bytes) -> None:
    fuzz(bytes((mode | _BYTES, size)) + data)


@settings(deadline=None, max_examples=300)
@given(mode=_modes, size=_sizes, data=_lists)
def test_any_frames_are_right(mode: int, size: int, data: bytes) -> None:
    fuzz(bytes((mode | _FRAMES, size)) + data)
