"""Group commit: the loop collects, the core commits, one wake-up answers all.

A commit starts at once when the journal is idle, and at most once a pace when
it is busy: the batches that build up meanwhile make durability cheap. Under
load the next one starts before the callers of the last one are answered, so
that the core does not wait for that.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from otelbridge.errors import (
    CoreLostError,
    JournalDamagedError,
    JournalError,
    JournalFullError,
    UnavailableError,
)
from otelbridge.journal.transaction import Buried
from otelbridge.recording.values import JournalStats, Result, Side, Submission

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from otelbridge.domain.ledger import Changes
    from otelbridge.domain.ports import OutboxRow, Signal
    from otelbridge.recording.dead_letters import Moved
    from otelbridge.recording.port import Core

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

# Between the starts of two commits under load, in seconds; the longer one after
# a large batch, when its cost is worth sharing: docs/performance.md.
_PACE_S = 0.005
_LONG_PACE_S = 0.01
_LARGE_BATCH = 64
# How often it is looked whether something is due, in seconds.
_TICK_S = 0.1
# Counts that nobody waits for are committed this often, in ticks.
_SIDE_TICKS = 10
_PRUNE_TICKS = 600
# One commit at most: bounds the memory that its blob takes.
_MAX_BATCH = 2000
_MAX_BATCH_BYTES = 32 * 1024 * 1024
# A fault that hits every commit must not fill the disk with log lines.
_LOG_EVERY_S = 10.0
_REFUSAL = "the journal cannot commit, try again later"


class GroupCommit:
    """The way into the journal for everything that runs in the event loop.

    Implements `otelbridge.servicers.recorder.RecordSink` and
    `otelbridge.domain.ports.Outbox`.

    Args:
        core: The use case and the journal; closed by `stop`.
        apply: Called in the loop with what a commit has done, before anybody is answered.
        destinations: Their names.
        clock_ns: The bridge's clock.
        on_failure: Called in the loop once if the disk fails. Nothing can be
            acknowledged any more: the process must end.

    Attributes:
        stats: The journal, about a second ago.
        booking: Called once a second to hand over counts that nobody waits for.
    """

    def __init__(
        self,
        core: Core,
        *,
        apply: Callable[[Result], None],
        destinations: Iterable[str],
        clock_ns: Callable[[], int],
        on_failure: Callable[[JournalError], None],
    ) -> None:
        self._core = core
        self._apply = apply
        self._destinations = tuple(destinations)
        self._clock_ns = clock_ns
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[Submission, asyncio.Future[None]]] = []
        self._side = Side()
        self._ticks = 0
        self._scheduled = False
        self._last_start_s = 0.0
        self._pace_s = _PACE_S
        self._next_deadline_ns: int | None = 0
        self._has_more = False
        self._readable: dict[Signal, list[asyncio.Event]] = defaultdict(list)
        self._events: dict[tuple[str, Signal], asyncio.Event] = {}
        self._taken: dict[tuple[str, Signal], int] = {}
        self._upkeep: asyncio.Task[None] | None = None
        self.stats = JournalStats()
        self.booking: list[Callable[[Changes], None]] = []
        self._logged_at_s = -_LOG_EVERY_S
        self._failure: JournalError | None = None
        self._is_refusing = False
        self._is_draining = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._timer = self._loop.call_later(_TICK_S, self._tick)

    @property
    def can_commit(self) -> bool:
        """Whether the last commit succeeded."""
        return not self._is_refusing

    def record(self, submission: Submission) -> asyncio.Future[None]:
        """Return what is done when the record is durable.

        Its error is an AlreadyExistsError if a different start was recorded
        under its id.

        Raises:
            UnavailableError: If nothing can be committed any more; as the
                future's error, if this record could not be.
        """
        if self._failure is not None:
            raise UnavailableError(_REFUSAL)
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((submission, future))
        if not self._scheduled:
            self._schedule()
        return future

    def count(self, instrument: str, *values: str, amount: int = 1) -> None:
        """Add to a counter of the ledger; visible with the next commit."""
        self._side.changes.count(instrument, *values, amount=amount)

    async def read(
        self, destination: str, signal: Signal, *, limit: int, max_bytes: int, after: int = 0
    ) -> list[OutboxRow]:
        """Return a destination's oldest rows; see `otelbridge.domain.ports.Outbox.read`."""
        event = self._event(destination, signal)
        event.clear()
        # What was acknowledged need not be committed yet.
        after = max(after, self._taken.get((destination, signal), 0))
        found = self._core.read(destination, signal, after=after, limit=limit, max_bytes=max_bytes)
        try:
            rows = await self.run(found)
        except (CoreLostError, JournalDamagedError):
            return []  # nothing can be read any more: the process is about to end
        if rows:
            event.set()
        return rows

    async def wait(self, destination: str, signal: Signal) -> None:
        """Return when there may be rows to read."""
        await self._event(destination, signal).wait()

    def acknowledge(self, destination: str, signal: Signal, *, through: int) -> None:
        """Note how far a destination has taken the outbox; durable with the next commit."""
        self._side.progress[destination, signal] = self._taken[destination, signal] = through

    def bury(self, destination: str, signal: Signal, row: OutboxRow, *, reason: str) -> None:
        """Keep a row that a destination refuses for good as a dead letter."""
        self._side.buried.append(Buried(destination, signal, row, reason))

    def store_metrics(self, destination: str, base: str) -> None:
        """Store what a destination acknowledged of the metrics; durable with the next commit."""
        self._side.metrics[destination] = base

    async def run(self, asked: Awaitable[_T]) -> _T:
        """Return what the core was asked.

        Raises:
            CoreLostError: If there is no core any more.
            JournalDamagedError: If the journal cannot be read. As after a
                CoreLostError, nothing can be acknowledged any more.
        """
        try:
            return await asked
        except (CoreLostError, JournalDamagedError) as error:
            self._fail(error)
            raise

    async def change(self, asked: asyncio.Future[Moved]) -> Moved:
        """Return what the core was asked to change, which it commits by itself.

        Raises:
            JournalError: If it could not commit.
        """
        answer: asyncio.Future[Moved] = self._loop.create_future()
        # What a commit has done is followed in the order of the commits, whoever waits.
        asked.add_done_callback(partial(self._changed, answer))
        return await answer

    async def flush(self) -> None:
        """Return when everything that was handed in before is committed.

        To be called at the end: a backlog that has not been read is left for the next start.
        """
        self._is_draining = True
        for book in self.booking:
            book(self._side.changes)
        for _ in range(2):  # what is under way, then what was handed in
            await self._idle.wait()
            if self._failure is not None or not (self._waiting or self._side):
                return
            if not self._scheduled:
                self._schedule()
        await self._idle.wait()

    async def stop(self) -> None:
        """Commit what waits, close the journal and end the thread."""
        self._timer.cancel()
        if self._upkeep is not None:
            await self._upkeep
        await self.flush()
        try:
            await self.run(self._core.close())
        except JournalError as error:
            logger.error("journal: %s", error)

    def _event(self, destination: str, signal: Signal) -> asyncio.Event:
        event = self._events.get((destination, signal))
        if event is None:
            event = self._events[destination, signal] = asyncio.Event()
            event.set()
            self._readable[signal].append(event)
        return event

    async def _keep_up(self) -> None:
        """Look at the disk and the journal; forget what is too old."""
        try:
            await self.run(self._core.tend())
            if self._ticks % _PRUNE_TICKS == 0:
                await self.run(self._core.prune())
            self.stats = await self.run(self._core.stats(self._destinations))
        except (JournalError, sqlite3.Error) as error:
            logger.error("journal: upkeep failed, trying again: %s", error)
        finally:
            self._upkeep = None

    def _schedule(self) -> None:
        self._scheduled = True
        self._idle.clear()
        at_s = max(self._loop.time(), self._last_start_s + self._pace_s)
        self._loop.call_at(at_s, self._start)

    def _start(self) -> None:
        batch = self._next_batch()
        side, self._side = self._side, Side()
        self._last_start_s = self._loop.time()
        self._pace_s = _LONG_PACE_S if len(batch) > _LARGE_BATCH else _PACE_S
        submissions = [submission for submission, _ in batch]
        futures = [future for _, future in batch]
        done = self._core.commit(submissions, side)
        done.add_done_callback(partial(self._finish, futures, side))

    def _next_batch(self) -> list[tuple[Submission, asyncio.Future[None]]]:
        size = 0
        for number, (submission, _) in enumerate(self._waiting, 1):
            size += len(submission.raw)
            if number == _MAX_BATCH or size >= _MAX_BATCH_BYTES:
                break
        else:
            number = len(self._waiting)
        batch, self._waiting = self._waiting[:number], self._waiting[number:]
        return batch

    def _finish(
        self, futures: list[asyncio.Future[None]], side: Side, done: asyncio.Future[Result]
    ) -> None:
        self._scheduled = False
        error = done.exception()
        if error is not None:
            self._failed(futures, side, error)
        else:
            self._succeeded(futures, done.result())
        if self._scheduled:
            return
        goes_on = self._next_deadline_ns == 0 and not self._is_draining
        if self._waiting or (goes_on and not self._is_refusing):
            self._schedule()
        else:
            self._idle.set()

    def _succeeded(self, futures: list[asyncio.Future[None]], result: Result) -> None:
        self._is_refusing = False
        if self._waiting and self._loop.time() >= self._last_start_s + self._pace_s:
            self._scheduled = True
            self._start()  # the core need not wait until all are answered
        self._follow(result)
        for future, outcome in zip(futures, result.outcomes, strict=True):
            _answer(future, outcome)

    def _follow(self, result: Result) -> None:
        self._next_deadline_ns = result.next_deadline_ns
        self._has_more = result.has_more
        self._apply(result)
        for signal in result.told:
            for event in self._readable[signal]:
                event.set()

    def _changed(self, answer: asyncio.Future[Moved], asked: asyncio.Future[Moved]) -> None:
        error = asked.exception()
        if error is None:
            moved = asked.result()
            self._follow(moved.result)
            if not answer.done():
                answer.set_result(moved)
            return
        if isinstance(error, JournalError) and not isinstance(error, JournalFullError):
            self._fail(error)
        _answer(answer, error)

    def _failed(
        self, futures: list[asyncio.Future[None]], side: Side, error: BaseException
    ) -> None:
        self._is_refusing = True
        if self._loop.time() - self._logged_at_s >= _LOG_EVERY_S:
            self._logged_at_s = self._loop.time()
            fault = None if isinstance(error, JournalError) else error
            logger.error("records are refused: %s", error, exc_info=fault)
        answer = UnavailableError(_REFUSAL)
        for future in futures:
            _answer(future, answer)
        newer, self._side = self._side, side  # kept for the next commit
        self._hand_in(newer)
        if isinstance(error, JournalError) and not isinstance(error, JournalFullError):
            self._fail(error)

    def _fail(self, error: JournalError) -> None:
        """Acknowledge nothing any more."""
        self._is_refusing = True
        if self._failure is None:
            self._failure = error
            self._on_failure(error)

    def _hand_in(self, more: Side) -> None:
        """Add to what will be committed and is waited for by nobody."""
        self._side.changes.merge(more.changes)
        for lane, through in more.progress.items():
            self._side.progress[lane] = max(through, self._side.progress.get(lane, 0))
        self._side.metrics.update(more.metrics)
        self._side.buried.extend(more.buried)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(_TICK_S, self._tick)
        self._ticks += 1
        if self._ticks % _SIDE_TICKS == 0 and self._upkeep is None:
            self._upkeep = self._loop.create_task(self._keep_up())
        if self._ticks % _SIDE_TICKS == 0:
            for book in self.booking:
                book(self._side.changes)
        deadline = self._next_deadline_ns
        due = deadline is not None and deadline <= self._clock_ns()
        side = self._side.progress or (self._side and self._ticks % _SIDE_TICKS == 0)
        if (due or side or self._has_more) and not self._scheduled and self._failure is None:
            self._schedule()


def _answer(future: asyncio.Future[Any], outcome: BaseException | None) -> None:
    if future.done():  # the caller has gone; its record is durable all the same
        return
    if outcome is None:
        future.set_result(None)
    else:
        future.set_exception(outcome)
