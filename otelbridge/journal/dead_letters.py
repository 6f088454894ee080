"""The dead_letter table: what destinations refused for good, until somebody decides about it."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from otelbridge.domain.ports import Signal
from otelbridge.journal.statements import insert_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from otelbridge.journal.transaction import Buried

_COLUMNS = "id, destination, signal, items, size, at_ns, reason"
_MAX_ID = 2**63 - 1


class DeadLetter(NamedTuple):
    """Spans or log records that a destination refused for good; their body stays in the table.

    Attributes:
        id: Its number; ascending in time.
        destination: Who refused it.
        signal: What is in it.
        items: Number of spans or log records.
        size: Size of the body, in bytes.
        at_ns: When it was refused.
        reason: Why: what happened, and the destination's words.
    """

    id: int
    destination: str
    signal: Signal
    items: int
    size: int
    at_ns: int
    reason: str


class Selection(NamedTuple):
    """Which dead letters are meant: those that meet all conditions.

    Attributes:
        ids: These; None for any.
        destination: Those of this destination; None for any.
        after: Those with a greater number.
        through: Those with no greater number.
    """

    ids: tuple[int, ...] | None = None
    destination: str | None = None
    after: int = 0
    through: int = _MAX_ID


class Kept(NamedTuple):
    """How much of one signal is kept as dead letters of a destination.

    Attributes:
        letters: Number of dead letters.
        items: Spans or log records in them.
        size: Their bodies, in bytes.
    """

    letters: int = 0
    items: int = 0
    size: int = 0

    def plus(self, letter: Kept, *, sign: int = 1) -> Kept:
        """Return the sum, or the difference."""
        return Kept(*(a + sign * b for a, b in zip(self, letter, strict=True)))


class DeadLetterTable:
    """What was refused.

    Args:
        database: The connection.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._kept: defaultdict[tuple[str, Signal], Kept] = defaultdict(Kept)
        rows = database.execute(
            "SELECT destination, signal, count(*), sum(items), sum(size) FROM dead_letter"
            " GROUP BY destination, signal"
        )
        for destination, signal, *kept in rows:
            self._kept[destination, Signal(signal)] = Kept(*kept)

    def kept(self) -> Mapping[tuple[str, Signal], Kept]:
        """Return how much there is, by destination and signal; without those that have none."""
        return {lane: kept for lane, kept in self._kept.items() if kept.letters}

    def size_of(self, destination: str) -> int:
        """Return the size of a destination's dead letters, in bytes."""
        return sum(kept.size for (name, _), kept in self._kept.items() if name == destination)

    def insert(self, buried: Iterable[Buried], *, now_ns: int) -> None:
        """Keep what was refused; `inserted` must follow the commit."""
        insert_rows(
            self._database,
            "dead_letter (destination, signal, items, at_ns, reason, size, body)",
            [
                (name, signal.value, row.items, now_ns, reason, len(row.body), row.body)
                for name, signal, row, reason in buried
            ],
        )

    def inserted(self, buried: Iterable[Buried]) -> None:
        """Note that `insert` has been committed."""
        for name, signal, row, _ in buried:
            more = Kept(1, row.items, len(row.body))
            self._kept[name, signal] = self._kept[name, signal].plus(more)

    def delete(self, letters: Iterable[DeadLetter]) -> None:
        """Delete dead letters; `deleted` must follow the commit."""
        numbers = [letter.id for letter in letters]
        if numbers:
            self._database.execute(
                "DELETE FROM dead_letter WHERE id IN (SELECT value FROM json_each(?))",
                (json.dumps(numbers),),
            )

    def deleted(self, letters: Iterable[DeadLetter]) -> None:
        """Note that `delete` has been committed."""
        for letter in letters:
            lane, less = (letter.destination, letter.signal), Kept(1, letter.items, letter.size)
            self._kept[lane] = self._kept[lane].plus(less, sign=-1)

    def find(self, selection: Selection, *, limit: int, enough_bytes: int) -> list[DeadLetter]:
        """Return the oldest dead letters of a selection.

        Args:
            selection: Which ones.
            limit: How many at most.
            enough_bytes: No more than it takes to have so much, in bytes.
        """
        where, values = _condition(selection)
        found: list[DeadLetter] = []
        cursor = self._database.execute(
            f"SELECT {_COLUMNS} FROM dead_letter WHERE {where} ORDER BY id LIMIT ?",
            (*values, limit),
        )
        for number, name, signal, items, size, at_ns, reason in cursor:
            found.append(DeadLetter(number, name, Signal(signal), items, size, at_ns, reason))
            enough_bytes -= size
            if enough_bytes <= 0:
                break
        cursor.close()
        return found

    def count(self, selection: Selection) -> int:
        """Return how many dead letters are in a selection."""
        where, values = _condition(selection)
        (count,) = self._database.execute(
            f"SELECT count(*) FROM dead_letter WHERE {where}", values
        ).fetchone()
        return int(count)

    def last(self) -> int:
        """Return the number of the newest dead letter; 0 without any."""
        (last,) = self._database.execute("SELECT max(id) FROM dead_letter").fetchone()
        return int(last or 0)

    def body(self, letter: DeadLetter) -> bytes:
        """Return a dead letter's spans or log records; see `otelbridge.domain.ports.OutboxItem`."""
        (body,) = self._database.execute(
            "SELECT body FROM dead_letter WHERE id = ?", (letter.id,)
        ).fetchone()
        return bytes(body)


def _condition(selection: Selection) -> tuple[str, list[str | int]]:
    where = "id > ? AND id <= ?"
    values: list[str | int] = [selection.after, selection.through]
    if selection.ids is not None:
        where += " AND id IN (SELECT value FROM json_each(?))"
        values.append(json.dumps(selection.ids))
    if selection.destination is not None:
        where += " AND destination = ?"
        values.append(selection.destination)
    return where, values
