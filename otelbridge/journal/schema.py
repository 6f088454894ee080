"""The journal's tables, and how its database is opened."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from otelbridge.errors import JournalError

if TYPE_CHECKING:
    from pathlib import Path

#: Version of the tables below.
FORMAT = 1

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- Records of interceptions that are open: a row a commit.
CREATE TABLE batch (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, body BLOB NOT NULL);
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
-- What will be told; `destinations` is a bit mask of destination ids.
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY, signal TEXT NOT NULL, destinations INTEGER NOT NULL,
    items INTEGER NOT NULL, at_ns INTEGER NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL);
-- Holds all but the bodies: sums and scans of a large backlog read no body.
CREATE INDEX outbox_order ON outbox (signal, destinations, seq, items, size);
CREATE TABLE destination (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, variant TEXT NOT NULL,
    traces INTEGER NOT NULL DEFAULT 0, logs INTEGER NOT NULL DEFAULT 0,
    metrics TEXT NOT NULL DEFAULT '');
CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY, destination TEXT NOT NULL, signal TEXT NOT NULL,
    items INTEGER NOT NULL, at_ns INTEGER NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL);
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

_PRAGMAS = (
    # One process only; also spares the shared-memory file.
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    # A commit is on the disk when it returns.
    "PRAGMA synchronous = FULL",
    # Content that was told or shed is gone from the file.
    "PRAGMA secure_delete = ON",
    "PRAGMA cache_size = -65536",  # KiB
    # 16 MiB of WAL between checkpoints: each costs two more fsyncs.
    "PRAGMA wal_autocheckpoint = 4096",
    "PRAGMA journal_size_limit = 67108864",
)


def open_database(path: Path) -> sqlite3.Connection:
    """Open the journal's database, mode 0600, creating it if it is not there.

    Raises:
        JournalError: If it cannot be opened or written, is no journal, or was
            written by a newer version.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        # Opened here, used by the writer's thread alone.
        database = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=512
        )
    except OSError as error:
        raise JournalError(f"journal.url: {path}: {error.strerror}") from None
    try:
        for pragma in _PRAGMAS:
            database.execute(pragma).close()
        _prepare(database)
    except sqlite3.Error as error:
        database.close()
        raise JournalError(f"journal.url: {path}: {error}") from None
    except JournalError:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > FORMAT:
        raise JournalError(
            f"journal.url: the journal has format {version}, this version reads up to {FORMAT}"
        )
    if version == 0:
        database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {FORMAT}; COMMIT;")
