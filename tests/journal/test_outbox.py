"""The outbox table: rows, masks and cursors."""

from __future__ import annotations

import logging

import pytest

from otelbridge.domain.ledger import Series
from otelbridge.domain.ports import OutboxItem, Signal
from otelbridge.journal import SqliteJournal
from otelbridge.journal.subscriptions import Subscription
from otelbridge.journal.transaction import Transaction
from tests.journal.journals import Reopen, pending, rows_in, subscribe, taken, tell


def count(journal: SqliteJournal, instrument: str, *values: str) -> object:
    series = journal.ledger.series().get((instrument, values), Series(0, 0))
    return series.value


def test_a_row_stays_until_every_destination_has_taken_it(journal: SqliteJournal) -> None:
    subscribe(journal, "a", "b")
    tell(journal, b"1", b"2", mask=3)

    taken(journal, "a", 2)
    after_a = (pending(journal, "a"), pending(journal, "b"))
    taken(journal, "b", 1)
    after_b = pending(journal, "b")
    rows = rows_in(journal, "outbox", "seq")

    assert (after_a, after_b, rows) == (([], [b"1", b"2"]), [b"2"], [(2,)])


def test_progress_survives_a_restart_and_numbers_are_never_used_again(
    journal: SqliteJournal, reopened: Reopen
) -> None:
    subscribe(journal, "a")
    tell(journal, b"1")
    taken(journal, "a", 1)

    journal = reopened()
    subscribe(journal, "a")
    tell(journal, b"2")

    assert pending(journal, "a") == [b"2"]


def test_a_destination_that_was_removed_loses_its_progress_and_holds_nothing_back(
    journal: SqliteJournal,
) -> None:
    subscribe(journal, "a", "b")
    tell(journal, b"1", mask=3)
    taken(journal, "a", 1)

    subscribe(journal, "a")
    subscribe(journal, "a", "b")

    assert pending(journal, "b") == []
    assert rows_in(journal, "outbox") == [(0,)]
    assert count(journal, "otelbridge.delivery.rejected", "b", "traces", "removed") == 1


def test_a_destination_that_takes_a_signal_no_more_holds_nothing_back(
    journal: SqliteJournal,
) -> None:
    subscribe(journal, "a")
    tell(journal, b"1")

    journal.subscribe([Subscription(name="a", variant="v", signals=frozenset({"logs"}))], now_ns=1)

    assert pending(journal, "a") == []
    assert journal.outbox.total_bytes() == journal.outbox.waiting_bytes("a") == 0
    assert count(journal, "otelbridge.delivery.rejected", "a", "traces", "unsubscribed") == 1


@pytest.mark.parametrize(("start", "found"), [(False, []), (True, [b"1"])])
def test_a_new_destination_starts_now_or_with_what_is_kept(
    journal: SqliteJournal, start: bool, found: list[bytes]
) -> None:
    subscribe(journal, "a")
    tell(journal, b"1")

    subscribe(journal, "a", "b", start=start)
    tell(journal, b"2", mask=3)

    assert pending(journal, "b") == [*found, b"2"]
    assert count(journal, "otelbridge.delivery.told", "b", "traces") == len(found)


def test_a_read_is_bounded_by_rows_and_bytes_but_never_empty(journal: SqliteJournal) -> None:
    subscribe(journal, "a")
    tell(journal, b"x" * 100, b"y" * 100, b"z" * 100)

    def read(limit: int, max_bytes: int) -> int:
        rows = journal.outbox.read("a", Signal.TRACES, limit=limit, max_bytes=max_bytes)
        return len(rows)

    assert [read(2, 999), read(9, 250), read(9, 1)] == [2, 2, 1]


def test_what_waits_is_known_in_bytes_across_restarts(
    journal: SqliteJournal, reopened: Reopen
) -> None:
    subscribe(journal, "a", "b")
    tell(journal, b"x" * 10, b"y" * 20, mask=3)
    tell(journal, b"z" * 40, mask=1)
    taken(journal, "a", 1)

    before = [journal.outbox.waiting_bytes(name) for name in "ab"]
    journal = reopened()
    subscribe(journal, "a", "b")

    assert before == [journal.outbox.waiting_bytes(name) for name in "ab"] == [60, 30]
    assert [journal.outbox.items(name, Signal.TRACES) for name in "ab"] == [2, 2]


