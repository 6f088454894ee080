"""The journal on SQLite, on a real file: opened, committed, pruned."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from otelbridge.domain.ledger import Distribution, Series, UsageKey, UsageTotals
from otelbridge.domain.ports import OutboxRow, Signal
from otelbridge.errors import JournalError, JournalLockedError
from otelbridge.journal import SqliteJournal, read_usage
from otelbridge.journal.transaction import Buried, Transaction
from tests.disk import SimulatedDisk
from tests.faults import fault
from tests.journal.journals import Reopen, commit, entry, kept, rows_in
from tests.records import ALICE


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


@fault(20)
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


@fault(17)
def test_an_fsync_that_fails_ends_the_commit_and_nothing_is_lost_that_was_there(
    path: Path,
) -> None:
    with SimulatedDisk() as disk:
        journal = SqliteJournal(path)
        commit(journal, entry(1))
        disk.fail_sync_at = 0
        with pytest.raises(JournalError, match="disk I/O error") as error:
            commit(journal, entry(2))
        journal.close()

        journal = SqliteJournal(path)
        found = kept(journal)
        journal.close()

    assert type(error.value) is JournalError  # neither a full disk nor a damaged file
    assert entry(1) in found
    # Whether the other one is there nobody knows: it was not acknowledged.
    assert set(found) <= {entry(1), entry(2)}


def test_a_file_that_is_no_journal_is_refused_in_one_line(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to look like one" * 30)

    with pytest.raises(JournalError, match=r"journal\.db: file is not a database$"):
        SqliteJournal(path)

    path.unlink()
    SqliteJournal(path).close()


def test_another_program_s_database_is_refused_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE theirs (a)")
    database.close()

    with pytest.raises(JournalError, match="a database of another program"):
        SqliteJournal(path)

    with sqlite3.connect(path) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    database.close()


def test_a_newer_format_is_refused(path: Path) -> None:
    SqliteJournal(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
        database.execute("UPDATE meta SET value = '99' WHERE key = 'format'")
    database.close()

    with pytest.raises(JournalError, match="format 99, this version reads up to 2"):
        SqliteJournal(path)


def test_dead_letters_are_kept(journal: SqliteJournal) -> None:
    letter = Buried("a", Signal.TRACES, OutboxRow(1, 2, b"body"), "refused")

    journal.commit(Transaction(buried=[letter]), now_ns=7)

    rows = rows_in(journal, "dead_letter", "destination, signal, items, at_ns, reason, body")
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


def test_a_series_that_is_damaged_does_not_keep_the_others(
    journal: SqliteJournal, caplog: pytest.LogCaptureFixture
) -> None:
    journal.commit(Transaction(series={("good", ("x",)): Series(5, 1)}), now_ns=1)
    for values in ("'a', '[', 1, 1", "'b', '[]', 1, 'text'"):
        journal._database.execute(  # noqa: SLF001
            f"INSERT INTO series (instrument, attributes, born_at_ns, value) VALUES ({values})"  # noqa: S608
        )

    assert journal.ledger.series() == {("good", ("x",)): Series(5, 1)}
    assert caplog.text.count("is lost") == 2


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
