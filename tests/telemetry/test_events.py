"""Events: prompts, tools and thoughts on the chat span, as log records, or both."""

from __future__ import annotations

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber

from otelbridge.domain.ports import Signal
from otelbridge.telemetry.events import MAX_SPAN_EVENTS
from tests.telemetry.records import (
    ASKED,
    ENDED,
    INTERCEPTION,
    PROMPTED,
    RAN,
    SESSION,
    STARTED,
    THOUGHT,
    changed,
)
from tests.telemetry.told import attributes, event_attributes, tell

EVENTS = [
    ("aibridge.model_thought", THOUGHT.at_ns),
    ("aibridge.tool_use", RAN.at_ns),
    ("aibridge.tool_use", ASKED.at_ns),
    ("aibridge.prompt", PROMPTED.at_ns),
]


def test_events_stand_on_the_span_in_the_order_of_time() -> None:
    told = tell(SESSION)

    assert [(event.name, event.time_unix_nano) for event in told.chat.events] == EVENTS
    assert told.logs == []


def test_events_may_be_log_records_of_the_chat_span() -> None:
    told = tell(SESSION, events="log")

    assert list(told.chat.events) == []
    assert [(log.event_name, log.time_unix_nano) for log in told.logs] == EVENTS
    assert {(log.trace_id, log.span_id) for log in told.logs} == {
        (told.chat.trace_id, told.chat.span_id)
    }
    assert {log.severity_number for log in told.logs} == {SeverityNumber.SEVERITY_NUMBER_INFO}


def test_both_tell_the_same() -> None:
    told = tell(SESSION, events="both", content="EVENT_ONLY")

    on_span = [(event.name, attributes(event.attributes)) for event in told.chat.events]
    as_logs = [(log.event_name, attributes(log.attributes)) for log in told.logs]
    assert on_span == as_logs
    assert len(on_span) == 4


def test_a_prompt_event_has_its_length_and_its_response() -> None:
    assert event_attributes(tell(SESSION).chat, "aibridge.prompt") == [
        {
            "aibridge.interception.id": str(INTERCEPTION),
            "gen_ai.response.id": "msg_1",
            "aibridge.prompt.length": 21,
        }
    ]


def test_a_tool_event_says_who_runs_it() -> None:
    ran, asked = event_attributes(tell(SESSION).chat, "aibridge.tool_use")

    assert asked == {
        "aibridge.interception.id": str(INTERCEPTION),
        "gen_ai.response.id": "msg_1",
        "gen_ai.tool.name": "Grep",
        "gen_ai.tool.call.id": "toolu_1",
        "gen_ai.tool.type": "function",
        "aibridge.tool.injected": False,
        "aibridge.tool.input.length": 23,
    }
    assert (ran["gen_ai.tool.type"], ran["server.address"]) == ("extension", "mcp.example.com")


def test_a_thought_event_has_its_source() -> None:
    assert event_attributes(tell(SESSION).chat, "aibridge.model_thought") == [
        {
            "aibridge.interception.id": str(INTERCEPTION),
            "aibridge.thought.source": "thinking",
            "aibridge.metadata.source": "thinking",
        }
    ]


def test_a_thought_without_a_source_claims_none() -> None:
    thought = changed(THOUGHT, metadata={"source": 7.0})

    (found,) = event_attributes(tell([STARTED, thought, ENDED]).chat, "aibridge.model_thought")

    assert "aibridge.thought.source" not in found


def test_an_empty_response_id_is_left_out() -> None:
    told = tell([STARTED, changed(PROMPTED, msg_id=""), ENDED])

    (found,) = event_attributes(told.chat, "aibridge.prompt")

    assert "gen_ai.response.id" not in found


def test_a_time_that_is_a_receipt_is_flagged_on_the_event() -> None:
    told = tell([STARTED, changed(PROMPTED, synthetic_time=True), ENDED])

    (found,) = event_attributes(told.chat, "aibridge.prompt")

    assert found["aibridge.timestamp.synthetic"] is True


def test_events_beyond_the_limit_are_counted() -> None:
    many = [changed(PROMPTED, msg_id=str(number)) for number in range(MAX_SPAN_EVENTS + 3)]

    chat = tell([STARTED, *many, ENDED]).chat

    assert (len(chat.events), chat.dropped_events_count) == (MAX_SPAN_EVENTS, 3)


def test_much_content_is_told_in_several_items() -> None:
    prompts = [changed(PROMPTED, prompt="x" * 700_000, msg_id=str(each)) for each in range(3)]

    told = tell(
        [STARTED, *prompts, ENDED],
        events="log",
        content="EVENT_ONLY",
        content_limits={"item": "1MiB", "total": "4MiB"},
    )

    items = [item for item in told.items if item.signal is Signal.LOGS]
    assert [item.items for item in items] == [1, 1, 1]
    assert len(told.logs) == 3


@pytest.mark.parametrize(
    ("signals", "told_signals"),
    [
        (["traces"], {Signal.TRACES}),
        (["logs"], {Signal.LOGS}),
        (["traces", "logs"], {Signal.TRACES, Signal.LOGS}),
        (["metrics"], set()),
    ],
)
def test_a_destination_is_told_only_the_signals_that_it_wants(
    signals: list[str], told_signals: set[Signal]
) -> None:
    told = tell(SESSION, signals=signals, events="both")

    assert {item.signal for item in told.items} == told_signals