@pytest.mark.parametrize("is_cached", [True, False])
def test_a_row_that_is_given_up_is_skipped_by_one_destination_alone(
    journal: SqliteJournal, reopened: Reopen, is_cached: bool
) -> None:
    subscribe(journal, "a", "b")
    tell(journal, b"1", b"2", b"3", mask=3)
    if not is_cached:
        journal = reopened()
        subscribe(journal, "a", "b")
    place = next(place for place in journal.outbox.waiting("a") if place.seq == 2)

    journal.commit(Transaction(given_up={2: (place, 1)}), now_ns=1)

    assert (pending(journal, "a"), pending(journal, "b")) == ([b"1", b"3"], [b"1", b"2", b"3"])
    assert [journal.outbox.waiting_bytes(name) for name in "ab"] == [2, 3]
    journal.commit(Transaction(progress={("b", Signal.TRACES): 3}), now_ns=1)
    assert journal.outbox.waiting_bytes("b") == 0
    assert ("2",) not in rows_in(journal, "outbox", "seq")


def test_a_row_that_all_give_up_is_gone(journal: SqliteJournal) -> None:
    subscribe(journal, "a", "b")
    tell(journal, b"1", b"2", mask=3)
    place = next(journal.outbox.waiting("a"))

    journal.commit(Transaction(given_up={1: (place, 3)}), now_ns=1)

    assert rows_in(journal, "outbox", "seq") == [(2,)]
    assert pending(journal, "a") == pending(journal, "b") == [b"2"]


def test_a_row_is_written_anew_in_memory_and_on_disk(
    journal: SqliteJournal, reopened: Reopen
) -> None:
    subscribe(journal, "a")
    tell(journal, b"with content", b"2")
    place = next(journal.outbox.waiting("a"))

    journal.commit(Transaction(stripped={1: (place, b"bare")}), now_ns=1)

    assert pending(journal, "a") == [b"bare", b"2"]
    assert journal.outbox.waiting_bytes("a") == 5
    journal = reopened()
    subscribe(journal, "a")
    assert pending(journal, "a") == [b"bare", b"2"]


def test_a_damaged_row_is_reported_once_and_not_sent(
    journal: SqliteJournal, reopened: Reopen, caplog: pytest.LogCaptureFixture
) -> None:
    subscribe(journal, "a")
    tell(journal, b"1", b"2", b"3")
    journal = reopened()
    subscribe(journal, "a")
    journal._database.execute("UPDATE outbox SET body = x'FF' WHERE seq = 2")  # noqa: SLF001

    with caplog.at_level(logging.ERROR):
        found = [pending(journal, "a"), pending(journal, "a")]
    (place,) = journal.outbox.damaged()
    journal.commit(Transaction(given_up={2: (place, 1)}), now_ns=9)

    assert found == [[b"1", b"3"]] * 2
    assert caplog.text.count("outbox 2 is damaged") == 1
    assert journal.outbox.damaged() == []
    assert rows_in(journal, "quarantine", "source, seq, at_ns, body") == [("outbox", 2, 9, b"\xff")]


def test_what_was_read_is_known_to_be_on_its_way(journal: SqliteJournal) -> None:
    subscribe(journal, "a")
    tell(journal, b"1", b"2", b"3")

    pending(journal, "a", limit=2)

    handed = [journal.outbox.is_handed(place, "a") for place in journal.outbox.waiting("a")]
    assert handed == [True, True, False]


def test_a_log_record_is_no_span(journal: SqliteJournal) -> None:
    subscribe(journal, "a")
    items = [OutboxItem(signal, 1, 1, b"x") for signal in (Signal.TRACES, Signal.LOGS)]

    journal.commit(Transaction(outbox=items), now_ns=1)

    assert [place.signal for place in journal.outbox.oldest()] == [Signal.TRACES, Signal.LOGS]
    assert pending(journal, "a") == [b"x"]
    assert journal.outbox.oldest_ns("a", Signal.LOGS) == 1
    assert isinstance(Subscription(name="a", variant="v").signals, frozenset)
