"""Group commit: the loop collects, the core commits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from otelbridge.core.core import Core
from otelbridge.domain.assembler import Assembler
from otelbridge.domain.ledger import Ledger
from otelbridge.domain.ports import Signal
from otelbridge.domain.records import Record
from otelbridge.errors import (
    AlreadyExistsError,
    JournalError,
    JournalFullError,
    UnavailableError,
)
from otelbridge.journal import SqliteJournal
from otelbridge.journal.subscriptions import Subscription
from otelbridge.recording import GroupCommit, JournalStats, Recording, Result, Side, Submission
from tests.recording.in_thread import InThread
from tests.recording.recordings import Given
from tests.records import T0, S, ended, started, tokens
from tests.sinks import MemoryTeller


class Gate(Recording):
    """A recording whose commits can be held up and made to fail.

    Attributes:
        open: Commits wait for it.
        error: Raised by the next commits.
        sizes: Number of records in each commit.
    """

    open: threading.Event
    error: JournalError | None
    sizes: list[int]

    def commit(self, batch: list[Submission], side: Side) -> Result:
        self.open.wait(10)
        if self.error is not None:
            raise self.error
        self.sizes.append(len(batch))
        return super().commit(batch, side)


class Fixture:
    """A group commit over a real journal."""

    def __init__(self, path: Path) -> None:
        self.now_s = 100.0
        self.failures: list[JournalError] = []
        self.applied: list[Result] = []
        self.journal = SqliteJournal(path)
        self.journal.subscribe([Subscription(name="otlp", variant="v")], now_ns=T0)
        self.ledger = Ledger()
        self.given = Given()
        self.recording = Gate(
            self.journal,
            Assembler(grace_s=0, max_age_s=3600),
            self.ledger,
            MemoryTeller(),
            read=self.given.read,
            clock_ns=self.clock_ns,
            dedup_s=60,
        )
        self.recording.open, self.recording.error = threading.Event(), None
        self.recording.sizes = []
        self.recording.open.set()
        self.commit = GroupCommit(
            InThread(Core(self.recording, self.journal)),
            apply=self.applied.append,
            destinations=["otlp"],
            clock_ns=self.clock_ns,
            on_failure=self.failures.append,
        )

    def clock_ns(self) -> int:
        return T0 + int(self.now_s * S)

    async def record(self, record: Record) -> None:
        await self.commit.record(self.given.submit(record))


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[Fixture]:
    fixture = Fixture(tmp_path / "journal.db")
    yield fixture
    fixture.recording.error = None
    await fixture.commit.stop()


async def test_a_record_is_answered_after_its_commit_and_not_before(bridge: Fixture) -> None:
    bridge.recording.open.clear()
    call = asyncio.ensure_future(bridge.record(started()))
    done, _ = await asyncio.wait([call], timeout=0.05)

    bridge.recording.open.set()
    await call

    assert done == set()
    assert bridge.recording.sizes == [1]


async def test_records_that_arrive_during_a_commit_share_the_next_one(bridge: Fixture) -> None:
    bridge.recording.open.clear()
    calls = [asyncio.ensure_future(bridge.record(started(1)))]
    await asyncio.sleep(0)
    calls += [asyncio.ensure_future(bridge.record(tokens(1, at_s=s))) for s in range(50)]
    await asyncio.sleep(0)

    bridge.recording.open.set()
    await asyncio.gather(*calls)

    assert sum(bridge.recording.sizes) == 51
    assert len(bridge.recording.sizes) <= 2


async def test_one_refused_record_does_not_fail_its_neighbours(bridge: Fixture) -> None:
    outcomes = await asyncio.gather(
        bridge.record(started(1)),
        bridge.record(started(1, model="other")),
        bridge.record(started(2)),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), AlreadyExistsError, type(None)]


async def test_a_full_disk_refuses_records_until_there_is_space(bridge: Fixture) -> None:
    bridge.recording.error = JournalFullError("full")
    bridge.commit.count("side")
    with pytest.raises(UnavailableError):
        await bridge.record(started())

    bridge.recording.error = None
    await bridge.record(started())

    assert bridge.failures == []
    assert bridge.ledger.snapshot()["side", ()].value == 1


async def test_a_failed_disk_ends_the_process_and_acknowledges_nothing_more(
    bridge: Fixture,
) -> None:
    bridge.recording.error = JournalError("the journal cannot commit: disk I/O error")
    with pytest.raises(UnavailableError):
        await bridge.record(started())

    bridge.recording.error = None
    with pytest.raises(UnavailableError):
        await bridge.record(started())

    assert len(bridge.failures) == 1
    assert not bridge.commit.can_commit


async def test_a_caller_that_has_gone_loses_nothing(bridge: Fixture) -> None:
    bridge.recording.open.clear()
    call = asyncio.ensure_future(bridge.record(started()))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait([call])

    bridge.recording.open.set()
    await bridge.record(tokens())

    assert sum(bridge.recording.sizes) == 2


async def test_what_is_told_wakes_its_reader_and_is_not_read_again_once_acknowledged(
    bridge: Fixture,
) -> None:
    outbox = bridge.commit
    assert await outbox.read("otlp", Signal.TRACES, limit=9, max_bytes=999) == []
    for record in (started(), ended(at_s=100)):
        await bridge.record(record)

    await asyncio.wait_for(outbox.wait("otlp", Signal.TRACES), 5)
    rows = await outbox.read("otlp", Signal.TRACES, limit=9, max_bytes=999)
    outbox.acknowledge("otlp", Signal.TRACES, through=rows[-1].seq)

    assert len(rows) == 1
    assert await outbox.read("otlp", Signal.TRACES, limit=9, max_bytes=999) == []


async def test_stop_commits_what_waits(bridge: Fixture, tmp_path: Path) -> None:
    call = asyncio.ensure_future(bridge.record(started()))
    bridge.commit.count("side")
    await asyncio.sleep(0)

    await bridge.commit.stop()

    await call
    again = SqliteJournal(tmp_path / "journal.db")
    assert again.ledger.series()["side", ()].value == 1
    assert again.batches.load() == 1
    bridge.journal = again
    bridge.commit = GroupCommit(
        InThread(Core(bridge.recording, again)),
        apply=bridge.applied.append,
        destinations=[],
        clock_ns=bridge.clock_ns,
        on_failure=bridge.failures.append,
    )


DONE = Result([None], {}, None, series={}, usage={}, admitted={}, active={})


class ByHand:
    """A core whose commits the test answers.

    Attributes:
        commits: The answers to commits, in the order in which they were asked for.
        asked: Set with the first of them.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.commits: list[asyncio.Future[Result]] = []

    def commit(self, batch: list[Submission], side: Side) -> asyncio.Future[Result]:
        assert batch or side
        self.commits.append(asyncio.get_running_loop().create_future())
        self.asked.set()
        return self.commits[-1]

    async def tend(self) -> None:
        pass

    async def prune(self) -> None:
        pass

    async def stats(self, _destinations: object) -> JournalStats:
        return JournalStats()

    async def close(self) -> None:
        pass


async def test_under_load_the_next_commit_does_not_wait_for_the_callers_of_the_last() -> None:
    core, given = ByHand(), Given()
    commit = GroupCommit(
        core,  # type: ignore[arg-type]  # coroutines will do
        apply=lambda _: None,
        destinations=[],
        clock_ns=lambda: T0,
        on_failure=lambda error: pytest.fail(str(error)),
    )
    started_by_then: list[int] = []
    first = commit.record(given.submit(started(1)))
    first.add_done_callback(lambda _: started_by_then.append(len(core.commits)))
    await core.asked.wait()
    second = commit.record(given.submit(started(2)))
    await asyncio.wait([first, second], timeout=0.02)  # longer than commits are apart

    core.commits[0].set_result(DONE)
    await first
    core.commits[1].set_result(DONE)
    await second
    await commit.stop()

    assert started_by_then == [2]
    assert len(core.commits) == 2
