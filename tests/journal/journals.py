"""Journals as tests use them: opened anew, with rows as short as can be."""

from __future__ import annotations

from pathlib import Path

from otelbridge.domain.interception import Closed, Labels
from otelbridge.domain.ports import OutboxItem, Signal
from otelbridge.domain.records import RecordKind
from otelbridge.journal import SqliteJournal
from otelbridge.journal.entries import Entry
from otelbridge.journal.subscriptions import Subscription
from otelbridge.journal.transaction import Finalised, Transaction
from tests.records import identity, uuid

EVERYTHING = 10**9


class Reopen:
    """Opens the journal anew each time, as a restarted process does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.journal = SqliteJournal(path)

    def __call__(self) -> SqliteJournal:
        self.journal.close()
        self.journal = SqliteJournal(self._path)
        return self.journal


def entry(number: int, payload: bytes = b"payload") -> Entry:
    """Return an entry of the interception of this number."""
    return Entry(RecordKind.START, number, None, uuid(number), identity(number), payload)


def finalised(number: int) -> Finalised:
    """Return what is remembered of the interception of this number."""
    closed = Closed(
        id=uuid(number),
        start_identity=None,
        initiator_id=None,
        root_id=uuid(number),
        labels=Labels(),
        closed_at_ns=1,
    )
    return Finalised(closed, 0, ())


def commit(journal: SqliteJournal, *entries: Entry) -> None:
    """Commit entries as one row."""
    journal.commit(Transaction(entries=list(entries)), now_ns=1)


def kept(journal: SqliteJournal) -> list[Entry]:
    """Return all entries of a journal that was opened just now."""
    journal.batches.load()
    found: list[Entry] = []
    seq = journal.batches.next_after(0)
    while seq is not None:
        found += journal.batches.read(seq).entries
        seq = journal.batches.next_after(seq)
    return found


def subscribe(journal: SqliteJournal, *names: str, start: bool = False) -> dict[str, int]:
    """Make these the destinations, all of one variant."""
    return journal.subscribe(
        [Subscription(name=name, variant="v", from_beginning=start) for name in names], now_ns=1
    )


def tell(journal: SqliteJournal, *bodies: bytes, mask: int = 1) -> None:
    """Put rows into the outbox."""
    items = [OutboxItem(Signal.TRACES, mask, 1, body) for body in bodies]
    journal.commit(Transaction(outbox=items), now_ns=1)


def taken(journal: SqliteJournal, name: str, through: int) -> None:
    """Have a destination acknowledge rows."""
    journal.commit(Transaction(progress={(name, Signal.TRACES): through}), now_ns=1)


def pending(journal: SqliteJournal, name: str, limit: int = 99) -> list[bytes]:
    """Return what waits for a destination."""
    rows = journal.outbox.read(name, Signal.TRACES, limit=limit, max_bytes=EVERYTHING)
    return [row.body for row in rows]


def rows_in(
    journal: SqliteJournal, table: str, columns: str = "count(*)"
) -> list[tuple[object, ...]]:
    """Return rows of a table."""
    database = journal._database  # noqa: SLF001  # what is on the disk
    return database.execute(f"SELECT {columns} FROM {table}").fetchall()  # noqa: S608  # ours
