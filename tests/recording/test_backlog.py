"""The backlog: records that are read while new ones come, as if they had been read before."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.domain.records import Record
from otelbridge.errors import AlreadyExistsError, JournalFullError
from otelbridge.recording import Side
from tests.disk import SimulatedDisk
from tests.journal.journals import rows_in
from tests.recording.recordings import Bridge
from tests.records import ended, prompt, started, tokens, tool, uuid

MANY = 3000  # interceptions: more than one commit reads and tells


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    """Yield a bridge that reads nothing before it serves, once it is opened again."""
    bridge = Bridge(tmp_path / "journal.db")
    bridge.at_once = 0
    yield bridge
    bridge.journal.close()


def fill(bridge: Bridge, *numbers: int) -> None:
    """Have interceptions recorded, fifty in a commit."""
    for begin in range(0, len(numbers), 50):
        some = numbers[begin : begin + 50]
        bridge.accept(*(make(number) for number in some for make in (started, ended)))


def test_an_unread_interception_is_read_when_a_record_for_it_comes(bridge: Bridge) -> None:
    bridge.accept(started(1), tokens(1))
    bridge.accept(started(2))
    bridge.reopen()
    unread = [number for number in (1, 2) if uuid(number) not in bridge.assembler]

    outcomes = bridge.accept(tokens(1), prompt(1), started(2, model="other"), started(1))

    assert unread == [1, 2]
    assert [type(outcome) for outcome in outcomes] == [type(None)] * 2 + [
        AlreadyExistsError,
        type(None),
    ]
    assert bridge.count("otelbridge.records.duplicate", "tokens") == 1
    assert bridge.count("otelbridge.records.duplicate", "start") == 1
    # The prompt was booked at once, under the start that had not been read.
    assert bridge.count("booked", "claude-sonnet-4-5") == 4


def test_usage_that_waited_unread_is_booked_with_its_start(bridge: Bridge) -> None:
    bridge.accept(tokens(1), prompt(1))
    bridge.reopen()

    bridge.accept(started(1))

    assert bridge.count("booked", "claude-sonnet-4-5") == 3


def test_an_interception_is_told_with_all_its_records_however_far_they_lie_apart(
    bridge: Bridge,
) -> None:
    bridge.accept(started(1), started(2))
    for number in range(3, 40):
        bridge.accept(started(number), ended(number))
    bridge.accept(tokens(1), ended(1), ended(2))
    bridge.now_s += 7

    bridge.reopen()
    bridge.settle()

    told = {interception.id: interception for interception in bridge.teller.closed}
    assert len(told) == len(bridge.teller.closed) == 39
    assert [len(told[uuid(number)].records) for number in (1, 2, 3)] == [3, 2, 2]


def test_a_large_backlog_is_told_in_several_commits_while_others_are_answered(
    bridge: Bridge,
) -> None:
    fill(bridge, *range(1, MANY + 1))
    bridge.now_s += 7
    bridge.reopen()

    sizes: list[int] = []
    while bridge.recording.unread:
        assert bridge.accept(started(MANY + len(sizes) + 1)) == [None]
        sizes.append(len(bridge.assembler))
    bridge.settle()

    assert len(sizes) > 1
    # What is in memory is what will be told next, and what is open.
    assert max(sizes) < MANY // 2
    assert len(bridge.teller.closed) == MANY
    assert len(bridge.assembler) == len(sizes)
    assert rows_in(bridge.journal, "batch") == [(len(sizes),)]


def test_a_stop_in_between_loses_nothing_and_tells_nothing_twice(bridge: Bridge) -> None:
    fill(bridge, *range(1, MANY + 1))
    bridge.now_s += 7

    told = []
    for _ in range(3):
        bridge.reopen()
        bridge.recording.commit([], Side())
        told += [interception.id for interception in bridge.teller.closed]
    bridge.reopen()
    bridge.settle()
    told += [interception.id for interception in bridge.teller.closed]

    assert sorted(told, key=str) == [uuid(number) for number in range(1, MANY + 1)]
    assert bridge.count("otelbridge.records.told") == 2 * MANY
    assert bridge.count("otelbridge.records.lost", "damaged") == 0


def test_a_commit_that_fails_while_the_backlog_is_read_changes_nothing(tmp_path: Path) -> None:
    with SimulatedDisk() as disk:
        bridge = Bridge(tmp_path / "journal.db")
        bridge.at_once = 0
        bridge.accept(started(1), ended(1))
        bridge.accept(started(2))
        bridge.now_s += 7
        bridge.reopen()
        disk.capacity = 0

        with pytest.raises(JournalFullError):
            bridge.accept(tokens(2), started(3))
        disk.capacity = None
        bridge.advance(2)
        bridge.settle()

        assert [row.body for row in bridge.waiting()] == [uuid(1).bytes]
        assert len(bridge.assembler) == 1
        assert bridge.count("otelbridge.records.told") == 2
        bridge.journal.close()


def test_a_follow_up_waits_for_a_parent_that_may_be_unread(bridge: Bridge) -> None:
    fill(bridge, *range(10, 10 + MANY))
    bridge.accept(started(1), tool(1, call="toolu_1"), ended(1))
    bridge.reopen()
    bridge.accept(
        started(2, correlating_tool_call_id="toolu_1"),
        ended(2),
        started(3, correlating_tool_call_id="nobody"),
        ended(3),
    )
    bridge.now_s += 7

    bridge.settle()

    told = {interception.id: interception.thread for interception in bridge.teller.closed}
    assert told[uuid(2)].root_id == uuid(1)
    assert (told[uuid(3)].root_id, told[uuid(3)].unresolved) == (uuid(3), True)
    assert len(told) == MANY + 3


def test_nothing_is_forgotten_while_it_is_not_known_what_is_open(bridge: Bridge) -> None:
    bridge.accept(started(1))
    bridge.now_s += 10**6
    bridge.reopen()

    bridge.recording.prune()

    bridge.settle()
    bridge.advance(3601)
    assert [len(interception.records) for interception in bridge.teller.closed] == [1]


def test_what_was_finalised_and_shares_a_row_is_not_told_again(bridge: Bridge) -> None:
    bridge.accept(started(1), started(2), ended(1))
    bridge.advance(7)
    bridge.reopen()

    bridge.accept(tokens(1), ended(2))
    bridge.advance(7)

    assert [interception.id for interception in bridge.teller.closed] == [uuid(2)]
    assert [type(record) for record in bridge.teller.late] == [type(tokens())]


def test_progress_is_told_of_a_long_reading(
    bridge: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    fill(bridge, *range(1, MANY + 1))
    bridge.reopen()

    with caplog.at_level(logging.INFO):
        while bridge.recording.unread:
            bridge.advance(6)

    lines = [message for message in caplog.messages if "are read again" in message]
    assert lines
    assert all(line.startswith("journal: ") and f"of {2 * MANY} records" in line for line in lines)


def test_a_row_of_which_nothing_can_be_read_holds_up_nothing(bridge: Bridge) -> None:
    bridge.accept(started(1))
    bridge.accept(tokens(1), started(2), ended(2))
    bridge.accept(ended(1))
    bridge.journal._database.execute("UPDATE batch SET body = x'FF' WHERE seq = 2")  # noqa: SLF001
    bridge.now_s += 7
    bridge.reopen()

    bridge.settle()

    (told,) = bridge.teller.closed
    assert (told.id, len(told.records)) == (uuid(1), 2)
    assert bridge.count("otelbridge.records.lost", "damaged") == 3
    assert rows_in(bridge.journal, "batch") == [(0,)]
    bridge.reopen()
    bridge.settle()
    assert bridge.count("otelbridge.records.lost", "damaged") == 3


records = st.builds(
    lambda make, number, at_s: make(number, at_s=at_s),
    st.sampled_from([started, tokens, prompt, ended]),
    st.integers(1, 6),
    st.integers(0, 3),
)
commits = st.lists(st.lists(records, min_size=1, max_size=5), min_size=1, max_size=8)


@given(before=commits, after=commits)
def test_it_makes_no_difference_how_much_was_read_when_a_record_came(
    before: list[list[Record]], after: list[list[Record]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    seen = []
    with SimulatedDisk():  # for its speed
        for at_once in (10**9, 0, 4):
            bridge = Bridge(tmp_path_factory.mktemp("backlog") / "journal.db")
            bridge.at_once = at_once
            outcomes = [str(each) for batch in before for each in bridge.accept(*batch)]
            bridge.reopen()
            outcomes += [str(each) for batch in after for each in bridge.accept(*batch)]
            bridge.advance(7)
            bridge.advance(3601)
            bridge.settle()
            told = sorted(bridge.teller.closed, key=lambda each: each.id.bytes)
            values = {key: series.value for key, series in bridge.ledger.snapshot().items()}
            seen.append((outcomes, told, values))
            bridge.journal.close()

    assert seen[0] == seen[1] == seen[2]
