"""Fakes: small stand-ins for what surrounds the part under test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.domain.ports import OutboxItem, Signal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelbridge.domain.interception import Closed, Interception
    from otelbridge.domain.ledger import Changes
    from otelbridge.domain.records import InterceptionStarted, Record


class MemoryTeller:
    """Remembers what it is told; tells each interception as one item.

    Attributes:
        booked: Records in the order of booking, with the model they were booked under.
        closed: Finalised interceptions.
        late: Late records.
        broken: Whether it fails at each interception.
        spared: Bit mask of the destinations that are told no content.
        mask: Bit mask of the destinations that interceptions are told to.
    """

    def __init__(self) -> None:
        self.booked: list[tuple[Record, str | None]] = []
        self.closed: list[Interception] = []
        self.late: list[Record] = []
        self.broken = False
        self.spared = 0
        self.mask = 1

    def record_arrived(
        self, record: Record, start: InterceptionStarted | None, changes: Changes
    ) -> None:
        """Book a record."""
        self.booked.append((record, start.model if start else None))
        changes.count("booked", start.model if start else "unknown")

    def interception_closed(
        self, interception: Interception, changes: Changes
    ) -> Sequence[OutboxItem]:
        """Tell an interception."""
        if self.broken:
            raise ArithmeticError("broken")
        self.closed.append(interception)
        changes.count("closed")
        return [OutboxItem(Signal.TRACES, self.mask, 1, interception.id.bytes)]

    def record_late(self, record: Record, closed: Closed, changes: Changes) -> Sequence[OutboxItem]:
        """Tell a late record."""
        self.late.append(record)
        changes.count("late", closed.labels.model)
        changes.count("otelbridge.records.late", "")
        return [OutboxItem(Signal.LOGS, 1, 1, closed.id.bytes)]

    def spare(self, destinations: int) -> None:
        """Remember whom no content is told."""
        self.spared = destinations

    def committed(self, changes: Changes) -> None:
        """Nothing to remember."""
