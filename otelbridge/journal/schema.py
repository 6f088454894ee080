"""The journal's tables, and how its database is opened."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from otelbridge.errors import JournalDamagedError, JournalError, JournalFullError
from otelbridge.journal.faults import SqliteErrors, is_damage_at_start, is_no_space
from otelbridge.journal.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Version of the tables below. An older one is brought up to it by
#: `otelbridge.journal.migrations`, a newer one is refused.
FORMAT = 2

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- Records of interceptions that are open: a row a commit. What comes before
-- `body` is read without it: a large backlog is known within a second.
CREATE TABLE batch (
    seq INTEGER PRIMARY KEY, records INTEGER NOT NULL, first_at_ns INTEGER NOT NULL,
    interceptions BLOB NOT NULL, body BLOB NOT NULL);
-- Interceptions that were finalised: for repeats, late records and threads.
CREATE TABLE closed (
    interception BLOB NOT NULL, closed_at_ns INTEGER NOT NULL, start BLOB, initiator BLOB,
    root BLOB NOT NULL, labels TEXT NOT NULL, identities BLOB NOT NULL, tools TEXT NOT NULL);
CREATE UNIQUE INDEX closed_interception ON closed (interception);
-- Which interception asked for which tool call; `call` is a hash of initiator and call id.
CREATE TABLE tool_call (
    call INTEGER NOT NULL, interception BLOB NOT NULL, started_at_ns INTEGER NOT NULL,
    closed_at_ns INTEGER NOT NULL);
CREATE INDEX tool_call_call ON tool_call (call);
-- Interceptions whose client's tool work was told with a follow-up.
CREATE TABLE answered (parent BLOB PRIMARY KEY, at_ns INTEGER NOT NULL) WITHOUT ROWID;
-- What will be told; `destinations` is a bit mask of destination ids, `crc` the body's CRC-32.
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY, signal TEXT NOT NULL, destinations INTEGER NOT NULL,
    items INTEGER NOT NULL, at_ns INTEGER NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL,
    crc INTEGER NOT NULL);
-- Holds all but the bodies: sums and scans of a large backlog read no body.
CREATE INDEX outbox_order ON outbox (signal, destinations, seq, items, size);
CREATE TABLE destination (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, variant TEXT NOT NULL,
    traces INTEGER NOT NULL DEFAULT 0, logs INTEGER NOT NULL DEFAULT 0,
    metrics TEXT NOT NULL DEFAULT '');
-- What a destination refused for good. People call it by its number: none is used twice.
CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT, destination TEXT NOT NULL, signal TEXT NOT NULL,
    items INTEGER NOT NULL, at_ns INTEGER NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL,
    size INTEGER NOT NULL);
-- Holds all that a sum needs: see outbox_order.
CREATE INDEX dead_letter_order ON dead_letter (destination, id, signal, items, size);
-- Copies of damaged rows; `source` is their table.
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, seq INTEGER NOT NULL, at_ns INTEGER NOT NULL,
    problem TEXT NOT NULL, body BLOB NOT NULL);
-- The ledger.
CREATE TABLE series (
    instrument TEXT NOT NULL, attributes TEXT NOT NULL, born_at_ns INTEGER NOT NULL,
    value INTEGER, counts TEXT, total REAL, PRIMARY KEY (instrument, attributes)) WITHOUT ROWID;
CREATE TABLE admitted (label TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (label, value))
    WITHOUT ROWID;
CREATE TABLE usage (
    day TEXT NOT NULL, user BLOB NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
    client TEXT NOT NULL, interceptions INTEGER NOT NULL, input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL,
    reasoning INTEGER NOT NULL, cost_nanos INTEGER NOT NULL, unpriced INTEGER NOT NULL,
    prompts INTEGER NOT NULL, tool_calls INTEGER NOT NULL,
    PRIMARY KEY (day, user, provider, model, client)) WITHOUT ROWID;
CREATE TABLE user (id BLOB PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID;
"""

#: Names of all tables, in the order in which they are written.
TABLES = (
    "meta",
    "batch",
    "closed",
    "tool_call",
    "answered",
    "outbox",
    "destination",
    "dead_letter",
    "quarantine",
    "series",
    "admitted",
    "usage",
    "user",
)

