"""The journal: its size, its disk, its books, and what nobody has taken."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from otelbridge.commands.doctoring.findings import Finding, failure, ok, warning
from otelbridge.domain.books import Books, LaneBook, RecordBook
from otelbridge.errors import JournalError, OtelBridgeError
from otelbridge.journal import SqliteJournal
from otelbridge.journal.inspection import read_books
from otelbridge.journal.inspection import status as status_of
from otelbridge.transports.control import ask, control_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from otelbridge.config import Config

AREA = "journal"
_FULL_AT = 0.8
_NS = 1_000_000_000
# A destination that is in order is never so far behind, but for a backlog.
_OLD_S = 300


def journal_findings(config: Config, *, is_running: bool) -> Iterator[Finding]:
    """Yield how the journal stands.

    Args:
        config: The settings.
        is_running: Whether a bridge has it: then that is asked.
    """
    path = config.journal.path
    if not is_running and not path.exists():
        yield ok(AREA, f"{path} is not there yet: the first start makes it")
        return
    try:
        status, books = _asked(path) if is_running else _at_rest(path)
    except OtelBridgeError as error:
        yield failure(
            AREA, str(error), "`otelbridge journal verify`, and the log of the last start"
        )
        return
    yield from _disk(status, config)
    yield from _books(books)
    yield from _waiting(status, config)
    yield from _damage(status)


def asked_books(path: Path) -> Books | None:
    """Return the books of the running bridge; None if none runs."""
    told: dict[str, Any] | None = ask(control_path(path), "journal-books")
    if told is None:
        return None
    return Books(
        records=RecordBook(**told["records"]),
        lanes=tuple(LaneBook(**lane) for lane in told["lanes"]),
        unread=told["unread"],
    )


def _asked(path: Path) -> tuple[dict[str, Any], Books]:
    status: dict[str, Any] | None = ask(control_path(path), "journal-status")
    books = asked_books(path)
    if status is None or books is None:
        raise JournalError(f"{path}: the bridge has just ended")
    return status, books


def _at_rest(path: Path) -> tuple[dict[str, Any], Books]:
    opened = SqliteJournal(path, salvages=False)
    try:
        return {**status_of(opened), "unread": 0, "disk_is_full": False}, read_books(opened)
    finally:
        opened.close()


def _disk(status: dict[str, Any], config: Config) -> Iterator[Finding]:
    free, reserve = status["free_bytes"], int(config.journal.reserve_bytes)
    room = f"{_size(status['bytes'])}; {_size(free)} are free on its disk"
    make_room = f"make room on the disk of {config.journal.path}"
    if status["disk_is_full"]:
        yield failure(AREA, "the disk is full: the oldest telemetry is given up", make_room)
    elif free < reserve:
        text = f"{room}, which is less than reserve_bytes ({_size(reserve)})"
        yield warning(AREA, text, make_room)
    else:
        yield ok(AREA, f"{config.journal.path}: {room}")


def _books(books: Books) -> Iterator[Finding]:
    if books.unread:
        text = f"about {books.unread} records have not been read since the start"
        yield warning(AREA, text, "wait, and ask again: until then the books say nothing")
    elif books.are_balanced:
        yield ok(AREA, f"the books balance: {books.records.received} records received")
    else:
        missing = abs(books.records.missing) + sum(abs(lane.missing) for lane in books.lanes)
        text = f"the books do not balance: {missing} records or items are not accounted for"
        yield failure(AREA, text, "`otelbridge reconcile` shows which")
    if books.records.lost:
        text = f"{books.records.lost} acknowledged records were lost with damaged parts of the disk"
        yield warning(AREA, text, "look at the disk; the log of that start names them")


def _waiting(status: dict[str, Any], config: Config) -> Iterator[Finding]:
    limits = {each.name: each.max_bytes or config.journal.max_bytes for each in config.destination}
    for name, limit in limits.items():
        lanes = [each for each in status["destinations"] if each["name"] == name]
        waiting = sum(each["bytes"] for each in lanes)
        oldest = min((each["oldest_ns"] for each in lanes if each["oldest_ns"]), default=None)
        age_s = 0 if oldest is None else (time.time_ns() - oldest) // _NS
        text = f"{_size(waiting)} wait for it, the oldest for {_span(age_s)}"
        advice = "beyond max_bytes the oldest telemetry is given up: see what it answers"
        if waiting > _FULL_AT * limit:
            over = f"{text}: {waiting / limit:.0%} of max_bytes ({_size(limit)})"
            yield warning(AREA, over, advice, subject=name)
        elif age_s > _OLD_S:
            yield warning(AREA, text, advice, subject=name)
    letters = sum(each["dead_letters"] for each in status["destinations"])
    if letters:
        text = f"{letters} spans or log records were refused for good and are kept as dead letters"
        yield warning(AREA, text, "`otelbridge deadletters list` shows them, and why")


def _damage(status: dict[str, Any]) -> Iterator[Finding]:
    if status["quarantined"]:
        text = f"{status['quarantined']} damaged rows are in quarantine"
        yield warning(AREA, text, "look at the disk; `otelbridge journal verify`")
    for name in status["put_aside"]:
        text = f"{name}: a start put a damaged journal aside"
        yield warning(AREA, text, "look at the disk; remove the file once nobody needs it")


def _span(seconds: int) -> str:
    return f"{seconds // 3600} h" if seconds >= 2 * 3600 else f"{seconds // 60} min"


def _size(number: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:  # noqa: PLR2004  # bytes in a KiB
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"
