"""The quarantine table: rows that were damaged, for people to look at."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3

logger = logging.getLogger(__name__)

# The newest ones: a disk that goes bad must not be filled with what it spoilt.
_MAX_ROWS = 100
_MAX_BYTES = 1024 * 1024


class Damage(NamedTuple):
    """A row that cannot be read, or not as a whole.

    Attributes:
        table: ``batch`` or ``outbox``.
        seq: Its number.
        problem: What is wrong with it, for people.
    """

    table: str
    seq: int
    problem: str


class Quarantine:
    """Keeps a copy of damaged rows."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._known: set[tuple[str, int]] = set()
        self._found: list[Damage] = []

    @property
    def has_more(self) -> bool:
        """Return whether the next transaction has something to keep."""
        return bool(self._found)

    def report(self, damage: Damage) -> None:
        """Log a damaged row, and keep a copy of it with the next transaction; each once."""
        if (damage.table, damage.seq) not in self._known:
            self._known.add((damage.table, damage.seq))
            self._found.append(damage)
            logger.error("journal: %s %d is damaged: %s", *damage)

    def store(self, *, now_ns: int) -> None:
        """Copy what was reported; `stored` must follow the commit."""
        for table, seq, problem in self._found:
            self._database.execute(
                "INSERT INTO quarantine (source, seq, at_ns, problem, body)"
                f" SELECT ?, seq, ?, ?, substr(body, 1, {_MAX_BYTES}) FROM {table}"
                " WHERE seq = ? AND NOT EXISTS (SELECT 1 FROM quarantine WHERE source = ?"
                f" AND seq = {table}.seq AND problem = ?)",
                (table, now_ns, problem, seq, table, problem),
            )
        if self._found:
            self._database.execute(
                "DELETE FROM quarantine WHERE id <= (SELECT max(id) FROM quarantine) - ?",
                (_MAX_ROWS,),
            )

    def stored(self) -> None:
        """Note that `store` has been committed."""
        self._found.clear()
