"""Late records: what comes after its interception was told is told as a log event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.domain.records import InterceptionEnded, InterceptionStarted, TokensUsed
from otelbridge.telemetry import semconv as sc
from otelbridge.telemetry import wire
from otelbridge.telemetry.attributes import cost_attributes, start_attributes, usage_attributes
from otelbridge.telemetry.events import (
    event_attributes,
    interception_attribute,
    kind_name,
    own_attributes,
)
from otelbridge.telemetry.limits import Cutter
from otelbridge.telemetry.metadata import extra_attributes, with_token_metadata
from otelbridge.telemetry.stripping import is_shed
from otelbridge.telemetry.summary import error_type_of

if TYPE_CHECKING:
    from otelbridge.domain.interception import Closed
    from otelbridge.domain.records import Record
    from otelbridge.telemetry.semconv import Profile
    from otelbridge.telemetry.valuation import Valued
    from otelbridge.telemetry.wire import SpanPlace


def start_of(closed: Closed) -> InterceptionStarted | None:
    """Return what is remembered of a told interception's start; None of an orphan."""
    if closed.start_identity is None or closed.initiator_id is None:
        return None
    return InterceptionStarted(
        interception_id=closed.id,
        identity=closed.start_identity,
        received_at_ns=0,
        at_ns=0,
        initiator_id=closed.initiator_id,
        provider=closed.labels.provider,
        model=closed.labels.model,
        api_key_id="",
        provider_name=closed.labels.provider_name,
        client=closed.labels.client,
    )


def late_event(
    record: Record,
    place: SpanPlace,
    *,
    provider: str,
    profile: Profile,
    value: Valued | None,
    with_content: bool,
    is_spared: bool = False,
) -> bytes:
    """Return a record that came after its interception was told, as a log record.

    Args:
        record: The record, of any kind.
        place: The chat span that was told.
        provider: ``gen_ai.provider.name``, for a start.
        profile: Which names are used.
        value: Usage and cost, for a token record.
        with_content: Whether events may carry content.
        is_spared: Whether they carry none because space is short.
    """
    metadata, cut = record.metadata, Cutter()
    if isinstance(record, InterceptionStarted):
        own = start_attributes(record, provider, cut)
    elif isinstance(record, InterceptionEnded):
        own = _end_attributes(record)
    elif isinstance(record, TokensUsed):
        own = _token_attributes(value, profile, cut) if value else []
        metadata = with_token_metadata({}, [record])
    else:
        own = own_attributes(record, cut, with_content=with_content)
    attributes = event_attributes(
        record,
        interception_attribute(str(record.interception_id)),
        [wire.label(sc.RECORD_KIND, kind_name(record)), *own],
        metadata,
        cut=cut,
    )
    if is_shed(record, is_wanted=with_content, is_spared=is_spared):
        attributes.append(wire.boolean(sc.CONTENT_SHED, True))
    return wire.log_record(place, sc.EVENT_LATE, record.at_ns, attributes=attributes)


def _end_attributes(end: InterceptionEnded) -> list[bytes]:
    error_type = error_type_of(end)
    return [wire.label(sc.ERROR_TYPE, error_type)] if error_type else []


def _token_attributes(value: Valued, profile: Profile, cut: Cutter) -> list[bytes]:
    extra, _ = extra_attributes(value.usage.extra, cut)
    cost = cost_attributes(value.cost, is_unpriced=value.cost is None)
    return [*usage_attributes(value.usage, profile), *extra, *cost]
