"""Late records: told as log events of the span that was told, booked where it was booked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from otelbridge.domain.ledger import Changes
from otelbridge.telemetry.ids import chat_span_id
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
    USER,
    changed,
    closed,
)
from tests.telemetry.told import Told, attributes, key_values, make_teller, tell, tell_late

if TYPE_CHECKING:
    from otelbridge.domain.records import Record
    from tests.telemetry.told import Value


def told_of(record: Record, **options: object) -> dict[str, Value]:
    """Return the attributes of the one log record."""
    (log,) = tell_late(record, **options).logs
    return attributes(log.attributes)


@pytest.mark.parametrize("events", ["span", "log", "both"])
def test_a_late_record_is_a_log_event_of_the_chat_span(events: str) -> None:
    (log,) = tell_late(PROMPTED, events=events).logs

    assert (log.event_name, log.time_unix_nano) == ("aibridge.late_record", PROMPTED.at_ns)
    assert (log.trace_id, log.span_id) == (INTERCEPTION.bytes, chat_span_id(INTERCEPTION))


def test_in_a_threads_trace_a_late_record_stands_in_it_too() -> None:
    remembered = replace(closed(), root_id=UUID(int=1))

    items = make_teller(trace_grouping="thread").record_late(PROMPTED, remembered, Changes())

    (log,) = Told(items=list(items)).logs
    assert (log.trace_id, log.span_id) == (UUID(int=1).bytes, chat_span_id(INTERCEPTION))


def test_a_destination_without_logs_is_not_told() -> None:
    told = tell_late(PROMPTED, signals=["traces", "metrics"])

    assert told.items == []
    assert told.series("otelbridge.records.late") == {("prompt",): 1}


@pytest.mark.parametrize(
    ("record", "kind", "own"),
    [
        (STARTED, "start", {"gen_ai.request.model": STARTED.model, "user.name": "alice"}),
        (PROMPTED, "prompt", {"aibridge.prompt.length": 21, "gen_ai.response.id": "msg_1"}),
        (THOUGHT, "thought", {"aibridge.thought.source": "thinking"}),
        (ASKED, "tool", {"gen_ai.tool.name": "Grep", "gen_ai.tool.call.id": "toolu_1"}),
        (changed(ENDED, error_type="timeout"), "end", {"error.type": "timeout"}),
        (USED, "tokens", {"gen_ai.usage.input_tokens": 14_214, "gen_ai.usage.output_tokens": 5}),
    ],
)
def test_a_late_record_tells_its_kind_and_its_own_attributes(
    record: Record, kind: str, own: dict[str, Value]
) -> None:
    found = told_of(record)

    assert found["otelbridge.record.kind"] == kind
    assert found["aibridge.interception.id"] == str(INTERCEPTION)
    assert own.items() <= found.items()


def test_a_late_token_record_is_priced_and_its_numbers_are_told_once() -> None:
    used = changed(USED, metadata={"cache_creation_input": 1.0, "odd": 2.0, "tier": "x"})

    found = told_of(used)

    keys = ("aibridge.usage.extra.odd", "aibridge.metadata.odd", "aibridge.metadata.tier")
    assert key_values(found, *keys) == [2, None, "x"]
    assert found["aibridge.cost.price.id"] == "anthropic/claude-sonnet-4-5"


def test_content_of_a_late_record_follows_the_mode_of_events() -> None:
    assert "gen_ai.input.messages" not in told_of(PROMPTED, content="SPAN_ONLY")
    assert "gen_ai.input.messages" in told_of(PROMPTED, content="EVENT_ONLY")


def test_late_usage_is_booked_as_if_it_had_been_in_time_but_for_the_histograms() -> None:
    late = tell_late(USED).changes
    in_time = tell([STARTED, USED]).changes

    counters = {key: value for key, value in in_time.series.items() if isinstance(value, int)}
    agent = ("anthropic", STARTED.model, "Claude Code")
    del counters["aibridge.interceptions", (*agent, "incomplete", "")]
    del counters["aibridge.threads", agent]
    assert late.series == {**counters, ("otelbridge.records.late", ("tokens",)): 1}


def test_a_late_tool_of_an_mcp_server_is_counted_there_and_begins_no_thread() -> None:
    told = tell_late(changed(RAN, invocation_error="request timed out"))

    assert told.series("aibridge.mcp.tool.calls") == {("mcp.example.com", "timeout"): 1}
    assert not told.series("aibridge.threads")


def test_late_usage_is_added_to_the_users_row() -> None:
    ((key, totals),) = tell_late(USED).changes.usage.items()

    assert key == ("2026-10-01", USER.bytes, "anthropic", STARTED.model, "Claude Code")
    assert (totals.input_tokens, totals.interceptions) == (14_214, 0)


def test_what_comes_late_to_an_orphan_stays_unknown() -> None:
    changes = Changes()

    make_teller().record_late(USED, closed(start=None), changes)

    ((key, totals),) = changes.usage.items()
    assert key == ("2026-10-01", b"", "unknown", "unknown", "")
    assert (totals.input_tokens, totals.unpriced) == (14_214, 1)


def test_a_late_session_is_counted_by_kind() -> None:
    teller, changes = make_teller(), Changes()

    for record in SESSION:
        teller.record_late(record, closed(), changes)

    assert Told(changes=changes).series("otelbridge.records.late") == {
        ("start",): 1, ("tokens",): 2, ("prompt",): 1, ("thought",): 1, ("tool",): 2, ("end",): 1,
    }  # fmt: skip
