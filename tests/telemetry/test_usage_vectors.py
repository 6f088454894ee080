"""Token arithmetic: what providers and revisions of gateways send, and what it amounts to.

Each vector is a token record and the usage that it stands for, written down
from the provider's own figures. They are free for others to use.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

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


ANTHROPIC: dict[str, MetadataValue] = {
    "cache_read_input": 14_210.0,
    "cache_creation_input": 218.0,
    "cache_ephemeral_5m_input": 218.0,
    "cache_ephemeral_1h_input": 0.0,
    "web_search_requests": 0.0,
}
CHAT: dict[str, MetadataValue] = {
    "prompt_cached": 1024.0,
    "prompt_audio": 0.0,
    "completion_audio": 0.0,
    "completion_reasoning": 64.0,
    "completion_accepted_prediction": 0.0,
    "completion_rejected_prediction": 12.0,
}
RESPONSES: dict[str, MetadataValue] = {
    "input_cached": 2048.0,
    "output_reasoning": 128.0,
    "total_tokens": 2500.0,
}

VECTORS = {
    "Anthropic, first revision: cache counts are metadata alone": (
        record((6, 3), metadata=ANTHROPIC),
        Usage(
            input_tokens=14_434,
            output_tokens=3,
            cache_read=14_210,
            cache_write=218,
            cache_write_5m=218,
        ),
    ),
    "Anthropic, later: typed fields and metadata count once": (
        record((6, 3), (14_210, 218), ANTHROPIC),
        Usage(
            input_tokens=14_434,
            output_tokens=3,
            cache_read=14_210,
            cache_write=218,
            cache_write_5m=218,
        ),
    ),
    "Anthropic, later, without metadata": (
        record((6, 3), (14_210, 218)),
        Usage(input_tokens=14_434, output_tokens=3, cache_read=14_210, cache_write=218),
    ),
    "Anthropic, the second record of a streamed message": (
        record((0, 164)),
        Usage(output_tokens=164),
    ),
    "Anthropic, web searches and an hour's cache": (
        record((5, 1), (0, 900), {"cache_ephemeral_1h_input": 900.0, "web_search_requests": 2.0}),
        Usage(
            input_tokens=905,
            output_tokens=1,
            cache_write=900,
            cache_write_1h=900,
            web_searches=2,
        ),
    ),
    "OpenAI chat, first revision: reasoning is a part of the output": (
        record((176, 100), metadata=CHAT),
        Usage(
            input_tokens=1200,
            output_tokens=100,
            cache_read=1024,
            reasoning=64,
            has_modality=True,
            extra={"completion_rejected_prediction": 12},
        ),
    ),
    "OpenAI chat, later: typed fields and metadata count once": (
        record((176, 100), (1024, 0), CHAT),
        Usage(
            input_tokens=1200,
            output_tokens=100,
            cache_read=1024,
            reasoning=64,
            has_modality=True,
            extra={"completion_rejected_prediction": 12},
        ),
    ),
    "OpenAI chat, with audio": (
        record((30, 20), metadata={"prompt_audio": 25.0, "completion_audio": 15.0}),
        Usage(
            input_tokens=30,
            output_tokens=20,
            audio_input=25,
            audio_output=15,
            has_modality=True,
        ),
    ),
    "OpenAI Responses: the total is not added": (
        record((252, 200), metadata=RESPONSES),
        Usage(input_tokens=2300, output_tokens=200, cache_read=2048, reasoning=128),
    ),
    "a typed field wins over different metadata": (
        record((1, 1), (10, 0), {"cache_read_input": 99.0}),
        Usage(input_tokens=11, output_tokens=1, cache_read=10),
    ),
    "everything is zero": (record((0, 0), metadata={"cache_read_input": 0.0}), Usage()),
    "a gateway's negative uncached input still gives the provider's figure": (
        record((-24, 7), (1024, 0)),
        Usage(input_tokens=1000, output_tokens=7, cache_read=1024, inconsistent=True),
    ),
    "a sum below zero is booked as zero": (
        record((-10, 7), (3, 0)),
        Usage(output_tokens=7, cache_read=3, inconsistent=True),
    ),
    "a negative part is booked as zero": (
        record((5, -3), metadata={"completion_reasoning": -1.0}),
        Usage(input_tokens=5, inconsistent=True),
    ),
    "more reasoning than output is told as sent": (
        record((5, 3), metadata={"output_reasoning": 9.0}),
        Usage(input_tokens=5, output_tokens=3, reasoning=9, inconsistent=True),
    ),
    "the largest count that is believed": (
        record((LIMIT, 1)),
        Usage(input_tokens=LIMIT, output_tokens=1),
    ),
    "a count that no request can have is cut": (
        record((2**62, 1), metadata={"web_search_requests": 1e300}),
        Usage(input_tokens=LIMIT, output_tokens=1, web_searches=LIMIT, inconsistent=True),
    ),
    "metadata that is no number counts nothing": (
        record(
            (5, 3),
            metadata={"cache_read_input": "7", "prompt_cached": True, "output_reasoning": math.nan},
        ),
        Usage(input_tokens=5, output_tokens=3),
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_a_record_stands_for_this_usage(name: str) -> None:
    sent, usage = VECTORS[name]

    assert usage_of(sent) == usage


def test_both_records_of_a_streamed_message_add_up() -> None:
    first = record((6, 3), (14_210, 218), {**ANTHROPIC, "odd": 1.0})
    second = record((0, 164), metadata={"odd": 2.5})

    total = total_usage(usage_of(each) for each in (first, second))

    assert total == Usage(
        input_tokens=14_434,
        output_tokens=167,
        cache_read=14_210,
        cache_write=218,
        cache_write_5m=218,
        extra={"odd": 3.5},
    )


def test_a_sum_is_flagged_if_any_part_is() -> None:
    total = total_usage([Usage(input_tokens=1), Usage(inconsistent=True), Usage(has_modality=True)])

    assert total == Usage(input_tokens=1, inconsistent=True, has_modality=True)


def test_nothing_adds_up_to_nothing() -> None:
    assert total_usage([]) == Usage()


counts = st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 100_000)
metadata_counts = st.floats() | st.integers(0, 1000).map(float)


@given(
    sent=st.tuples(counts, counts),
    typed=st.tuples(counts, counts),
    metadata=st.dictionaries(st.sampled_from([*ANTHROPIC, *CHAT, *RESPONSES]), metadata_counts),
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
