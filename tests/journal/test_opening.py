"""Opening a journal whose files were damaged: what can be read is there, and is told."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otelbridge.errors import JournalDamagedError, JournalError
from otelbridge.journal import SqliteJournal
from otelbridge.journal.opening import mark_damaged
from otelbridge.journal.wal import log_of, read_frames
from tests.disk import SimulatedDisk
from tests.faults import fault
from tests.journal.damage import ROWS, Sound, corrupt_files, damaged, found_in, in_order, make
from tests.journal.journals import commit, entry, rows_in
from tests.records import uuid
from tests.soak import turns

KINDS = ("closed", "killed", "young")


@pytest.fixture(scope="module", name="sounds")
def _sounds(tmp_path_factory: pytest.TempPathFactory) -> list[Sound]:
    """Return a journal that was closed, one that was killed, and one that is in its log alone."""
    return [
        make(
            tmp_path_factory.mktemp("sound") / "journal.db",
            is_killed=kind != "closed",
            checkpoint_at=ROWS // 2 if kind == "killed" else 0,
        )
        for kind in KINDS
    ]


@pytest.fixture(name="sound", params=KINDS)
def _sound(request: pytest.FixtureRequest, sounds: list[Sound]) -> Sound:
    """Return one of them."""
    return sounds[KINDS.index(request.param)]


def check_damage(sound: Sound, folder: Path, seed: int) -> None:
    """Damage a journal, and open it twice: what is found is a part of what was there."""
    path = folder / "journal.db"
    hurt, has_no_name = damaged(sound, seed)
    hurt.write(path)

    with SimulatedDisk():
        if has_no_name:
            # More than its header has gone: nobody may be able to know that it was a journal.
            with suppress(JournalError):
                found_in(path)
            return
        entries, bodies = found_in(path)
        again = found_in(path)

    assert in_order(list(entries), list(sound.entries))
    assert in_order(list(bodies), list(sound.bodies))
    assert again == (entries, bodies)
    assert len(corrupt_files(path)) <= 2  # the file and its log: salvaged once


@fault(15)
@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_to_the_files_it_starts_and_invents_nothing(
    sound: Sound, tmp_path: Path, seed: int
) -> None:
    check_damage(sound, tmp_path, seed)


@fault(15)
@pytest.mark.timeout(0)  # as long as a long run says
def test_other_damage_is_survived_for_as_long_as_there_is_time(
    sounds: list[Sound], tmp_path: Path
) -> None:
    for turn in turns():
        for number, sound in enumerate(sounds):
            folder = tmp_path / f"{turn}-{number}"
            folder.mkdir()
            check_damage(sound, folder, 1000 + turn)
            shutil.rmtree(folder)


@fault(15)
def test_a_torn_end_of_the_log_costs_the_commit_that_never_returned(
    sound: Sound, path: Path
) -> None:
    if not sound.files.get("-wal"):
        pytest.skip("this one has no log")
    log = sound.files["-wal"]
    sound.write(path)
    log_of(path).write_bytes(log[: -4120 * 3 - 100])

    entries, _ = found_in(path)

    assert entries == sound.entries[: len(entries)]
    assert len(entries) >= ROWS - 2
    assert corrupt_files(path) == []


@fault(15)
@pytest.mark.parametrize("ending", ["", "-wal"])
def test_an_empty_file_is_noticed_by_what_the_other_one_holds(
    path: Path, ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    sound = make(path, is_killed=True)
    sound.write(path)
    path.with_name(path.name + ending).write_bytes(b"")

    entries, bodies = found_in(path)

    if ending:  # a log that is empty has nothing to say
        assert entries == []
    else:
        assert entries == sound.entries
        assert bodies == sound.bodies
        assert "the file is empty, and its log is not" in caplog.text
        assert len(corrupt_files(path)) == 1


@fault(15)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_file_that_was_cut_keeps_what_is_left_of_it(
    path: Path, part: float, caplog: pytest.LogCaptureFixture
) -> None:
    sound = make(path, is_killed=False)
    sound.write(path)
    with path.open("r+b") as file:
        file.truncate(int(len(sound.files[""]) * part))

    entries, bodies = found_in(path)

    assert len(entries) + len(bodies) > ROWS * part / 2
    assert "is damaged" in caplog.text
    assert "kept as" in caplog.text


@fault(15)
def test_a_flipped_bit_in_the_log_costs_no_commit_behind_it(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sound = make(path, is_killed=True)
    sound.write(path)
    frames = read_frames(log_of(path))
    content = bytearray(sound.files["-wal"])
    content[frames[len(frames) // 3].offset + 2000] ^= 4
    log_of(path).write_bytes(content)

    entries, bodies = found_in(path)

    assert len(entries) + len(bodies) >= 2 * ROWS - 3
    assert in_order(list(entries), list(sound.entries))
    assert "its log is damaged at frame" in caplog.text


@fault(15)
def test_a_first_page_that_cannot_be_read_costs_none_of_the_others(path: Path) -> None:
    sound = make(path, is_killed=False)
    content = bytearray(sound.files[""])
    content[100:4096] = bytes(3996)
    path.write_bytes(content)

    entries, bodies = found_in(path)

    assert (entries, bodies) == (sound.entries, sound.bodies)


@fault(15)
def test_a_page_in_the_middle_costs_its_own_rows(path: Path) -> None:
    sound = make(path, is_killed=False)
    content = bytearray(sound.files[""])
    middle = len(content) // 4096 // 2 * 4096
    content[middle : middle + 4096] = b"\xa5" * 4096
    path.write_bytes(content)

    entries, bodies = found_in(path)

    assert len(entries) + len(bodies) >= 2 * ROWS - 6
    assert in_order(list(entries), list(sound.entries))
    assert in_order(list(bodies), list(sound.bodies))
    assert len(corrupt_files(path)) == 1


@fault(15)
def test_what_a_destination_lost_is_counted(path: Path) -> None:
    sound = make(path, is_killed=False)
    with sqlite3.connect(path, isolation_level=None) as database:
        database.execute("""INSERT INTO series (instrument, attributes, born_at_ns, value)
            VALUES ('otelbridge.delivery.told', '["a", "traces"]', 1, 63),
                   ('otelbridge.delivery.delivered', '["a", "traces"]', 1, 3)""")
        database.execute("DELETE FROM outbox WHERE seq < 11")
    database.close()
    mark_damaged(path, "for the test")

    journal = SqliteJournal(path)
    series = journal.ledger.series()
    journal.close()

    assert series["otelbridge.delivery.rejected", ("a", "traces", "damaged")].value == 10
    assert len(sound.bodies) == 60


@fault(15)
def test_damage_that_is_met_while_it_runs_is_salvaged_by_the_next_start(path: Path) -> None:
    journal = SqliteJournal(path)
    commit(journal, entry(1), entry(2))
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT

    told = journal.error_of(error)
    journal.close()
    entries, _ = found_in(path)

    assert isinstance(told, JournalDamagedError)
    assert entries == [entry(1), entry(2)]
    assert len(corrupt_files(path)) == 1
    found_in(path)
    assert len(corrupt_files(path)) == 1


@fault(15)
@pytest.mark.parametrize("step", ["journal.db-wal", "journal.db", ""])
def test_a_salvage_that_was_interrupted_goes_on(path: Path, step: str) -> None:
    make(path, is_killed=False)
    with SimulatedDisk():
        commit_more = SqliteJournal(path)
        commit(commit_more, entry(999))
        commit_more.close()
    before = found_in(path)
    # As it is between the renamings: the new file is whole, the old one is being put aside.
    shutil.copy(path, path.with_name("journal.db.salvaged-20261122T131957Z"))
    log_of(path).write_bytes(b"the log of the damaged one")
    path.write_bytes(b"damaged")
    for name in ("journal.db-wal", "journal.db"):
        if step and path.with_name(name).exists():
            path.with_name(name).rename(
                path.with_name(f"journal.db.corrupt-20261122T131957Z{name[10:]}")
            )
        if name == step:
            break

    assert found_in(path) == before
    assert corrupt_files(path) == [
        "journal.db.corrupt-20261122T131957Z",
        "journal.db.corrupt-20261122T131957Z-wal",
    ]


@fault(15)
def test_the_files_that_are_put_aside_are_their_owner_s_alone(path: Path) -> None:
    make(path, is_killed=True)
    mark_damaged(path, "for the test")

    found_in(path)

    modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}


@given(content=st.binary(max_size=9000))
@example(content=b"SQLite format 3\0")
@example(content=b"SQLite format 3\0" + bytes(5000))
def test_a_file_of_somebody_else_is_left_alone_or_kept(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("other") / "journal.db"
    path.write_bytes(content)

    try:
        SqliteJournal(path).close()
    except JournalError:
        assert path.read_bytes() == content
        return

    if content:
        (name,) = corrupt_files(path)
        # All but the first page, which may have been written anew to read the others.
        assert path.with_name(name).read_bytes()[4096 : len(content)] == content[4096:]


def test_a_sound_journal_is_opened_without_a_word(
    sound: Sound, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sound.write(path)

    with caplog.at_level(logging.INFO):
        found = found_in(path)

    assert found == (sound.entries, sound.bodies)
    assert caplog.text == ""
    assert corrupt_files(path) == []


def test_rows_of_destinations_that_were_lost_go(path: Path) -> None:
    make(path, is_killed=False)
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM destination")
    database.close()
    mark_damaged(path, "for the test")

    journal = SqliteJournal(path)
    rows = rows_in(journal, "outbox")
    journal.close()

    assert rows == [(0,)]
    assert uuid(1).bytes
