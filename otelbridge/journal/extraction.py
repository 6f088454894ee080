"""Extraction: the rows of one table, past the pages that cannot be read."""

from __future__ import annotations

import sqlite3
import zlib
from typing import TYPE_CHECKING, Any

from otelbridge.journal.faults import SqliteErrors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_LARGEST = 2**62
_ID_BYTES = 16
# Each takes a hundred looks: a table that is nothing but gaps must end some time.
_MAX_GAPS = 1000


def extract(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> tuple[int, int]:
    """Copy the rows of a table that can be read; return how many, and past how many gaps."""
    columns = [row[1] for row in target.execute(f"PRAGMA table_info({table})")]
    rows = _Rows(source, table, columns)
    insert = (
        f"INSERT OR IGNORE INTO {table} ({', '.join(columns)})"
        f" VALUES ({', '.join('?' * len(columns))})"
    )
    is_sound = _CHECKS.get(table, _is_sound)
    copied = 0
    for row in rows.by_key() if table in _WITHOUT_ROWID else rows.by_number():
        if is_sound(dict(zip(columns, row, strict=True))):
            copied += target.execute(insert, row).rowcount
        else:
            rows.gaps += 1
    return copied, rows.gaps


# Tables without a rowid are read from both ends, by their keys.
_WITHOUT_ROWID = {
    "meta": "key",
    "answered": "parent",
    "series": "instrument, attributes",
    "admitted": "label, value",
    "usage": "day, user, provider, model, client",
    "user": "id",
}


class _Rows:
    """Reads the rows of a table.

    Attributes:
        gaps: How often reading had to go on behind something unreadable.
    """

    def __init__(self, source: sqlite3.Connection, table: str, columns: list[str]) -> None:
        self._source = source
        self._table = table
        self._columns = ", ".join(columns)
        self.gaps = 0

    def by_number(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows in the order of their numbers, those behind a gap, too."""
        begin: int | None = -_LARGEST
        while begin is not None and self.gaps < _MAX_GAPS:
            last = begin - 1
            try:
                for number, *row in self._source.execute(
                    f"SELECT rowid, {self._columns} FROM {self._table} NOT INDEXED"
                    " WHERE rowid >= ? ORDER BY rowid",
                    (begin,),
                ):
                    if number <= last:  # numbers descend: this is not the table's page
                        raise sqlite3.DatabaseError("rows are not in their order")
                    last = number
                    yield tuple(row)
            except SqliteErrors:
                self.gaps += 1
                begin = self._behind_gap(last + 1)
            else:
                return

    def by_key(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows from the first one on, and from the last one back to a gap."""
        key = _WITHOUT_ROWID[self._table]
        for order in (key, ", ".join(f"{each} DESC" for each in key.split(", "))):
            try:
                yield from self._source.execute(
                    f"SELECT {self._columns} FROM {self._table} ORDER BY {order}"
                )
            except SqliteErrors:
                self.gaps += 1
            else:
                return

    def _behind_gap(self, begin: int) -> int | None:
        """Return the first number behind ``begin`` that can be read; None if none can.

        Those that cannot are on the same page, or on neighbours: numbers in a row.
        """
        step = 1
        while not self._can_read(begin + step):
            step *= 2
            if begin + step > _LARGEST:
                return None
        low, high = begin + max(1, step // 2), begin + step
        while low < high:
            middle = (low + high) // 2
            if self._can_read(middle):
                high = middle
            else:
                low = middle + 1
        return high

    def _can_read(self, number: int) -> bool:
        """Return whether the row of this number, or the next one behind it, can be read."""
        try:
            row = self._source.execute(
                f"SELECT rowid, {self._columns} FROM {self._table} NOT INDEXED"
                " WHERE rowid >= ? ORDER BY rowid LIMIT 1",
                (number,),
            ).fetchone()
        except SqliteErrors:
            return False
        return row is None or row[0] >= number


def _is_sound(_row: Mapping[str, Any]) -> bool:
    return True


def _is_sound_outbox(row: Mapping[str, Any]) -> bool:
    return (
        isinstance(row["body"], bytes)
        and zlib.crc32(row["body"]) == row["crc"]
        and row["signal"] in {"traces", "logs"}
        and row["size"] == len(row["body"])
    )


def _is_sound_closed(row: Mapping[str, Any]) -> bool:
    return isinstance(row["interception"], bytes) and len(row["interception"]) == _ID_BYTES


def _is_sound_batch(row: Mapping[str, Any]) -> bool:
    return isinstance(row["body"], bytes) and isinstance(row["interceptions"], bytes)


# What is not recognised here is recognised where it is read: an entry has its own checksum.
_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "batch": _is_sound_batch,
    "closed": _is_sound_closed,
    "outbox": _is_sound_outbox,
}
