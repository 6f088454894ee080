"""Limits of attributes: how many, how long, and a count of what was cut."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelbridge.config.sections import Semconv
from otelbridge.domain.interception import Thread
from otelbridge.domain.records import Prints
from tests.faults import fault
from tests.telemetry.records import (
    ASKED,
    ENDED,
    PROMPTED,
    RAN,
    SESSION,
    STARTED,
    THOUGHT,
    USED,
    changed,
)
from tests.telemetry.test_threads import FOLLOW_UP
from tests.telemetry.told import attributes, event_attributes, tell, tell_late

if TYPE_CHECKING:
    from otelbridge.domain.records import Record
    from tests.telemetry.told import Told

CUT = "aibridge.attributes.truncated"
LONG = "x" * 1025
PRINTS = Prints(b"f" * 16, b"s" * 32)


def full(metadata: dict[str, object]) -> list[Record]:
    """Return an interception that tells every attribute there is."""
    start = changed(
        STARTED,
        provider="bedrock",
        provider_name="eu",
        credential_kind="byok",
        correlating_tool_call_id="toolu_0",
        client_session_id="s",
        agent_firewall_session_id="f",
        agent_firewall_sequence_number=1,
        workspace_id="w",
        metadata={"Username": "alice", **metadata},
        synthetic_time=True,
    )
    counts = ("completion_reasoning", "prompt_audio", "completion_audio", "web_search_requests")
    used = changed(
        USED,
        msg_id="msg_2",
        input_tokens=-5,
        cache_read_input_tokens=7,
        metadata={
            **USED.metadata,
            **dict.fromkeys(counts, 3.0),
            "cache_ephemeral_1h_input": 9.0,
            **{f"count {number}": 1.0 for number in range(40)},
        },
    )
    secret = "postgres://a:b@h"
    return [
        start,
        used,
        changed(PROMPTED, prints=PRINTS, prompt=secret, metadata=metadata, synthetic_time=True),
        changed(THOUGHT, prints=PRINTS, content=secret, metadata=metadata),
        changed(ASKED, prints=PRINTS, metadata=metadata, invocation_error="timeout"),
        changed(RAN, prints=PRINTS, input=f'"{secret}"', metadata=metadata, synthetic_time=True),
        changed(ENDED, error_type="overloaded", at_ns=STARTED.at_ns - 1),
        changed(ENDED, error_type="timeout"),
    ]


def most(told: Told) -> int:
    """Return the largest number of attributes of a span, an event or a log record."""
    on_spans = [attributes(span.attributes) for span in told.spans]
    return max(len(each) for each in (*on_spans, *told.events))


@pytest.mark.parametrize("semconv", get_args(Semconv))
def test_no_span_and_no_event_has_more_than_128_attributes(semconv: str) -> None:
    metadata: dict[str, object] = {f"key {number:03}": LONG for number in range(200)}

    told = tell(
        full(metadata),
        FOLLOW_UP,
        semconv=semconv,
        content="SPAN_AND_EVENT",
        events="both",
        trace_grouping="thread",
    )

    assert 90 < most(told) <= 128
    assert attributes(told.chat.attributes)["aibridge.metadata.dropped"] == 200 - 32 + 40 - 32


@fault(30)
@settings(max_examples=25)
@given(
    keys=st.lists(st.text(max_size=200), max_size=60),
    value=st.text() | st.integers() | st.lists(st.text()),
)
def test_any_metadata_leaves_an_event_within_its_limits(keys: list[str], value: object) -> None:
    prompt = changed(PROMPTED, metadata=dict.fromkeys(keys, value))

    (found,) = tell([STARTED, prompt, ENDED]).events

    assert len(found) <= 5 + 32 + 2
    assert all(len(str(each).encode()) <= 1024 for each in found.values())


def test_texts_that_are_too_long_are_cut_and_counted_where_they_stand() -> None:
    start = changed(STARTED, model=LONG, client=LONG, user_agent="u" * 513, metadata={"note": LONG})
    tool = changed(ASKED, tool=LONG, tool_call_id=LONG, msg_id=LONG, metadata={"note": LONG})

    told = tell([start, tool, ENDED])

    chat = attributes(told.chat.attributes)
    (event,) = event_attributes(told.chat, "aibridge.tool_use")
    # The client is told under two names, the response's id as well as the four of the start.
    assert (chat[CUT], event[CUT]) == (4 + 1 + 1, 4)
    assert len(str(chat["user_agent.original"])) == 512
    for found, key in (
        (chat, "gen_ai.request.model"),
        (chat, "aibridge.metadata.note"),
        (event, "gen_ai.tool.name"),
        (event, "gen_ai.response.id"),
    ):
        assert len(str(found[key])) == 1024


def test_a_tools_span_and_an_inferred_one_count_too() -> None:
    parent = FOLLOW_UP.parent
    assert parent is not None
    tools = tuple(replace(each, tool=LONG) for each in parent.tools)
    thread: Thread = replace(FOLLOW_UP, parent=replace(parent, tools=tools))

    told = tell([STARTED, changed(RAN, tool=LONG), ENDED], thread, trace_grouping="thread")

    assert {attributes(span.attributes).get(CUT) for span in told.tools} == {1}


def test_a_late_record_counts_too() -> None:
    (late,) = tell_late(changed(ASKED, tool=LONG)).events

    assert late[CUT] == 1


def test_texts_of_the_largest_length_are_whole() -> None:
    start = changed(STARTED, model="m" * 1024, user_agent="u" * 512, metadata={"note": "n" * 1024})

    told = tell([start, *SESSION[1:]], content="SPAN_AND_EVENT")

    assert all(CUT not in each for each in told.events)
    assert all(CUT not in attributes(span.attributes) for span in told.spans)


def test_a_key_is_made_safe_and_none_is_told_twice() -> None:
    metadata = {"a\x1b[0m\u202e": 1.0, "a\\x1b[0m\\u202e": 2.0, "b\nc": 3.0}

    (found,) = tell([STARTED, changed(PROMPTED, metadata=metadata), ENDED]).events

    told = {key: value for key, value in found.items() if key.startswith("aibridge.metadata.")}
    assert told == {
        "aibridge.metadata.a\\x1b[0m\\u202e": 1,
        "aibridge.metadata.b\\x0ac": 3,
        "aibridge.metadata.dropped": 1,
    }
