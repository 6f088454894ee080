"""Statements of many rows.

sqlite3 gives up the interpreter's lock at every step and must win it back
from a busy event loop: a statement a row would make a commit many times as
long as one statement for all rows. docs/performance.md has the figures.

For bytes and None sqlite3 looks for an adapter each time, which takes as long
as storing them: hot statements give it a bytearray, and name the columns that
are not null.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

# Rows in one statement: a prepared statement takes about 0.25 KiB a row, and
# there is one for each number of rows.
_LARGEST = 48


def insert_rows(
    database: sqlite3.Connection,
    table: str,
    rows: Sequence[Sequence[object]],
    *,
    verb: str = "INSERT",
    conflict: str = "",
) -> None:
    """Insert rows into a table; nothing if there are none.

    Args:
        database: The connection.
        table: The table, and its columns if a row does not have them all.
        rows: All of the same length.
        verb: ``INSERT``, ``INSERT OR REPLACE`` or ``INSERT OR IGNORE``.
        conflict: What is done with rows that are there already, as SQL.
    """
    begin = 0
    while begin < len(rows):
        chunk = rows[begin : begin + _LARGEST]
        statement = _insert(verb, table, len(chunk[0]), len(chunk), conflict)
        database.execute(statement, [value for row in chunk for value in row])
        begin += _LARGEST


def padded(values: Sequence[bytes]) -> list[bytes]:
    """Return the values, the last one repeated until their number is a power of two."""
    size = 1 << (len(values) - 1).bit_length()
    return [*values, *[values[-1]] * (size - len(values))]


@lru_cache(maxsize=512)
def _insert(verb: str, table: str, columns: int, rows: int, conflict: str) -> str:
    row = f"({','.join('?' * columns)})"
    return f"{verb} INTO {table} VALUES {','.join([row] * rows)}{conflict}"
