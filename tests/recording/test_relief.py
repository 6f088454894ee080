"""Relief: limits of what waits are kept before the insert, and a full disk is one of them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from otelbridge.domain.ledger import Changes
from otelbridge.domain.ports import OutboxItem, Signal
from otelbridge.errors import JournalFullError
from otelbridge.journal.transaction import Transaction
from otelbridge.recording import Limits
from tests.disk import SimulatedDisk
from tests.faults import fault
from tests.journal.journals import rows_in
from tests.recording.recordings import Bridge
from tests.recording.reserves import DiskReserve
from tests.records import ended, prompt, started, uuid

ROW = 16  # bytes that an interception is told in by tests.sinks.MemoryTeller
MIB = 1024 * 1024


def take_out(signal: Signal, body: bytes) -> bytes | None:
    """Return a body without its content; what is content stands behind a bar."""
    assert signal is Signal.TRACES
    bare, bar, _ = body.partition(b"|")
    return bare if bar else None


@contextmanager
def bridge_with(path: Path, limits: Limits, disk: SimulatedDisk | None = None) -> Iterator[Bridge]:
    bridge = Bridge(
        path / "journal.db",
        limits,
        reserve=DiskReserve(path / "journal.db", disk, size=2 * MIB) if disk else None,
        destinations=tuple(limits.quotas),
    )
    yield bridge
    bridge.journal.close()


def interceptions(bridge: Bridge, *numbers: int) -> None:
    """Have interceptions told, each in a commit of its own."""
    for number in numbers:
        bridge.accept(started(number), ended(number))
        bridge.advance(7)


def put(bridge: Bridge, *bodies: bytes, mask: int = 1) -> None:
    """Put rows into the outbox."""
    items = [OutboxItem(Signal.TRACES, mask, 1, body) for body in bodies]
    bridge.recording.settle(Transaction(outbox=items), Changes())


def bodies(bridge: Bridge, name: str = "otlp") -> list[bytes]:
    return [row.body for row in bridge.waiting(name)]


def test_the_oldest_rows_beyond_a_limit_are_given_up_with_the_insert_and_counted(
    tmp_path: Path,
) -> None:
    with bridge_with(tmp_path, Limits(quotas={"otlp": 3 * ROW})) as bridge:
        interceptions(bridge, *range(1, 6))

        assert bodies(bridge) == [uuid(n).bytes for n in (3, 4, 5)]
        assert bridge.count("otelbridge.delivery.rejected", "otlp", "traces", "max_bytes") == 2
        assert bridge.journal.outbox.waiting_bytes("otlp") == 3 * ROW
        assert bridge.recording.books().are_balanced


@fault(13)
def test_a_dead_destination_s_limit_costs_the_live_one_nothing(tmp_path: Path) -> None:
    with bridge_with(tmp_path, Limits(quotas={"dead": 2 * ROW, "live": 10**9})) as bridge:
        bridge.teller.mask = 3
        interceptions(bridge, *range(1, 5))

        assert bodies(bridge, "dead") == [uuid(n).bytes for n in (3, 4)]
        assert bodies(bridge, "live") == [uuid(n).bytes for n in (1, 2, 3, 4)]
        assert bridge.count("otelbridge.delivery.rejected", "dead", "traces", "max_bytes") == 2
        assert bridge.count("otelbridge.delivery.rejected", "live", "traces", "max_bytes") == 0


def test_what_is_on_its_way_is_not_given_up(tmp_path: Path) -> None:
    with bridge_with(tmp_path, Limits(quotas={"otlp": 3 * ROW})) as bridge:
        interceptions(bridge, 1, 2)
        on_its_way = bridge.waiting()
        interceptions(bridge, 3, 4)

        assert bodies(bridge) == [uuid(n).bytes for n in (1, 2, 4)]
        assert [row.body for row in on_its_way] == [uuid(n).bytes for n in (1, 2)]
        assert bridge.deliver() == [uuid(n).bytes for n in (1, 2, 4)]
        assert bridge.recording.books().are_balanced


@fault(2, 16)
def test_content_goes_before_a_row_does(tmp_path: Path) -> None:
    limits = Limits(quotas={"otlp": 100}, with_content=frozenset({"otlp"}), take_out=take_out)
    with bridge_with(tmp_path, limits) as bridge:
        put(bridge, b"a|" + b"x" * 40, b"b|" + b"y" * 40)

        interceptions(bridge, 1, 2)

        assert bodies(bridge) == [b"a", b"b|" + b"y" * 40, uuid(1).bytes, uuid(2).bytes]
        assert bridge.count("otelbridge.content.shed", "otlp", "traces") >= 1
        assert bridge.count("otelbridge.delivery.rejected", "otlp", "traces", "max_bytes") == 0
        interceptions(bridge, *range(3, 10))
        assert bodies(bridge)[-1] == uuid(9).bytes
        assert sum(map(len, bodies(bridge))) <= 100
        assert bridge.count("otelbridge.delivery.rejected", "otlp", "traces", "max_bytes") > 0


def test_content_that_another_destination_waits_for_stays(tmp_path: Path) -> None:
    limits = Limits(
        quotas={"small": 60, "large": 10**6},
        with_content=frozenset({"small", "large"}),
        take_out=take_out,
    )
    with bridge_with(tmp_path, limits) as bridge:
        put(bridge, b"a|" + b"x" * 40, b"b|" + b"y" * 40, mask=3)

        interceptions(bridge, 1)

        assert bodies(bridge, "large")[:2] == [b"a|" + b"x" * 40, b"b|" + b"y" * 40]
        assert b"a|" not in b"".join(bodies(bridge, "small"))


def test_new_content_is_neither_told_nor_kept_while_a_limit_is_near(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits = Limits(quotas={"otlp": 100}, with_content=frozenset({"otlp"}), take_out=take_out)
    with bridge_with(tmp_path, limits) as bridge:
        seen = []
        for size in (80, 15, 0, 0):
            if size:
                put(bridge, b"x" * size)
            else:
                bridge.deliver()
            bridge.accept(prompt(size))
            seen.append((bridge.teller.spared, bridge.records.keep_content))

    assert seen == [(0, True), (1, False), (0, True), (0, True)]
    assert caplog.text.count("is told no content") == 1


def test_a_journal_without_content_keeps_none(tmp_path: Path) -> None:
    with bridge_with(tmp_path, Limits(quotas={"otlp": 100})) as bridge:
        bridge.accept(prompt(1))

        assert not bridge.records.keep_content


@pytest.fixture
def disk() -> Iterator[SimulatedDisk]:
    with SimulatedDisk() as disk:
        yield disk


def fill_up(bridge: Bridge, disk: SimulatedDisk) -> None:
    """Leave no space on a disk but the reserve."""
    assert bridge.journal.checkpoint()
    disk.extra_bytes += disk.free_bytes()


@fault(16)
def test_on_a_full_disk_the_oldest_is_given_up_and_no_call_is_refused(
    tmp_path: Path, disk: SimulatedDisk, caplog: pytest.LogCaptureFixture
) -> None:
    disk.capacity = 12 * MIB
    with bridge_with(tmp_path, Limits(quotas={"otlp": 10**9}), disk) as bridge:
        for _ in range(40):
            put(bridge, os.urandom(64 * 1024))
        fill_up(bridge, disk)

        for number in range(1, 800):
            assert bridge.accept(started(number), ended(number)) == [None, None]
            if number % 10 == 0:
                bridge.advance(7)

        given_up = bridge.count("otelbridge.delivery.rejected", "otlp", "traces", "disk_full")
        assert isinstance(given_up, int)
        assert 0 < given_up < 40
        assert bridge.recording.books().are_balanced
        assert bridge.recording.books().are_balanced
    assert "the reserve is given back" in caplog.text


@fault(16)
def test_the_journal_recovers_when_there_is_space_again(
    tmp_path: Path, disk: SimulatedDisk, caplog: pytest.LogCaptureFixture
) -> None:
    disk.capacity = 6 * MIB
    limits = Limits(quotas={"otlp": 10**9}, with_content=frozenset({"otlp"}), take_out=take_out)
    with bridge_with(tmp_path, limits, disk) as bridge, caplog.at_level(logging.INFO):
        put(bridge, *(b"%d|" % n + os.urandom(32 * 1024) for n in range(8)))
        fill_up(bridge, disk)
        number = 0
        while not bridge.recording.stats(["otlp"]).disk_is_full:
            number += 1
            bridge.accept(*(started(1000 * number + n) for n in range(200)))
        bridge.accept(prompt(1))
        during = (bridge.teller.spared, bridge.records.keep_content)

        disk.capacity = None
        bridge.recording.tend()
        bridge.accept(prompt(2))

        assert during == (1, False)
        assert (bridge.teller.spared, bridge.records.keep_content) == (0, True)
        assert not bridge.recording.stats(["otlp"]).disk_is_full
        assert bridge.journal.reserve.is_held
    assert "the disk has space again" in caplog.text


@fault(16)
def test_a_call_is_refused_only_when_there_is_nothing_left_to_give_up(
    tmp_path: Path, disk: SimulatedDisk
) -> None:
    disk.capacity = 4 * MIB
    with bridge_with(tmp_path, Limits(quotas={"otlp": 10**9}), disk) as bridge:
        fill_up(bridge, disk)
        accepted = 0
        with suppress(JournalFullError):
            while accepted < 100:
                bridge.accept(*(started(10_000 * accepted + n) for n in range(1, 1001)))
                accepted += 1
        before = len(bridge.assembler)

        disk.capacity = None
        outcomes = bridge.accept(started(1))

        assert 0 < accepted < 100
        assert before == accepted * 1000
        assert outcomes == [None]
        assert bridge.recording.books().are_balanced


@fault(16)
def test_a_full_disk_makes_old_interceptions_forgotten_before_anything_is_lost(
    tmp_path: Path, disk: SimulatedDisk
) -> None:
    with bridge_with(tmp_path, Limits(quotas={"otlp": 10**9}), disk) as bridge:
        for number in range(1, 300):
            bridge.accept(started(number), ended(number))
        bridge.advance(7)
        bridge.deliver()
        bridge.now_s += 7200
        disk.capacity = 64 * MIB
        fill_up(bridge, disk)
        before = rows_in(bridge.journal, "closed")

        bridge.accept(*(started(number) for number in range(1000, 1200)))

        assert before == [(299,)]
        assert rows_in(bridge.journal, "closed") == [(0,)]
        assert bridge.count("otelbridge.delivery.rejected", "otlp", "traces", "disk_full") == 0


def test_a_damaged_row_is_counted_and_the_books_agree(tmp_path: Path) -> None:
    with bridge_with(tmp_path, Limits(quotas={"otlp": 10**9})) as bridge:
        interceptions(bridge, 1, 2, 3)
        bridge.reopen()
        bridge.journal._database.execute("UPDATE outbox SET body = x'FF' WHERE seq = 2")  # noqa: SLF001

        delivered = bridge.deliver()

        assert delivered == [uuid(1).bytes, uuid(3).bytes]
        assert bridge.count("otelbridge.delivery.rejected", "otlp", "traces", "damaged") == 1
        assert bridge.recording.books().are_balanced
        assert rows_in(bridge.journal, "quarantine", "source, seq") == [("outbox", 2)]
