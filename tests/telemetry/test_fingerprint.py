"""Fingerprints: the same for the same text, by a key, and for nothing else."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.telemetry.fingerprint import Fingerprinter

KEY = b"0123456789abcdef"
MAKE = Fingerprinter(KEY)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
)


def reordered(value: object) -> object:
    """Return a value whose objects have their keys in the opposite order."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(each) for each in value] if isinstance(value, list) else value


def test_a_fingerprint_is_half_of_an_hmac_over_kind_and_text() -> None:
    sha = hashlib.sha256

    assert MAKE.prompt("wh\u00fc?") == hmac.digest(KEY, "prompt\0whü?".encode(), sha)[:16]
    assert MAKE.tool_input("ls") == hmac.digest(KEY, b"tool input\0ls", sha)[:16]


def test_texts_kinds_and_keys_have_fingerprints_of_their_own() -> None:
    found = {
        MAKE.prompt("a"),
        MAKE.prompt("a "),
        MAKE.tool_input("a"),
        Fingerprinter(b"another key of 16").prompt("a"),
    }

    assert len(found) == 4


@pytest.mark.parametrize("text", ["why?", "", "ü" * 100_000])
def test_a_fingerprint_does_not_depend_on_what_came_before(text: str) -> None:
    first = Fingerprinter(KEY)
    first.prompt("other")
    first.tool_input("{}")

    assert first.prompt(text) == Fingerprinter(KEY).prompt(text)


def test_nothing_has_no_fingerprint() -> None:
    assert (MAKE.prompt(""), MAKE.tool_input("")) == (b"", b"")


@given(value=values)
def test_neither_blanks_nor_the_order_of_keys_change_that_of_arguments(value: object) -> None:
    first, second = json.dumps(value), json.dumps(reordered(value), indent=3, ensure_ascii=False)

    assert MAKE.tool_input(first) == MAKE.tool_input(second)


@given(one=values, two=values)
def test_other_arguments_have_another(one: object, two: object) -> None:
    first, second = json.dumps(one, sort_keys=True), json.dumps(two, sort_keys=True)

    assert (MAKE.tool_input(first) == MAKE.tool_input(second)) == (first == second)


@pytest.mark.parametrize(
    "text",
    ["no json", '{"a":', "[" * 100_000, f"[{'1' * 5000}]", '"\\ud800"', '{"a":1}' + " " * 65536],
)
def test_what_cannot_be_read_as_json_is_taken_as_it_is(text: str) -> None:
    assert MAKE.tool_input(text) == MAKE.tool_input(text)
    assert MAKE.tool_input(text) != MAKE.tool_input(f"{text} x")
