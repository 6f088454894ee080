"""Dead letters of a journal that no bridge uses."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from otelbridge.core.core import reserve_of, takes_of
from otelbridge.domain.books import ITEMS_TOLD
from otelbridge.domain.ledger import Ledger
from otelbridge.errors import JournalError
from otelbridge.journal import SqliteJournal
from otelbridge.recording import Result
from otelbridge.recording.dead_letters import DeadLetters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otelbridge.config import Config
    from otelbridge.domain.ledger import Changes
    from otelbridge.journal.transaction import Transaction


@contextmanager
def letters_at_rest(config: Config, *, clock_ns: Callable[[], int]) -> Iterator[DeadLetters]:
    """Open the journal for its dead letters alone: nothing else of it is read or changed.

    Args:
        config: The settings, with absolute paths.
        clock_ns: The time.

    Raises:
        JournalError: If it is not there, in use, or cannot be opened.
    """
    path = config.journal.path
    if not path.exists():
        raise JournalError(f"{path}: no bridge runs here, and none has kept a journal")
    journal = SqliteJournal(path, reserve=reserve_of(config))
    try:
        journal.outbox.load()
        settling = _Settling(journal, clock_ns)
        yield DeadLetters(journal, settling.settle, takes=takes_of(config))
    finally:
        journal.close()


class _Settling:
    """Commits changes with their counts, as `otelbridge.recording.Recording.settle` does."""

    def __init__(self, journal: SqliteJournal, clock_ns: Callable[[], int]) -> None:
        self._journal = journal
        self._clock_ns = clock_ns
        self._ledger = Ledger(journal.ledger.series())

    def settle(self, transaction: Transaction, changes: Changes) -> Result:
        """Commit a change."""
        now_ns = self._clock_ns()
        names = {1 << bit: name for name, bit in self._journal.outbox.bits().items()}
        for signal, destinations, items, _ in transaction.outbox:
            changes.count(ITEMS_TOLD, names[destinations], signal.value, amount=items)
        transaction.series = self._ledger.updated(changes, now_ns=now_ns)
        told = self._journal.commit(transaction, now_ns=now_ns)
        self._ledger.apply(transaction.series)
        return Result([], told, None, transaction.series, {}, {}, {})
