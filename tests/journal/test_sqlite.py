"""The journal on SQLite, on a real file."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from otelbridge.domain.ledger import Distribution, Series, UsageKey, UsageTotals
from otelbridge.domain.ports import OutboxItem, OutboxRow, Signal
from otelbridge.domain.records import RecordKind
from otelbridge.errors import JournalError, JournalLockedError
from otelbridge.journal import SqliteJournal, read_usage
from otelbridge.journal.entries import Entry
from otelbridge.journal.outbox import Subscription
from otelbridge.journal.transaction import Buried, Transaction
from tests.records import ALICE, identity, uuid

EVERYTHING = 10**9


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


class Reopen:
    """Opens the journal anew each time, as a restarted process does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.journal = SqliteJournal(path)

    def __call__(self) -> SqliteJournal:
        self.journal.close()
        self.journal = SqliteJournal(self._path)
        return self.journal


@pytest.fixture
def reopened(path: Path) -> Iterator[Reopen]:
    reopen = Reopen(path)
    yield reopen
    reopen.journal.close()


@pytest.fixture
def journal(reopened: Reopen) -> SqliteJournal:
    return reopened.journal


def entry(number: int) -> Entry:
    return Entry(RecordKind.START, number, None, uuid(number), identity(number), b"payload")


def subscribe(journal: SqliteJournal, *names: str, start: bool = False) -> dict[str, int]:
    return journal.subscribe(
        [Subscription(name=name, variant="v", from_beginning=start) for name in names]
    )


def tell(journal: SqliteJournal, *bodies: bytes, mask: int = 1) -> None:
    items = [OutboxItem(Signal.TRACES, mask, 1, body) for body in bodies]
    journal.commit(Transaction(outbox=items), now_ns=1)


def taken(journal: SqliteJournal, name: str, through: int) -> None:
    journal.commit(Transaction(progress={(name, Signal.TRACES): through}), now_ns=1)


def pending(journal: SqliteJournal, name: str, limit: int = 99) -> list[bytes]:
    rows = journal.outbox.read(name, Signal.TRACES, limit=limit, max_bytes=EVERYTHING)
    return [row.body for row in rows]


def test_the_database_and_its_lock_can_be_read_by_their_owner_alone(
    journal: SqliteJournal, path: Path
) -> None:
    journal.commit(Transaction(entries=[entry(1)]), now_ns=1)

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}

    assert set(modes.values()) == {0o600}
    assert {"journal.db", "journal.db-wal", "journal.db.lock"} <= set(modes)


def test_a_commit_is_synced_before_it_returns(journal: SqliteJournal) -> None:
    settings = [
        journal._database.execute(f"PRAGMA {name}").fetchone()[0]  # noqa: SLF001
        for name in ("synchronous", "journal_mode", "locking_mode", "secure_delete")
    ]

    assert settings == [2, "wal", "exclusive", 1]


@pytest.mark.usefixtures("journal")
def test_the_second_process_is_refused_and_told_who_holds_the_journal(path: Path) -> None:
    with pytest.raises(JournalLockedError) as error:
        SqliteJournal(path)

    assert str(error.value) == f"journal.url: {path} is in use by process {os.getpid()}"


