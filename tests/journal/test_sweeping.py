"""Rows that all destinations have taken go some at a time, whatever happens in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from otelbridge.domain.ports import OutboxItem, Signal
from otelbridge.journal import SqliteJournal
from otelbridge.journal.subscriptions import Subscription
from otelbridge.journal.transaction import Transaction
from tests.records import T0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def opened(path: Path) -> SqliteJournal:
    journal = SqliteJournal(path)
    subscriptions = [Subscription(name=name, variant="v") for name in ("a", "b")]
    journal.subscribe(subscriptions, now_ns=T0)
    return journal


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    journal = opened(path)
    yield journal
    journal.close()


def tell(journal: SqliteJournal, count: int, *, mask: int = 1, size: int = 10) -> None:
    items = [OutboxItem(Signal.TRACES, mask, 1, bytes(size)) for _ in range(count)]
    journal.commit(Transaction(outbox=items), now_ns=T0)


def take(journal: SqliteJournal, name: str, through: int) -> None:
    journal.commit(Transaction(progress={(name, Signal.TRACES): through}), now_ns=T0)


def rows(journal: SqliteJournal) -> int:
    (count,) = journal._database.execute("SELECT count(*) FROM outbox").fetchone()  # noqa: SLF001
    return int(count)


def sweep(journal: SqliteJournal) -> list[int]:
    """Commit nothing until there is nothing to delete; return how many rows were left each time."""
    left = []
    while journal.has_more:
        journal.commit(Transaction(), now_ns=T0)
        left.append(rows(journal))
    return left


def test_a_few_rows_go_with_the_commit_that_acknowledges_them(journal: SqliteJournal) -> None:
    tell(journal, 10)

    take(journal, "a", 9)

    assert rows(journal) == 1
    assert not journal.has_more


def test_many_rows_go_in_several_commits(journal: SqliteJournal) -> None:
    tell(journal, 700)

    take(journal, "a", 600)
    at_first = rows(journal)

    assert at_first == 700 - 256
    assert sweep(journal) == [700 - 512, 100]


def test_large_rows_go_fewer_at_a_time(journal: SqliteJournal) -> None:
    tell(journal, 8, size=400_000)

    take(journal, "a", 8)

    assert rows(journal) == 5
    assert sweep(journal) == [2, 0]


def test_what_is_acknowledged_is_not_read_again_although_it_is_there(
    journal: SqliteJournal,
) -> None:
    tell(journal, 700)

    take(journal, "a", 699)
    found = journal.outbox.read("a", Signal.TRACES, limit=99, max_bytes=10**9)

    assert [row.seq for row in found] == [700]
    assert journal.outbox.waiting_bytes("a") == 10


def test_what_another_destination_has_not_taken_stays(journal: SqliteJournal) -> None:
    tell(journal, 300, mask=3)
    tell(journal, 300, mask=1)

    take(journal, "a", 600)
    sweep(journal)
    left = rows(journal)
    take(journal, "b", 300)
    sweep(journal)

    assert (left, rows(journal)) == (300, 0)


def test_what_was_left_goes_after_a_restart(path: Path) -> None:
    journal = opened(path)
    tell(journal, 700)
    take(journal, "a", 700)
    journal.close()

    again = opened(path)
    sweep(again)
    left = rows(again)
    again.close()

    assert left == 0
