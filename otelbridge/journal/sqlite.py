"""The journal on SQLite: one connection, used by one thread, one transaction a commit."""

from __future__ import annotations

import logging
import uuid
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from otelbridge.errors import JournalDamagedError, JournalError, JournalFullError
from otelbridge.journal.batches import BatchTable
from otelbridge.journal.closed import ClosedTable
from otelbridge.journal.dead_letters import DeadLetterTable
from otelbridge.journal.faults import SqliteErrors, journal_error
from otelbridge.journal.ledger import LedgerTables
from otelbridge.journal.lock import Lock
from otelbridge.journal.opening import mark_damaged, open_journal, open_sound
from otelbridge.journal.outbox import OutboxTable
from otelbridge.journal.quarantine import Quarantine
from otelbridge.journal.reserve import Reserve
from otelbridge.journal.schema import limit_log
from otelbridge.journal.wal import log_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from uuid import UUID

    from otelbridge.domain.ports import Signal
    from otelbridge.journal.faults import SqliteError
    from otelbridge.journal.subscriptions import Subscription
    from otelbridge.journal.transaction import Transaction

logger = logging.getLogger(__name__)

# How long a backup may take. The log grows meanwhile.
_STILL_NS = 600 * 10**9


class SqliteJournal:
    """Acknowledged records, what will be told of them, and the ledger.

    Args:
        path: The database file; created if it is not there, mode 0600.
        pid: Which process is named to others as its holder; this one if not given.
        reserve: What is kept back of the disk for the moment when it is full; nothing
            if not given.
        salvages: Whether what can be read of a damaged journal becomes a new one;
            if not, it is an error.

    Raises:
        JournalLockedError: If another process uses it.
        JournalError: If it cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        pid: int | None = None,
        reserve: Reserve | None = None,
        salvages: bool = True,
    ) -> None:
        self.path = path
        self._lock = Lock(path, pid=pid)
        self.reserve = reserve or Reserve(path, size=0)
        self._still_since_ns: int | None = None
        with ExitStack() as opened:
            opened.callback(self._lock.release)
            self._database = self._open(open_journal if salvages else open_sound)
            opened.callback(self._database.close)
            try:
                self._find_tables()
            except SqliteErrors as error:
                raise self.error_of(error) from error
            opened.pop_all()  # it stays open

    def _find_tables(self) -> None:
        self.quarantine = Quarantine(self._database)
        self.batches = BatchTable(self._database, self.quarantine)
        self.closed = ClosedTable(self._database)
        self.ledger = LedgerTables(self._database)
        self.outbox = OutboxTable(self._database, self.quarantine)
        self.dead_letters = DeadLetterTable(self._database)

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query.

        Raises:
            sqlite3.Error: If they cannot be read.
        """
        return self._database.execute(statement, values).fetchall()

    def close(self) -> None:
        """Close the database and let another process have it."""
        self._database.close()
        self._lock.release()

    def instance_id(self) -> str:
        """Return the journal's own id, drawn once: ``service.instance.id``."""
        row = self._database.execute("SELECT value FROM meta WHERE key = 'instance_id'").fetchone()
        if row is None:
            row = (str(uuid.uuid4()),)
            self._database.execute("INSERT INTO meta VALUES ('instance_id', ?)", row)
        return str(row[0])

    def subscribe(self, subscriptions: list[Subscription], *, now_ns: int) -> dict[str, int]:
        """Make these the destinations; return each one's bit by name.

        One that is no longer among them loses its progress, and what was kept
        for it alone is forgotten, and counted.
        """
        with self._transaction():
            self.ledger.add(self.outbox.subscribe(subscriptions), now_ns=now_ns)
        return self.outbox.bits()

    def commit(self, transaction: Transaction, *, now_ns: int) -> dict[Signal, int]:
        """Make the transaction durable; return the last outbox row by signal.

        Raises:
            JournalFullError: If the disk is full. Nothing was committed.
            JournalError: If the disk failed. What is on it is not known until
                it is read again: the process must end.
        """
        with self._transaction():
            last = self._write(transaction, now_ns)
        self._note(transaction, now_ns)
        return last

    def error_of(self, error: SqliteError) -> JournalError:
        """Return the error that an error of SQLite is told as; note that the file is damaged."""
        told = journal_error(error, self.reserve)
        if isinstance(told, JournalDamagedError):
            mark_damaged(self.path, str(error))
        return told

    @property
    def has_more(self) -> bool:
        """Return whether even an empty transaction has something to do."""
        return self.outbox.has_taken_rows or self.batches.has_left_over or self.quarantine.has_more

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
        with self._transaction():
            self.batches.compact(before_ns=closed_before_ns, is_open=is_open)
            self.closed.prune(closed_before_ns=closed_before_ns, calls_before_ns=calls_before_ns)
            self.ledger.fold(before_day=before_day)
        self.batches.compacted()

    def make_room(self) -> bool:
        """Make room on a full disk; return whether there is any.

        The reserve is given back, and the log is moved into the database, so
        that it can begin anew.
        """
        is_released = self.reserve.release()
        if is_released:
            logger.warning("journal: the disk is full: the reserve is given back to it")
        log = log_of(self.path)
        has_log = log.exists() and log.stat().st_size > 0
        return (has_log and self.checkpoint()) or is_released

    def hold_still(self, *, now_ns: int) -> None:
        """Have the database's file stay as it is: what is committed goes to the log alone.

        Raises:
            JournalError: If the log cannot be moved into it.
        """
        if not self.checkpoint():
            raise JournalError("the journal's log cannot be moved into its file")
        self._database.execute("PRAGMA wal_autocheckpoint = 0").close()
        self._still_since_ns = now_ns

    def let_go(self) -> bool:
        """Let the file change again; return whether it stayed as it was since `hold_still`."""
        was_still, self._still_since_ns = self._still_since_ns is not None, None
        limit_log(self._database, self.reserve.size)
        return was_still

    def tend(self, *, now_ns: int) -> None:
        """Let the file change again if whoever had it stay has not come back."""
        since_ns = self._still_since_ns
        if since_ns is not None and now_ns - since_ns > _STILL_NS:
            logger.warning("journal: nobody has ended a backup that was begun")
            self.let_go()

    def checkpoint(self) -> bool:
        """Move the log into the database and cut it; return whether that was done."""
        self._still_since_ns = None
        try:
            busy, *_ = self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except SqliteErrors as error:
            logger.warning("journal: the log cannot be moved into the database: %s", error)
            return False
        return not busy

    def size_bytes(self) -> int:
        """Return the size of the data in the database."""
        return self._pragma("page_size") * (
            self._pragma("page_count") - self._pragma("freelist_count")
        )

    def unused_bytes(self) -> int:
        """Return how much can be written without the database growing."""
        return self._pragma("page_size") * self._pragma("freelist_count")

    def _open(self, open_: Callable[[Path], sqlite3.Connection]) -> sqlite3.Connection:
        try:
            database = open_(self.path)
        except JournalFullError:
            if not self.reserve.release():
                raise
            database = open_(self.path)
        limit_log(database, self.reserve.size)
        return database

    def _pragma(self, name: str) -> int:
        (value,) = self._database.execute(f"PRAGMA {name}").fetchone()
        return int(value)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit what is done inside, or nothing.

        Raises:
            JournalError: If SQLite fails.
        """
        try:
            self._database.execute("BEGIN IMMEDIATE")
            yield
            self._database.execute("COMMIT")
        except SqliteErrors as error:
            self._roll_back()
            raise self.error_of(error) from error
        except BaseException:
            self._roll_back()
            raise

    def _write(self, transaction: Transaction, now_ns: int) -> dict[Signal, int]:
        self.quarantine.store(now_ns=now_ns)
        # What is deleted goes first: its pages, overwritten, are written once with what is new.
        if transaction.finalised or self.batches.has_left_over:
            self.batches.delete([item.closed.id for item in transaction.finalised])
        self.outbox.edit(transaction)
        self.outbox.advance(transaction.progress)
        self.dead_letters.delete(transaction.unburied)
        if transaction.entries:
            self.batches.insert(transaction.entries)
        if transaction.finalised:
            self.closed.insert(transaction.finalised)
        self.closed.answer(transaction.answered, now_ns=now_ns)
        if transaction.late:
            self.closed.add_late(transaction.late)
        last = self.outbox.insert(transaction.outbox, now_ns=now_ns)
        self.dead_letters.insert(transaction.buried, now_ns=now_ns)
        self.outbox.store_metrics(transaction.metrics)
        self.ledger.store_series(transaction.series)
        self.ledger.use(transaction.usage)
        self.ledger.admit(transaction.admitted)
        self.ledger.name_users(transaction.users)
        return last

    def _note(self, transaction: Transaction, now_ns: int) -> None:
        """Let what is kept in memory follow the commit."""
        self.quarantine.stored()
        self.batches.inserted()
        self.batches.deleted((item.closed.id for item in transaction.finalised), now_ns=now_ns)
        self.outbox.edited(transaction)
        self.outbox.inserted(transaction.outbox)
        self.outbox.advanced(transaction.progress)
        self.dead_letters.inserted(transaction.buried)
        self.dead_letters.deleted(transaction.unburied)

    def _roll_back(self) -> None:
        self.batches.rolled_back()
        try:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
        except SqliteErrors as error:
            logger.error("journal: roll back failed: %s", error)
