"""Spans, told as a tree."""

from __future__ import annotations

import io
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from rich.console import Console

from otelbridge.commands.story import Conversation, conversations
from otelbridge.commands.tree import conversation_tree, totals

_S = 1_000_000_000


def _pairs(values: dict[str, Any]) -> list[KeyValue]:
    kinds = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}
    return [
        KeyValue(key=key, value=AnyValue(**{kinds[type(value)]: value}))
        for key, value in values.items()
    ]


def _chat(number: int, *, start_s: int = 0, **attributes: Any) -> Span:
    have = {
        "user.name": "alice",
        "aibridge.client": "Claude Code",
        "gen_ai.conversation.id": "2f093ee9-6b91",
        "gen_ai.request.model": "opus",
        "gen_ai.usage.input_tokens": 1_200,
        "gen_ai.usage.output_tokens": 30,
        "aibridge.cost.total": 0.5,
    }
    return Span(
        trace_id=bytes([number] * 16),
        span_id=bytes([number] * 8),
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=start_s * _S,
        end_time_unix_nano=(start_s + 2) * _S,
        attributes=_pairs({**have, **{k.replace("__", "."): v for k, v in attributes.items()}}),
    )


def _event(span: Span, name: str, **attributes: Any) -> None:
    pairs = _pairs({key.replace("__", "."): value for key, value in attributes.items()})
    span.events.add(name=name, attributes=pairs)


def _lines(conversation: Conversation) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    console.print(conversation_tree(conversation))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]  # a StringIO


def test_a_conversation_is_its_interceptions_with_their_offsets() -> None:
    first, second = _chat(1, start_s=10), _chat(2, start_s=15)
    _event(first, "aibridge.prompt", aibridge__prompt__length=1234)

    [told] = conversations([second, first])

    assert _lines(told) == [
        "alice with Claude Code  conversation 2f093ee9",
        "├──   +0.0 s  chat opus  2.0 s",
        "│   ├── prompt of 1,234 characters",
        "│   └── tokens 1,200 in, 30 out  $0.5000",
        "└──   +5.0 s  chat opus  2.0 s",
        "    └── tokens 1,200 in, 30 out  $0.5000",
    ]


def test_tools_that_were_asked_for_and_tools_that_ran_are_told_apart() -> None:
    span = _chat(1)
    tool = {"gen_ai__tool__name": "Read", "aibridge__tool__injected": False}
    ran = {
        "gen_ai__tool__name": "search",
        "aibridge__tool__injected": True,
        "aibridge__mcp__server__url": "http://h/mcp/tracker",
    }
    for attributes in (tool, tool, ran, {**ran, "error__type": "timeout"}):
        _event(span, "aibridge.tool_use", **attributes)

    [told] = conversations([span])

    assert _lines(told)[-3:] == [
        "    ├── asked for Read 2 times",
        "    ├── execute_tool search on tracker",
        "    └── execute_tool search on tracker  failed: timeout",
    ]


def test_parts_of_the_tokens_and_missing_prices_are_told() -> None:
    span = _chat(
        1,
        gen_ai__usage__cache_read__input_tokens=1_000,
        gen_ai__usage__reasoning__output_tokens=20,
        aibridge__cost__total=0.0,
        aibridge__cost__unpriced=True,
    )

    [told] = conversations([span])

    assert _lines(told)[-1] == (
        "    └── tokens 1,200 in (1,000 from cache), 30 out (20 reasoning)  unknown price"
    )


def test_a_failure_is_told_with_its_reason() -> None:
    span = _chat(1, error__type="rate_limited")
    span.status.code = Status.STATUS_CODE_ERROR

    [told] = conversations([span])

    assert _lines(told)[1] == "└──   +0.0 s  chat opus  2.0 s  failed: rate_limited"


def test_people_and_conversations_are_told_apart() -> None:
    spans = [
        _chat(1),
        _chat(2, user__name="bob"),
        _chat(3, gen_ai__conversation__id="other"),
        _chat(4, start_s=1),
    ]

    assert sorted(len(found.told) for found in conversations(spans)) == [1, 1, 2]


def test_a_span_that_was_delivered_twice_counts_once() -> None:
    found = conversations([_chat(1), _chat(1), _chat(2)])

    assert totals(found) == [
        "2 interceptions of 1 people, $1.0000",
        "tokens: 2,400 in (0 from cache, 0 to cache), 60 out",
        "tools: 0 asked for, 0 executed",
    ]


def test_a_name_can_do_nothing_to_a_terminal() -> None:
    [told] = conversations([_chat(1, user__name="\x1b[2J[bold]eve")])

    assert _lines(told)[0].startswith(r"\x1b[2J[bold]eve with Claude Code")
