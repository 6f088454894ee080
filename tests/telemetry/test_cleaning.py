"""Cleaning: what is told has lost its secrets and what of it is too long, wherever it stands."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from otelbridge.domain.ledger import Changes
from otelbridge.domain.records import InterceptionStarted, Prints
from tests.faults import fault
from tests.telemetry.records import (
    ASKED,
    ENDED,
    INTERCEPTION,
    PROMPTED,
    RAN,
    SESSION,
    STARTED,
    THOUGHT,
    USED,
    assembled,
    changed,
    closed,
)
from tests.telemetry.secret_vectors import VECTORS
from tests.telemetry.test_threads import FOLLOW_UP
from tests.telemetry.told import (
    Told,
    attributes,
    event_attributes,
    key_values,
    make_teller,
    tell,
    tell_late,
)

if TYPE_CHECKING:
    from otelbridge.domain.records import Record

TOKEN = next(each.secret for each in VECTORS if each.rule == "github-token")
MARKER = "[REDACTED:github-token]"
REDACTED = "otelbridge.content.redacted"
TRUNCATED = "otelbridge.content.truncated"
MODES = ["NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT"]
EVERYTHING = {"content": "SPAN_AND_EVENT", "events": "both"}


def bytes_of(told: Told) -> bytes:
    """Return everything that goes to the outbox and the ledger."""
    return b"".join(item.body for item in told.items) + repr(told.changes).encode()


def with_secrets(token: str = TOKEN) -> list[Record]:
    """Return an interception that has a secret wherever free text can be."""
    metadata = {"note": f"say {token}", "deep": {"a": [f"\n{token}"]}, f"key {token}": 1.0}
    return [
        changed(
            STARTED,
            model=f"m-{token}",
            client=f"c {token}",
            user_agent=f"cli/1 {token}",
            client_session_id=f"s {token}",
            api_key_id=token,
            provider_name=f"p {token}",
            metadata={"Username": "alice", **metadata},
        ),
        changed(USED, metadata={**USED.metadata, "tier": token}),
        changed(PROMPTED, prompt=f"use {token}, please", metadata=metadata),
        changed(THOUGHT, content=f"is {token} a token?", metadata={"source": token}),
        changed(ASKED, tool=f"run {token}", input=json.dumps({"a": f"\n{token}"})),
        changed(
            RAN,
            input=json.dumps([token]),
            server_url=f"https://h/{token}/mcp",
            invocation_error=f"timeout: {token}",
        ),
        changed(ENDED, error_type="unknown", error_message=f"bad key {token}"),
    ]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("grouping", ["interception", "thread"])
def test_a_secret_is_told_in_no_mode_and_booked_under_no_label(mode: str, grouping: str) -> None:
    told = tell(with_secrets(), events="both", content=mode, trace_grouping=grouping)

    assert TOKEN.encode() not in bytes_of(told)


def test_without_rules_the_same_secret_is_told() -> None:
    told = tell(with_secrets(), **EVERYTHING, redaction={"builtin": False})

    assert bytes_of(told).count(TOKEN.encode()) > 20


@pytest.mark.parametrize("record", with_secrets()[1:], ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("mode", MODES)
def test_a_late_record_tells_no_secret(record: Record, mode: str) -> None:
    told = bytes_of(tell_late(record, content=mode))
    plain = bytes_of(tell_late(record, content=mode, redaction={"builtin": False}))

    assert TOKEN.encode() not in told
    assert (MARKER.encode() in told) == (TOKEN.encode() in plain)


def test_a_late_start_tells_no_secret() -> None:
    told = tell_late(with_secrets()[0], content="EVENT_ONLY")

    assert TOKEN.encode() not in bytes_of(told)


def test_each_place_tells_which_rule_found_it() -> None:
    told = tell(with_secrets(), **EVERYTHING)

    chat = attributes(told.chat.attributes)
    prompt, tool = (event_attributes(told.chat, f"aibridge.{e}") for e in ("prompt", "tool_use"))
    assert chat["gen_ai.request.model"] == f"m-{MARKER}"
    assert chat["aibridge.client"] == f"c {MARKER}"
    assert chat["user_agent.original"] == f"cli/1 {MARKER}"
    assert chat["gen_ai.conversation.id"] == f"s {MARKER}"
    assert chat["aibridge.metadata.note"] == f"say {MARKER}"
    assert chat["aibridge.metadata.deep"] == f'{{"a":["\\n{MARKER}"]}}'
    assert chat[f"aibridge.metadata.key {MARKER}"] == 1
    assert chat["aibridge.metadata.tier"] == MARKER
    assert f"use {MARKER}, please" in str(chat["gen_ai.input.messages"])
    assert f"is {MARKER} a token?" in str(chat["gen_ai.output.messages"])
    assert told.chat.status.message == f"bad key {MARKER}"
    assert told.tools[0].status.message == f"timeout: {MARKER}"
    assert prompt[0]["aibridge.metadata.note"] == f"say {MARKER}"
    assert [each["gen_ai.tool.name"] for each in tool] == ["search_issues", f"run {MARKER}"]
    assert tool[0]["aibridge.mcp.server.url"] == f"https://h/{MARKER}/mcp"
    assert tool[0]["server.address"] == "h"
    assert json.loads(str(tool[1]["gen_ai.tool.call.arguments"])) == {"a": f"\n{MARKER}"}
    assert told.chat.name == f"chat m-{MARKER}"


def test_what_was_found_is_counted_by_rule() -> None:
    none = tell(SESSION, **EVERYTHING).series(REDACTED)
    some = tell([STARTED, changed(PROMPTED, prompt=f"{TOKEN} {TOKEN}"), ENDED], **EVERYTHING)
    silent = tell([STARTED, changed(PROMPTED, prompt=f"{TOKEN} {TOKEN}"), ENDED])

    assert (none, some.series(REDACTED), silent.series(REDACTED)) == (
        {},
        {("github-token",): 2},
        {},
    )


def test_a_secret_is_counted_once_however_often_it_is_told() -> None:
    found = tell(with_secrets(), **EVERYTHING).series(REDACTED)

    # Seven in the start, three in the prompt's metadata, and one in each of: the tokens, the
    # prompt, the thought and its source, two arguments, a tool's name, two messages.
    assert found == {("github-token",): 7 + 2 + 3 + 9}


def test_how_many_secrets_were_taken_out_is_told_beside_the_text() -> None:
    records: list[Record] = [
        STARTED,
        changed(PROMPTED, prompt=f"{TOKEN} {TOKEN}"),
        changed(THOUGHT, content=TOKEN),
        changed(RAN, input=f'"{TOKEN}"'),
        ENDED,
    ]
    key = "aibridge.content.redacted"

    told = tell(records, content="SPAN_AND_EVENT")

    assert attributes(told.chat.attributes)[key] == 3
    assert attributes(told.tools[0].attributes)[key] == 1
    assert sorted(str(each.get(key)) for each in told.events) == ["1", "1", "2"]
    assert all(key not in each for each in tell(records).events)


def test_an_own_rule_is_applied_everywhere() -> None:
    prompt = changed(PROMPTED, prompt="for EMP-123")
    tool = changed(ASKED, input='{"who":"EMP-456"}')

    told = tell([STARTED, prompt, tool, ENDED], **EVERYTHING, redaction={"staff": "EMP-[0-9]+"})

    assert b"EMP-" not in bytes_of(told)
    assert told.series(REDACTED) == {("staff",): 2}


def test_the_names_of_a_parents_tools_are_cleaned() -> None:
    parent = FOLLOW_UP.parent
    assert parent is not None
    tools = tuple(replace(each, tool=f"run {TOKEN}") for each in parent.tools)
    thread = replace(FOLLOW_UP, parent=replace(parent, tools=tools))

    told = tell([STARTED, ENDED], thread, trace_grouping="thread")

    assert TOKEN.encode() not in bytes_of(told)
    assert f"execute_tool run {MARKER}" in [span.name for span in told.spans]


def test_ids_are_left_as_they_are() -> None:
    coder_like = "abcdefghij-0123456789abcdefghijkl"
    tool = changed(ASKED, tool_call_id=coder_like, msg_id=coder_like)

    told = tell([changed(STARTED, correlating_tool_call_id=coder_like), tool, ENDED])

    (event,) = event_attributes(told.chat, "aibridge.tool_use")
    assert key_values(event, "gen_ai.tool.call.id", "gen_ai.response.id") == [coder_like] * 2
    chat = attributes(told.chat.attributes)
    assert chat["aibridge.correlating_tool_call.id"] == coder_like


def test_fingerprints_are_told_in_every_mode() -> None:
    prompts = [
        changed(PROMPTED, prints=Prints(bytes([number]) * 16), at_ns=PROMPTED.at_ns + number)
        for number in (1, 2)
    ]
    tool = changed(RAN, prints=Prints(b"\x03" * 16))

    for mode in MODES:
        told = tell([STARTED, *prompts, tool, ENDED], content=mode)

        chat = attributes(told.chat.attributes)
        assert chat["aibridge.prompt.fingerprint"] == "02" * 16
        on_prompts = event_attributes(told.chat, "aibridge.prompt")
        found = [each["aibridge.prompt.fingerprint"] for each in on_prompts]
        assert found == ["01" * 16, "02" * 16]
        (event,) = event_attributes(told.chat, "aibridge.tool_use")
        for each in (event, attributes(told.tools[0].attributes)):
            assert each["aibridge.tool.input.fingerprint"] == "03" * 16


def test_without_a_key_no_fingerprint_is_told() -> None:
    assert b"fingerprint" not in bytes_of(tell(SESSION, **EVERYTHING))


def test_a_start_is_the_same_object_each_time() -> None:
    """What was booked of a token record is found again by its start."""
    told = tell(with_secrets())

    assert told.series("aibridge.cost.unpriced") == {("anthropic", f"m-{MARKER}", f"c {MARKER}"): 1}
    assert {key.model for key in told.changes.usage} == {f"m-{MARKER}"}


def test_a_late_record_is_booked_under_no_secret() -> None:
    start, changes = with_secrets()[0], Changes()
    assert isinstance(start, InterceptionStarted)

    make_teller().record_late(USED, closed(start), changes)

    assert TOKEN not in repr(changes)
    assert {key.model for key in changes.usage} == {f"m-{MARKER}"}


@fault(29)
def test_a_name_of_a_million_characters_is_told_by_its_beginning_and_not_remembered() -> None:
    name = f"{TOKEN} " + "n" * 1_000_000
    start = changed(STARTED, model=name, client=name, client_session_id=name)

    told = tell([start, changed(RAN, tool=name, server_url=f"https://h/{name}"), ENDED])

    chat = attributes(told.chat.attributes)
    assert chat["gen_ai.request.model"] == f"{MARKER} {'n' * (1024 - 1 - len(MARKER))}"
    assert chat["aibridge.attributes.truncated"] == 4
    assert sum(len(item.body) for item in told.items) < 20_000
    assert len(repr(told.changes)) < 30_000


def test_a_start_that_comes_again_after_it_was_forgotten_is_told_as_it_is_now() -> None:
    first = changed(STARTED, model=TOKEN, synthetic_time=True)
    again = replace(first, at_ns=first.at_ns + 5)
    teller, changes = make_teller(), Changes()

    told = [
        Told(items=list(teller.interception_closed(assembled([start, ENDED]), changes)))
        for start in (first, again)
    ]

    assert [each.chat.start_time_unix_nano for each in told] == [first.at_ns, again.at_ns]


def test_what_is_cleaned_keeps_its_place() -> None:
    told, plain = tell(with_secrets(), **EVERYTHING), tell(SESSION, **EVERYTHING)

    assert told.chat.trace_id == plain.chat.trace_id == INTERCEPTION.bytes
    assert told.chat.span_id == plain.chat.span_id
