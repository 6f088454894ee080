"""The fuzz target finds nothing, neither in its corpus nor near it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.inputs import kept
from fuzz.yamux import fuzz

_AS_FRAMES = 2
_frames = st.tuples(
    st.integers(0, 4), st.integers(0, 15), st.integers(0, 9), st.sampled_from([0, 255])
).flatmap(lambda start: st.integers(0, 90).map(lambda number: bytes((*start, number))))
_inputs = st.builds(
    lambda mode, size, frames: bytes([mode | _AS_FRAMES, size]) + b"".join(frames),
    st.integers(0, 15),
    st.integers(0, 255),
    st.lists(_frames, max_size=20),
)


@pytest.mark.parametrize("data", kept("yamux"))
def test_what_was_found_once_is_right(data: bytes) -> None:
    fuzz(data)


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.binary(max_size=400), _inputs))
def test_any_bytes_are_right(data: bytes) -> None:
    fuzz(data)
