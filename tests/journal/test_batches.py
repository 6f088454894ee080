"""The batch table: which rows hold records of which open interceptions."""

from __future__ import annotations

import pytest

from otelbridge.journal import SqliteJournal
from otelbridge.journal.transaction import Transaction
from tests.journal.journals import Reopen, commit, entry, finalised, kept, rows_in
from tests.records import uuid


def close(journal: SqliteJournal, *numbers: int) -> None:
    transaction = Transaction(finalised=[finalised(number) for number in numbers])
    journal.commit(transaction, now_ns=1)


def test_entries_are_read_in_the_order_of_their_commits(
    journal: SqliteJournal, reopened: Reopen
) -> None:
    commit(journal, entry(1), entry(2))
    commit(journal, entry(3))

    assert kept(reopened()) == [entry(1), entry(2), entry(3)]


def test_what_is_in_the_table_is_known_without_reading_a_record(
    journal: SqliteJournal, reopened: Reopen
) -> None:
    commit(journal, entry(1), entry(2))
    commit(journal, entry(2), entry(2), entry(3))
    journal = reopened()
    journal._database.execute("UPDATE batch SET body = x''")  # noqa: SLF001

    records = journal.batches.load()

    assert (records, journal.batches.interceptions) == (5, 3)
    assert [journal.batches.rows_of(uuid(n)) for n in (1, 2, 3, 4)] == [[1], [1, 2], [2], []]
    assert journal.batches.oldest_ns() == 1


def test_a_row_goes_when_all_its_interceptions_are_finalised(journal: SqliteJournal) -> None:
    commit(journal, entry(1), entry(2))

    for number, left in ((1, 1), (2, 0)):
        close(journal, number)
        assert (rows_in(journal, "batch"), len(journal.batches)) == ([(left,)], left)


def test_rows_of_interceptions_that_had_been_finalised_go_with_the_next_transaction(
    journal: SqliteJournal, reopened: Reopen
) -> None:
    commit(journal, entry(1), entry(2))
    close(journal, 1)
    journal = reopened()
    journal.batches.load()

    journal.batches.forget({uuid(1): 1, uuid(2): 1})

    assert journal.has_more
    journal.commit(Transaction(), now_ns=1)
    assert rows_in(journal, "batch") == [(0,)]


def test_a_row_that_is_finalised_with_its_own_commit_goes_with_the_next(
    journal: SqliteJournal,
) -> None:
    both = Transaction(entries=[entry(1)], finalised=[finalised(1)])
    journal.commit(both, now_ns=1)

    assert journal.has_more
    journal.commit(Transaction(), now_ns=1)
    assert rows_in(journal, "batch") == [(0,)]
    assert not journal.batches.has_left_over


def test_a_commit_that_failed_leaves_nothing_in_memory(journal: SqliteJournal) -> None:
    with pytest.raises(TypeError):
        journal.commit(Transaction(entries=[entry(1)], series={1: 2}), now_ns=1)  # type: ignore[dict-item]

    commit(journal, entry(2))

    assert uuid(1) not in journal.batches
    assert uuid(2) in journal.batches
    assert rows_in(journal, "batch", "seq") == [(1,)]


def damage(journal: SqliteJournal, column: str, place: int) -> None:
    journal._database.execute(  # noqa: SLF001
        f"UPDATE batch SET {column} = CAST(substr({column}, 1, {place}) || x'00' ||"  # noqa: S608
        f" substr({column}, {place} + 2) AS BLOB) WHERE seq = 1"
    )


def test_a_damaged_record_costs_no_other_and_is_kept_for_people(
    journal: SqliteJournal, reopened: Reopen, caplog: pytest.LogCaptureFixture
) -> None:
    commit(journal, entry(1), entry(2), entry(3))
    commit(journal, entry(4))
    journal = reopened()
    damage(journal, "body", 100)

    found = kept(journal)

    assert found == [entry(1), entry(3), entry(4)]
    assert "batch 1 is damaged: lost 1 of 3 records" in caplog.text
    journal.commit(Transaction(), now_ns=9)
    assert rows_in(journal, "quarantine", "source, seq, at_ns") == [("batch", 1, 9)]


def test_a_damaged_index_is_read_from_the_records(journal: SqliteJournal, reopened: Reopen) -> None:
    commit(journal, entry(1), entry(2))
    journal = reopened()
    damage(journal, "interceptions", 20)

    journal.batches.load()

    assert [journal.batches.rows_of(uuid(n)) for n in (1, 2)] == [[1], [1]]


def test_a_row_of_which_nothing_is_left_goes(journal: SqliteJournal, reopened: Reopen) -> None:
    commit(journal, entry(1))
    journal = reopened()
    journal._database.execute("UPDATE batch SET body = x'FF', interceptions = x'FF'")  # noqa: SLF001

    journal.batches.load()
    journal.commit(Transaction(), now_ns=1)

    assert rows_in(journal, "batch") == [(0,)]
    assert rows_in(journal, "quarantine") == [(1,)]


def test_the_same_damage_is_kept_once_however_often_it_is_found(
    journal: SqliteJournal, reopened: Reopen
) -> None:
    commit(journal, entry(1), entry(2))

    for _ in range(3):
        journal = reopened()
        if rows_in(journal, "quarantine") == [(0,)]:
            damage(journal, "body", 100)
        kept(journal)
        journal.commit(Transaction(), now_ns=1)

    assert rows_in(journal, "quarantine") == [(1,)]


def test_what_is_finalised_leaves_its_rows_before_it_is_forgotten(
    journal: SqliteJournal, reopened: Reopen
) -> None:
    commit(journal, entry(1), entry(2))
    close(journal, 1)

    for before_ns in (1, 2):  # it was finalised at 1, whenever its records had come
        journal.prune(
            closed_before_ns=before_ns,
            calls_before_ns=before_ns,
            before_day="2020-01-01",
            is_open={uuid(2)}.__contains__,
        )
        assert len(rows_in(journal, "closed", "*")) == 2 - before_ns
        assert rows_in(journal, "batch", "records") == [(3 - before_ns,)]

    assert kept(reopened()) == [entry(2)]
