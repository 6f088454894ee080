"""A transaction: everything that one commit makes durable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from uuid import UUID

    from otelbridge.domain.interception import Closed, ToolCall
    from otelbridge.domain.ledger import Series, SeriesKey, UsageKey, UsageTotals
    from otelbridge.domain.ports import OutboxItem, OutboxRow, Signal
    from otelbridge.domain.records import Identity
    from otelbridge.journal.dead_letters import DeadLetter
    from otelbridge.journal.entries import Entry
    from otelbridge.journal.outbox import Place


class Finalised(NamedTuple):
    """An interception that this transaction closes.

    Attributes:
        closed: What is remembered of it.
        started_at_ns: Its start; 0 for an orphan.
        tools: Its tool uses that others may refer to.
    """

    closed: Closed
    started_at_ns: int
    tools: tuple[ToolCall, ...]


class Buried(NamedTuple):
    """A row that a destination refused for good."""

    destination: str
    signal: Signal
    row: OutboxRow
    reason: str


@dataclass(slots=True)
class Transaction:
    """What one commit makes durable.

    Attributes:
        entries: Records of open interceptions.
        finalised: Interceptions that are told now; their entries are forgotten.
        answered: Interceptions whose client's tool work is told now.
        late: Records that came after their interception was told.
        outbox: What will be told.
        series: New state of the ledger's series.
        usage: Additions to the usage table.
        admitted: Values admitted as labels, by attribute key.
        users: Names of users.
        progress: How far each destination has taken the outbox.
        metrics: Each destination's metric base: what it acknowledged last.
        buried: Dead letters.
        unburied: Dead letters that are told again, or dropped: they go.
        given_up: Rows of the outbox, by number, with the bits (1 << i) of the
            destinations that will not get them.
        stripped: Rows of the outbox, by number, with the bodies that replace theirs.
    """

    entries: list[Entry] = field(default_factory=list)
    finalised: list[Finalised] = field(default_factory=list)
    answered: list[UUID] = field(default_factory=list)
    late: list[tuple[UUID, Identity]] = field(default_factory=list)
    outbox: list[OutboxItem] = field(default_factory=list)
    series: dict[SeriesKey, Series] = field(default_factory=dict)
    usage: dict[UsageKey, UsageTotals] = field(default_factory=dict)
    admitted: dict[str, list[str]] = field(default_factory=dict)
    users: dict[UUID, str] = field(default_factory=dict)
    progress: dict[tuple[str, Signal], int] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    buried: list[Buried] = field(default_factory=list)
    unburied: list[DeadLetter] = field(default_factory=list)
    given_up: dict[int, tuple[Place, int]] = field(default_factory=dict)
    stripped: dict[int, tuple[Place, bytes]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)
