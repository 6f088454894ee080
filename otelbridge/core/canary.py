"""How far a canary has come: whether it was told, and who has not taken it yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from uuid import UUID

    from otelbridge.journal import SqliteJournal

# Stops at the first row: a backlog of any length costs as little as a row.
_WAITING = """
SELECT d.name, 'traces' FROM destination d WHERE EXISTS (
  SELECT 1 FROM outbox o WHERE o.signal = 'traces' AND o.seq > d.traces AND o.seq <= ?1
  AND o.destinations & (1 << d.id))
UNION ALL
SELECT d.name, 'logs' FROM destination d WHERE EXISTS (
  SELECT 1 FROM outbox o WHERE o.signal = 'logs' AND o.seq > d.logs AND o.seq <= ?1
  AND o.destinations & (1 << d.id))
"""


class CanaryProgress(NamedTuple):
    """How far a canary has come.

    Attributes:
        through: A row of the outbox: the canary's rows are not behind it. None
            while it has not been told.
        waiting: Destinations and signals that have not acknowledged all rows so far.
    """

    through: int | None
    waiting: list[tuple[str, str]]


def canary_progress(
    journal: SqliteJournal, interception_id: UUID, through: int | None
) -> CanaryProgress:
    """Return how far a canary has come.

    Args:
        journal: The journal.
        interception_id: The canary's id.
        through: What an earlier call returned; None before it was told.
    """
    if through is None:
        if not journal.closed.find([interception_id], dedup_after_ns=0):
            return CanaryProgress(None, [])
        ((through,),) = journal.query("SELECT coalesce(max(seq), 0) FROM outbox")
    return CanaryProgress(through, journal.query(_WAITING, through))
