"""Inspection: what people ask about a journal. Nothing is changed."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from otelbridge.domain.books import Books, lane_book, record_book
from otelbridge.domain.ports import Signal
from otelbridge.journal.entries import unpack
from otelbridge.journal.faults import SqliteErrors
from otelbridge.journal.schema import FORMAT
from otelbridge.journal.wal import log_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from otelbridge.journal.sqlite import SqliteJournal

_SIGNALS = (Signal.TRACES, Signal.LOGS)
_PROBLEMS = 100  # of each sort: more would tell nothing new


def status(journal: SqliteJournal) -> dict[str, Any]:
    """Return what a journal holds and where, as JSON can hold it."""
    rows, records, oldest_ns = journal.query(
        "SELECT count(*), coalesce(sum(records), 0), min(first_at_ns) FROM batch"
    )[0]
    return {
        "path": str(journal.path),
        "format": FORMAT,
        "bytes": journal.size_bytes(),
        "unused_bytes": journal.unused_bytes(),
        "log_bytes": _size(log_of(journal.path)),
        "free_bytes": journal.reserve.free_bytes(),
        "reserve_bytes": _size(journal.reserve.path),
        "commits": rows,
        "records": records,
        "oldest_ns": oldest_ns,
        "remembered": journal.query("SELECT count(*) FROM closed")[0][0],
        "destinations": list(_destinations(journal)),
        "quarantined": journal.query("SELECT count(*) FROM quarantine")[0][0],
        "put_aside": sorted(
            each.name for each in journal.path.parent.glob(f"{journal.path.name}.corrupt-*")
        ),
    }


def read_books(journal: SqliteJournal) -> Books:
    """Return the books of a journal that no bridge uses, from what is on the disk alone."""
    series = journal.ledger.series()
    names = [name for (name,) in journal.query("SELECT name FROM destination ORDER BY id")]
    lanes = (
        lane_book(series, name, signal.value, waiting=journal.outbox.items(name, signal))
        for name in names
        for signal in _SIGNALS
    )
    return Books(records=record_book(series, pending=_pending(journal)), lanes=tuple(lanes))


def problems(journal: SqliteJournal) -> Iterator[str]:
    """Look at everything in a journal; yield what is wrong with it, a line each."""
    try:
        for (line,) in journal.query(f"PRAGMA integrity_check({_PROBLEMS})"):
            if line != "ok":
                yield f"database: {line}"
        yield from _damaged_batches(journal)
        yield from _damaged_rows(journal)
        yield from _unbalanced(read_books(journal))
    except SqliteErrors as error:
        yield f"database: {error}"


def _destinations(journal: SqliteJournal) -> Iterator[dict[str, Any]]:
    kept = journal.dead_letters.kept()
    for (name,) in journal.query("SELECT name FROM destination ORDER BY id"):
        for signal in _SIGNALS:
            items, size, oldest_ns = journal.query(
                "SELECT coalesce(sum(o.items), 0), coalesce(sum(o.size), 0), min(o.at_ns)"
                " FROM outbox o, destination d WHERE d.name = ? AND o.signal = ?"
                f" AND o.seq > d.{signal.value} AND o.destinations & (1 << d.id)",
                name,
                signal.value,
            )[0]
            letters = kept.get((name, signal))
            yield {
                "name": name,
                "signal": signal.value,
                "waiting": items,
                "bytes": size,
                "oldest_ns": oldest_ns,
                "dead_letters": letters.items if letters else 0,
            }


def _pending(journal: SqliteJournal) -> int:
    """Return the number of records of open interceptions."""
    closed = {interception for (interception,) in journal.query("SELECT interception FROM closed")}
    number = 0
    for (seq,) in journal.query("SELECT seq FROM batch"):
        ((body,),) = journal.query("SELECT body FROM batch WHERE seq = ?", seq)
        ids = (entry.interception_id.bytes for entry in unpack(body).entries)
        number += sum(interception not in closed for interception in ids)
    return number


def _damaged_batches(journal: SqliteJournal) -> Iterator[str]:
    for (seq,) in journal.query("SELECT seq FROM batch"):
        ((records, body),) = journal.query("SELECT records, body FROM batch WHERE seq = ?", seq)
        entries, damaged = unpack(body)
        if damaged or len(entries) != records:
            yield f"batch {seq}: {records - len(entries)} of {records} records are damaged"


def _damaged_rows(journal: SqliteJournal) -> Iterator[str]:
    for (seq,) in journal.query("SELECT seq FROM outbox"):
        ((body, crc),) = journal.query("SELECT body, crc FROM outbox WHERE seq = ?", seq)
        if zlib.crc32(body) != crc:
            yield f"outbox {seq}: the checksum does not match"


def _unbalanced(books: Books) -> Iterator[str]:
    if books.records.missing:
        yield f"books: {books.records.missing} records are not accounted for"
    for lane in books.lanes:
        if lane.missing:
            what = f"{lane.missing} {lane.signal} of {lane.destination}"
            yield f"books: {what} are not accounted for"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
