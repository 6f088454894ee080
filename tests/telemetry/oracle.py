"""The oracle: what must be told of requests, by a second reading of the conventions.

Written from the conventions and the contract alone: it shares no code with the bridge, and
says everything in tables and sums instead of in the bridge's steps. Of cost it says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from tests.telemetry.oracle_records import (
    EVENTS,
    Case,
    Plain,
    Row,
    call_attributes,
    chat_id,
    content_attributes,
    event_attributes,
    extra_counts,
    failure_of,
    is_odd,
    joined_metadata,
    metadata_attributes,
    outcome_of,
    parts_of,
    response_attributes,
    row_of,
    safe,
    span_hash,
    start_attributes,
    usage_attributes,
)

_COUNTED = {
    "in": "gen_ai.client.inference.usage.input_tokens",
    "out": "gen_ai.client.inference.usage.output_tokens",
    "read": "gen_ai.client.inference.usage.cache_read.input_tokens",
    "write": "gen_ai.client.inference.usage.cache_write.input_tokens",
    "reasoning": "gen_ai.client.inference.usage.reasoning.output_tokens",
}


class Oracle:
    """Says what must be told of requests.

    Args:
        requests: The requests of the Recorder service; repeats are the same bytes.
        now_ns: When all of them were received.
    """

    def __init__(self, requests: Iterable[Any], *, now_ns: int) -> None:
        self.cases: dict[UUID, Case] = {}
        for row in {
            row.identity: row for row in (row_of(each, now_ns) for each in requests)
        }.values():
            key = UUID(row.sent.id if row.number in (1, 6) else row.sent.interception_id)
            self.cases.setdefault(key, Case(key)).rows.append(row)
        self._callers: dict[tuple[str, str], list[Case]] = {}
        for case in self.cases.values():
            case.rows.sort(key=lambda row: row.order)
            for row in case.of(5) if case.start else ():
                user_and_call = (case.start.initiator_id, row.sent.tool_call_id)
                self._callers.setdefault(user_and_call, []).append(case)

    def parent(self, case: Case) -> Case | None:
        """Return the interception of the same user that asked for the tool."""
        if not case.start or not case.start.correlating_tool_call_id:
            return None
        asked = (case.start.initiator_id, case.start.correlating_tool_call_id)
        found = [each for each in self._callers.get(asked, ()) if each is not case]
        return max(found, key=lambda each: (each.of(1)[0].at, each.id.bytes), default=None)

    def root(self, case: Case) -> Case:
        """Return the first interception of the thread."""
        above = self.parent(case)
        return case if above is None else self.root(above)

    def spans(
        self, *, semconv: str, content: str, trace_grouping: str, events: str
    ) -> dict[str, Plain]:
        """Return every span that must be told, by its place."""
        is_thread = trace_grouping == "thread"
        found: dict[str, Plain] = {}
        for case in self.cases.values():
            where = self._place(case, is_thread=is_thread)
            chat = self._chat(case, semconv, in_span=content in ("SPAN_ONLY", "SPAN_AND_EVENT"))
            root = self.root(case)
            chat["parent"] = chat_id(root) if is_thread and root is not case else ""
            above = self.parent(case)
            chat["links"] = [self._place(above, is_thread=is_thread)] if above else []
            if events != "log":
                chat["events"] = self.events(case, content=content)
            found[where] = chat
            trace = where.partition(" ")[0]
            for row in case.of(5):
                if row.sent.injected:
                    span = _run(case, row, in_span=content in ("SPAN_ONLY", "SPAN_AND_EVENT"))
                    found[f"{trace} {span_hash(case.id.bytes + b'tool' + row.identity)}"] = span
            if is_thread and above is not None:
                found |= _inferred(above, trace, chat)
        return found

    def logs(self, *, content: str, trace_grouping: str) -> list[Plain]:
        """Return every log record that must be told."""
        return [
            {**event, "of": self._place(case, is_thread=trace_grouping == "thread")}
            for case in self.cases.values()
            for event in self.events(case, content=content)
        ]

    def events(self, case: Case, *, content: str) -> list[Plain]:
        """Return an interception's events, in their order."""
        in_event = content in ("EVENT_ONLY", "SPAN_AND_EVENT")
        return [
            {
                "name": EVENTS[row.number],
                "at": row.at,
                "attributes": event_attributes(case, row, in_event=in_event),
            }
            for row in case.of(2, 4, 5)
        ]

    def counters(self) -> dict[tuple[str, ...], float]:
        """Return what must be counted, by instrument, provider and outcome where it has one."""
        found: dict[tuple[str, ...], float] = {}

        def count(amount: float, *key: str) -> None:
            found[key] = found.get(key, 0) + amount

        for case in self.cases.values():
            first = case.of(1)
            provider = "unknown"
            if first:
                provider = start_attributes(case.start, first[0].metadata)["gen_ai.provider.name"]
            count(1, "aibridge.interceptions", provider, outcome_of(case))
            count(self.root(case) is case, "aibridge.threads", provider)
            for row in case.of(3):
                part = parts_of(row)
                for name, instrument in _COUNTED.items():
                    count(max(0, part[name]), instrument, provider)
                count(is_odd(row, part), "aibridge.usage.inconsistent", provider)
            count(len(case.of(2)), "aibridge.prompts", provider)
            count(len(case.of(4)), "aibridge.model_thoughts", provider)
            for row in case.of(5):
                count(1, "aibridge.tool.calls", str(row.sent.injected).lower())
                if row.sent.injected and row.sent.server_url:
                    told = call_attributes(row.sent)
                    at, error = told.get("server.address", "unknown"), told.get("error.type", "")
                    count(1, "aibridge.mcp.tool.calls", at, error)
        return {key: amount for key, amount in found.items() if amount}

    def _place(self, case: Case, *, is_thread: bool) -> str:
        trace = self.root(case).trace if is_thread else case.trace
        return f"{trace} {chat_id(case)}"

    def _chat(self, case: Case, semconv: str, *, in_span: bool) -> Plain:
        start, ends = case.start, case.of(6)
        first = case.of(1)[0] if start else case.rows[0]
        last = ends[0] if ends else case.rows[-1]
        failed = failure_of(ends)
        model = safe(start.model) if start else ""
        above = self.parent(case)
        flags = {
            "aibridge.interception.orphan": not start,
            "aibridge.interception.incomplete": not ends,
            "aibridge.end.conflict": len(ends) > 1,
            "aibridge.timestamp.clamped": last.at < first.at,
            "aibridge.timestamp.synthetic": first.synthetic or last.synthetic,
            "aibridge.thread.unresolved": bool(
                start and start.correlating_tool_call_id and above is None
            ),
        }
        attributes = {
            "gen_ai.operation.name": "chat",
            "aibridge.interception.id": case.trace,
            "gen_ai.provider.name": "unknown",
            "aibridge.thread.root.id": self.root(case).trace,
            **({"aibridge.thread.parent.id": above.trace} if above else {}),
            **(start_attributes(start, first.metadata) if start else {}),
            **response_attributes(case),
            **usage_attributes(case.of(3), semconv),
            **metadata_attributes(joined_metadata(case), beside=extra_counts(case.of(3))),
            **({"error.type": failed[0]} if failed else {}),
            **{key: True for key, is_set in flags.items() if is_set},
            **(content_attributes(case.of(2, 4)) if in_span else {}),
        }
        return {
            "name": f"chat {model}".strip(),
            "kind": "client",
            "start": first.at,
            "end": max(first.at, last.at),
            "error": None if failed is None else failed[1] if in_span else "",
            "attributes": attributes,
            "events": [],
        }


