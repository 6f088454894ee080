"""The batch table: records of open interceptions, a row a commit.

A row is deleted when every interception in it has been finalised.
"""

from __future__ import annotations

import json
import logging
import zlib
from typing import TYPE_CHECKING

from otelbridge.journal.entries import pack, unpack

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator
    from uuid import UUID

    from otelbridge.journal.entries import Entry

logger = logging.getLogger(__name__)


class BatchTable:
    """Which rows hold records of which open interceptions."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._rows_of: dict[int, set[int]] = {}
        self._open_in: dict[int, int] = {}
        self._first_received_ns: dict[int, int] = {}
        (last,) = database.execute("SELECT max(seq) FROM batch").fetchone()
        self._next = (last or 0) + 1

    def __len__(self) -> int:
        return len(self._open_in)

    def oldest_ns(self) -> int | None:
        """Return when the oldest record that is kept arrived; None if none is."""
        seq = next(iter(self._open_in), None)
        return None if seq is None else self._first_received_ns[seq]

    def replay(self) -> Iterator[tuple[int, list[Entry]]]:
        """Yield every row's entries, the oldest first; report and skip a damaged row."""
        cursor = self._database.execute("SELECT seq, crc, body FROM batch ORDER BY seq")
        for seq, crc, body in cursor:
            try:
                if zlib.crc32(body) != crc:
                    raise ValueError("the checksum does not match")
                entries = list(unpack(body))
            except ValueError as error:
                logger.error("journal: batch %d of %d bytes is lost: %s", seq, len(body), error)
                continue
            yield seq, entries

    def insert(self, entries: list[Entry]) -> int:
        """Insert a row; `inserted` must follow once it is committed."""
        body = pack(entries)
        self._database.execute(
            "INSERT INTO batch VALUES (?, ?, ?)", (self._next, zlib.crc32(body), body)
        )
        return self._next

    def inserted(self, seq: int, entries: Iterable[Entry]) -> None:
        """Note which interceptions a committed row holds."""
        entries = list(entries)
        interceptions = {entry.interception_id.int for entry in entries}
        for interception in interceptions:
            self._rows_of.setdefault(interception, set()).add(seq)
        self._open_in[seq] = len(interceptions)
        self._first_received_ns[seq] = min(entry.received_at_ns for entry in entries)
        self._next = max(self._next, seq + 1)

    def delete(self, interceptions: Iterable[UUID]) -> None:
        """Delete the rows that hold nothing but these and forgotten interceptions."""
        left: dict[int, int] = {}
        for interception in interceptions:
            for seq in self._rows_of.get(interception.int, ()):
                left[seq] = left.get(seq, self._open_in[seq]) - 1
        self.drop(seq for seq, count in left.items() if not count)

    def drop(self, seqs: Iterable[int]) -> None:
        """Delete these rows."""
        self._database.execute(
            "DELETE FROM batch WHERE seq IN (SELECT value FROM json_each(?))",
            (json.dumps(list(seqs)),),
        )

    def deleted(self, interceptions: Iterable[UUID]) -> None:
        """Note that `delete` has been committed."""
        for interception in interceptions:
            for seq in self._rows_of.pop(interception.int, ()):
                self._open_in[seq] -= 1
                if not self._open_in[seq]:
                    del self._open_in[seq], self._first_received_ns[seq]

    def compact(self, *, before_ns: int, is_open: Callable[[UUID], bool]) -> None:
        """Drop finalised interceptions' records from rows older than ``before_ns``.

        What is remembered of a finalised interception is forgotten one day:
        its records must be gone by then, or a replay would tell it again.
        """
        old = [seq for seq, first in self._first_received_ns.items() if first < before_ns]
        for seq in old:
            (body,) = self._database.execute(
                "SELECT body FROM batch WHERE seq = ?", (seq,)
            ).fetchone()
            kept = pack(entry for entry in unpack(body) if is_open(entry.interception_id))
            if len(kept) < len(body):
                self._database.execute(
                    "UPDATE batch SET crc = ?, body = ? WHERE seq = ?",
                    (zlib.crc32(kept), kept, seq),
                )
