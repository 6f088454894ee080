"""Threads: links, and one trace for an agent's whole thread where that is asked for."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otelbridge.domain.interception import Parent, Thread, ToolCall
from otelbridge.telemetry.ids import chat_span_id, client_tool_span_id
from tests.telemetry.records import (
    BEGIN_NS,
    ENDED,
    INTERCEPTION,
    MS,
    RAN,
    SESSION,
    STARTED,
    identity,
)
from tests.telemetry.told import attributes, key_values, tell

ROOT, PARENT = UUID(int=1), UUID(int=2)
READ = ToolCall(
    call_id="toolu_9",
    tool="Read",
    at_ns=BEGIN_NS - 500 * MS,
    identity=identity("read"),
    injected=False,
)
FOLLOW_UP = Thread(
    root_id=ROOT,
    parent=Parent(
        interception_id=PARENT,
        started_at_ns=BEGIN_NS - 900 * MS,
        root_id=ROOT,
        tools=(READ, replace(READ, identity=identity("ran"), injected=True)),
    ),
)


def test_a_follow_up_names_its_parent_and_root() -> None:
    chat = tell(SESSION, FOLLOW_UP).chat

    keys = ("aibridge.thread.root.id", "aibridge.thread.parent.id", "aibridge.thread.unresolved")
    assert key_values(attributes(chat.attributes), *keys) == [str(ROOT), str(PARENT), None]


def test_a_follow_up_links_to_its_parent_from_a_trace_of_its_own() -> None:
    told = tell(SESSION, FOLLOW_UP)

    assert (told.chat.trace_id, told.chat.parent_span_id) == (INTERCEPTION.bytes, b"")
    (link,) = told.chat.links
    assert (link.trace_id, link.span_id) == (PARENT.bytes, chat_span_id(PARENT))
    assert [span.trace_id for span in told.tools] == [INTERCEPTION.bytes]


def test_a_parent_that_never_came_leaves_a_root_for_good() -> None:
    thread = Thread(root_id=INTERCEPTION, unresolved=True)

    for grouping in ("interception", "thread"):
        chat = tell(SESSION, thread, trace_grouping=grouping).chat

        found = attributes(chat.attributes)
        assert found["aibridge.thread.unresolved"] is True
        assert (chat.trace_id, chat.parent_span_id) == (INTERCEPTION.bytes, b"")
        assert list(chat.links) == []


def test_in_a_threads_trace_follow_ups_are_children_of_the_root() -> None:
    chat = tell(SESSION, FOLLOW_UP, trace_grouping="thread").chat

    assert (chat.trace_id, chat.parent_span_id) == (ROOT.bytes, chat_span_id(ROOT))
    assert chat.span_id == chat_span_id(INTERCEPTION)
    (link,) = chat.links
    assert (link.trace_id, link.span_id) == (ROOT.bytes, chat_span_id(PARENT))


def test_in_a_threads_trace_the_gateways_tools_stay_under_their_chat_span() -> None:
    tools = tell(SESSION, FOLLOW_UP, trace_grouping="thread").tools

    (ran,) = (tool for tool in tools if tool.name == f"execute_tool {RAN.tool}")
    assert (ran.trace_id, ran.parent_span_id) == (ROOT.bytes, chat_span_id(INTERCEPTION))


def test_in_a_threads_trace_the_clients_tool_work_is_inferred_from_the_gap() -> None:
    told = tell([STARTED, ENDED], FOLLOW_UP, trace_grouping="thread")

    (tool,) = told.tools
    assert (tool.name, tool.kind) == ("execute_tool Read", Span.SPAN_KIND_INTERNAL)
    assert (tool.trace_id, tool.parent_span_id) == (ROOT.bytes, chat_span_id(ROOT))
    assert tool.span_id == client_tool_span_id(PARENT, READ.identity)
    assert (tool.start_time_unix_nano, tool.end_time_unix_nano) == (READ.at_ns, BEGIN_NS)
    assert attributes(tool.attributes) == {
        "gen_ai.operation.name": "execute_tool",
        "aibridge.interception.id": str(PARENT),
        "gen_ai.tool.name": "Read",
        "gen_ai.tool.call.id": "toolu_9",
        "gen_ai.tool.type": "function",
        "aibridge.tool.injected": False,
        "aibridge.tool.inferred": True,
    }


def test_an_inferred_span_never_ends_before_it_starts() -> None:
    assert FOLLOW_UP.parent is not None
    later = replace(READ, at_ns=BEGIN_NS + MS)
    thread = replace(FOLLOW_UP, parent=replace(FOLLOW_UP.parent, tools=(later,)))

    (tool,) = tell([STARTED, ENDED], thread, trace_grouping="thread").tools

    assert tool.start_time_unix_nano == tool.end_time_unix_nano == BEGIN_NS + MS
    assert attributes(tool.attributes)["aibridge.timestamp.clamped"] is True


def test_nothing_is_inferred_where_a_trace_is_an_interception() -> None:
    assert tell([STARTED, ENDED], FOLLOW_UP).tools == []
