"""Opening: a journal is opened whatever has happened to its files."""

from __future__ import annotations

import logging
import os
import shutil
import time
from typing import IO, TYPE_CHECKING

from otelbridge.errors import JournalDamagedError, JournalError, JournalFullError
from otelbridge.journal import wal
from otelbridge.journal.faults import SqliteErrors, is_no_space
from otelbridge.journal.repair import MAGIC, looks_like_ours, replace_first_page
from otelbridge.journal.salvage import Report, Salvage, interrupted
from otelbridge.journal.schema import (
    EXCLUSIVE,
    closed_on_error,
    connect,
    open_database,
    prepare,
)

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

logger = logging.getLogger(__name__)

# A database up to this size is looked through at each start, which takes a tenth of a second.
# Damage in a larger one is noticed when it is read.
_LOOKED_THROUGH_BYTES = 64 * 1024 * 1024
# With one, a commit was under way when the machine stopped, and was never acknowledged.
_TORN_COMMITS = 1


def open_journal(path: Path) -> sqlite3.Connection:
    """Open the journal; of one that is damaged, what can be read.

    Raises:
        JournalError: If it cannot be opened, or is no journal.
    """
    found = interrupted(path)
    if found is not None:
        found.finish()
        _marker(path).unlink(missing_ok=True)
    problem = _problem(path)
    if problem is None:
        try:
            return _open_sound(path)
        except JournalDamagedError as error:
            problem = str(error).removeprefix(f"journal.url: {path}: ")
    _salvage(path, problem)
    return open_database(path)


def open_sound(path: Path) -> sqlite3.Connection:
    """Open a journal that is not damaged; one that is, is salvaged by the next `open_journal`.

    Raises:
        JournalDamagedError: If it is damaged.
        JournalError: If it cannot be opened, or is no journal.
    """
    problem = _problem(path)
    if problem is None:
        try:
            return _open_sound(path)
        except JournalDamagedError as error:
            problem = str(error).removeprefix(f"journal.url: {path}: ")
            mark_damaged(path, problem)
    raise JournalDamagedError(
        f"journal.url: {path}: it is damaged, the next start of a bridge salvages it: {problem}"
    )


def mark_damaged(path: Path, problem: str) -> None:
    """Have the next start salvage the journal, even if it can be opened."""
    try:
        with open_owned(_marker(path)) as file:
            file.write(problem.encode())
    except OSError as error:
        logger.error("journal: that it is damaged cannot be noted: %s", error.strerror)


def _marker(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")


def _problem(path: Path) -> str | None:
    """Return what is wrong with the files, as far as that is seen without opening them.

    Raises:
        JournalError: If the file was never a journal.
    """
    if _marker(path).exists():
        return _marker(path).read_text(errors="replace") or "it was damaged"
    if not path.exists():
        return None
    if path.stat().st_size == 0:
        return "the file is empty, and its log is not" if _frames(path) else None
    with path.open("rb") as file:
        head = file.read(len(MAGIC))
    if head == MAGIC:
        return None
    if looks_like_ours(path):
        return "its header is damaged"
    raise JournalError(f"journal.url: {path}: file is not a database")


def _frames(path: Path) -> list[wal.Frame]:
    return wal.read_frames(wal.log_of(path))


def _open_sound(path: Path) -> sqlite3.Connection:
    """Open a journal that should be sound.

    Raises:
        JournalDamagedError: If it is not.
        JournalError: If it cannot be opened.
    """
    frames = _frames(path)
    database = connect(path)
    with closed_on_error(path, database):
        database.execute(EXCLUSIVE).close()
        if frames:
            _look_at_log(path, database, frames)
        prepare(database)
        if path.stat().st_size <= _LOOKED_THROUGH_BYTES:
            (result,) = database.execute("PRAGMA integrity_check(1)").fetchone()
            if result != "ok":
                raise JournalDamagedError(str(result).splitlines()[-1])
    return database


def _look_at_log(path: Path, database: sqlite3.Connection, frames: list[wal.Frame]) -> None:
    """Hold what SQLite reads of the log against what is in it."""
    _, read, _ = database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    unread = frames[max(read, 0) :]
    if wal.whole_commits(wal.log_of(path), frames, after=max(read, 0)) > _TORN_COMMITS:
        _keep_log(path)  # it goes when the database is closed
        raise JournalDamagedError(f"its log is damaged at frame {read + 1} of {len(frames)}")
    if unread:
        logger.info("journal: the log ends with %d frames of a commit that failed", len(unread))
    # Frames that are left over must not be taken for later ones at the next start.
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()


def _keep_log(path: Path) -> None:
    with wal.log_of(path).open("rb") as log, open_owned(_kept_log(path)) as kept:
        shutil.copyfileobj(log, kept)


def _kept_log(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged-log")


def open_owned(path: Path) -> IO[bytes]:
    """Open a file for writing that its owner alone can read, mode 0600; it is emptied."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def _salvage(path: Path, problem: str) -> Report:
    logger.error("journal: %s is damaged: %s", path, problem)
    mark_damaged(path, problem)
    try:
        if path.stat().st_size == 0:
            replace_first_page(path)
        kept = _kept_log(path)
        if kept.exists():
            wal.overlay(path, kept, wal.read_frames(kept))
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        report = Salvage(path, stamp).run()
    except (OSError, *SqliteErrors) as error:
        kind = JournalFullError if is_no_space(error) else JournalError
        raise kind(f"journal.url: {path}: it cannot be salvaged: {error}") from error
    _kept_log(path).unlink(missing_ok=True)
    _marker(path).unlink(missing_ok=True)
    _tell(report)
    return report


def _tell(report: Report) -> None:
    logger.error("journal: the damaged file is kept as %s", report.kept)
    if not report.rows:
        logger.error("journal: nothing of it can be read: a new one begins")
    for table, rows in report.rows.items():
        if report.gaps[table]:
            logger.error(
                "journal: table %s: %d rows were read, others were lost in %d places",
                table,
                rows,
                report.gaps[table],
            )
