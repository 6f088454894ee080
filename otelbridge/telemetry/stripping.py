"""Stripping: content that is left out because space is short, and how that is told.

A prompt, a tool's arguments or a thought that was left out is told by its
length alone, and flagged: a reader sees that there was something.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

from otelbridge.domain.ports import Signal
from otelbridge.domain.records import ModelThought, PromptUsed, ToolUsed
from otelbridge.telemetry import semconv as sc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otelbridge.domain.records import Record
    from otelbridge.telemetry.variants import Variant

_CONTENT = frozenset((sc.INPUT_MESSAGES, sc.OUTPUT_MESSAGES, sc.TOOL_ARGUMENTS))


def without_content(variants: Iterable[Variant], spared: int) -> Iterator[Variant]:
    """Yield the variants, with some destinations told no content.

    Args:
        variants: What is told to whom.
        spared: Bit mask of those destinations.
    """
    for variant in variants:
        if not variant.destinations & spared or variant.content == "NO_CONTENT":
            yield variant
            continue
        yield replace(
            variant,
            content="NO_CONTENT",
            is_spared=True,
            traces=variant.traces & spared,
            logs=variant.logs & spared,
        )
        if variant.destinations & ~spared:
            yield replace(variant, traces=variant.traces & ~spared, logs=variant.logs & ~spared)


def is_shed(record: Record, *, is_wanted: bool, is_spared: bool) -> bool:
    """Return whether content of a record is left out that would have been told.

    Args:
        record: The record.
        is_wanted: Whether content is told where the record stands.
        is_spared: Whether its destinations are told none because space is short.
    """
    if isinstance(record, PromptUsed):
        content = record.prompt
    elif isinstance(record, ToolUsed):
        content = record.input
    elif isinstance(record, ModelThought):
        content = record.content
    else:
        return False
    return record.length > 0 and (is_spared or (is_wanted and content is None))


def body_without_content(signal: Signal, body: bytes) -> bytes | None:
    """Return the body of an outbox item without content, flagged; None if there is none in it.

    Args:
        signal: Which signal it belongs to.
        body: See `otelbridge.domain.ports.OutboxItem`.
    """
    if not any(key.encode() in body for key in _CONTENT):
        return None
    scope: Any = ScopeSpans.FromString(body) if signal is Signal.TRACES else _logs(body)
    items = scope.spans if signal is Signal.TRACES else scope.log_records
    stripped = [_strip(item) for item in items]
    return bytes(scope.SerializeToString(deterministic=True)) if any(stripped) else None


def _logs(body: bytes) -> ScopeLogs:
    return ScopeLogs.FromString(body)


def _strip(item: Any) -> bool:
    """Take the content out of a span or a log record; return whether there was any."""
    parts = [item, *getattr(item, "events", ())]
    found = [_strip_attributes(part.attributes) for part in parts]
    if any(found) and all(each.key != sc.CONTENT_SHED for each in item.attributes):
        flag = item.attributes.add(key=sc.CONTENT_SHED)
        flag.value.bool_value = True
    return any(found)


def _strip_attributes(attributes: Any) -> bool:
    kept = [each for each in attributes if each.key not in _CONTENT]
    if len(kept) == len(attributes):
        return False
    copies = [type(each).FromString(each.SerializeToString()) for each in kept]
    del attributes[:]
    attributes.extend(copies)
    return True
