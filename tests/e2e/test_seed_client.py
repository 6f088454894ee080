"""A client of the seed era alone: its eight methods, its fields, written as bytes.

Nothing of `otelbridge.proto` takes part, so that a change of a field's number
cannot hide on both sides of the wire.
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import pytest

from tests.collector import Collector
from tests.e2e import gateways as gw
from tests.e2e.bridges import running
from tests.interop.otlp import attributes
from tests.records import ALICE
from tests.store.files import GATEWAY, GATEWAY_KEY, sha256, write_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from tests.e2e.bridges import Bridge

Fields: TypeAlias = "dict[int, str | bytes | int | list[bytes]]"
USER_KEY = f"aliceKey01-{'S' * 22}"
STORE = f"""{GATEWAY}
[[user]]
id = "{ALICE}"
name = "alice"
[[key]]
id = "aliceKey01"
user = "alice"
secret_sha256 = "{sha256("S" * 22)}"
[[mcp_server]]
id = "docs"
url = "https://docs.example.com/mcp"
tool_allow_regex = "^get_"
tool_deny_regex = "_all$"
[mcp_server.auth]
kind = "static"
token = "docs-token"
"""


def varint(number: int) -> bytes:
    """Return a number as protobuf writes it."""
    head = bytearray()
    while number > 0x7F:
        head.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*head, number])


def message(fields: Fields) -> bytes:
    """Return a message with these fields, by number; a list repeats one."""
    raw = b""
    for number, value in fields.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, int):
                raw += varint(number << 3) + varint(each)
            else:
                content = each.encode() if isinstance(each, str) else each
                raw += varint(number << 3 | 2) + varint(len(content)) + content
    return raw


def read(raw: bytes) -> list[tuple[int, bytes]]:
    """Return the fields of a message that has texts and messages only."""
    found, at = [], 0
    while at < len(raw):
        tag, size = raw[at], raw[at + 1]
        assert tag & 7 == 2
        assert tag < 0x80 > size
        found.append((tag >> 3, raw[at + 2 : at + 2 + size]))
        at += 2 + size
    return found


def stamp(at_ns: int) -> bytes:
    """Return a Timestamp."""
    return message({1: at_ns // 10**9, 2: at_ns % 10**9})


def metadata(**values: str | float) -> list[bytes]:
    """Return the entries of a metadata map: Any of google.protobuf.Value."""
    url = "type.googleapis.com/google.protobuf.Value"
    return [
        message({1: key, 2: message({1: url, 2: metadata_value(value)})})
        for key, value in values.items()
    ]


def metadata_value(value: str | float) -> bytes:
    """Return a Value: number_value = 2, string_value = 3."""
    if isinstance(value, str):
        return message({3: value})
    return b"\x11" + struct.pack("<d", value)


async def call(bridge: Bridge, method: str, fields: Fields) -> bytes:
    """Call a method with the gateway's key."""
    shown = (("authorization", f"Bearer {GATEWAY_KEY}"),)
    return await bridge.call(method, message(fields), metadata=shown)


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[Bridge]:
    """Run a bridge."""
    write_store(tmp_path, STORE)
    async with Collector() as collector, running(tmp_path, collector) as started:
        yield started


async def test_its_key_is_authorised(bridge: Bridge) -> None:
    answer = read(await call(bridge, "Authorizer/IsAuthorized", {1: USER_KEY}))

    assert answer[:2] == [(1, str(ALICE).encode()), (2, b"aliceKey01")]


async def test_its_tools_and_tokens_are_told(bridge: Bridge) -> None:
    configs = await call(bridge, "MCPConfigurator/GetMCPServerConfigs", {1: str(ALICE)})
    tokens = await call(
        bridge,
        "MCPConfigurator/GetMCPServerAccessTokensBatch",
        {1: str(ALICE), 2: [b"docs", b"none"]},
    )

    ((number, config),) = read(configs)
    assert (number, [text for _, text in read(config)]) == (
        2,
        [b"docs", b"https://docs.example.com/mcp", b"^get_", b"_all$"],
    )
    entries = [(number, *(text for _, text in read(entry))) for number, entry in read(tokens)]
    assert entries == [(1, b"docs", b"docs-token"), (2, b"none", b"no MCP config found")]


