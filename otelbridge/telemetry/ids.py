"""Trace and span ids: derived from what a span is, never drawn.

Telling the same interception again gives the same ids.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from otelbridge.telemetry.wire import SpanPlace

if TYPE_CHECKING:
    from uuid import UUID

    from otelbridge.config.sections import TraceGrouping
    from otelbridge.domain.records import Identity

_NO_SPAN = bytes(8)  # "all zeroes is invalid" (W3C trace context, parent-id)


def chat_span_id(interception_id: UUID) -> bytes:
    """Return the id of an interception's chat span."""
    return _span_id(interception_id.bytes + b"chat")


def chat_place(interception_id: UUID, root_id: UUID, grouping: TraceGrouping) -> SpanPlace:
    """Return where an interception's chat span stands.

    A trace is an interception, or (``thread``) all of an agent's thread: then
    follow-ups are children of the chat span of the thread's root.

    Args:
        interception_id: The interception.
        root_id: The root of its thread; itself without one.
        grouping: What a trace is.
    """
    span_id = chat_span_id(interception_id)
    if grouping == "interception" or root_id == interception_id:
        return SpanPlace(interception_id.bytes, span_id)
    return SpanPlace(root_id.bytes, span_id, chat_span_id(root_id))


def tool_span_id(interception_id: UUID, identity: Identity) -> bytes:
    """Return the id of the span of a tool that the gateway ran."""
    return _span_id(interception_id.bytes + b"tool" + identity)


def client_tool_span_id(parent_id: UUID, identity: Identity) -> bytes:
    """Return the id of the span of a tool that the client must have run.

    Args:
        parent_id: The interception that asked for the tool.
        identity: Identity of its tool record.
    """
    return _span_id(parent_id.bytes + b"client_tool" + identity)


def _span_id(what: bytes) -> bytes:
    digest = blake2b(what, digest_size=8).digest()
    while digest == _NO_SPAN:
        digest = blake2b(digest, digest_size=8).digest()
    return digest
