"""The use case, on a real journal: accept, finalise, forget, replay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.domain.ports import Signal
from otelbridge.domain.records import Record
from otelbridge.errors import AlreadyExistsError, JournalError
from otelbridge.journal import SqliteJournal
from otelbridge.journal.transaction import Transaction
from tests.recording.recordings import UNREADABLE, Bridge
from tests.records import ALICE, BOB, T0, S, ended, prompt, started, tokens, tool, uuid


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    bridge = Bridge(tmp_path / "journal.db")
    yield bridge
    bridge.journal.close()


def test_an_interception_is_told_once_after_its_grace(bridge: Bridge) -> None:
    bridge.accept(started(), tokens(), ended())

    bridge.advance(5.9)
    before = list(bridge.teller.closed)
    bridge.advance(0.2)
    bridge.advance(100)

    assert before == []
    assert [i.id for i in bridge.teller.closed] == [uuid(1)]
    assert len(bridge.teller.closed[0].records) == 3


def test_open_interceptions_survive_a_restart_and_are_told_once(bridge: Bridge) -> None:
    bridge.accept(started(1), tokens(1), started(2), ended(1))

    bridge.reopen()
    bridge.advance(7)

    assert bridge.replayed == 4
    assert [i.id for i in bridge.teller.closed] == [uuid(1)]
    bridge.reopen()
    assert (bridge.replayed, len(bridge.assembler)) == (1, 1)


def test_what_was_told_waits_in_the_outbox_across_a_restart(bridge: Bridge) -> None:
    bridge.accept(started(), ended())
    bridge.advance(7)

    bridge.reopen()

    rows = bridge.journal.outbox.read("otlp", Signal.TRACES, limit=9, max_bytes=9**9)
    assert [row.body for row in rows] == [uuid(1).bytes]


def test_the_same_record_again_is_answered_and_counted_once(bridge: Bridge) -> None:
    outcomes = bridge.accept(started(), started(), tokens(), tokens())

    bridge.reopen()
    outcomes += bridge.accept(tokens(), ended())
    bridge.advance(7)
    outcomes += bridge.accept(tokens(), started())

    assert outcomes == [None] * 8
    assert bridge.count("booked", "claude-sonnet-4-5") == 3
    assert bridge.count("otelbridge.records.received", "tokens", "") == 4
    assert bridge.count("otelbridge.records.duplicate", "tokens") == 3


def test_a_different_start_is_refused_even_after_the_interception_was_told(bridge: Bridge) -> None:
    bridge.accept(started(), ended())

    first = bridge.accept(started(model="other"))[0]
    bridge.advance(7)
    second = bridge.accept(started(model="other"))[0]

    assert isinstance(first, AlreadyExistsError)
    assert str(first) == f'interception "{uuid(1)}" was already recorded with another start'
    assert str(second) == str(first)


def test_usage_before_its_start_is_booked_with_the_start(bridge: Bridge) -> None:
    bridge.accept(tokens(), prompt())
    waiting = bridge.count("booked", "claude-sonnet-4-5")

    bridge.accept(started())

    assert (waiting, bridge.count("booked", "claude-sonnet-4-5")) == (0, 3)


def test_an_orphan_is_booked_as_unknown_when_it_is_told(bridge: Bridge) -> None:
    bridge.accept(tokens(), ended())

    bridge.advance(3601)

    assert bridge.teller.closed[0].is_orphan
    assert bridge.count("booked", "unknown") == 2


def test_a_record_after_the_telling_is_late_once(bridge: Bridge) -> None:
    bridge.accept(started(), ended())
    bridge.advance(7)

    outcomes = bridge.accept(tokens(), tokens())
    outcomes += bridge.accept(tokens())

    assert outcomes == [None, None, None]
    assert bridge.count("late", "claude-sonnet-4-5") == 1
    assert len(bridge.assembler) == 0
    rows = bridge.journal.outbox.read("otlp", Signal.LOGS, limit=9, max_bytes=9**9)
    assert len(rows) == 1


def test_a_start_after_its_orphan_was_told_is_late(bridge: Bridge) -> None:
    bridge.accept(tokens(), ended())
    bridge.advance(3601)

    outcomes = bridge.accept(started())

    assert (outcomes, [type(r) for r in bridge.teller.late]) == ([None], [type(started())])


@given(order=st.permutations([0, 1, 2, 3]))
def test_a_follow_up_finds_its_parent_whichever_record_comes_first(
    order: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    bridge = Bridge(tmp_path_factory.mktemp("thread") / "journal.db")
    parts: list[list[Record]] = [
        [started(1), ended(1)],
        [tool(1, call="toolu_9")],
        [started(2, correlating_tool_call_id="toolu_9"), ended(2)],
        [started(3, initiator_id=BOB), tool(3, call="toolu_9"), ended(3)],
    ]
    bridge.accept(*(record for index in order for record in parts[index]))

    bridge.advance(7)
    bridge.journal.close()

    told = {interception.id: interception.thread for interception in bridge.teller.closed}
    parent = told[uuid(2)].parent
    assert parent is not None
    assert (parent.interception_id, parent.tools[0].tool) == (uuid(1), "Read")
    assert told[uuid(2)].root_id == told[uuid(1)].root_id == uuid(1)


def test_a_thread_reaches_back_over_finalised_interceptions_and_a_restart(bridge: Bridge) -> None:
    bridge.accept(started(1), tool(1, call="a"), ended(1))
    bridge.accept(started(2, correlating_tool_call_id="a"), tool(2, call="b"), ended(2))
    bridge.advance(7)
    bridge.reopen()

    bridge.accept(started(3, correlating_tool_call_id="b"), ended(3))
    bridge.advance(7)

    thread = bridge.teller.closed[0].thread
    assert (thread.root_id, thread.parent and thread.parent.interception_id) == (uuid(1), uuid(2))


def test_call_ids_in_a_circle_end_the_thread(bridge: Bridge) -> None:
    bridge.accept(started(1, correlating_tool_call_id="b"), tool(1, call="a"), ended(1))
    bridge.accept(started(2, correlating_tool_call_id="a"), tool(2, call="b"), ended(2))

    bridge.advance(7)

    assert {i.id for i in bridge.teller.closed} == {uuid(1), uuid(2)}


def test_a_parent_that_never_comes_leaves_its_child_unresolved(bridge: Bridge) -> None:
    bridge.accept(started(correlating_tool_call_id="nobody"), ended())

    bridge.advance(7)

    thread = bridge.teller.closed[0].thread
    assert (thread.root_id, thread.parent, thread.unresolved) == (uuid(1), None, True)


def test_an_interception_that_cannot_be_told_does_not_hold_up_records(bridge: Bridge) -> None:
    bridge.accept(started(), ended())
    bridge.teller.broken = True
    bridge.advance(7)

    outcomes = bridge.accept(started(2))
    bridge.teller.broken = False
    bridge.advance(61)

    assert outcomes == [None]
    assert [i.id for i in bridge.teller.closed] == [uuid(1)]


class FullJournal:
    """A journal whose disk is full: everything works but the commit."""

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal

    def __getattr__(self, name: str) -> object:
        return getattr(self._journal, name)

    def commit(self, transaction: Transaction, *, now_ns: int) -> None:
        raise JournalError(f"no space for {len(transaction.entries)} entries at {now_ns}")


def test_a_failed_commit_changes_nothing_in_memory(bridge: Bridge) -> None:
    bridge.accept(started(1), ended(1))
    bridge.now_s += 7
    bridge.recording._journal = FullJournal(bridge.journal)  # type: ignore[assignment]  # noqa: SLF001

    with pytest.raises(JournalError):
        bridge.accept(started(2), tokens(2))

    bridge.recording._journal = bridge.journal  # noqa: SLF001
    assert uuid(2) not in bridge.assembler
    assert bridge.count("closed") == 0
    bridge.advance(1)
    assert bridge.count("closed") == 1


def test_users_are_known_by_the_name_their_gateway_sends(bridge: Bridge) -> None:
    bridge.accept(started(metadata={"Username": "alice"}))

    assert bridge.journal.ledger.users() == {ALICE: "alice"}


def test_a_clock_that_was_set_back_while_stopped_delays_nothing(bridge: Bridge) -> None:
    bridge.now_s = 5000
    bridge.accept(started(), ended())

    bridge.now_s = 1400
    bridge.reopen()
    bridge.advance(7)

    assert [i.id for i in bridge.teller.closed] == [uuid(1)]


def test_stats_tell_what_waits(bridge: Bridge) -> None:
    empty = bridge.recording.stats(["otlp"])
    bridge.accept(started(1), ended(1), started(2))
    bridge.advance(7)

    stats = bridge.recording.stats(["otlp"])

    assert (empty.records, empty.oldest_ns, dict(empty.waiting_ns)) == (0, None, {})
    assert (stats.records, stats.oldest_ns) == (1, T0 + 100 * S)
    assert stats.waiting_ns == {("otlp", Signal.TRACES): T0 + 107 * S}
    assert stats.bytes > 4096


def test_the_clients_tool_work_is_told_with_the_first_follow_up_alone(bridge: Bridge) -> None:
    bridge.accept(started(1), tool(1, call="a"), ended(1))
    bridge.accept(started(2, correlating_tool_call_id="a"), ended(2))
    bridge.accept(started(3, correlating_tool_call_id="a"), ended(3))
    bridge.advance(7)
    told = list(bridge.teller.closed)
    bridge.reopen()

    bridge.accept(started(4, correlating_tool_call_id="a"), ended(4))
    bridge.advance(7)

    parents = [i.thread.parent for i in (*told, *bridge.teller.closed) if i.thread.parent]
    assert [len(parent.tools) for parent in parents] == [1, 0, 0]


def test_a_record_that_cannot_be_read_does_not_fail_its_neighbours(bridge: Bridge) -> None:
    outcomes = bridge.accept(started(1), tokens(1, identity=UNREADABLE), ended(1))

    assert [type(outcome) for outcome in outcomes] == [type(None), ArithmeticError, type(None)]
    assert bridge.count("otelbridge.records.rejected", "tokens", "fault") == 1


def test_a_record_that_cannot_be_replayed_does_not_keep_the_bridge_from_starting(
    bridge: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    bridge.accept(started(1), tokens(1), ended(1))
    del bridge.records[tokens(1).identity]

    bridge.reopen()

    assert bridge.replayed == 2
    assert "a tokens record of the journal is lost" in caplog.text
    for _ in range(2):
        bridge.advance(1)
    assert bridge.count("otelbridge.records.lost", "damaged") == 1
    bridge.reopen()
    bridge.advance(1)
    assert bridge.count("otelbridge.records.lost", "damaged") == 1
