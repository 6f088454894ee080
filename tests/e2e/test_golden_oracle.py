"""The golden files against the captures, by a second reading that shares no code with otelbridge.

The goldens were written by the bridge itself; this says that they are right.
"""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

CAPTURES = sorted((Path(__file__).parents[1] / "captures").glob("*.jsonl"))
GOLDEN = Path(__file__).parent / "golden"
COPIED = {
    "user.id": "initiatorId",
    "gen_ai.provider.name": "provider",
    "gen_ai.request.model": "model",
    "aibridge.api_key.id": "apiKeyId",
    "aibridge.client": "client",
    "user_agent.original": "userAgent",
    "gen_ai.conversation.id": "clientSessionId",
    "aibridge.correlating_tool_call.id": "correlatingToolCallId",
    "aibridge.credential.kind": "credentialKind",
    "aibridge.workspace.id": "workspaceId",
}
CACHE_READ = ("cache_read_input", "prompt_cached", "input_cached")
# Attribute: the metadata keys of token records that it sums up.
SUMMED = {
    "gen_ai.usage.reasoning.output_tokens": ("completion_reasoning", "output_reasoning"),
    "aibridge.usage.audio.input_tokens": ("prompt_audio",),
    "aibridge.usage.audio.output_tokens": ("completion_audio",),
    "aibridge.usage.cache_write.ephemeral_5m.input_tokens": ("cache_ephemeral_5m_input",),
    "aibridge.usage.cache_write.ephemeral_1h.input_tokens": ("cache_ephemeral_1h_input",),
    "aibridge.usage.web_search.requests": ("web_search_requests",),
}


class Sent:
    """What a capture reports of one interception."""

    def __init__(self) -> None:
        self.of: dict[str, list[dict[str, Any]]] = {}

    def __getitem__(self, kind: str) -> list[dict[str, Any]]:
        return self.of.get(f"Record{kind}", [])

    @property
    def start(self) -> dict[str, Any]:
        return self["Interception"][0]


def sent(capture: Path) -> dict[str, Sent]:
    found: dict[str, Sent] = {}
    for call in map(json.loads, capture.read_text().splitlines()):
        service, _, kind = call["rpc"].partition("/")
        if service == "Recorder":
            request = call["request"]
            key = request.get("interceptionId") or request["id"]
            found.setdefault(key, Sent()).of.setdefault(kind, []).append(request)
    return found