def _run(case: Case, row: Row, *, in_span: bool) -> Plain:
    """Return the span of a tool that the gateway ran."""
    sent = row.sent
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "aibridge.interception.id": case.trace,
        "mcp.method.name": "tools/call",
        "aibridge.tool.duration_known": False,
        **call_attributes(sent),
        **({"aibridge.timestamp.synthetic": True} if row.synthetic else {}),
        **({"gen_ai.tool.call.arguments": sent.input} if in_span else {}),
    }
    words = sent.invocation_error if in_span else ""
    return {
        "name": f"execute_tool {safe(sent.tool)}".strip(),
        "kind": "internal",
        "parent": chat_id(case),
        "start": row.at,
        "end": row.at,
        "error": words if sent.invocation_error else None,
        "links": [],
        "attributes": attributes,
        "events": [],
    }


def _inferred(above: Case, trace: str, chat: Plain) -> dict[str, Plain]:
    """Return the spans of tools that the client ran between two interceptions."""
    found = {}
    for row in above.of(5):
        if row.sent.injected:
            continue
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "aibridge.interception.id": above.trace,
            "gen_ai.tool.name": row.sent.tool,
            "gen_ai.tool.call.id": row.sent.tool_call_id,
            "gen_ai.tool.type": "function",
            "aibridge.tool.injected": False,
            "aibridge.tool.inferred": True,
            **({"aibridge.timestamp.clamped": True} if chat["start"] < row.at else {}),
        }
        found[f"{trace} {span_hash(above.id.bytes + b'client_tool' + row.identity)}"] = {
            "name": f"execute_tool {safe(row.sent.tool)}".strip(),
            "kind": "internal",
            "parent": chat["parent"],
            "start": row.at,
            "end": max(row.at, chat["start"]),
            "error": None,
            "links": [],
            "attributes": attributes,
            "events": [],
        }
    return found
