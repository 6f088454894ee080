"""Content: it stands exactly where the mode allows it, as the conventions' messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.telemetry.records import (
    ASKED,
    ENDED,
    PROMPTED,
    RAN,
    SESSION,
    STARTED,
    THOUGHT,
    changed,
)
from tests.telemetry.told import attributes, event_attributes, tell

if TYPE_CHECKING:
    from otelbridge.domain.records import Record
    from tests.telemetry.told import Told

CONTENT = {"gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.call.arguments"}
SECRETS = [str(PROMPTED.prompt), str(THOUGHT.content), "normalize", "umlaut"]


def keys_on_spans(told: Told) -> set[str]:
    """Return the content attributes of all spans."""
    return {pair.key for span in told.spans for pair in span.attributes} & CONTENT


def keys_on_events(told: Told) -> set[str]:
    """Return the content attributes of all events, of spans and as log records."""
    return {key for event in told.events for key in event} & CONTENT


def test_without_content_no_word_of_it_is_told() -> None:
    told = tell(SESSION, events="both")

    body = b"".join(item.body for item in told.items)
    assert [secret for secret in SECRETS if secret.encode() in body] == []


@pytest.mark.parametrize(
    ("mode", "on_spans", "on_events"),
    [
        ("NO_CONTENT", set(), set()),
        ("SPAN_ONLY", CONTENT, set()),
        ("EVENT_ONLY", set(), CONTENT),
        ("SPAN_AND_EVENT", CONTENT, CONTENT),
    ],
)
@pytest.mark.parametrize("events", ["span", "log", "both"])
def test_content_stands_where_the_mode_allows_it(
    mode: str, on_spans: set[str], on_events: set[str], events: str
) -> None:
    told = tell(SESSION, content=mode, events=events)

    assert (keys_on_spans(told), keys_on_events(told)) == (on_spans, on_events)


def test_the_chat_span_has_all_prompts_and_thoughts_in_order() -> None:
    prompt = changed(PROMPTED, prompt='Again: "why"?', at_ns=PROMPTED.at_ns + 1)
    thought = changed(THOUGHT, content="Or not.", at_ns=THOUGHT.at_ns + 1)

    told = tell([*SESSION, thought, prompt], content="SPAN_ONLY")

    found = attributes(told.chat.attributes)
    assert json.loads(str(found["gen_ai.input.messages"])) == [
        {"role": "user", "parts": [{"type": "text", "content": text}]}
        for text in ("Why does Jürgen fail?", 'Again: "why"?')
    ]
    assert json.loads(str(found["gen_ai.output.messages"])) == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "It is the umlaut."},
                {"type": "reasoning", "content": "Or not."},
            ],
        }
    ]


def test_an_event_has_its_own_message() -> None:
    chat = tell(SESSION, content="EVENT_ONLY").chat

    (prompt,) = event_attributes(chat, "aibridge.prompt")
    ran, asked = event_attributes(chat, "aibridge.tool_use")
    assert json.loads(str(prompt["gen_ai.input.messages"])) == [
        {"role": "user", "parts": [{"type": "text", "content": PROMPTED.prompt}]}
    ]
    arguments = [each["gen_ai.tool.call.arguments"] for each in (ran, asked)]
    assert arguments == [RAN.input, ASKED.input]


def test_content_that_was_not_kept_is_not_told() -> None:
    records: list[Record] = [
        STARTED,
        changed(PROMPTED, prompt=None),
        changed(THOUGHT, content=None),
        changed(RAN, input=None),
        ENDED,
    ]

    told = tell(records, content="SPAN_AND_EVENT")

    assert keys_on_spans(told) | keys_on_events(told) == set()
    (prompt,) = event_attributes(told.chat, "aibridge.prompt")
    assert prompt["aibridge.prompt.length"] == 21
