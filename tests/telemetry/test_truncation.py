"""Truncation: within the limit, from the beginning, and JSON that is still JSON."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.telemetry.truncation import (
    MARK,
    MIN_BYTES,
    Shortener,
    cut_json,
    cut_text,
    fits,
    size_of,
)
from tests.faults import fault

MIB = 1024 * 1024
limits = st.integers(MIN_BYTES, 2000)
strings = st.text(st.characters(exclude_categories=()), max_size=60).map(lambda text: text * 20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | strings,
    lambda inner: st.lists(inner) | st.dictionaries(strings, inner),
    max_leaves=40,
)


def anywhere(_text: str, end: int) -> int:
    return end


def size(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def cut(value: Any, limit: int, **options: Any) -> Any:
    """Return what becomes of a value's JSON."""
    found = cut_json(json.dumps(value, **options), limit, anywhere)
    assert found is not None
    assert size(found) <= limit
    return json.loads(found)


@given(text=st.text(), times=st.integers(1, 400), limit=limits)
def test_a_text_is_within_the_limit_and_begins_as_it_did(text: str, times: int, limit: int) -> None:
    text *= times

    told = Shortener(limit, anywhere).text(text)

    assert size(told) <= limit
    assert told == text or (size(text) > limit and text.startswith(told.removesuffix(MARK)))
    assert told == text or size(told) > limit - 4


@given(value=values, limit=limits, ascii_only=st.booleans(), indent=st.sampled_from([None, 2]))
def test_json_is_within_the_limit_and_parses(
    value: Any, limit: int, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)

    told = Shortener(limit, anywhere).json(text)

    assert size(told) <= limit
    assert is_cut_of(json.loads(told), value)


@given(value=values, limit=limits)
def test_cut_json_can_be_encoded_and_is_not_cut_again(value: Any, limit: int) -> None:
    shortener = Shortener(limit, anywhere)
    told = shortener.json(json.dumps(value))

    assert shortener.json(told) is told
    if not any("\ud800" <= character <= "\udfff" for character in json.dumps(value)):
        told.encode()


def is_cut_of(told: Any, value: Any) -> bool:
    """Return whether a value is another one, or what a cut leaves of it."""
    if told in (value, MARK):
        return True
    if isinstance(told, str) and isinstance(value, str):
        return told.endswith(MARK) and value.startswith(told.removesuffix(MARK))
    if isinstance(told, list) and isinstance(value, list):
        kept = told[:-1] if told and told[-1] == MARK else told
        return len(told) <= len(value) + 1 and all(
            is_cut_of(*pair) for pair in zip(kept, value, strict=False)
        )
    if isinstance(told, dict) and isinstance(value, dict):
        kept_keys = told.keys() - {MARK}
        return kept_keys <= value.keys() and all(is_cut_of(told[k], value[k]) for k in kept_keys)
    return False


def test_what_stands_behind_a_long_string_is_kept() -> None:
    sent = {"path": "/a/b", "content": "x" * 100_000, "mode": "w", "lines": [1, 2]}

    told = cut(sent, 4096)

    assert {**told, "content": ""} == {**sent, "content": ""}
    assert told["content"].startswith("x" * 3900)
    assert told["content"].endswith(MARK)


def test_of_several_long_strings_each_gets_a_part() -> None:
    told = cut({"old": "a" * 50_000, "new": "b" * 50_000, "path": "/a"}, 4096)

    assert [len(told[key]) > 900 for key in ("old", "new")] == [True, True]
    assert told["path"] == "/a"


@pytest.mark.parametrize(
    ("value", "begins"),
    [
        (list(range(1000)), [0, 1, 2]),
        ({str(number): number for number in range(1000)}, {"0": 0, "1": 1}),
        ([{"a": [1] * 1000}], [{"a": [1, 1]}]),
    ],
)
def test_what_has_no_room_is_left_out_where_the_mark_stands(value: Any, begins: Any) -> None:
    told = cut(value, MIN_BYTES)

    assert MARK in json.dumps(told)
    assert json.dumps(told).startswith(json.dumps(begins)[:6])


def test_a_mark_in_an_object_is_a_member_and_in_a_list_an_element() -> None:
    in_list = cut([1] * 1000, MIN_BYTES)
    in_object = cut({"a": {str(number): 1 for number in range(1000)}}, MIN_BYTES)

    assert (in_list[-1], in_object["a"][MARK]) == (MARK, True)


def test_a_json_string_stays_one() -> None:
    told = cut("ü" * 1000, MIN_BYTES)

    assert told.removesuffix(MARK) == "ü" * 112