def told(capture: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for span in json.loads((GOLDEN / f"{capture.stem}.json").read_text()):
        found.setdefault(uuid_of(span["traceId"]), []).append(span)
    return found


def uuid_of(text: str) -> str:
    return str(UUID(bytes=base64.b64decode(text)))


def nanos(text: str) -> int:
    seconds, _, fraction = text.rstrip("Z").partition(".")
    return int(datetime.fromisoformat(f"{seconds}+00:00").timestamp()) * 10**9 + int(
        fraction.ljust(9, "0")
    )


def plain(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    return {each["key"]: value_of(each["value"]) for each in attributes}


def value_of(value: dict[str, Any]) -> Any:
    ((kind, found),) = value.items()
    if kind == "arrayValue":
        return [value_of(each) for each in found.get("values", [])]
    return int(found) if kind == "intValue" else found


def number(record: dict[str, Any], *keys: str) -> int:
    metadata = record.get("metadata", {})
    return next((int(metadata[key]["value"]) for key in keys if key in metadata), 0)


def check_usage(records: list[dict[str, Any]], attributes: dict[str, Any]) -> None:
    if not records:
        assert not [key for key in attributes if key.startswith("gen_ai.usage")]
        return
    read = sum(int(r.get("cacheReadInputTokens", 0)) or number(r, *CACHE_READ) for r in records)
    write = sum(
        int(r.get("cacheWriteInputTokens", 0)) or number(r, "cache_creation_input") for r in records
    )
    uncached = sum(int(r.get("inputTokens", 0)) for r in records)
    output = sum(int(r.get("outputTokens", 0)) for r in records)
    assert attributes["gen_ai.usage.input_tokens"] == uncached + read + write
    assert attributes["gen_ai.usage.output_tokens"] == output
    assert attributes.get("gen_ai.usage.cache_read.input_tokens", 0) == read
    assert attributes.get("gen_ai.usage.cache_write.input_tokens", 0) == write
    assert attributes.get("gen_ai.usage.cache_creation.input_tokens", 0) == write
    for key, names in SUMMED.items():
        assert attributes.get(key, 0) == sum(number(r, *names) for r in records), key


def check_events(report: Sent, events: list[dict[str, Any]]) -> None:
    kinds = {
        "PromptUsage": "aibridge.prompt",
        "ToolUsage": "aibridge.tool_use",
        "ModelThought": "aibridge.model_thought",
    }
    assert sorted((each["name"], int(each["timeUnixNano"])) for each in events) == sorted(
        (name, nanos(r["createdAt"])) for kind, name in kinds.items() for r in report[kind]
    )
    found = [plain(each.get("attributes", [])) for each in events]
    assert sorted(
        (e["gen_ai.tool.name"], e.get("gen_ai.tool.call.id", ""), e["aibridge.tool.input.length"])
        for e in found
        if "gen_ai.tool.name" in e
    ) == sorted(
        (r["tool"], r.get("toolCallId", ""), len(r.get("input", ""))) for r in report["ToolUsage"]
    )
    lengths = [e["aibridge.prompt.length"] for e in found if "aibridge.prompt.length" in e]
    assert sorted(lengths) == sorted(len(r.get("prompt", "")) for r in report["PromptUsage"])


def check_executions(report: Sent, chat: dict[str, Any], others: list[dict[str, Any]]) -> None:
    assert sorted(
        (s["name"], s["kind"], s["parentSpanId"], s["startTimeUnixNano"], s["endTimeUnixNano"])
        for s in others
    ) == sorted(
        (f"execute_tool {r['tool']}", "SPAN_KIND_INTERNAL", chat["spanId"], at, at)
        for r in report["ToolUsage"]
        if r.get("injected")
        for at in [str(nanos(r["createdAt"]))]
    )


def check_identity(report: Sent, key: str, chat: dict[str, Any]) -> None:
    digest = hashlib.blake2b(UUID(key).bytes + b"chat", digest_size=8).digest()
    assert base64.b64decode(chat["spanId"]) == digest
    assert chat["name"] == f"chat {report.start.get('model', '')}".strip()
    assert chat["kind"] == "SPAN_KIND_CLIENT"
    began = nanos(report.start["startedAt"])
    assert int(chat["startTimeUnixNano"]) == began
    ended = min(nanos(end["endedAt"]) for end in report["InterceptionEnded"])
    assert int(chat["endTimeUnixNano"]) == max(began, ended)


def check_thread(key: str, reports: dict[str, Sent], chat: dict[str, Any]) -> None:
    callers = {
        (each.start["initiatorId"], tool["toolCallId"]): caller
        for caller, each in reports.items()
        for tool in each["ToolUsage"]
        if tool.get("toolCallId")
    }

    def parent_of(child: str) -> str | None:
        start = reports[child].start
        return callers.get((start["initiatorId"], start.get("correlatingToolCallId", "")))

    root, parent = key, parent_of(key)
    while (above := parent_of(root)) is not None:
        root = above
    attributes = plain(chat["attributes"])
    is_follow_up = "correlatingToolCallId" in reports[key].start
    assert attributes.get("aibridge.thread.parent.id") == parent
    assert attributes["aibridge.thread.root.id"] == root
    assert attributes.get("aibridge.thread.unresolved", False) == (is_follow_up and not parent)
    links = [uuid_of(link["traceId"]) for link in chat.get("links", [])]
    assert links == ([parent] if parent else [])


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.stem)
def test_a_golden_file_tells_what_its_capture_reports_and_nothing_else(capture: Path) -> None:
    reports, spans = sent(capture), told(capture)

    assert set(reports) == set(spans)
    for key, report in reports.items():
        (chat,) = (s for s in spans[key] if s["name"].startswith("chat"))
        attributes = plain(chat["attributes"])
        check_identity(report, key, chat)
        check_usage(report["TokenUsage"], attributes)
        check_events(report, chat.get("events", []))
        check_executions(report, chat, [s for s in spans[key] if s is not chat])
        check_thread(key, reports, chat)
        for name, field in COPIED.items():
            assert attributes.get(name, "") == report.start.get(field, ""), name
