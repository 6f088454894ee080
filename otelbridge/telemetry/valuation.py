"""Valuation: each token record's usage and cost, computed once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from otelbridge.domain.usage import usage_of

if TYPE_CHECKING:
    from otelbridge.domain.ports import Cost, Pricer
    from otelbridge.domain.records import Identity, InterceptionStarted, TokensUsed
    from otelbridge.domain.usage import Usage

# Token records of open interceptions whose value is remembered: it is booked when
# they arrive and told when they are finalised. About 1 kB each.
_REMEMBERED = 8192


class Valued(NamedTuple):
    """What a token record comes to.

    Attributes:
        usage: Its usage.
        cost: Its cost; None if no price is known.
    """

    usage: Usage
    cost: Cost | None


class Valuation:
    """Values token records; a value depends on the record and its start alone.

    Args:
        pricer: Knows prices.
    """

    def __init__(self, pricer: Pricer) -> None:
        self._pricer = pricer
        self._remembered: dict[Identity, tuple[InterceptionStarted | None, Valued]] = {}

    def arrived(self, record: TokensUsed, start: InterceptionStarted | None) -> Valued:
        """Value a record and remember it until it is told."""
        if len(self._remembered) >= _REMEMBERED:
            self._remembered.clear()
        value = self._value(record, start)
        self._remembered[record.identity] = (start, value)
        return value

    def told(self, record: TokensUsed, start: InterceptionStarted | None) -> Valued:
        """Value a record for the last time."""
        remembered = self._remembered.pop(record.identity, None)
        if remembered is None or remembered[0] is not start:
            return self._value(record, start)
        return remembered[1]

    def _value(self, record: TokensUsed, start: InterceptionStarted | None) -> Valued:
        usage = usage_of(record)
        return Valued(usage, self._pricer.price(record, usage, start) if start else None)
