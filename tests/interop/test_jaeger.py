"""What Jaeger gives back is what was sent: ids, times, events, links and status."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.interop.bridge import Destination
from tests.interop.otlp import attributes
from tests.interop.programs import eventually
from tests.interop.sent import Prompt, Tokens, interceptions, parent_of, read_capture
from tests.interop.session import SECRETS, agent_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.interop.conftest import StartBridge
    from tests.interop.jaeger import Jaeger
    from tests.interop.sent import Interception

pytestmark = pytest.mark.interop

CAPTURES = (
    "anthropic-agent-session",
    "injected-tools-paced",
    "openai-chat-session",
    "openai-responses-session",
)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What was sent, and the spans that Jaeger has of each interception."""

    sent: list[Interception]
    traces: list[list[Span]]

    def chats(self) -> Iterator[tuple[Interception, Span]]:
        """Yield each interception with its chat span."""
        for interception, spans in zip(self.sent, self.traces, strict=True):
            (chat,) = (span for span in spans if span.span_id == interception.chat_span_id)
            yield interception, chat

    def tools(self) -> Iterator[tuple[Interception, list[Span]]]:
        """Yield each interception with the spans of tools, in the order of time."""
        for interception, spans in zip(self.sent, self.traces, strict=True):
            tools = [span for span in spans if span.span_id != interception.chat_span_id]
            yield interception, sorted(tools, key=lambda span: span.start_time_unix_nano)


@pytest.fixture(scope="module", params=["own session", *CAPTURES])
def told(
    request: pytest.FixtureRequest, jaeger: Jaeger, start_bridge: StartBridge, captures: Path
) -> Told:
    bridge = start_bridge(_destination(jaeger))
    if request.param in CAPTURES:
        capture = captures / f"{request.param}.jsonl"
        bridge.replay(capture)
        sent = interceptions(read_capture(capture))
    else:
        records = agent_session(time.time_ns())
        bridge.send(records)
        sent = interceptions(records)
    return Told(sent=sent, traces=[_read_back(jaeger, each) for each in sent])


def _destination(jaeger: Jaeger) -> Destination:
    return Destination(name="jaeger", protocol="grpc", port=jaeger.grpc_port, signals=("traces",))


def _read_back(jaeger: Jaeger, interception: Interception) -> list[Span]:
    spans = 1 + len(interception.injected_tools)
    return eventually(lambda: jaeger.trace(interception.trace_id, spans=spans))


def test_a_chat_span_has_the_model_and_the_times_to_the_nanosecond(told: Told) -> None:
    shown = [
        (chat.name, chat.kind, chat.start_time_unix_nano, chat.end_time_unix_nano)
        for _, chat in told.chats()
    ]

    assert shown == [
        (f"chat {each.start.model}", Span.SPAN_KIND_CLIENT, each.started_ns, each.ended_ns)
        for each in told.sent
    ]


def test_a_chat_span_is_the_root_of_a_trace_with_the_interceptions_id(told: Told) -> None:
    shown = [(chat.trace_id, chat.parent_span_id) for _, chat in told.chats()]

    assert shown == [(each.trace_id, b"") for each in told.sent]


def test_prompts_tools_and_thoughts_are_events_at_their_time(told: Told) -> None:
    shown = [sorted((e.name, e.time_unix_nano) for e in chat.events) for _, chat in told.chats()]

    assert shown == [each.events for each in told.sent]


def test_a_prompt_event_has_the_length_in_code_points(told: Told) -> None:
    for interception, chat in told.chats():
        lengths = [
            attributes(event.attributes)["aibridge.prompt.length"]
            for event in chat.events
            if event.name == "aibridge.prompt"
        ]

        assert lengths == [len(prompt.prompt) for prompt in interception.of(Prompt)]


def test_a_follow_up_links_to_the_chat_span_that_asked_for_the_tool(told: Told) -> None:
    parents = [parent_of(each, told.sent) for each in told.sent]

    shown = [[(link.trace_id, link.span_id) for link in chat.links] for _, chat in told.chats()]

    assert shown == [
        [] if parent is None else [(parent.trace_id, parent.chat_span_id)] for parent in parents
    ]


def test_the_status_is_an_error_only_where_the_end_says_so(told: Told) -> None:
    shown = [
        (chat.status.code, attributes(chat.attributes).get("error.type"))
        for _, chat in told.chats()
    ]

    assert shown == [
        (Status.STATUS_CODE_ERROR, each.end.error_type)
        if each.end.HasField("error_type")
        else (Status.STATUS_CODE_UNSET, None)
        for each in told.sent
    ]


def test_the_usage_is_the_sum_of_the_token_records(told: Told) -> None:
    for interception, chat in told.chats():
        shown = attributes(chat.attributes)
        usage = (
            shown.get("gen_ai.usage.input_tokens"),
            shown.get("gen_ai.usage.output_tokens"),
        )

        counted = (interception.input_tokens, interception.output_tokens)
        assert usage == (counted if interception.of(Tokens) else (None, None))


def test_injected_tools_are_executions_under_the_chat_span(told: Told) -> None:
    for interception, tools in told.tools():
        # Only the start: Jaeger lets no span end before 1 ns after it.
        shown = [(span.name, span.kind, span.start_time_unix_nano) for span in tools]

        assert {span.parent_span_id for span in tools} <= {interception.chat_span_id}
        assert shown == [
            (
                f"execute_tool {tool.tool}",
                Span.SPAN_KIND_INTERNAL,
                tool.created_at.ToNanoseconds(),
            )
            for tool in interception.injected_tools
        ]


def test_an_execution_names_its_call_and_why_it_failed(told: Told) -> None:
    for interception, tools in told.tools():
        shown = [attributes(span.attributes) for span in tools]

        calls = [each["gen_ai.tool.call.id"] for each in shown]
        failed = ["error.type" in each for each in shown]
        assert calls == [tool.tool_call_id for tool in interception.injected_tools]
        assert failed == [t.HasField("invocation_error") for t in interception.injected_tools]


def test_no_content_reaches_jaeger_unless_asked_for(
    jaeger: Jaeger, start_bridge: StartBridge
) -> None:
    records = agent_session(time.time_ns())
    start_bridge(_destination(jaeger)).send(records)

    for interception in interceptions(records):
        _read_back(jaeger, interception)
        raw = jaeger.raw_trace(interception.trace_id)
        assert [secret for secret in SECRETS if secret in raw] == []
