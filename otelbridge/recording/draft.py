"""A draft: a transaction that is being prepared, and what is undone if it fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from otelbridge.domain.ledger import Changes
from otelbridge.journal.transaction import Transaction

if TYPE_CHECKING:
    from uuid import UUID

    from otelbridge.domain.interception import Closed
    from otelbridge.domain.records import Record, RecordKind


@dataclass(slots=True)
class Draft:
    """A transaction that is being prepared.

    Attributes:
        now_ns: When.
        is_careful: Whether each interception is told apart from the others: slower,
            but one that cannot be told leaves no trace.
        changes: What it adds to the ledger.
        transaction: What will be committed.
        received: How many requests were well formed, by kind and gateway.
        closed: Finalised interceptions that records came for, by number.
        added: Records that were added to the assembler.
        due: Interceptions that were taken from the assembler's deadlines.
        is_checked: Whether the books were looked at.
    """

    now_ns: int
    is_careful: bool = False
    changes: Changes = field(default_factory=Changes)
    transaction: Transaction = field(default_factory=Transaction)
    received: dict[tuple[RecordKind, str], int] = field(default_factory=dict)
    closed: dict[int, Closed] = field(default_factory=dict)
    added: list[Record] = field(default_factory=list)
    due: list[UUID] = field(default_factory=list)
    is_checked: bool = False
