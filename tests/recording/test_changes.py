"""Changes that are no record go the way of the commits: followed in their order, and waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from otelbridge.core.core import Core
from otelbridge.domain.assembler import Assembler
from otelbridge.domain.ledger import Ledger
from otelbridge.domain.ports import OutboxRow, Signal
from otelbridge.errors import JournalError, JournalFullError
from otelbridge.journal import SqliteJournal
from otelbridge.journal.dead_letters import Selection
from otelbridge.journal.subscriptions import Subscription
from otelbridge.recording import (
    GroupCommit,
    Limits,
    Recording,
    Result,
)
from otelbridge.recording.dead_letters import Moved
from tests.recording.in_thread import InThread
from tests.recording.recordings import Given
from tests.records import T0
from tests.sinks import MemoryTeller

TRACES = frozenset({"traces"})
DELIVERED = ("otelbridge.delivery.delivered", ("a", "traces"))


class Bench:
    """A group commit over a real journal.

    Attributes:
        applied: What every commit has done, in the order in which it was followed.
        failures: What ended it.
        changed: Set with every commit.
    """

    def __init__(self, path: Path) -> None:
        self.applied: list[Result] = []
        self.failures: list[JournalError] = []
        self.changed = asyncio.Event()
        journal = SqliteJournal(path)
        journal.subscribe([Subscription(name="a", variant="v")], now_ns=T0)
        recording = Recording(
            journal,
            Assembler(grace_s=0, max_age_s=3600),
            Ledger(),
            MemoryTeller(),
            read=Given().read,
            clock_ns=lambda: T0,
            dedup_s=60,
            limits=Limits(quotas={"a": 10**9}),
        )
        recording.replay(lambda _: pytest.fail("there are no records"))
        self.core = InThread(Core(recording, journal, takes={"a": TRACES}))
        self.commits = GroupCommit(
            self.core,
            apply=self._apply,
            destinations=["a"],
            clock_ns=lambda: T0,
            on_failure=self.failures.append,
        )

    def _apply(self, result: Result) -> None:
        self.applied.append(result)
        self.changed.set()

    async def bury(self, *bodies: bytes) -> None:
        for seq, body in enumerate(bodies, 1):
            self.commits.bury("a", Signal.TRACES, OutboxRow(seq, 1, body), reason="http_400")
        await self.commits.flush()

    async def resend(self) -> Moved:
        return await self.commits.change(self.core.resend_letters(Selection()))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path / "journal.db")
    yield bench
    await bench.commits.stop()


async def read(bench: Bench, after: int = 0) -> list[bytes]:
    rows = await bench.commits.read("a", Signal.TRACES, limit=9, max_bytes=999, after=after)
    return [row.body for row in rows]


async def test_what_is_told_again_wakes_its_lane(bench: Bench) -> None:
    await bench.bury(b"x")
    assert await read(bench) == []
    waiting = asyncio.create_task(bench.commits.wait("a", Signal.TRACES))

    moved = await bench.resend()
    async with asyncio.timeout(5):
        await waiting

    assert moved.letters == 1
    assert await read(bench) == [b"x"]


async def test_commits_and_changes_are_followed_in_the_order_in_which_they_were_made(
    bench: Bench,
) -> None:
    for _ in range(20):
        bench.commits.count("otelbridge.delivery.delivered", "a", "traces")
        change = asyncio.create_task(bench.resend())
        await bench.commits.flush()
        await change

    totals = [each.series[DELIVERED].value for each in bench.applied if DELIVERED in each.series]
    assert totals == list(range(1, 21))


@pytest.mark.parametrize(
    ("error", "fails"), [(JournalFullError("full"), False), (JournalError("broken"), True)]
)
async def test_a_change_that_cannot_be_made_is_an_error_and_a_broken_disk_the_end(
    bench: Bench, error: JournalError, *, fails: bool
) -> None:
    failed: asyncio.Future[Moved] = asyncio.get_running_loop().create_future()
    failed.set_exception(error)

    with pytest.raises(JournalError) as raised:
        await bench.commits.change(failed)

    assert raised.value is error
    assert bench.failures == [error] * fails


async def test_rows_under_way_are_left_out_of_what_is_read_ahead(bench: Bench) -> None:
    await bench.bury(b"1", b"2", b"3")
    await bench.resend()
    rows = await bench.commits.read("a", Signal.TRACES, limit=9, max_bytes=999)

    assert await read(bench, after=rows[1].seq) == [b"3"]
    bench.commits.acknowledge("a", Signal.TRACES, through=rows[2].seq)
    assert await read(bench, after=rows[0].seq) == []


async def test_rows_that_were_taken_go_although_nothing_else_is_committed(bench: Bench) -> None:
    for _ in range(3):
        await bench.bury(*[b"x"] * 250)
        await bench.resend()
    rows = await bench.commits.read("a", Signal.TRACES, limit=999, max_bytes=10**6)
    bench.commits.acknowledge("a", Signal.TRACES, through=rows[-1].seq)

    async with asyncio.timeout(10):
        while not bench.applied[-1].has_more:
            await bench.commits.flush()
        while bench.applied[-1].has_more:
            bench.changed.clear()
            await bench.changed.wait()

    assert len(rows) == 750
