"""Executions of tools: only what the gateway ran, and without the secrets of its URL."""

from __future__ import annotations

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otelbridge.telemetry.ids import chat_span_id, tool_span_id
from tests.telemetry.records import ASKED, ENDED, INTERCEPTION, RAN, SESSION, STARTED, changed
from tests.telemetry.told import attributes, tell


def test_an_injected_tool_is_an_execution_under_the_chat_span() -> None:
    (tool,) = tell(SESSION).tools

    assert (tool.name, tool.kind) == ("execute_tool search_issues", Span.SPAN_KIND_INTERNAL)
    assert tool.trace_id == INTERCEPTION.bytes
    assert tool.span_id == tool_span_id(INTERCEPTION, RAN.identity)
    assert tool.parent_span_id == chat_span_id(INTERCEPTION)
    assert tool.start_time_unix_nano == tool.end_time_unix_nano == RAN.at_ns
    assert tool.status == Status()


def test_an_execution_says_what_was_run_where() -> None:
    (tool,) = tell(SESSION).tools

    assert attributes(tool.attributes) == {
        "gen_ai.operation.name": "execute_tool",
        "aibridge.interception.id": str(INTERCEPTION),
        "mcp.method.name": "tools/call",
        "gen_ai.tool.name": "search_issues",
        "gen_ai.tool.call.id": "toolu_2",
        "gen_ai.tool.type": "extension",
        "aibridge.tool.injected": True,
        "aibridge.tool.input.length": 18,
        "server.address": "mcp.example.com",
        "server.port": 8443,
        "aibridge.mcp.server.url": "https://mcp.example.com:8443/tracker",
        "aibridge.tool.duration_known": False,
    }


def test_a_tool_that_the_model_asked_for_is_no_execution() -> None:
    assert tell([STARTED, ASKED, ENDED]).tools == []


def test_a_failed_execution_has_an_error_without_its_words() -> None:
    failed = changed(RAN, invocation_error="dial tcp: connection refused, key=secret")

    (tool,) = tell([STARTED, failed, ENDED], content="EVENT_ONLY").tools

    assert tool.status == Status(code=Status.STATUS_CODE_ERROR)
    assert attributes(tool.attributes)["error.type"] == "connection_error"


def test_a_failed_execution_has_its_words_where_spans_may_carry_content() -> None:
    failed = changed(RAN, invocation_error="tracker database is locked")

    (tool,) = tell([STARTED, failed, ENDED], content="SPAN_ONLY").tools

    assert tool.status.message == "tracker database is locked"
    assert attributes(tool.attributes)["error.type"] == "_OTHER"


def test_a_time_that_is_a_receipt_is_flagged() -> None:
    (tool,) = tell([STARTED, changed(RAN, synthetic_time=True), ENDED]).tools

    assert attributes(tool.attributes)["aibridge.timestamp.synthetic"] is True


@pytest.mark.parametrize(
    ("name", "shown"), [("", "execute_tool"), ("a\nb", "execute_tool a\\x0ab")]
)
def test_a_span_name_is_safe_whatever_the_tools_name(name: str, shown: str) -> None:
    (tool,) = tell([STARTED, changed(RAN, tool=name), ENDED]).tools

    assert tool.name == shown
    assert attributes(tool.attributes)["gen_ai.tool.name"] == name


def test_a_call_without_an_id_and_a_server_is_told_without_them() -> None:
    (tool,) = tell([STARTED, changed(RAN, tool_call_id="", server_url=None), ENDED]).tools

    keys = {"gen_ai.tool.call.id", "server.address", "server.port", "aibridge.mcp.server.url"}
    assert keys & attributes(tool.attributes).keys() == set()
