"""Events: prompts, tool uses and thoughts, as span events or as log records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.domain.records import (
    ModelThought,
    PromptUsed,
    ToolUsed,
)
from otelbridge.telemetry import content, wire
from otelbridge.telemetry import semconv as sc
from otelbridge.telemetry.attributes import (
    prompt_attributes,
    thought_attributes,
    tool_attributes,
)
from otelbridge.telemetry.limits import Cutter
from otelbridge.telemetry.metadata import metadata_attributes
from otelbridge.telemetry.stripping import is_shed
from otelbridge.telemetry.summary import WITH_MSG_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.domain.records import MetadataValue, Record
    from otelbridge.telemetry.summary import Told
    from otelbridge.telemetry.wire import SpanPlace

#: Events that a span carries; further ones are counted in ``dropped_events_count``.
MAX_SPAN_EVENTS = 1024


def span_event(record: Told, interception: bytes, *, with_content: bool) -> bytes:
    """Return a record as an event of its chat span.

    Args:
        record: The record.
        interception: The attribute that names its interception.
        with_content: Whether events may carry content.
    """
    attributes = _attributes(record, interception, with_content=with_content)
    return wire.event(_NAMES[type(record)], record.at_ns, attributes)


def log_event(
    record: Told,
    place: SpanPlace,
    interception: bytes,
    *,
    with_content: bool,
    is_spared: bool = False,
) -> bytes:
    """Return a record as a log record of its chat span; see `span_event`.

    Args:
        record: The record.
        place: Its chat span.
        interception: The attribute that names its interception.
        with_content: Whether events may carry content.
        is_spared: Whether they carry none because space is short.
    """
    attributes = _attributes(record, interception, with_content=with_content)
    if is_shed(record, is_wanted=with_content, is_spared=is_spared):
        attributes.append(wire.boolean(sc.CONTENT_SHED, True))
    return wire.log_record(place, _NAMES[type(record)], record.at_ns, attributes=attributes)


_NAMES: dict[type[Record], str] = {
    PromptUsed: sc.EVENT_PROMPT,
    ToolUsed: sc.EVENT_TOOL_USE,
    ModelThought: sc.EVENT_THOUGHT,
}


def kind_name(record: Record) -> str:
    """Return the kind of a record as it is told."""
    return record.kind.name.lower()


def interception_attribute(interception_id: str) -> bytes:
    """Return the attribute that names an interception."""
    return wire.text(sc.INTERCEPTION_ID, interception_id)


def _attributes(record: Told, interception: bytes, *, with_content: bool) -> list[bytes]:
    cut = Cutter()
    own = own_attributes(record, cut, with_content=with_content)
    return event_attributes(record, interception, own, record.metadata, cut=cut)


def own_attributes(record: Told, cut: Cutter, *, with_content: bool) -> list[bytes]:
    """Return the attributes of the record's own row of the field table."""
    if isinstance(record, PromptUsed):
        found = prompt_attributes(record)
        said = content.input_messages([record]) if with_content else []
    elif isinstance(record, ToolUsed):
        found = tool_attributes(record, cut)
        said = content.tool_arguments(record) if with_content else []
    else:
        found = thought_attributes(record, cut)
        said = content.output_messages([record]) if with_content else []
    return [*found, *said, *content.changes_of([record])] if said else found


def event_attributes(
    record: Record,
    interception: bytes,
    own: list[bytes],
    metadata: Mapping[str, MetadataValue],
    *,
    cut: Cutter,
) -> list[bytes]:
    """Return what every event has, around the record's own attributes."""
    found = [interception]
    if isinstance(record, WITH_MSG_ID) and record.msg_id:
        found.append(wire.text(sc.RESPONSE_ID, cut(record.msg_id)))
    found += own
    if record.synthetic_time:
        found.append(wire.boolean(sc.SYNTHETIC, True))
    if metadata:
        found += metadata_attributes(metadata, cut)
    return found + cut.attributes() if cut.count else found
