"""The journal on SQLite: one connection, used by one thread, one transaction a commit."""

from __future__ import annotations

import logging
import sqlite3
import uuid
from typing import TYPE_CHECKING

from otelbridge.errors import JournalError, JournalFullError
from otelbridge.journal.batches import BatchTable
from otelbridge.journal.closed import ClosedTable
from otelbridge.journal.ledger import LedgerTables
from otelbridge.journal.lock import Lock
from otelbridge.journal.outbox import OutboxTable
from otelbridge.journal.schema import open_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from uuid import UUID

    from otelbridge.domain.ports import Signal
    from otelbridge.journal.entries import Entry
    from otelbridge.journal.outbox import Subscription
    from otelbridge.journal.transaction import Transaction

logger = logging.getLogger(__name__)


class SqliteJournal:
    """Acknowledged records, what will be told of them, and the ledger.

    Args:
        path: The database file; created if it is not there, mode 0600.
        pid: Which process is named to others as its holder; this one if not given.

    Raises:
        JournalLockedError: If another process uses it.
        JournalError: If it cannot be opened.
    """

    def __init__(self, path: Path, *, pid: int | None = None) -> None:
        self._lock = Lock(path, pid=pid)
        try:
            self._database = open_database(path)
        except JournalError:
            self._lock.release()
            raise
        self.batches = BatchTable(self._database)
        self.closed = ClosedTable(self._database)
        self.ledger = LedgerTables(self._database)
        self.outbox = OutboxTable(self._database)

    def close(self) -> None:
        """Close the database and let another process have it."""
        self._database.close()
        self._lock.release()

    def instance_id(self) -> str:
        """Return the journal's own id, drawn once: ``service.instance.id``."""
        self._database.execute(
            "INSERT OR IGNORE INTO meta VALUES ('instance_id', ?)", (str(uuid.uuid4()),)
        )
        row = self._database.execute("SELECT value FROM meta WHERE key = 'instance_id'").fetchone()
        return str(row[0])

    def subscribe(self, subscriptions: list[Subscription]) -> dict[str, int]:
        """Make these the destinations; see `OutboxTable.subscribe`."""
        self._database.execute("BEGIN IMMEDIATE")
        bits = self.outbox.subscribe(subscriptions)
        self._database.execute("COMMIT")
        return bits

    def replay(self, is_closed: Callable[[set[UUID]], set[UUID]]) -> Iterator[Entry]:
        """Yield the records of open interceptions, in the order of their commits.

        Args:
            is_closed: Which of some interceptions have been finalised.
        """
        for seq, entries in self.batches.replay():
            finalised = is_closed({entry.interception_id for entry in entries})
            kept = [entry for entry in entries if entry.interception_id not in finalised]
            if kept:
                self.batches.inserted(seq, kept)
                yield from kept
            else:
                self.batches.drop([seq])

    def commit(self, transaction: Transaction, *, now_ns: int) -> dict[Signal, int]:
        """Make the transaction durable; return the last outbox row by signal.

        Raises:
            JournalFullError: If the disk is full. Nothing was committed.
            JournalError: If the disk failed. What is on it is not known until
                it is read again: the process must end.
        """
        try:
            self._database.execute("BEGIN IMMEDIATE")
            seq, last = self._write(transaction, now_ns)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise _as_journal_error(error) from error
        self._note(transaction, seq)
        return last

    def prune(
        self,
        *,
        closed_before_ns: int,
        calls_before_ns: int,
        before_day: str,
        is_open: Callable[[UUID], bool],
    ) -> None:
        """Forget finalised interceptions and tool calls, and sum up daily usage rows.

        Args:
            closed_before_ns: Interceptions finalised before are forgotten.
            calls_before_ns: Tool calls of interceptions finalised before are forgotten.
            before_day: Usage of earlier days is kept by month.
            is_open: Whether an interception has not been finalised.

        Raises:
            JournalError: If the disk failed.
        """
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self.batches.compact(before_ns=closed_before_ns, is_open=is_open)
            self.closed.prune(closed_before_ns=closed_before_ns, calls_before_ns=calls_before_ns)
            self.ledger.fold(before_day=before_day)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise _as_journal_error(error) from error

    def size_bytes(self) -> int:
        """Return the size of the data in the database."""
        (pages,) = self._database.execute("PRAGMA page_count").fetchone()
        (free,) = self._database.execute("PRAGMA freelist_count").fetchone()
        (page_size,) = self._database.execute("PRAGMA page_size").fetchone()
        return int((pages - free) * page_size)

    def _write(self, transaction: Transaction, now_ns: int) -> tuple[int, dict[Signal, int]]:
        seq = self.batches.insert(transaction.entries) if transaction.entries else 0
        if transaction.finalised:
            self.batches.delete([item.closed.id for item in transaction.finalised])
            self.closed.insert(transaction.finalised)
        self.closed.answer(transaction.answered, now_ns=now_ns)
        if transaction.late:
            self.closed.add_late(transaction.late)
        last = self.outbox.insert(transaction.outbox, now_ns=now_ns)
        self.outbox.bury(transaction.buried, now_ns=now_ns)
        self.outbox.advance(transaction.progress)
        self.outbox.store_metrics(transaction.metrics)
        self.ledger.store_series(transaction.series)
        self.ledger.use(transaction.usage)
        self.ledger.admit(transaction.admitted)
        self.ledger.name_users(transaction.users)
        return seq, last

    def _note(self, transaction: Transaction, seq: int) -> None:
        """Let what is kept in memory follow the commit."""
        if seq:
            self.batches.inserted(seq, transaction.entries)
        self.batches.deleted(item.closed.id for item in transaction.finalised)
        self.outbox.inserted(transaction.outbox)
        self.outbox.advanced(transaction.progress)

    def _roll_back(self) -> None:
        try:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
        except sqlite3.Error as error:
            logger.error("journal: roll back failed: %s", error)


def _as_journal_error(error: sqlite3.Error) -> JournalError:
    full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
    kind = JournalFullError if full else JournalError
    return kind(f"the journal cannot commit: {error}")
