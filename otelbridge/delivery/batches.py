"""How many rows go into one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelbridge.domain.ports import OutboxRow

#: A batch keeps well under the 4 MiB that a gRPC server takes by default.
MAX_ROWS = 512
MAX_BYTES = 2 * 1024 * 1024
_NO_CEILING = 2.0 * MAX_BYTES
#: A server's limit is approached again by so much with each batch that is taken:
#: one request in a hundred is in vain.
_APPROACH = 1 / 1024


class BatchSize:
    """Halves towards a row that is refused, and grows again.

    A refused batch has a refused row: its first half is tried; if that is
    taken, the row is in the second half, and so on: nine requests find one
    row in 512.
    """

    def __init__(self) -> None:
        self._rows = MAX_ROWS
        self._suspects = 0
        self._ceiling = _NO_CEILING
        self.max_bytes = MAX_BYTES

    @property
    def rows(self) -> int:
        """Return how many rows to read."""
        return max(self._suspects // 2, 1) if self._suspects else self._rows

    def is_full(self, rows: Sequence[OutboxRow]) -> bool:
        """Return whether more rows may wait behind these."""
        size = sum(len(row.body) for row in rows)
        return not self._suspects and (len(rows) == self._rows or size > self.max_bytes // 2)

    def taken(self, rows: Sequence[OutboxRow]) -> None:
        """Note that a batch was taken."""
        self._suspects = max(self._suspects - len(rows), 0)
        if not self._suspects:
            self._rows = min(self._rows * 2, MAX_ROWS)
        self._ceiling = min(self._ceiling * (1 + _APPROACH), _NO_CEILING)
        self.max_bytes = min(self.max_bytes * 5 // 4 + 1, int(self._ceiling * 0.9), MAX_BYTES)

    def refused(self, rows: Sequence[OutboxRow]) -> None:
        """Note that one of these rows, more than one, was refused."""
        self._suspects = len(rows)
        self._rows = max(len(rows) // 2, 1)

    def too_large(self, rows: Sequence[OutboxRow], *, is_certain: bool) -> None:
        """Note that these rows, more than one, were too many bytes; if not certain, or too many."""
        size = sum(len(row.body) for row in rows)
        self._suspects = 0
        self.max_bytes = size // 2
        if is_certain:
            self._ceiling = size
        else:
            self._rows = max(len(rows) // 2, 1)

    def buried(self) -> None:
        """Note that the refused row is out of the way."""
        self._suspects = 0
