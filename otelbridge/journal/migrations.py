"""Migrations: an older format of the journal is brought to the present one, step by step.

Each step is one transaction that also sets the version: a process that is
killed during one begins it again.
"""

from __future__ import annotations

import json
import logging
import struct
import zlib
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING
from uuid import UUID

from otelbridge.domain.records import Identity, RecordKind
from otelbridge.journal.batches import pack_row
from otelbridge.journal.entries import Entry

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping

logger = logging.getLogger(__name__)

# Format 1: kind, received_at_ns, content length, interception id, identity, payload size.
_HEAD_1 = struct.Struct("<Bqi16s16sI")


def migrate(database: sqlite3.Connection, version: int) -> None:
    """Bring a database of this format to the present one."""
    for number in count(version):
        step = _STEPS.get(number)
        if step is None:
            return
        logger.info("journal: migrating from format %d to %d", number, number + 1)
        database.execute("BEGIN IMMEDIATE")
        try:
            step(database)
            database.execute(f"PRAGMA user_version = {number + 1}")
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:  # a full disk ends it
                database.execute("ROLLBACK")
            raise


def _from_1(database: sqlite3.Connection) -> None:
    """Checksums of single records and of what is told; counts of what was told."""
    database.create_function("crc32", 1, zlib.crc32, deterministic=True)
    database.execute("ALTER TABLE outbox ADD COLUMN crc INTEGER NOT NULL DEFAULT 0")
    database.execute("UPDATE outbox SET crc = crc32(body)")
    database.execute(
        "CREATE TABLE quarantine (id INTEGER PRIMARY KEY, source TEXT NOT NULL,"
        " seq INTEGER NOT NULL, at_ns INTEGER NOT NULL, problem TEXT NOT NULL,"
        " body BLOB NOT NULL)"
    )
    database.execute("ALTER TABLE dead_letter RENAME TO old_dead_letter")
    database.execute(
        "CREATE TABLE dead_letter (id INTEGER PRIMARY KEY AUTOINCREMENT,"
        " destination TEXT NOT NULL, signal TEXT NOT NULL, items INTEGER NOT NULL,"
        " at_ns INTEGER NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL,"
        " size INTEGER NOT NULL)"
    )
    database.execute("INSERT INTO dead_letter SELECT *, length(body) FROM old_dead_letter")
    database.execute("DROP TABLE old_dead_letter")
    database.execute(
        "CREATE INDEX dead_letter_order ON dead_letter (destination, id, signal, items, size)"
    )
    _balance(database, open_records=_convert_batches(database))


def _convert_batches(database: sqlite3.Connection) -> int:
    """Write all batches anew; return the number of records of open interceptions."""
    database.execute("ALTER TABLE batch RENAME TO old_batch")
    database.execute(
        "CREATE TABLE batch (seq INTEGER PRIMARY KEY, records INTEGER NOT NULL,"
        " first_at_ns INTEGER NOT NULL, interceptions BLOB NOT NULL, body BLOB NOT NULL)"
    )
    number = 0
    seqs = [seq for (seq,) in database.execute("SELECT seq FROM old_batch ORDER BY seq")]
    for seq in seqs:
        crc, body = database.execute(
            "SELECT crc, body FROM old_batch WHERE seq = ?", (seq,)
        ).fetchone()
        entries = list(_unpack_1(body)) if zlib.crc32(body) == crc else []
        if not entries:
            logger.error("journal: batch %d of %d bytes is lost: it is damaged", seq, len(body))
            continue
        database.execute("INSERT INTO batch VALUES (?, ?, ?, ?, ?)", (seq, *pack_row(entries)))
        number += sum(not _is_closed(database, entry.interception_id) for entry in entries)
    database.execute("DROP TABLE old_batch")
    return number


def _unpack_1(blob: bytes) -> Iterator[Entry]:
    offset = 0
    while offset < len(blob):
        kind, received, length, interception, identity, size = _HEAD_1.unpack_from(blob, offset)
        offset += _HEAD_1.size
        yield Entry(
            RecordKind(kind),
            received,
            None if length < 0 else length,
            UUID(bytes=interception),
            Identity(identity),
            blob[offset : offset + size],
        )
        offset += size


def _is_closed(database: sqlite3.Connection, interception: UUID) -> bool:
    found = database.execute(
        "SELECT 1 FROM closed WHERE interception = ?", (interception.bytes,)
    ).fetchone()
    return found is not None


def _balance(database: sqlite3.Connection, *, open_records: int) -> None:
    """Set the counts of what was told, which format 1 did not keep, to what the others say."""
    told = _sum(database, "otelbridge.records.received") - open_records
    told -= _sum(database, "otelbridge.records.duplicate")
    told -= _sum(database, "otelbridge.records.late")
    _count(database, "otelbridge.records.told", (), told)
    for name, traces, logs in database.execute("SELECT name, traces, logs FROM destination"):
        for signal, through in (("traces", traces), ("logs", logs)):
            lane = (name, signal)
            known = _sum(database, "otelbridge.delivery.delivered", lane)
            known += _sum(database, "otelbridge.delivery.rejected", lane)
            waiting = _waiting(database, name, signal, through)
            _count(database, "otelbridge.delivery.told", lane, known + waiting)


def _waiting(database: sqlite3.Connection, name: str, signal: str, through: int) -> int:
    (items,) = database.execute(
        "SELECT coalesce(sum(items), 0) FROM outbox WHERE signal = ? AND seq > ?"
        " AND destinations & (1 << (SELECT id FROM destination WHERE name = ?))",
        (signal, through, name),
    ).fetchone()
    return int(items)


def _sum(database: sqlite3.Connection, instrument: str, values: tuple[str, ...] = ()) -> int:
    rows = database.execute(
        "SELECT attributes, value FROM series WHERE instrument = ?", (instrument,)
    )
    return sum(value for text, value in rows if _values(text)[: len(values)] == values)


def _values(text: str) -> tuple[str, ...]:
    try:
        return tuple(json.loads(text))
    except (TypeError, ValueError):  # damaged; the ledger reports it
        return ()


def _count(
    database: sqlite3.Connection, instrument: str, values: tuple[str, ...], amount: int
) -> None:
    if amount > 0:
        database.execute(
            "INSERT INTO series (instrument, attributes, born_at_ns, value)"
            " SELECT ?, ?, born, ? FROM (SELECT min(born_at_ns) AS born FROM series)"
            " WHERE born IS NOT NULL",
            (instrument, json.dumps(values), amount),
        )


_STEPS: Mapping[int, Callable[[sqlite3.Connection], None]] = MappingProxyType({1: _from_1})
