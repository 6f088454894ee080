"""Booking of what agents do: the threads that they begin, and tools run at MCP servers."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from otelbridge.domain.interception import Thread
from tests.telemetry.records import (
    ASKED,
    ENDED,
    INTERCEPTION,
    MODEL,
    PROMPTED,
    RAN,
    SESSION,
    STARTED,
    USED,
    changed,
)
from tests.telemetry.told import tell

if TYPE_CHECKING:
    from otelbridge.domain.records import Record

AGENT = ("anthropic", MODEL, "Claude Code")


def test_tools_that_the_gateway_ran_are_counted_by_the_host_of_their_server() -> None:
    failed = changed(RAN, invocation_error="request timed out", server_url="http://[::1]:9/pw")
    unreadable = changed(RAN, server_url="user:secret@mcp.example.com/mcp")
    without = changed(RAN, server_url="")
    asked = changed(ASKED, server_url=RAN.server_url)

    told = tell([STARTED, RAN, changed(RAN, msg_id="2"), failed, unreadable, without, asked])

    assert told.series("aibridge.mcp.tool.calls") == {
        ("mcp.example.com", ""): 2,
        ("::1", "timeout"): 1,
        ("unknown", ""): 1,
    }


def test_mcp_servers_are_bounded_and_the_overflow_is_counted() -> None:
    ran = [changed(RAN, server_url=f"https://mcp{each}/") for each in range(3)]

    told = tell([STARTED, *ran, changed(RAN, server_url="none")], limits={"server.address": 2})

    servers = {values[0]: calls for values, calls in told.series("aibridge.mcp.tool.calls").items()}
    assert servers == {"mcp0": 1, "mcp1": 1, "_OTHER": 1, "unknown": 1}
    assert told.series("otelbridge.label.overflow") == {("server.address",): 1}


@pytest.mark.parametrize(
    ("records", "thread", "labels"),
    [
        (SESSION, None, AGENT),
        ((STARTED, USED), None, AGENT),
        (SESSION, Thread(root_id=INTERCEPTION, unresolved=True), AGENT),
        ((USED, ENDED), None, ("unknown", "unknown", "")),
    ],
    ids=["root", "incomplete", "unresolved", "orphan"],
)
def test_what_is_its_own_root_begins_a_thread(
    records: tuple[Record, ...], thread: Thread | None, labels: tuple[str, ...]
) -> None:
    assert tell(records, thread).series("aibridge.threads") == {labels: 1}


def test_a_follow_up_begins_no_thread() -> None:
    told = tell(SESSION, Thread(root_id=UUID(int=1)))

    assert not told.series("aibridge.threads")
    assert sum(told.series("aibridge.interceptions").values()) == 1


def test_a_canary_begins_no_thread() -> None:
    told = tell([changed(STARTED, metadata={"otelbridge.canary": True}), PROMPTED, ENDED])

    assert not told.series("aibridge.threads")
