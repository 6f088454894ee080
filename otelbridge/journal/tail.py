"""The outbox's newest rows, in memory: a destination that keeps up reads no disk.

Reading them back would cost a commit's thread two steps a row, each of which
gives up the interpreter's lock and has to win it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otelbridge.domain.ports import OutboxRow

if TYPE_CHECKING:
    from otelbridge.domain.ports import OutboxItem, Signal

# How much is held, in bytes and rows; what is older is read from the disk.
_MAX_BYTES = 16 * 1024 * 1024
_MAX_ROWS = 8192


class OutboxTail:
    """The newest rows.

    Rows are numbered without gaps.

    Args:
        last: The last row that was committed before: it is not held.
    """

    def __init__(self, last: int) -> None:
        self._missing = last  # this row and all before it are on the disk alone
        self._last = last
        self._rows: dict[int, OutboxItem] = {}
        self._bytes = 0

    def append(self, seq: int, item: OutboxItem) -> None:
        """Hold a row that was committed; let the oldest go if there are too many."""
        self._rows[seq] = item
        self._last = seq
        self._bytes += len(item.body)
        while len(self._rows) > _MAX_ROWS or self._bytes > _MAX_BYTES:
            self._missing += 1
            self._bytes -= len(self._rows.pop(self._missing).body)

    def change(self, seq: int, **changed: Any) -> None:
        """Change a row, if it is held.

        Args:
            seq: Which.
            changed: Fields of the item and their new values.
        """
        item = self._rows.get(seq)
        if item is not None:
            self._bytes -= len(item.body)
            item = self._rows[seq] = item._replace(**changed)
            self._bytes += len(item.body)

    def reaches(self, after: int) -> bool:
        """Return whether every row behind ``after`` is held."""
        return after >= self._missing

    def read(
        self, bit: int, signal: Signal, after: int, *, limit: int, max_bytes: int
    ) -> list[OutboxRow]:
        """Return a destination's oldest rows behind ``after``; see `OutboxTable.read`."""
        found: list[OutboxRow] = []
        for seq in range(after + 1, self._last + 1):
            item = self._rows[seq]
            if item.signal is not signal or not item.destinations >> bit & 1:
                continue
            max_bytes -= len(item.body)
            if len(found) == limit or (found and max_bytes < 0):
                break
            found.append(OutboxRow(seq, item.items, item.body))
        return found