def test_a_surrogate_pair_is_not_parted() -> None:
    text = json.dumps("\U0001f600" * 1000)
    assert text.startswith('"\\ud83d\\ude00')

    for limit in range(MIN_BYTES, MIN_BYTES + 20):
        told = json.loads(cut_json(text, limit, anywhere) or "")
        assert set(told.removesuffix(MARK)) == {"\U0001f600"}


def test_numbers_and_duplicate_keys_are_told_as_they_were_written() -> None:
    text = '{"a": 1.50, "a": 1e400, "b": 123456789012345678901234567890, "c": "' + "x" * 999 + '"}'

    told = cut_json(text, 512, anywhere) or ""

    assert told.startswith('{"a":1.50,"a":1e400,"b":123456789012345678901234567890,"c":"xxx')


def test_blanks_alone_are_no_loss() -> None:
    text = json.dumps({"a": [1, {}, []], "b": "\u00fc"}, indent=400)

    assert cut_json(text, MIN_BYTES, anywhere) == '{"a":[1,{},[]],"b":"\\u00fc"}'


def test_a_number_without_end_has_no_room() -> None:
    assert cut_json("1" * 1000, MIN_BYTES, anywhere) == f'"{MARK}"'
    assert cut({"a": 1, "b": int("1" * 1000)}, MIN_BYTES) == {"a": 1, MARK: True}


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "{" + "x" * 500,
        "[1,]" + " " * 500,
        '{"a" 1}' + " " * 500,
        '{"a":1,}' + " " * 500,
        '{1:"a"}' + " " * 500,
        "[1 2]" + " " * 500,
        "[1]" + " " * 500 + "2",
        '"' + "x" * 500,
        '"a\nb"' + " " * 500,
        '{"a":',
        "[1",
        "",
        "nul" + " " * 500,
        "01" + " " * 500,
        "[NaN]" + " " * 500,
    ],
)
def test_what_is_no_json_is_cut_as_text(text: str) -> None:
    assert cut_json(text, MIN_BYTES, anywhere) is None

    told = Shortener(MIN_BYTES, anywhere).json(text)

    assert told == text or told == cut_text(text, MIN_BYTES, anywhere)


def test_a_cut_asks_where_it_may_be() -> None:
    def before_the_secret(text: str, end: int) -> int:
        return min(end, text.index("SECRET"))

    text = "x" * 150 + "SECRET" * 100
    shortener = Shortener(MIN_BYTES, before_the_secret)

    assert shortener.text(text) == "x" * 150 + MARK
    assert json.loads(shortener.json(json.dumps({"a": text}))) == {"a": "x" * 150 + MARK}


def test_a_smaller_limit_counts_and_a_larger_one_does_not() -> None:
    shortener = Shortener(1000, anywhere)

    assert [size(shortener.text("x" * 2000, limit)) for limit in (None, 500, 1500)] == [
        1000,
        500,
        1000,
    ]


@pytest.mark.parametrize("text", ["", "x" * 10, "ü" * 5, "\U0001f600" * 3, "\ud800"])
def test_the_size_of_a_text_is_that_of_its_utf_8(text: str) -> None:
    assert size_of(text) == size(text)
    assert fits(text, size(text))
    assert not fits(text + "x", size(text))


HOSTILE = {
    "a string": lambda n: '{"a":"' + "x" * n + '"}',
    "escapes": lambda n: '{"a":"' + "\\n" * (n // 2) + '"}',
    "escaped surrogates": lambda n: '["' + "\\ud83d\\ude00" * (n // 12) + '"]',
    "empty lists": lambda n: "[" + "[]," * (n // 3) + "1]",
    "deep lists": lambda n: "[" * (n // 2) + "]" * (n // 2),
    "numbers": lambda n: "[" + "1," * (n // 2) + "1]",
    "a number": lambda n: "1" * n,
    "blanks": lambda n: "[" + " " * n + "1]",
    "a key": lambda n: '{"' + "k" * n + '":1}',
    "no end": lambda n: '["' + "\\" * n,
    "text": lambda n: "ü" * (n // 2),
}


@fault(27)
@pytest.mark.parametrize("kind", HOSTILE)
def test_sixteen_mebibytes_take_bounded_time_and_memory(kind: str) -> None:
    text = HOSTILE[kind](16 * MIB)
    begin = time.process_time()

    tracemalloc.start()
    told = Shortener(64 * 1024, anywhere).json(text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size(told) <= 64 * 1024
    assert time.process_time() - begin < 5
    assert peak < 6 * 16 * MIB
