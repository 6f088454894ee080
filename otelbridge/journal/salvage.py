"""Salvage: what can be read of a damaged journal becomes a new one.

The damaged file is kept beside it. Every step can be repeated: a process that
is killed during one begins it again, and the new file takes its place only
when it is whole.
"""

from __future__ import annotations

import logging
import os
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from otelbridge.journal.extraction import extract
from otelbridge.journal.faults import SqliteErrors
from otelbridge.journal.migrations import migrate
from otelbridge.journal.repair import is_of_this_format, repair_header, replace_first_page
from otelbridge.journal.schema import EXCLUSIVE, FORMAT, TABLES, connect, create_tables
from otelbridge.journal.settlement import settle
from otelbridge.journal.wal import log_of

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Report:
    """What came of a salvage.

    Attributes:
        kept: Where the damaged file is.
        rows: Rows that were read, by table.
        gaps: Places where rows could not be read, by table.
    """

    kept: Path
    rows: dict[str, int] = field(default_factory=dict)
    gaps: dict[str, int] = field(default_factory=dict)


class Salvage:
    """The files of one salvage.

    Args:
        journal: The journal's file.
        stamp: When, as part of the names; ``20261122T131957Z``.
    """

    def __init__(self, journal: Path, stamp: str) -> None:
        self._journal = journal
        self._new = journal.with_name(f"{journal.name}.salvaging")
        self._done = journal.with_name(f"{journal.name}.salvaged-{stamp}")
        self._kept = journal.with_name(f"{journal.name}.corrupt-{stamp}")

    def run(self) -> Report:
        """Make a new journal of what can be read, and put it in the damaged one's place.

        Raises:
            sqlite3.Error: If the new one cannot be written.
            OSError: The same.
        """
        self._new.unlink(missing_ok=True)
        report = Report(self._kept)
        with closing(connect(self._new)) as target:
            # Whether it is whole is known by its name, not by a log.
            target.execute("PRAGMA journal_mode = OFF").close()
            target.execute("PRAGMA synchronous = OFF").close()
            create_tables(target)
            self._fill(target, report)
            settle(target)
        _sync(self._new)
        self._new.replace(self._done)
        self.finish()
        return report

    def finish(self) -> None:
        """Put the new journal in its place; the damaged one's log goes first, then its file.

        Left where it is, the log would be taken for the new journal's.
        """
        log = log_of(self._journal)
        if log.exists():
            log.replace(log_of(self._kept))
        if self._journal.exists():
            self._journal.replace(self._kept)
        self._done.replace(self._journal)

    def _fill(self, target: sqlite3.Connection, report: Report) -> None:
        repair_header(self._journal)
        with closing(connect(self._journal)) as source:
            if _can_read(source, target):
                _extract_all(source, target, report)
                return
        if not is_of_this_format(self._journal):
            return
        replace_first_page(self._journal)
        with closing(connect(self._journal)) as source:
            if _can_read(source, target):
                _extract_all(source, target, report)


def interrupted(journal: Path) -> Salvage | None:
    """Return a salvage that was interrupted when its new journal was whole."""
    prefix = f"{journal.name}.salvaged-"
    for path in sorted(journal.parent.glob(f"{prefix}*")):
        return Salvage(journal, path.name.removeprefix(prefix))
    return None


def _sync(path: Path) -> None:
    """Have a file, and its name, on the disk."""
    for each in (path, path.parent):
        fd = os.open(each, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _can_read(source: sqlite3.Connection, target: sqlite3.Connection) -> bool:
    """Return whether the tables are known with all their columns, whatever is in them."""
    try:
        source.execute(EXCLUSIVE).close()
        source.execute("PRAGMA cell_size_check = ON").close()
        _bring_up_to_date(source)
        return all(_columns(source, table) >= _columns(target, table) for table in TABLES)
    except SqliteErrors as error:
        logger.warning("journal: its tables cannot be found: %s", error)
        return False


def _columns(database: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in database.execute(f"PRAGMA table_info({table})")}


def _bring_up_to_date(source: sqlite3.Connection) -> None:
    """Migrate a journal of an older format; the header's word for it is not enough."""
    columns = _columns(source, "outbox")
    (version,) = source.execute("PRAGMA user_version").fetchone()
    if columns and "crc" not in columns and 0 < version < FORMAT:
        migrate(source, version)


def _extract_all(source: sqlite3.Connection, target: sqlite3.Connection, report: Report) -> None:
    target.execute("BEGIN")
    for table in TABLES:
        report.rows[table], report.gaps[table] = extract(source, target, table)
    target.execute("COMMIT")
