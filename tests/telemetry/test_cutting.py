"""Cutting: what is told of long content, and what is said of the rest."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from otelbridge.domain.records import Prints
from tests.telemetry.records import (
    ASKED,
    ENDED,
    PROMPTED,
    RAN,
    STARTED,
    changed,
)
from tests.telemetry.test_cleaning import (
    EVERYTHING,
    MARKER,
    TOKEN,
    TRUNCATED,
    bytes_of,
    with_secrets,
)
from tests.telemetry.told import (
    attributes,
    event_attributes,
    key_values,
    tell,
)

if TYPE_CHECKING:
    from otelbridge.domain.records import Record

LIMITS = {"item": 1024, "total": 4096}


def test_a_long_text_is_cut_and_says_so_beside_it() -> None:
    text = "ü" * 5000
    prompt = changed(PROMPTED, prompt=text, length=5000)

    told = tell([STARTED, prompt, ENDED], content="SPAN_AND_EVENT", content_limits=LIMITS)

    (event,) = event_attributes(told.chat, "aibridge.prompt")
    for found in (event, attributes(told.chat.attributes)):
        ((message,),) = [json.loads(str(found["gen_ai.input.messages"]))]
        kept = message["parts"][0]["content"]
        assert kept == "ü" * 506 + "[TRUNCATED]"
        assert found["aibridge.content.truncated"] == 1
        assert found["aibridge.content.sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert event["aibridge.prompt.length"] == 5000
    assert told.series(TRUNCATED) == {("prompt",): 1}


def test_without_content_neither_cut_nor_hash_is_told() -> None:
    prompt = changed(PROMPTED, prompt="x" * 5000)

    told = tell([STARTED, prompt, ENDED], events="both", content_limits=LIMITS)

    assert b"truncated" not in bytes_of(told)
    assert b"sha256" not in bytes_of(told)


def test_arguments_that_are_cut_are_json() -> None:
    sent = json.dumps({"path": "/a", "content": f"{TOKEN}\n" * 200, "mode": 7})

    told = tell([STARTED, changed(RAN, input=sent), ENDED], **EVERYTHING, content_limits=LIMITS)

    found = attributes(told.tools[0].attributes)
    arguments = json.loads(str(found["gen_ai.tool.call.arguments"]))
    assert (arguments["path"], arguments["mode"]) == ("/a", 7)
    assert arguments["content"].startswith(f"{MARKER}\n{MARKER}\n")
    assert arguments["content"].endswith("[TRUNCATED]")
    assert len(str(found["gen_ai.tool.call.arguments"])) <= 1024
    assert found["aibridge.content.truncated"] == 1
    assert TOKEN.encode() not in bytes_of(told)


@given(before=st.integers(0, 1100), after=st.integers(0, 1100), as_json=st.booleans())
def test_a_cut_leaves_no_part_of_a_secret(before: int, after: int, as_json: bool) -> None:
    text = "x" * before + f" {TOKEN} " + "y" * after
    record: Record = (
        changed(ASKED, input=json.dumps([text])) if as_json else changed(PROMPTED, prompt=text)
    )

    told = bytes_of(tell([STARTED, record, ENDED], **EVERYTHING, content_limits=LIMITS))

    assert TOKEN[:8].encode() not in told


def test_of_several_texts_that_were_cut_no_hash_is_told_on_their_span() -> None:
    prompts = [changed(PROMPTED, prompt=letter * 2000) for letter in "ab"]

    told = tell([STARTED, *prompts, ENDED], content="SPAN_AND_EVENT", content_limits=LIMITS)

    chat = attributes(told.chat.attributes)
    assert key_values(chat, "aibridge.content.truncated", "aibridge.content.sha256") == [2, None]
    hashes = {each["aibridge.content.sha256"] for each in told.events}
    assert hashes == {hashlib.sha256(letter.encode() * 2000).hexdigest() for letter in "ab"}


def test_all_content_of_an_interception_has_one_limit() -> None:
    prompts = [changed(PROMPTED, prompt=f"{n}" * 1000, at_ns=PROMPTED.at_ns + n) for n in range(6)]
    tool = changed(ASKED, input='{"a":1}', at_ns=PROMPTED.at_ns + 9)

    told = tell([STARTED, *prompts, tool, ENDED], content="EVENT_ONLY", content_limits=LIMITS)

    texts = [
        json.loads(str(each["gen_ai.input.messages"]))[0]["parts"][0]["content"]
        for each in event_attributes(told.chat, "aibridge.prompt")
    ]
    assert [len(text) for text in texts] == [1000, 1000, 1000, 1000, 11, 11]
    assert texts[4:] == ["[TRUNCATED]"] * 2
    (event,) = event_attributes(told.chat, "aibridge.tool_use")
    assert event["gen_ai.tool.call.arguments"] == '"[TRUNCATED]"'
    assert told.series(TRUNCATED) == {("prompt",): 2, ("tool",): 1}


def test_the_last_text_takes_what_is_left() -> None:
    prompts = [changed(PROMPTED, prompt="a" * 1000, at_ns=PROMPTED.at_ns + n) for n in range(2)]

    told = tell(
        [STARTED, *prompts, ENDED],
        content="EVENT_ONLY",
        content_limits={"item": 1024, "total": 1500},
    )

    lengths = [
        len(json.loads(str(each["gen_ai.input.messages"]))[0]["parts"][0]["content"])
        for each in told.events
    ]
    assert lengths == [1000, 500]


def test_a_text_that_was_cut_when_it_came_says_so_with_its_own_hash() -> None:
    prompt = changed(PROMPTED, prompt="be[TRUNCATED]", length=9, prints=Prints(b"", b"\xab" * 32))

    told = tell([STARTED, prompt, ENDED], content="EVENT_ONLY")

    (event,) = told.events
    assert event["aibridge.content.sha256"] == "ab" * 32
    assert key_values(event, "aibridge.content.truncated", "aibridge.prompt.length") == [1, 9]


def test_long_metadata_is_cut_through_no_secret() -> None:
    """Where a long secret became a short marker, what stood far behind is told."""
    armour = f"-----BEGIN PRIVATE KEY-----\n{'A' * 4020}\n-----END PRIVATE KEY-----"
    prompt = changed(PROMPTED, metadata={"note": f"{armour}{TOKEN} and {'x' * 5000}"})

    (event,) = tell([STARTED, prompt, ENDED]).events

    told = str(event["aibridge.metadata.note"])
    assert told.startswith("[REDACTED:private-key]")
    assert TOKEN[:6] not in told


def test_markers_longer_than_their_secrets_do_not_exceed_the_limit() -> None:
    prompt = changed(PROMPTED, prompt="ab " * 300)
    tool = changed(ASKED, input=json.dumps(["ab"] * 200))
    options = {**EVERYTHING, "redaction": {"short": "ab"}, "content_limits": LIMITS}

    told = tell([STARTED, prompt, tool, ENDED], **options)

    (event,) = event_attributes(told.chat, "aibridge.tool_use")
    arguments = str(event["gen_ai.tool.call.arguments"])
    (text,) = json.loads(str(attributes(told.chat.attributes)["gen_ai.input.messages"]))
    assert len(text["parts"][0]["content"]) <= 1024
    assert text["parts"][0]["content"].endswith("[REDACTED:short] [TRUNCATED]")
    assert len(arguments) <= 1024
    assert set(json.loads(arguments)) == {"[REDACTED:short]", "[TRUNCATED]"}
    assert event["aibridge.content.truncated"] == 1


@given(order=st.permutations(range(9)), total=st.integers(1024, 6000))
def test_neither_order_nor_restarts_change_what_is_left_of_content(
    order: list[int], total: int
) -> None:
    records: list[Record] = [
        *with_secrets(),
        changed(PROMPTED, prompt=f"{TOKEN} é " * 40),
        changed(ASKED, input=json.dumps({"a": f"{TOKEN}\n" * 40, "b": 1})),
    ]
    options = {**EVERYTHING, "content_limits": {"item": 1024, "total": total}}

    first = tell(records, **options)
    second = tell([records[number] for number in order], **options)

    assert [tuple(item) for item in first.items] == [tuple(item) for item in second.items]
    assert TOKEN[:8].encode() not in bytes_of(first)
