"""Metadata: told within limits, in one order, and never twice."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest

from tests.faults import fault
from tests.telemetry.records import ENDED, STARTED, THOUGHT, USED, USED_MORE, changed
from tests.telemetry.told import attributes, event_attributes, tell

if TYPE_CHECKING:
    from otelbridge.domain.records import MetadataValue
    from tests.telemetry.told import Value

NAME = "aibridge.metadata."


def told(metadata: dict[str, MetadataValue]) -> dict[str, Value]:
    """Return the metadata that a chat span tells, without the prefix of the keys."""
    chat = tell([changed(STARTED, metadata=metadata), ENDED]).chat
    found = attributes(chat.attributes)
    return {k.removeprefix(NAME): v for k, v in found.items() if k.startswith(NAME)}


@pytest.mark.parametrize("value", ["text", "", True, False, 7, -7, 2.5, 3.0])
def test_a_scalar_is_told_with_its_type(value: str | float) -> None:
    found = told({"key": value})["key"]

    assert (found, type(found)) == (value, type(value))


def test_nested_metadata_is_json_whatever_the_order_of_its_keys() -> None:
    first = told({"key": {"b": [1, {"y": None, "x": "ü"}], "a": True}})
    second = told({"key": {"a": True, "b": [1, {"x": "ü", "y": None}]}})

    assert first == second == {"key": '{"a":true,"b":[1,{"x":"ü","y":null}]}'}


def test_numbers_that_json_cannot_hold_are_text_in_it() -> None:
    found = told({"key": {"a": [math.nan, 1.5], "b": -math.inf}})["key"]

    assert json.loads(str(found)) == {"a": ["nan", 1.5], "b": "-inf"}


def test_an_integer_too_large_for_otlp_is_a_double() -> None:
    assert told({"key": 2**63}) == {"key": float(2**63)}


def test_null_is_absent_and_not_counted() -> None:
    assert told({"key": None}) == {}


@fault(30)
def test_the_first_32_keys_in_byte_order_are_told_and_the_rest_is_counted() -> None:
    keys = ["é", "Z", *(f"k{number:02}" for number in range(40))]

    found = told(dict.fromkeys(reversed(keys), 1))

    assert list(found) == ["Z", *(f"k{number:02}" for number in range(31)), "dropped"]
    assert found["dropped"] == 10


def test_a_long_value_is_cut_at_one_kibibyte_between_characters() -> None:
    found = told({"key": "x" + "ü" * 1000})["key"]

    assert found == "x" + "ü" * 511


@fault(30)
def test_keys_that_cannot_be_told_are_counted() -> None:
    assert told({"": 1, "k" * 129: 1, "k" * 128: 1}) == {"k" * 128: 1, "dropped": 2}


def test_a_key_that_would_collide_with_the_count_is_counted() -> None:
    assert told({"dropped": "x", "a": 1}) == {"a": 1, "dropped": 1}


def test_the_users_name_and_usage_are_not_repeated() -> None:
    found = told({"Username": "alice", "cache_read_input": 5, "total_tokens": 9, "team": "x"})

    assert found == {"team": "x"}


def test_token_records_add_what_is_no_number_and_the_start_wins() -> None:
    start = changed(STARTED, metadata={"tier": "start"})
    first = changed(USED, metadata={"tier": "a", "region": "a", "fast": True, "extra": 3.0})
    second = changed(USED_MORE, metadata={"region": "b"})

    found = attributes(tell([start, second, first, ENDED]).chat.attributes)

    shown = {key: value for key, value in found.items() if key.startswith(NAME)}
    assert shown == {f"{NAME}tier": "start", f"{NAME}region": "a", f"{NAME}fast": True}
    assert found["aibridge.usage.extra.extra"] == 3


def test_too_many_other_counts_are_left_out_and_counted() -> None:
    used = changed(USED, metadata={f"k{number:02}": 1.0 for number in range(34)})

    found = attributes(tell([STARTED, used, ENDED]).chat.attributes)

    extra = [key for key in found if key.startswith("aibridge.usage.extra.")]
    assert extra == [f"aibridge.usage.extra.k{number:02}" for number in range(32)]
    assert found["aibridge.metadata.dropped"] == 2


def test_an_event_tells_its_records_metadata() -> None:
    thought = changed(THOUGHT, metadata={"source": "commentary", "depth": 2.0})

    (found,) = event_attributes(tell([STARTED, thought, ENDED]).chat, "aibridge.model_thought")

    assert found["aibridge.metadata.depth"] == 2
    assert found["aibridge.thought.source"] == "commentary"
