"""What an error of SQLite means for the journal: a class for each reaction."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, TypeAlias

from otelbridge.errors import JournalDamagedError, JournalError, JournalFullError
from otelbridge.journal.reserve import NO_SPACE

if TYPE_CHECKING:
    from otelbridge.journal.reserve import Reserve

# Primary codes; an extended code has its primary one in the low byte.
_DAMAGED = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_TOOBIG))
# Nothing that the file's content could cause.
_OUTSIDE = frozenset(
    (
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_AUTH,
    )
)
# A page that cannot be read is lost like one that was overwritten.
_UNREADABLE = frozenset((sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ))


#: What SQLite's module raises: of a damaged file even an error's own text may be unreadable.
SqliteErrors = (sqlite3.Error, UnicodeDecodeError)
SqliteError: TypeAlias = sqlite3.Error | UnicodeDecodeError


def is_damage(error: SqliteError) -> bool:
    """Return whether an error says that the file is damaged, and not that the disk fails."""
    if isinstance(error, UnicodeDecodeError):
        return True
    code = code_of(error)
    return code & 0xFF in _DAMAGED or code in _UNREADABLE


def is_damage_at_start(error: SqliteError) -> bool:
    """Return whether an error says so at the start.

    What is said to SQLite then is always the same: what it refuses is the file.
    """
    return is_damage(error) or code_of(error) & 0xFF not in _OUTSIDE


def is_no_space(error: SqliteError | OSError) -> bool:
    """Return whether an error says that the disk is full."""
    if isinstance(error, OSError):
        return error.errno in NO_SPACE
    return code_of(error) & 0xFF == sqlite3.SQLITE_FULL


def is_full(error: SqliteError, reserve: Reserve) -> bool:
    """Return whether an error may go away with more space on the disk.

    A quota that is used up comes as an error of writing. So does a disk that
    fails: with the reserve in hand it is tried once more, and a second time
    it is no longer taken for a full disk.
    """
    code = code_of(error)
    if code == sqlite3.SQLITE_IOERR_WRITE:
        return reserve.is_held or reserve.is_disk_full()
    return is_no_space(error)


def journal_error(error: SqliteError, reserve: Reserve) -> JournalError:
    """Return the error that an error of SQLite is told as."""
    if is_damage(error):
        return JournalDamagedError(f"the journal is damaged: {error}")
    kind = JournalFullError if is_full(error, reserve) else JournalError
    return kind(f"the journal cannot commit: {error}")


def code_of(error: SqliteError) -> int:
    """Return SQLite's extended code; 0 for an error of the module itself."""
    return getattr(error, "sqlite_errorcode", None) or 0
