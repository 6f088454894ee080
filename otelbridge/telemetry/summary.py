"""What an interception comes to: derived once from its records, told in every variant."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from otelbridge.domain.records import ModelThought, PromptUsed, TokensUsed, ToolUsed
from otelbridge.domain.usage import total_usage
from otelbridge.errors import escaped
from otelbridge.telemetry import semconv as sc
from otelbridge.telemetry.cost import sum_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otelbridge.domain.interception import Interception
    from otelbridge.domain.ports import Cost
    from otelbridge.domain.records import InterceptionEnded, Record
    from otelbridge.domain.usage import Usage
    from otelbridge.telemetry.valuation import Valued

#: The kinds of record that are told as events.
Told: TypeAlias = PromptUsed | ToolUsed | ModelThought
_TOLD = frozenset((PromptUsed, ToolUsed, ModelThought))
#: The kinds of record that may name a response.
WITH_MSG_ID = (TokensUsed, PromptUsed, ToolUsed)
#: How many response ids are told; the last ones.
MAX_RESPONSE_IDS = 128


class Summary(NamedTuple):
    """What is told of an interception as a whole.

    Attributes:
        interception: Its records.
        tokens: Its token records.
        events: Those of its records that are told as events.
        provider: ``gen_ai.provider.name``.
        start_ns: Its start; of an orphan the time of its first record.
        end_ns: Its end, or the greatest time of its records; never before the start.
        is_clamped: Whether the end was before the start.
        is_synthetic: Whether one of these times is a receipt.
        outcome: How it went.
        error_type: Why it failed; empty if it did not.
        usage: The sum of its token records; None without one.
        cost: What those cost that have a price; None if none has.
        is_unpriced: Whether one has no price.
        response_ids: Its response ids, each at its last record.
    """

    interception: Interception
    tokens: list[TokensUsed]
    events: list[Told]
    provider: str
    start_ns: int
    end_ns: int
    is_clamped: bool
    is_synthetic: bool
    outcome: sc.Outcome
    error_type: str
    usage: Usage | None
    cost: Cost | None
    is_unpriced: bool
    response_ids: list[str]


def summarise(
    interception: Interception, *, provider: str, value_of: Callable[[TokensUsed], Valued]
) -> Summary:
    """Return what an interception comes to.

    Args:
        interception: A finalised interception; it has at least one record.
        provider: ``gen_ai.provider.name``.
        value_of: Returns usage and cost of a token record.
    """
    records = interception.records
    tokens = [record for record in records if type(record) is TokensUsed]
    values = [value_of(record) for record in tokens]
    first = interception.start or records[0]
    last = interception.end or records[-1]
    error_type = error_type_of(interception.end)
    costs = [value.cost for value in values if value.cost is not None]
    return Summary(
        interception=interception,
        tokens=tokens,
        events=told_as_events(records),
        provider=provider,
        start_ns=first.at_ns,
        end_ns=max(first.at_ns, last.at_ns),
        is_clamped=last.at_ns < first.at_ns,
        is_synthetic=first.synthetic_time or last.synthetic_time,
        outcome=_outcome(interception, error_type),
        error_type=error_type,
        usage=total_usage(value.usage for value in values) if values else None,
        cost=sum_of(costs),
        is_unpriced=len(costs) < len(values),
        response_ids=_response_ids(records),
    )


def told_as_events(records: Iterable[Record]) -> list[Told]:
    """Return the records that are told as events, in their order."""
    return [cast("Told", record) for record in records if type(record) in _TOLD]


def error_type_of(end: InterceptionEnded | None) -> str:
    """Return ``error.type`` of an end; empty on success.

    An error without a type, of which only the provider's words are told, is ``_OTHER``.
    """
    if end is None or not (end.error_type or end.error_message):
        return ""
    return escaped(end.error_type) if end.error_type else sc.OTHER


def _outcome(interception: Interception, error_type: str) -> sc.Outcome:
    if interception.start is None:
        return sc.Outcome.ORPHAN
    if interception.end is None:
        return sc.Outcome.INCOMPLETE
    return sc.Outcome.ERROR if error_type else sc.Outcome.COMPLETED


def _response_ids(records: Iterable[Record]) -> list[str]:
    """Return each response id once, sorted by the time of its last record and by itself."""
    last: dict[str, int] = {}
    for record in records:
        if isinstance(record, WITH_MSG_ID) and record.msg_id:
            last[record.msg_id] = record.at_ns  # records are sorted by time
    if len(last) <= 1:
        return list(last)
    return sorted(last, key=lambda msg_id: (last[msg_id], msg_id))[-MAX_RESPONSE_IDS:]
