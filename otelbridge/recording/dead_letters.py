"""Dead letters: listed, shown, told again or dropped; each change is counted as it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from otelbridge.domain.ledger import Changes
from otelbridge.domain.ports import OutboxItem
from otelbridge.journal.dead_letters import Selection
from otelbridge.journal.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from otelbridge.journal import SqliteJournal
    from otelbridge.journal.dead_letters import DeadLetter, DeadLetterTable
    from otelbridge.recording.values import Result

RESENT = "otelbridge.delivery.resent"
DROPPED = "otelbridge.delivery.dropped"

# In one transaction: what was deleted is overwritten, some 10 to 50 ms.
_AT_ONCE = 256
_BYTES_AT_ONCE = 4 * 1024 * 1024
_LISTED_BYTES = 2**63 - 1


class Settle(Protocol):
    """Commits a transaction and its counts; see `otelbridge.recording.Recording.settle`."""

    def __call__(self, transaction: Transaction, changes: Changes) -> Result:
        """Commit."""


class Listed(NamedTuple):
    """A part of a list.

    Attributes:
        letters: The oldest of a selection.
        total: How many are in the whole selection.
        last: The newest dead letter of all; 0 without any.
    """

    letters: list[DeadLetter]
    total: int
    last: int


class Shown(NamedTuple):
    """A dead letter with its content.

    Attributes:
        letter: The dead letter.
        body: Its spans or log records; see `otelbridge.domain.ports.OutboxItem`.
    """

    letter: DeadLetter
    body: bytes


class Moved(NamedTuple):
    """What became of some dead letters.

    Attributes:
        letters: How many were told again or dropped.
        items: Spans and log records in them.
        skipped: How many were left: their destination takes them no more.
        last: The last one that was looked at; 0 if there was none.
        result: What the commit has done.
    """

    letters: int
    items: int
    skipped: int
    last: int
    result: Result


class DeadLetters:
    """What can be done with dead letters. For the core's thread.

    Args:
        journal: Where they are.
        settle: Commits.
        takes: The signals that each destination takes, by its name.
    """

    def __init__(
        self, journal: SqliteJournal, settle: Settle, *, takes: Mapping[str, AbstractSet[str]]
    ) -> None:
        self._journal = journal
        self._settle = settle
        self._takes = takes

    def listed(self, selection: Selection, *, limit: int) -> Listed:
        """Return the oldest of a selection, and how many there are."""
        table = self._journal.dead_letters
        found = table.find(selection, limit=limit, enough_bytes=_LISTED_BYTES)
        return Listed(found, table.count(selection), table.last())

    def shown(self, number: int) -> Shown | None:
        """Return a dead letter; None if there is none of that number."""
        letters = self._find(Selection(ids=(number,)))
        return Shown(letters[0], self._journal.dead_letters.body(letters[0])) if letters else None

    def resend(self, selection: Selection) -> Moved:
        """Put the oldest of a selection back into their destinations' outbox, behind all others.

        Raises:
            JournalError: If that cannot be committed.
        """
        found = self._find(selection)
        masks = {each.id: self._mask(each) for each in found}
        letters = [each for each in found if masks[each.id]]
        body = self._journal.dead_letters.body
        items = [
            OutboxItem(each.signal, masks[each.id], each.items, body(each)) for each in letters
        ]
        changes = Changes()
        _count(RESENT, letters, changes)
        return self._moved(found, letters, Transaction(outbox=items, unburied=letters), changes)

    def drop(self, selection: Selection) -> Moved:
        """Forget the oldest of a selection.

        Raises:
            JournalError: If that cannot be committed.
        """
        letters, changes = self._find(selection), Changes()
        _count(DROPPED, letters, changes, "asked")
        return self._moved(letters, letters, Transaction(unburied=letters), changes)

    def _find(self, selection: Selection) -> list[DeadLetter]:
        table = self._journal.dead_letters
        return table.find(selection, limit=_AT_ONCE, enough_bytes=_BYTES_AT_ONCE)

    def _mask(self, letter: DeadLetter) -> int:
        """Return the mask of a dead letter's destination; 0 if it does not take it any more."""
        takes = letter.signal.value in self._takes.get(letter.destination, ())
        return self._journal.outbox.mask_of(letter.destination) if takes else 0

    def _moved(
        self,
        found: list[DeadLetter],
        letters: list[DeadLetter],
        transaction: Transaction,
        changes: Changes,
    ) -> Moved:
        result = self._settle(transaction, changes)
        items = sum(each.items for each in letters)
        last = found[-1].id if found else 0
        return Moved(len(letters), items, len(found) - len(letters), last, result)


def drop_beyond(
    table: DeadLetterTable, name: str, *, space: int, transaction: Transaction, changes: Changes
) -> None:
    """Drop a destination's oldest dead letters, some in each transaction, until the rest fits.

    Args:
        table: Where they are.
        name: The destination.
        space: What its limit leaves beside what waits for it, in bytes; may be negative.
        transaction: Where they are dropped; those that go in it already need no space.
        changes: Where they are counted.
    """
    gone = {letter.id: letter.size for letter in transaction.unburied if letter.destination == name}
    beyond = table.size_of(name) - sum(gone.values()) - max(space, 0)
    if beyond <= 0:
        return
    found = table.find(
        Selection(destination=name),
        limit=_AT_ONCE + len(gone),
        enough_bytes=min(beyond, _BYTES_AT_ONCE),
    )
    letters = [letter for letter in found if letter.id not in gone]
    transaction.unburied += letters
    _count(DROPPED, letters, changes, "max_bytes")


def _count(instrument: str, letters: Iterable[DeadLetter], changes: Changes, *reason: str) -> None:
    for each in letters:
        changes.count(instrument, each.destination, each.signal.value, *reason, amount=each.items)