def test_a_killed_process_leaves_no_lock_behind(path: Path) -> None:
    code = (
        "import os, sys, pathlib; from otelbridge.journal import SqliteJournal;"
        "SqliteJournal(pathlib.Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)

    SqliteJournal(path).close()

    assert done.returncode == -9


def test_replay_yields_the_records_of_open_interceptions_in_order(
    journal: SqliteJournal, reopened: Reopen
) -> None:
    journal.commit(Transaction(entries=[entry(1), entry(2)]), now_ns=1)
    journal.commit(Transaction(entries=[entry(3)]), now_ns=1)

    journal = reopened()
    replayed = list(journal.replay(lambda ids: {uuid(2)} & ids))

    assert replayed == [entry(1), entry(3)]


def test_a_damaged_batch_is_reported_and_the_others_survive(
    reopened: Reopen, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reopened.journal.commit(Transaction(entries=[entry(1)]), now_ns=1)
    reopened.journal.commit(Transaction(entries=[entry(2)]), now_ns=1)
    reopened.journal.close()
    with sqlite3.connect(path) as database:
        database.execute(
            "UPDATE batch SET body = CAST(x'00' || substr(body, 2) AS BLOB) WHERE seq = 1"
        )
    database.close()

    journal = reopened.journal = SqliteJournal(path)
    replayed = list(journal.replay(lambda _: set()))

    assert replayed == [entry(2)]
    assert "batch 1" in caplog.text


def test_a_batch_goes_when_all_its_interceptions_are_finalised(journal: SqliteJournal) -> None:
    journal.commit(Transaction(entries=[entry(1), entry(2)]), now_ns=1)

    for number, left in ((1, 1), (2, 0)):
        journal.batches.delete([uuid(number)])
        journal.batches.deleted([uuid(number)])
        rows = journal._database.execute("SELECT count(*) FROM batch").fetchone()  # noqa: SLF001
        assert (rows[0], len(journal.batches)) == (left, left)


def test_what_is_finalised_leaves_old_batches_before_it_is_forgotten(
    journal: SqliteJournal, reopened: Reopen
) -> None:
    journal.commit(Transaction(entries=[entry(1), entry(2)]), now_ns=1)

    journal.prune(
        closed_before_ns=10,
        calls_before_ns=10,
        before_day="2020-01-01",
        is_open={uuid(2)}.__contains__,
    )

    journal = reopened()
    assert list(journal.replay(lambda _: set())) == [entry(2)]


def test_a_file_that_is_no_journal_is_refused_in_one_line(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to look like one" * 30)

    with pytest.raises(JournalError, match=r"journal\.db: file is not a database$"):
        SqliteJournal(path)

    path.unlink()
    SqliteJournal(path).close()


def test_a_newer_format_is_refused(path: Path) -> None:
    SqliteJournal(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()

    with pytest.raises(JournalError, match="format 99, this version reads up to 1"):
        SqliteJournal(path)


def test_a_row_stays_until_every_destination_has_taken_it(journal: SqliteJournal) -> None:
    subscribe(journal, "a", "b")
    tell(journal, b"1", b"2", mask=3)

    taken(journal, "a", 2)
    after_a = (pending(journal, "a"), pending(journal, "b"))
    taken(journal, "b", 1)
    after_b = pending(journal, "b")
    rows = journal._database.execute("SELECT seq FROM outbox").fetchall()  # noqa: SLF001

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
    rows = journal._database.execute("SELECT count(*) FROM outbox").fetchone()  # noqa: SLF001
    assert rows == (0,)


def test_a_destination_that_takes_a_signal_no_more_holds_nothing_back(
    journal: SqliteJournal,
) -> None:
    subscribe(journal, "a")
    tell(journal, b"1")

    journal.subscribe([Subscription(name="a", variant="v", signals=frozenset({"logs"}))])

    assert pending(journal, "a") == []
    assert journal.outbox.total_bytes() == 0


@pytest.mark.parametrize(("start", "found"), [(False, []), (True, [b"1"])])
def test_a_new_destination_starts_now_or_with_what_is_kept(
    journal: SqliteJournal, start: bool, found: list[bytes]
) -> None:
    subscribe(journal, "a")
    tell(journal, b"1")

    subscribe(journal, "a", "b", start=start)
    tell(journal, b"2", mask=3)

    assert pending(journal, "b") == [*found, b"2"]


def test_a_read_is_bounded_by_rows_and_bytes_but_never_empty(journal: SqliteJournal) -> None:
    subscribe(journal, "a")
    tell(journal, b"x" * 100, b"y" * 100, b"z" * 100)

    def read(limit: int, max_bytes: int) -> int:
        rows = journal.outbox.read("a", Signal.TRACES, limit=limit, max_bytes=max_bytes)
        return len(rows)

    assert [read(2, 999), read(9, 250), read(9, 1)] == [2, 2, 1]


def test_dead_letters_are_kept(journal: SqliteJournal) -> None:
    letter = Buried("a", Signal.TRACES, OutboxRow(1, 2, b"body"), "refused")

    journal.commit(Transaction(buried=[letter]), now_ns=7)

    rows = journal._database.execute(  # noqa: SLF001
        "SELECT destination, signal, items, at_ns, reason, body FROM dead_letter"
    ).fetchall()
    assert rows == [("a", "traces", 2, 7, "refused", b"body")]


def test_the_ledger_survives(journal: SqliteJournal, reopened: Reopen) -> None:
    series = {
        ("counter", ("x", "")): Series(5, 2**60),
        ("histogram", ()): Series(6, Distribution((1, 0, 2), 3.5)),
    }
    journal.commit(Transaction(series=series, admitted={"model": ["m"]}), now_ns=1)

    journal = reopened()

    assert journal.ledger.series() == series
    assert journal.ledger.admitted() == {"model": ["m"]}


def test_usage_adds_up_and_is_folded_by_month(
    journal: SqliteJournal, path: Path, reopened: Reopen
) -> None:
    key = UsageKey("2025-01-31", ALICE.bytes, "anthropic", "m", "c")
    for day in ("2025-01-30", "2025-01-31", "2025-01-31", "2026-01-01"):
        usage = {key._replace(day=day): UsageTotals(input_tokens=1)}
        journal.commit(Transaction(usage=usage, users={ALICE: "alice"}), now_ns=1)

    journal.prune(closed_before_ns=0, calls_before_ns=0, before_day="2025-02-01", is_open=bool)
    journal.close()

    rows = read_usage(path)
    assert [(row["day"], row["user"], row["input_tokens"]) for row in rows] == [
        ("2025-01", "alice", 3),
        ("2026-01-01", "alice", 1),
    ]
    reopened.journal = SqliteJournal(path)


def test_the_instance_id_is_drawn_once(journal: SqliteJournal, reopened: Reopen) -> None:
    first = journal.instance_id()

    journal = reopened()

    assert journal.instance_id() == first
