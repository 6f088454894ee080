"""Migrations: a journal that an older version wrote is read as if the present one had."""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from pathlib import Path

import pytest

from otelbridge.domain.ports import Signal
from otelbridge.errors import JournalError, JournalFullError
from otelbridge.journal import SqliteJournal
from otelbridge.journal.entries import Entry
from otelbridge.journal.schema import FORMAT
from tests.disk import SimulatedDisk
from tests.journal.journals import entry, kept, pending, rows_in, subscribe
from tests.records import uuid

_TABLES = (Path(__file__).parent / "format_1.sql").read_text()
_HEAD = struct.Struct("<Bqi16s16sI")


def packed(*entries: Entry) -> bytes:
    """Return entries as format 1 packed them."""
    return b"".join(
        _HEAD.pack(
            e.kind, e.received_at_ns, -1, e.interception_id.bytes, e.identity, len(e.payload)
        )
        + e.payload
        for e in entries
    )


@pytest.fixture
def old(path: Path) -> sqlite3.Connection:
    """Return a journal of format 1: two open interceptions, one closed, a destination."""
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(_TABLES)
    for seq, entries in ((1, (entry(1), entry(2))), (2, (entry(2), entry(3)))):
        body = packed(*entries)
        database.execute("INSERT INTO batch VALUES (?, ?, ?)", (seq, zlib.crc32(body), body))
    database.execute(
        'INSERT INTO closed VALUES (?, 1, NULL, NULL, ?, \'["","","",""]\', x\'\', \'[]\')',
        (uuid(1).bytes, uuid(1).bytes),
    )
    database.execute("INSERT INTO destination VALUES (0, 'a', 'v', 1, 0, '')")
    database.execute("INSERT INTO outbox VALUES (2, 'traces', 1, 3, 1, 4, x'01020304')")
    database.execute("INSERT INTO dead_letter VALUES (1, 'a', 'traces', 2, 1, 'no', x'0102')")
    counts = [
        ("otelbridge.records.received", ("start", ""), 9),
        ("otelbridge.records.duplicate", ("start",), 1),
        ("otelbridge.records.late", ("start",), 1),
        ("otelbridge.delivery.delivered", ("a", "traces"), 5),
        ("otelbridge.delivery.rejected", ("a", "traces", "invalid"), 2),
    ]
    database.executemany(
        "INSERT INTO series (instrument, attributes, born_at_ns, value) VALUES (?, ?, 7, ?)",
        [(name, json.dumps(values), value) for name, values, value in counts],
    )
    return database


def test_records_and_telemetry_of_format_1_are_there(old: sqlite3.Connection, path: Path) -> None:
    old.close()

    journal = SqliteJournal(path)

    assert kept(journal) == [entry(1), entry(2), entry(2), entry(3)]
    subscribe(journal, "a")
    assert pending(journal, "a") == [b"\1\2\3\4"]
    assert journal.dead_letters.size_of("a") == 2
    assert journal.outbox.damaged() == []
    journal.close()


def test_the_books_of_format_1_agree_afterwards(old: sqlite3.Connection, path: Path) -> None:
    old.close()

    journal = SqliteJournal(path)
    series = journal.ledger.series()
    journal.close()

    # 9 received, 1 repeat, 1 late, 3 of open interceptions: 4 were told.
    assert series["otelbridge.records.told", ()] == (7, 4)
    assert series["otelbridge.delivery.told", ("a", Signal.TRACES.value)] == (7, 5 + 2 + 3)


def test_a_damaged_row_of_format_1_is_left_out(
    old: sqlite3.Connection, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old.execute("UPDATE batch SET crc = 1 WHERE seq = 1")
    old.close()

    journal = SqliteJournal(path)

    assert kept(journal) == [entry(2), entry(3)]
    assert "batch 1 of" in caplog.text
    journal.close()


def test_a_migration_that_fails_has_changed_nothing(old: sqlite3.Connection, path: Path) -> None:
    old.execute("INSERT INTO meta VALUES ('large', ?)", ("x" * 100_000,))
    old.close()

    with SimulatedDisk() as disk:
        disk.capacity = path.stat().st_size + 30_000
        with pytest.raises(JournalFullError):
            SqliteJournal(path)

    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (1,)
        assert database.execute("SELECT count(*) FROM batch").fetchone() == (2,)
    database.close()


def test_a_journal_of_the_present_format_has_the_same_tables_whoever_made_it(
    old: sqlite3.Connection, path: Path, tmp_path: Path
) -> None:
    old.close()
    journals = [SqliteJournal(each) for each in (path, tmp_path / "new.db")]

    columns = [
        {
            name: [row[:4] for row in rows_in(journal, f"pragma_table_info('{name}')", "*")]
            for (name,) in rows_in(journal, "sqlite_master WHERE type = 'table'", "name")
        }
        for journal in journals
    ]
    for journal in journals:
        journal.close()

    names = {name: {column[1:3] for column in each} for name, each in columns[0].items()}
    assert names == {name: {column[1:3] for column in each} for name, each in columns[1].items()}


def test_the_version_that_wrote_a_newer_journal_is_asked_for(path: Path) -> None:
    SqliteJournal(path).close()
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {FORMAT + 1}")
        database.execute("UPDATE meta SET value = ? WHERE key = 'format'", (FORMAT + 1,))
    database.close()

    with pytest.raises(
        JournalError, match=f"format {FORMAT + 1}, .* reads up to {FORMAT}: a newer"
    ):
        SqliteJournal(path)