async def recorded(bridge: Bridge, interception: str, at_ns: int) -> tuple[Span, Span]:
    """Send one record of each kind; return the chat span and that of the injected tool."""
    began: Fields = {1: interception, 2: str(ALICE), 3: "anthropic", 4: "m", 6: stamp(at_ns)}
    used: Fields = {1: interception, 2: "msg_1", 3: 12, 4: 300, 6: stamp(at_ns + 3)}
    asked: Fields = {1: interception, 2: "msg_1", 3: "why?", 5: stamp(at_ns + 1)}
    ran: Fields = {1: interception, 2: "msg_1", 3: "https://docs.example.com/mcp", 4: "get_page"}
    ran |= {5: '{"page": 1}', 6: 1, 7: "timeout", 9: stamp(at_ns + 2)}
    over: Fields = {1: interception, 2: stamp(at_ns + 10**9)}
    began |= {5: metadata(Username="alice"), 7: "k"}
    await call(bridge, "Recorder/RecordInterception", began)
    await call(bridge, "Recorder/RecordTokenUsage", {**used, 5: metadata(cache_read_input=500)})
    await call(bridge, "Recorder/RecordPromptUsage", {**asked, 4: metadata(turn="first")})
    await call(bridge, "Recorder/RecordToolUsage", {**ran, 8: metadata(turn="first")})
    await call(bridge, "Recorder/RecordInterceptionEnded", over)
    chat = await gw.told(bridge, interception)
    (tool,) = (span for span in bridge.collector.spans if span.parent_span_id == chat.span_id)
    return chat, tool


async def test_its_five_records_become_a_chat_span_with_events_and_a_tool_span(
    bridge: Bridge,
) -> None:
    interception, at_ns = gw.fresh_id(), time.time_ns()

    chat, tool = await recorded(bridge, interception, at_ns)

    assert (chat.trace_id, chat.name) == (UUID(interception).bytes, "chat m")
    assert (chat.start_time_unix_nano, chat.end_time_unix_nano) == (at_ns, at_ns + 10**9)
    assert [(event.name, event.time_unix_nano - at_ns) for event in chat.events] == [
        ("aibridge.prompt", 1),
        ("aibridge.tool_use", 2),
    ]
    assert attributes(chat.events[0].attributes) == {
        "aibridge.interception.id": interception,
        "gen_ai.response.id": "msg_1",
        "aibridge.prompt.length": 4,
        "aibridge.metadata.turn": "first",
    }
    told = attributes(tool.attributes)
    assert (tool.name, tool.start_time_unix_nano) == ("execute_tool get_page", at_ns + 2)
    assert (told["server.address"], told["error.type"]) == ("docs.example.com", "timeout")
    assert told["aibridge.tool.input.length"] == 11


async def test_what_it_does_not_send_is_not_made_up(bridge: Bridge) -> None:
    chat, _ = await recorded(bridge, interception := gw.fresh_id(), time.time_ns())

    told = attributes(chat.attributes)
    priced = {key for key in told if key.startswith("aibridge.cost.")}
    assert {key: told[key] for key in told.keys() - priced} == {
        "gen_ai.operation.name": "chat",
        "aibridge.interception.id": interception,
        "gen_ai.provider.name": "anthropic",
        "aibridge.provider.name": "anthropic",
        "user.id": str(ALICE),
        "user.name": "alice",
        "gen_ai.request.model": "m",
        "aibridge.api_key.id": "k",
        "gen_ai.response.id": "msg_1",
        "gen_ai.usage.input_tokens": 512,
        "gen_ai.usage.output_tokens": 300,
        "gen_ai.usage.cache_read.input_tokens": 500,
        "aibridge.thread.root.id": interception,
    }
    assert priced == {"aibridge.cost.unpriced"}
