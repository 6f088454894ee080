"""Token arithmetic: what providers and revisions of gateways send, and what it amounts to.

The vectors (`tests/vectors/usage.json`, free for others to use) are token
records and the usage that they stand for, written down from the providers' own figures.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.domain.usage import Usage, total_usage, usage_of
from tests.telemetry.records import USED, changed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.domain.records import MetadataValue, TokensUsed

LIMIT = 10**9


def record(
    counts: tuple[int, int],
    typed: tuple[int, int] = (0, 0),
    metadata: Mapping[str, MetadataValue] | None = None,
) -> TokensUsed:
    """Return a record of (input, output) and typed (read, written) counts, with metadata."""
    return changed(
        USED,
        input_tokens=counts[0],
        output_tokens=counts[1],
        cache_read_input_tokens=typed[0],
        cache_write_input_tokens=typed[1],
        metadata=metadata or {},
    )


VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors/usage.json").read_text()
)
_NAMES = [f"{each['api']}, {each['revision']}: {each['name']}" for each in VECTORS]

# What JSON has no number for, or no other program need agree with.
OWN = {
    "the largest count that is believed": (
        record((LIMIT, 1)),
        Usage(input_tokens=LIMIT, output_tokens=1),
    ),
    "a count that no request can have is cut": (
        record((2**62, 1), metadata={"web_search_requests": 1e300}),
        Usage(input_tokens=LIMIT, output_tokens=1, web_searches=LIMIT, inconsistent=True),
    ),
    "metadata that is not finite counts nothing": (
        record((5, 3), metadata={"prompt_cached": math.inf, "output_reasoning": math.nan}),
        Usage(input_tokens=5, output_tokens=3),
    ),
}


def sent(vector: Mapping[str, Any]) -> list[TokensUsed]:
    """Return a vector's records, with metadata as it comes from the wire."""
    return [
        record(
            (each["input_tokens"], each["output_tokens"]),
            (each.get("cache_read_input_tokens", 0), each.get("cache_write_input_tokens", 0)),
            {
                key: float(value) if type(value) is int else value
                for key, value in each.get("metadata", {}).items()
            },
        )
        for each in vector["records"]
    ]


@pytest.mark.parametrize("vector", VECTORS, ids=_NAMES)
def test_records_stand_for_this_usage(vector: dict[str, Any]) -> None:
    usage = total_usage(usage_of(each) for each in sent(vector))

    assert usage._replace(has_modality=False) == Usage(**vector["usage"])


@pytest.mark.parametrize("vector", VECTORS, ids=_NAMES)
def test_no_part_of_a_vector_is_more_than_its_whole(vector: dict[str, Any]) -> None:
    """The vectors are right by themselves, whatever the code says."""
    usage = Usage(**vector["usage"])

    assert usage.inconsistent or is_consistent(usage)
    assert set(vector) == {"name", "api", "revision", "records", "usage"}


def test_vectors_are_told_apart_by_their_names_and_are_of_every_api_and_revision() -> None:
    assert len(set(_NAMES)) == len(_NAMES)
    assert {(each["api"].partition(",")[0], each["revision"]) for each in VECTORS} >= {
        (api, revision)
        for api in ("anthropic messages", "openai chat completions", "openai responses")
        for revision in ("first", "later")
    }


def test_the_readme_of_the_vectors_has_every_key() -> None:
    text = (Path(__file__).parents[1] / "vectors/README.md").read_text()
    named = set(re.findall(r"`(\w+)`", text))

    keys = {key for vector in VECTORS for key in (*vector, *vector["usage"])}
    assert keys - named == set()


@pytest.mark.parametrize("name", OWN)
def test_a_record_beyond_the_vectors_stands_for_this_usage(name: str) -> None:
    told, usage = OWN[name]

    assert usage_of(told) == usage


def test_a_record_with_audio_keys_tells_modalities_apart() -> None:
    with_keys, without = ({"prompt_audio": 0.0}, {"input_cached": 1.0})

    assert usage_of(record((1, 1), metadata=with_keys)).has_modality
    assert not usage_of(record((1, 1), metadata=without)).has_modality


def is_consistent(usage: Usage) -> bool:
    """Return whether no part is more than its whole."""
    return (
        usage.input_tokens >= usage.cache_read + usage.cache_write
        and usage.output_tokens >= usage.reasoning
        and usage.cache_write >= usage.cache_write_5m + usage.cache_write_1h
    )


def test_a_sum_is_flagged_if_any_part_is() -> None:
    total = total_usage([Usage(input_tokens=1), Usage(inconsistent=True), Usage(has_modality=True)])

    assert total == Usage(input_tokens=1, inconsistent=True, has_modality=True)


def test_nothing_adds_up_to_nothing() -> None:
    assert total_usage([]) == Usage()


KEYS = {key for each in VECTORS for told in each["records"] for key in told.get("metadata", ())}
counts = st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 100_000)
metadata_counts = st.floats() | st.integers(0, 1000).map(float)


@given(
    sent=st.tuples(counts, counts),
    typed=st.tuples(counts, counts),
    metadata=st.dictionaries(st.sampled_from(sorted(KEYS)), metadata_counts),
)
def test_whatever_is_sent_no_count_is_negative_or_too_large(
    sent: tuple[int, int], typed: tuple[int, int], metadata: dict[str, float]
) -> None:
    usage = usage_of(record(sent, typed, metadata))

    told = [getattr(usage, field) for field in Usage._fields[:10]]
    assert all(isinstance(count, int) and 0 <= count <= LIMIT for count in told)


@given(fresh=st.integers(0, 10**6), read=st.integers(0, 10**6), written=st.integers(0, 10**6))
def test_consistent_usage_is_never_flagged_and_includes_what_was_cached(
    fresh: int, read: int, written: int
) -> None:
    usage = usage_of(record((fresh, 0), (read, written)))

    assert usage.input_tokens == fresh + read + written
    assert not usage.inconsistent


small = st.integers(0, 10**6)


@given(
    records=st.lists(
        st.builds(
            lambda fresh, output, read, written, thought: record(
                (fresh, output), (read, written), {"output_reasoning": float(thought)}
            ),
            small,
            small,
            small,
            small,
            small,
        ),
        max_size=5,
    )
)
def test_a_sum_that_is_not_flagged_keeps_the_invariants(records: list[TokensUsed]) -> None:
    total = total_usage(usage_of(each) for each in records)

    assert total.inconsistent or is_consistent(total)
    assert total.input_tokens >= total.cache_read + total.cache_write  # whatever the reasoning
    assert total.inconsistent == any(usage_of(each).inconsistent for each in records)
