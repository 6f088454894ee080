"""``otelbridge reconcile``: records in are records told, pending or lost, to the record."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from otelbridge.commands.settings import config_option, read_settings
from otelbridge.domain.books import Books, LaneBook, RecordBook
from otelbridge.errors import JournalError
from otelbridge.journal import SqliteJournal
from otelbridge.journal.inspection import read_books
from otelbridge.transports.control import ask, control_path

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="A JSON object, not lines.")
def reconcile(config_path: Path, *, as_json: bool) -> None:
    """Prove that nothing that was acknowledged is lost or told twice.

    Every record is told, pending, or counted as lost; and so is every span
    and log record of each destination. Exits with 1 if that does not add up.

    The running bridge is asked; where none runs, its journal is read.
    """
    books = _books(read_settings(config_path, os.environ).journal.path)
    if as_json:
        click.echo(json.dumps(as_object(books), indent=2))
    else:
        for line in as_lines(books):
            click.echo(line)
    sys.exit(0 if books.are_balanced else 1)


def as_object(books: Books) -> dict[str, Any]:
    """Return the books as JSON can hold them, with what is missing."""
    return {
        "balanced": books.are_balanced,
        "unread": books.unread,
        "records": {**asdict(books.records), "missing": books.records.missing},
        "destinations": [{**asdict(lane), "missing": lane.missing} for lane in books.lanes],
    }


def as_lines(books: Books) -> Iterable[str]:
    """Yield the books as people read them."""
    records = books.records
    distinct = records.received - records.repeats
    yield f"records: {records.received} received, {records.repeats} of them again: {distinct}"
    parts = {
        "told": records.told,
        "told late": records.late,
        "pending": records.pending,
        "lost": records.lost,
    }
    yield f"  {_sum(parts)}, {_verdict(records.missing)}"
    for lane in books.lanes:
        yield f"{lane.destination}: {lane.told} {lane.signal} told"
        rejected = {f"rejected ({reason})": count for reason, count in lane.rejected.items()}
        parts = {"delivered": lane.delivered, "waiting": lane.waiting, **rejected}
        yield f"  {_sum(parts)}, {_verdict(lane.missing)}"
    if books.unread:
        yield (
            f"about {books.unread} records have not been read since the start: until then it is"
            " not known what is pending"
        )


def _sum(parts: dict[str, int]) -> str:
    return " + ".join(f"{count} {name}" for name, count in parts.items())


def _verdict(missing: int) -> str:
    if not missing:
        return "which adds up"
    return f"{missing} are missing" if missing > 0 else f"{-missing} are too many"


def _books(journal: Path) -> Books:
    told = ask(control_path(journal), "journal-books")
    if told is not None:
        return Books(
            records=RecordBook(**told["records"]),
            lanes=tuple(LaneBook(**lane) for lane in told["lanes"]),
            unread=told["unread"],
        )
    if not journal.exists():
        raise JournalError(f"{journal}: no bridge runs here, and none has kept a journal")
    opened = SqliteJournal(journal, salvages=False)
    try:
        return read_books(opened)
    finally:
        opened.close()
