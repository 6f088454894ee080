"""Settlement: after a salvage the ledger is made to agree with what was saved.

What was told to a destination and is neither delivered nor waiting nor
rejected was lost, and is counted as rejected: ``damaged``. Records are
settled when they are read again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from otelbridge.domain.books import ITEMS_TOLD, REJECTED, lane_book
from otelbridge.domain.ports import Signal
from otelbridge.journal.ledger import LedgerTables
from otelbridge.journal.subscriptions import Count, waiting_items

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

logger = logging.getLogger(__name__)


def settle(database: sqlite3.Connection) -> None:
    """Make a salvaged journal's counts agree with its rows."""
    database.execute("BEGIN IMMEDIATE")
    known = sum(1 << number for (number,) in database.execute("SELECT id FROM destination"))
    database.execute("UPDATE outbox SET destinations = destinations & ?", (known,))
    database.execute("DELETE FROM outbox WHERE destinations = 0")
    ledger = LedgerTables(database)
    (born,) = database.execute("SELECT coalesce(max(born_at_ns), 0) FROM series").fetchone()
    ledger.add(_missing(database, ledger), now_ns=born)
    database.execute("COMMIT")


def _missing(database: sqlite3.Connection, ledger: LedgerTables) -> Iterator[Count]:
    series = ledger.series()
    names = {values[0] for name, values in series if name == ITEMS_TOLD}
    names |= {name for (name,) in database.execute("SELECT name FROM destination")}
    for name in sorted(names):
        for signal in (Signal.TRACES, Signal.LOGS):
            waiting = waiting_items(database, name, signal)
            missing = lane_book(series, name, signal.value, waiting=waiting).missing
            if missing > 0:
                logger.error("journal: %d %s for %s are lost", missing, signal.value, name)
                yield Count(REJECTED, (name, signal.value, "damaged"), missing)
            elif missing < 0:
                yield Count(ITEMS_TOLD, (name, signal.value), -missing)
