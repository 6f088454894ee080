"""The fuzz target finds nothing, neither in its corpus nor near it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.gateway import fuzz
from fuzz.inputs import kept

_AS_ACTIONS = 2
_actions = st.tuples(st.integers(0, 11), st.integers(0, 9), st.integers(0, 255)).map(bytes)
_inputs = st.builds(
    lambda mode, size, actions: bytes([mode | _AS_ACTIONS, size]) + b"".join(actions),
    st.integers(0, 15),
    st.integers(0, 255),
    st.lists(_actions, max_size=20),
)


@pytest.mark.parametrize("data", kept("gateway"))
def test_what_was_found_once_is_right(data: bytes) -> None:
    fuzz(data)


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.binary(max_size=400), _inputs))
def test_any_bytes_are_right(data: bytes) -> None:
    fuzz(data)
