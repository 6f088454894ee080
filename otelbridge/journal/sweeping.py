"""Deleting what all destinations have taken, some rows at a time.

A deleted row is overwritten on the disk (``secure_delete``), which takes several times as
long as sending it: all rows of a backlog at once would hold up the records of that commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from otelbridge.domain.ports import Signal

# In one transaction: some 10 ms.
_MAX_ROWS = 256
_MAX_BYTES = 1024 * 1024


class Sweeper:
    """Deletes rows of the outbox.

    Args:
        database: The connection.

    Attributes:
        has_more: Whether there may be rows that the next transaction can delete.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._done: dict[tuple[Signal, int], int] = {}
        self._drafted: dict[tuple[Signal, int], int] = {}
        self.has_more = True

    def sweep(self, places: Iterable[tuple[Signal, int, int]]) -> None:
        """Delete some of the oldest rows. `swept` must follow the commit.

        Args:
            places: Signals and masks of destinations, each with the last row
                that all those destinations have taken.
        """
        self._drafted = {}
        self.has_more = False
        rows, size = _MAX_ROWS, _MAX_BYTES
        for signal, mask, through in places:
            if self._done.get((signal, mask), 0) >= through:
                continue
            if rows <= 0 or size <= 0:
                self.has_more = True
                return
            found = self._find(signal, mask, through, rows=rows, size=size)
            if len(found) == rows or sum(found.values()) >= size:
                self.has_more = True
            else:
                self._drafted[signal, mask] = through
            rows -= len(found)
            size -= sum(found.values())
            if found:
                self._delete(signal, mask, max(found))

    def swept(self) -> None:
        """Note that `sweep` has been committed."""
        self._done |= self._drafted

    def _find(
        self, signal: Signal, mask: int, through: int, *, rows: int, size: int
    ) -> dict[int, int]:
        """Return the sizes of the oldest rows, at least one row, by their number."""
        found: dict[int, int] = {}
        cursor = self._database.execute(
            "SELECT seq, size FROM outbox"
            " WHERE signal = ? AND destinations = ? AND seq <= ? ORDER BY seq LIMIT ?",
            (signal.value, mask, through, rows),
        )
        for seq, bytes_ in cursor:
            found[seq] = bytes_
            size -= bytes_
            if size <= 0:
                break
        cursor.close()
        return found

    def _delete(self, signal: Signal, mask: int, through: int) -> None:
        self._database.execute(
            "DELETE FROM outbox WHERE signal = ? AND destinations = ? AND seq <= ?",
            (signal.value, mask, through),
        )