# One process only; also spares the shared-memory file.
EXCLUSIVE = "PRAGMA locking_mode = EXCLUSIVE"
_PRAGMAS = (
    EXCLUSIVE,
    "PRAGMA journal_mode = WAL",
    # A commit is on the disk when it returns.
    "PRAGMA synchronous = FULL",
    # Content that was told or shed is gone from the file.
    "PRAGMA secure_delete = ON",
    "PRAGMA cache_size = -65536",  # KiB
    "PRAGMA journal_size_limit = 67108864",
)
_PAGE = 4096
# 16 MiB of log between checkpoints: each costs two more fsyncs.
_LOG_PAGES = 4096


def open_database(path: Path) -> sqlite3.Connection:
    """Open the journal's database, mode 0600, creating it if it is not there.

    Raises:
        JournalDamagedError: If the file is damaged.
        JournalFullError: If the disk is full.
        JournalError: If it cannot be opened or written, is no journal, or was
            written by a newer version.
    """
    database = connect(path)
    with closed_on_error(path, database):
        prepare(database)
    return database


@contextmanager
def closed_on_error(path: Path, database: sqlite3.Connection) -> Iterator[None]:
    """Close a database that cannot be opened after all.

    Raises:
        JournalError: See `open_database`.
    """
    try:
        yield
    except SqliteErrors as error:
        database.close()
        kind = JournalFullError if is_no_space(error) else JournalError
        if is_damage_at_start(error):
            kind = JournalDamagedError
        raise kind(f"journal.url: {path}: {error}") from None
    except BaseException:
        database.close()
        raise


def connect(path: Path) -> sqlite3.Connection:
    """Connect to a database, mode 0600, creating it if it is not there; nothing of it is read.

    Raises:
        JournalError: If it cannot be opened.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        # Opened here, used by the writer's thread alone.
        database = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=512
        )
    except OSError as error:
        raise JournalError(f"journal.url: {path}: {error.strerror}") from None
    except SqliteErrors as error:
        raise JournalError(f"journal.url: {path}: {error}") from None
    # A text that is damaged is no reason to read nothing at all.
    database.text_factory = lambda text: text.decode("utf-8", "replace")
    return database


def prepare(database: sqlite3.Connection) -> None:
    """Make a connection the journal's: its settings, its tables, its format.

    Raises:
        sqlite3.Error: If the file cannot be read or written.
        JournalDamagedError: If its header is damaged.
        JournalError: If it is another program's, or was written by a newer version.
    """
    for pragma in _PRAGMAS:
        database.execute(pragma).close()
    version = _version_of(database)
    if version > FORMAT:
        raise JournalError(
            f"journal.url: the journal has format {version}, this version reads up to {FORMAT}:"
            " a newer otelbridge wrote it"
        )
    if not version:
        create_tables(database)
    elif version < FORMAT:
        migrate(database, version)
        sign(database)


def create_tables(database: sqlite3.Connection) -> None:
    """Make an empty database a journal.

    Raises:
        JournalError: If it is not empty.
    """
    if database.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        raise JournalError("journal.url: the file is a database of another program")
    database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {FORMAT}; COMMIT;")
    sign(database)


def sign(database: sqlite3.Connection) -> None:
    """Note what the database's header and its tables' definitions say, so that damage is seen."""
    for key, value in _facts(database).items():
        database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def _version_of(database: sqlite3.Connection) -> int:
    """Return the format that a journal has; 0 if it has no tables.

    Raises:
        JournalDamagedError: If its header or a table's definition was changed.
    """
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    has_meta = "SELECT 1 FROM sqlite_master WHERE name = 'meta' AND type = 'table'"
    if version == 1 or not database.execute(has_meta).fetchone():
        return version
    noted = dict(database.execute("SELECT key, value FROM meta"))
    for key, value in _facts(database).items():
        if noted.get(key, value) != value:
            raise JournalDamagedError(f"its {key} is {value:.16}, it was {noted[key]:.16}")
    return version


def _facts(database: sqlite3.Connection) -> dict[str, str]:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    texts = [text for (text,) in database.execute("SELECT sql FROM sqlite_master ORDER BY name")]
    digest = hashlib.sha256("\0".join(map(str, texts)).encode()).hexdigest()
    return {"format": str(version), "schema": digest}


def limit_log(database: sqlite3.Connection, reserve_bytes: int) -> None:
    """Have the log moved into the database at a quarter of the reserve, at most at 16 MiB.

    On a full disk that takes as much space as the log has: the reserve must do.
    """
    pages = min(_LOG_PAGES, max(64, reserve_bytes // 4 // _PAGE)) if reserve_bytes else _LOG_PAGES
    database.execute(f"PRAGMA wal_autocheckpoint = {pages}").close()
