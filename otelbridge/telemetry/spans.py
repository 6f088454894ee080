"""Spans: the chat span of an interception, and executions of tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.domain.records import PromptUsed, ToolUsed
from otelbridge.errors import escaped
from otelbridge.telemetry import content, ids, wire
from otelbridge.telemetry import semconv as sc
from otelbridge.telemetry.attributes import (
    call_attributes,
    cost_attributes,
    start_attributes,
    tool_attributes,
    usage_attributes,
)
from otelbridge.telemetry.events import (
    MAX_SPAN_EVENTS,
    interception_attribute,
    span_event,
)
from otelbridge.telemetry.limits import Cutter
from otelbridge.telemetry.metadata import extra_attributes, limited, with_token_metadata
from otelbridge.telemetry.stripping import is_shed
from otelbridge.telemetry.wire import SpanKind, SpanPlace

if TYPE_CHECKING:
    from uuid import UUID

    from otelbridge.config.sections import TraceGrouping
    from otelbridge.domain.interception import Interception, Parent, Thread, ToolCall
    from otelbridge.telemetry.summary import Summary
    from otelbridge.telemetry.variants import Variant

_CHAT_OPERATION = wire.text(sc.OPERATION_NAME, sc.CHAT)
_TOOL_OPERATION = (
    wire.text(sc.OPERATION_NAME, sc.EXECUTE_TOOL),
    wire.text(sc.MCP_METHOD, sc.TOOLS_CALL),
    wire.boolean(sc.TOOL_DURATION_KNOWN, False),
)


def spans_of(summary: Summary, variant: Variant) -> list[bytes]:
    """Return the spans of an interception, the chat span first."""
    interception = summary.interception
    thread = interception.thread
    place = ids.chat_place(interception.id, thread.root_id, variant.trace_grouping)
    own_id = str(interception.id)
    named = interception_attribute(own_id)
    found = [_chat_span(summary, variant, place, own_id)]
    found += [
        _tool_span(tool, variant, place, named)
        for tool in summary.events
        if isinstance(tool, ToolUsed) and tool.injected
    ]
    if variant.trace_grouping == "thread" and thread.parent is not None:
        found += [
            _client_tool_span(tool, thread.parent, place, until_ns=summary.start_ns)
            for tool in thread.parent.tools
            if not tool.injected
        ]
    return found


def _chat_span(summary: Summary, variant: Variant, place: SpanPlace, own_id: str) -> bytes:
    interception = summary.interception
    model = interception.start.model if interception.start else ""
    named = interception_attribute(own_id)
    events = [] if variant.events == "log" else summary.events
    with_content = variant.has_event_content
    return wire.span(
        place,
        f"{sc.CHAT} {escaped(model)}" if model else sc.CHAT,
        kind=SpanKind.CLIENT,
        times_ns=(summary.start_ns, summary.end_ns),
        attributes=_chat_attributes(summary, variant, own_id),
        events=[
            span_event(record, named, with_content=with_content)
            for record in events[:MAX_SPAN_EVENTS]
        ],
        dropped_events=max(0, len(events) - MAX_SPAN_EVENTS),
        links=_links(interception, variant.trace_grouping),
        status=_status(summary, variant),
    )


def _chat_attributes(summary: Summary, variant: Variant, own_id: str) -> list[bytes]:
    interception = summary.interception
    start = interception.start
    cut = Cutter()
    found = [_CHAT_OPERATION, interception_attribute(own_id)]
    if start is None:
        found.append(wire.label(sc.PROVIDER_NAME, summary.provider))
    else:
        found += start_attributes(start, summary.provider, cut)
    found += _response_attributes(summary, cut)
    if summary.usage is not None:
        found += usage_attributes(summary.usage, variant.profile)
        found += cost_attributes(summary.cost, is_unpriced=summary.is_unpriced)
    if summary.error_type:
        found.append(wire.label(sc.ERROR_TYPE, summary.error_type))
    found += _thread_attributes(interception.thread, interception.id, own_id)
    found += _flags(summary, variant)
    found += _metadata(summary, cut)
    found += _prompt_fingerprint(summary)
    if variant.has_span_content:
        prompts, thoughts = interception.prompts, interception.thoughts
        found += content.input_messages(prompts)
        found += content.output_messages(thoughts)
        found += content.changes_of([*prompts, *thoughts])
    return found + cut.attributes() if cut.count else found


def _prompt_fingerprint(summary: Summary) -> list[bytes]:
    """Return the fingerprint of the last prompt; nothing without one, or without a key."""
    for record in reversed(summary.events):
        if isinstance(record, PromptUsed):
            found = record.prints.fingerprint
            return [wire.text(sc.PROMPT_FINGERPRINT, found.hex())] if found else []
    return []


def _response_attributes(summary: Summary, cut: Cutter) -> list[bytes]:
    msg_ids = [cut(msg_id) for msg_id in summary.response_ids]
    if not msg_ids:
        return []
    found = [wire.text(sc.RESPONSE_ID, msg_ids[-1])]
    return [*found, wire.texts(sc.RESPONSE_IDS, msg_ids)] if len(msg_ids) > 1 else found


def _thread_attributes(thread: Thread, interception_id: UUID, own_id: str) -> list[bytes]:
    is_root = thread.root_id is interception_id or thread.root_id == interception_id
    found = [wire.text(sc.THREAD_ROOT, own_id if is_root else str(thread.root_id))]
    if thread.parent is not None:
        found.append(wire.text(sc.THREAD_PARENT, str(thread.parent.interception_id)))
    if thread.unresolved:
        found.append(wire.boolean(sc.THREAD_UNRESOLVED, True))
    return found


def _flags(summary: Summary, variant: Variant) -> list[bytes]:
    interception = summary.interception
    is_wanted = variant.content != "NO_CONTENT"
    shed = (is_wanted or variant.is_spared) and any(
        is_shed(record, is_wanted=is_wanted, is_spared=variant.is_spared)
        for record in summary.events
    )
    flags = (
        (interception.is_orphan, sc.ORPHAN),
        (interception.is_incomplete, sc.INCOMPLETE),
        (interception.end_conflict, sc.END_CONFLICT),
        (summary.is_clamped, sc.CLAMPED),
        (summary.is_synthetic, sc.SYNTHETIC),
        (shed, sc.CONTENT_SHED),
        (interception.start is not None and sc.CANARY in interception.start.metadata, sc.CANARY),
    )
    return [wire.boolean(key, True) for is_set, key in flags if is_set]


def _metadata(summary: Summary, cut: Cutter) -> list[bytes]:
    interception = summary.interception
    metadata = interception.start.metadata if interception.start else {}
    found, dropped = limited(with_token_metadata(metadata, summary.tokens), cut)
    if summary.usage is not None and summary.usage.extra:
        extra, more = extra_attributes(summary.usage.extra, cut)
        found += extra
        dropped += more
    if dropped:
        found.append(wire.integer(sc.METADATA_DROPPED, dropped))
    return found


def _links(interception: Interception, grouping: TraceGrouping) -> list[bytes]:
    parent = interception.thread.parent
    if parent is None:
        return []
    place = ids.chat_place(parent.interception_id, parent.root_id, grouping)
    return [wire.link(place.trace_id, place.span_id)]


def _status(summary: Summary, variant: Variant) -> bytes:
    if not summary.error_type:
        return b""
    end = summary.interception.end
    message = (end.error_message if end else None) or ""
    return wire.error_status(message if variant.has_span_content else "")


def _tool_span(tool: ToolUsed, variant: Variant, chat: SpanPlace, named: bytes) -> bytes:
    """Return the execution of a tool that the gateway ran. Only its end is known."""
    cut = Cutter()
    attributes = [*_TOOL_OPERATION, named, *tool_attributes(tool, cut)]
    if tool.synthetic_time:
        attributes.append(wire.boolean(sc.SYNTHETIC, True))
    if variant.has_span_content and tool.input is not None:
        attributes += content.tool_arguments(tool)
        attributes += content.changes_of([tool])
    if cut.count:
        attributes += cut.attributes()
    error = tool.invocation_error or ""
    status = wire.error_status(error if variant.has_span_content else "") if error else b""
    span_id = ids.tool_span_id(tool.interception_id, tool.identity)
    return wire.span(
        SpanPlace(chat.trace_id, span_id, chat.span_id),
        _tool_span_name(tool.tool),
        kind=SpanKind.INTERNAL,
        times_ns=(tool.at_ns, tool.at_ns),
        attributes=attributes,
        status=status,
    )


def _client_tool_span(
    tool: ToolCall, parent: Parent, follow_up: SpanPlace, *, until_ns: int
) -> bytes:
    """Return the client's own run of a tool: from being asked for to the follow-up's start."""
    cut = Cutter()
    attributes = [
        wire.label(sc.OPERATION_NAME, sc.EXECUTE_TOOL),
        interception_attribute(str(parent.interception_id)),
        *call_attributes(tool.tool, tool.call_id, cut, injected=False),
        wire.boolean(sc.TOOL_INFERRED, True),
        *cut.attributes(),
    ]
    if until_ns < tool.at_ns:
        attributes.append(wire.boolean(sc.CLAMPED, True))
    span_id = ids.client_tool_span_id(parent.interception_id, tool.identity)
    return wire.span(
        SpanPlace(follow_up.trace_id, span_id, follow_up.parent_id),
        _tool_span_name(tool.tool),
        kind=SpanKind.INTERNAL,
        times_ns=(tool.at_ns, max(tool.at_ns, until_ns)),
        attributes=attributes,
    )


def _tool_span_name(tool: str) -> str:
    return f"{sc.EXECUTE_TOOL} {escaped(tool)}" if tool else sc.EXECUTE_TOOL
