"""The batch table: records of open interceptions, a row a commit.

A row is deleted when every interception in it has been finalised. Which
interceptions a row holds stands in a column of its own, before the records:
the table can be known without reading a record.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

from otelbridge.journal.entries import pack, unpack
from otelbridge.journal.quarantine import Damage

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping
    from uuid import UUID

    from otelbridge.journal.entries import Entry
    from otelbridge.journal.quarantine import Quarantine

_CHECKSUM = struct.Struct("<I")
_ID = struct.Struct(">QQ")


class Row(NamedTuple):
    """A row of the table.

    Attributes:
        interceptions: Whose records it was written with, as numbers.
        entries: Those of its records that can be read, in order.
    """

    interceptions: set[int]
    entries: list[Entry]


class BatchTable:
    """Which rows hold records of which open interceptions.

    Args:
        database: The connection.
        quarantine: Where damaged rows are reported.
    """

    def __init__(self, database: sqlite3.Connection, quarantine: Quarantine) -> None:
        self._database = database
        self._quarantine = quarantine
        # By the ids' numbers; a row's number stands once, in ascending order.
        self._rows_of: dict[int, list[int]] = {}
        self._open_in: dict[int, int] = {}
        self._first_received_ns: dict[int, int] = {}
        # Of rows that still hold records of finalised interceptions: when the first was.
        self._first_closed_ns: dict[int, int] = {}
        self._compacted: list[int] = []
        self._drafted: tuple[int, set[int], int] | None = None
        # Rows of finalised interceptions alone that a killed process left behind.
        self._left_over: list[int] = []
        self._dropped: list[int] = []
        (last,) = database.execute("SELECT max(seq) FROM batch").fetchone()
        self._next = (last or 0) + 1

    def __len__(self) -> int:
        return len(self._open_in)

    def __contains__(self, interception: UUID) -> bool:
        return interception.int in self._rows_of

    @property
    def has_left_over(self) -> bool:
        """Return whether the next `delete` has rows to delete, even without an interception."""
        return bool(self._left_over)

    @property
    def interceptions(self) -> int:
        """Return of how many interceptions there are records, finalised ones among them."""
        return len(self._rows_of)

    @property
    def last(self) -> int:
        """Return the number of the newest row that was ever inserted."""
        return self._next - 1

    def oldest_ns(self) -> int | None:
        """Return when the oldest record that is kept arrived; None if none is."""
        seq = next(iter(self._open_in), None)
        return None if seq is None else self._first_received_ns[seq]

    def load(self) -> int:
        """Learn what is in the table; return the number of records, finalised ones among them."""
        total = 0
        rows = self._database.execute(
            "SELECT seq, records, first_at_ns, interceptions FROM batch ORDER BY seq"
        )
        for seq, records, first_at_ns, blob in rows.fetchall():
            interceptions = _unpack_ids(blob)
            if interceptions is None:
                interceptions = self.read(seq).interceptions
            total += records
            if interceptions:
                self._hold(seq, interceptions, first_at_ns)
            else:
                self._left_over.append(seq)
        return total

    def rows_of(self, interception: UUID) -> list[int]:
        """Return the rows that hold an interception's records, the oldest first."""
        return self._rows_of.get(interception.int, [])

    def next_after(self, seq: int) -> int | None:
        """Return the first row behind a number; None if there is none."""
        (found,) = self._database.execute(
            "SELECT min(seq) FROM batch WHERE seq > ?", (seq,)
        ).fetchone()
        return None if found is None else int(found)

    def read(self, seq: int) -> Row:
        """Return a row; report what of it cannot be read. There may be none of that number."""
        found = self._database.execute(
            "SELECT records, interceptions, body FROM batch WHERE seq = ?", (seq,)
        ).fetchone()
        if found is None:
            return Row(set(), [])
        records, blob, body = found
        entries, damaged = unpack(body)
        interceptions = _unpack_ids(blob)
        if damaged or len(entries) != records or interceptions is None:
            lost = f"lost {records - len(entries)} of {records} records, {damaged} bytes"
            self._quarantine.report(Damage("batch", seq, lost))
        if interceptions is None:
            interceptions = {entry.interception_id.int for entry in entries}
        return Row(interceptions, entries)

    def insert(self, entries: list[Entry]) -> int:
        """Insert a row; `inserted` must follow once it is committed."""
        interceptions = {entry.interception_id.int for entry in entries}
        first_at_ns = min(entry.received_at_ns for entry in entries)
        seq = self._next
        self._database.execute(
            "INSERT INTO batch VALUES (?, ?, ?, ?, ?)",
            (seq, len(entries), first_at_ns, _pack_ids(interceptions), pack(entries)),
        )
        self._drafted = seq, interceptions, first_at_ns
        return seq

    def inserted(self) -> None:
        """Note that `insert` has been committed, if there was one."""
        if self._drafted is not None:
            self._hold(*self._drafted)
            self._next = max(self._next, self._drafted[0] + 1)
            self._drafted = None

    def rolled_back(self) -> None:
        """Note that `insert` and `delete` have not been committed."""
        self._drafted = None
        self._dropped = []

    def delete(self, interceptions: Iterable[UUID]) -> None:
        """Delete the rows that hold nothing but these and forgotten interceptions."""
        left: dict[int, int] = {}
        for interception in interceptions:
            for seq in self._rows_of.get(interception.int, ()):
                left[seq] = left.get(seq, self._open_in[seq]) - 1
        self._dropped = [*self._left_over, *(seq for seq, count in left.items() if not count)]
        self._drop(self._dropped)

    def deleted(self, interceptions: Iterable[UUID], *, now_ns: int) -> None:
        """Note that `delete` has been committed, of interceptions that are finalised now."""
        emptied: set[int] = set(self._left_over)
        for interception in interceptions:
            emptied.update(self._forget(interception, now_ns))
        # A row that was inserted and emptied by one transaction goes with the next.
        self._left_over = sorted(emptied.difference(self._dropped))
        self._dropped = []

    def forget(self, interceptions: Mapping[UUID, int]) -> None:
        """Forget interceptions that were finalised before; their rows go with the next `delete`.

        Args:
            interceptions: When each was finalised.
        """
        for interception, closed_at_ns in interceptions.items():
            self._left_over += self._forget(interception, closed_at_ns)

    def compact(self, *, before_ns: int, is_open: Callable[[UUID], bool]) -> None:
        """Drop records of interceptions that were finalised before; `compacted` must follow.

        What is remembered of a finalised interception is forgotten one day:
        its records must be gone by then, or a replay would tell it again.
        """
        self._compacted = [seq for seq, at in self._first_closed_ns.items() if at < before_ns]
        for seq in self._compacted:
            entries = self.read(seq).entries
            kept = [entry for entry in entries if is_open(entry.interception_id)]
            if len(kept) < len(entries):
                self._database.execute(
                    "UPDATE batch SET records = ?, first_at_ns = ?, interceptions = ?, body = ?"
                    " WHERE seq = ?",
                    (*pack_row(kept), seq),
                )

    def compacted(self) -> None:
        """Note that `compact` has been committed."""
        for seq in self._compacted:
            self._first_closed_ns.pop(seq, None)
        self._compacted = []

    def _hold(self, seq: int, interceptions: set[int], first_at_ns: int) -> None:
        for interception in interceptions:
            rows = self._rows_of.get(interception)
            if rows is None:
                self._rows_of[interception] = [seq]
            else:
                rows.append(seq)
        self._open_in[seq] = len(interceptions)
        self._first_received_ns[seq] = first_at_ns

    def _forget(self, interception: UUID, closed_at_ns: int) -> list[int]:
        """Forget an interception; return the rows that hold none any more."""
        emptied = []
        for seq in self._rows_of.pop(interception.int, ()):
            self._open_in[seq] -= 1
            if not self._open_in[seq]:
                del self._open_in[seq], self._first_received_ns[seq]
                self._first_closed_ns.pop(seq, None)
                emptied.append(seq)
            else:
                before = self._first_closed_ns.get(seq, closed_at_ns)
                self._first_closed_ns[seq] = min(before, closed_at_ns)
        return emptied

    def _drop(self, seqs: list[int]) -> None:
        self._database.execute(
            "DELETE FROM batch WHERE seq IN (SELECT value FROM json_each(?))", (json.dumps(seqs),)
        )


def pack_row(entries: list[Entry]) -> tuple[int, int, bytes, bytes]:
    """Return the columns of a row that holds these entries, all but its number."""
    interceptions = {entry.interception_id.int for entry in entries}
    first_at_ns = min(entry.received_at_ns for entry in entries)
    return len(entries), first_at_ns, _pack_ids(interceptions), pack(entries)


def _pack_ids(interceptions: Iterable[int]) -> bytes:
    ids = b"".join([number.to_bytes(16, "big") for number in interceptions])
    return _CHECKSUM.pack(zlib.crc32(ids)) + ids


def _unpack_ids(blob: bytes) -> set[int] | None:
    """Return the interceptions that a row names; None if its index is damaged."""
    ids = blob[_CHECKSUM.size :]
    if len(ids) % _ID.size or blob[: _CHECKSUM.size] != _CHECKSUM.pack(zlib.crc32(ids)):
        return None
    return {high << 64 | low for high, low in _ID.iter_unpack(ids)}
