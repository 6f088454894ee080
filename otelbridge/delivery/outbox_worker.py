"""Delivers one signal's outbox to one destination: read, export, acknowledge."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from otelbridge.delivery.backoff import Backoff
from otelbridge.delivery.batches import BatchSize
from otelbridge.delivery.outcomes import Ok, Retry, TooLarge
from otelbridge.delivery.sifting import Sifting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelbridge.delivery.lane import Lane
    from otelbridge.delivery.outcomes import Refused
    from otelbridge.delivery.requests import Envelope
    from otelbridge.domain.ports import Outbox, OutboxRow

#: More rows in a row than this, each refused by itself, are no coincidence: the
#: destination refuses everything, and burying all of a backlog at full speed
#: would help nobody.
_COINCIDENCES = 8
#: RESOURCE_EXHAUSTED is also what a server says that takes no more for now. A row
#: of less than a MiB is tried again so often before it is taken for too large.
_DOUBTS = 3
_SURELY_LARGE = 1024 * 1024
# From a request to the next where nothing was left to be read between them, in seconds: one
# costs as much as a dozen rows. What comes after a silence is sent at once.
_LINGER_S = 0.1


class OutboxWorker:
    """Delivers rows in their order; a row is acknowledged once it was taken or buried.

    One request is under way at a time; behind a full one the next rows are read
    meanwhile. A request that failed, or was cut after the destination had it, is
    sent again: the same rows, byte for byte, with the same span ids.
    """

    def __init__(self, lane: Lane, *, outbox: Outbox, envelope: Envelope) -> None:
        self._lane = lane
        self._outbox = outbox
        self._envelope = envelope
        self._size = BatchSize()
        self._ahead: asyncio.Task[list[OutboxRow]] | None = None
        self._again: Sequence[OutboxRow] = ()
        self._buried = 0
        self._doubts = 0
        self._began_s = lane.timing.elapsed_s() - _LINGER_S
        self._pace = Backoff(lane.timing)

    async def run(self) -> None:
        """Deliver until draining has begun and nothing is left, or a try fails."""
        try:
            await self._lane.repeat(self._step)
        finally:
            self._forget_ahead()

    async def _step(self) -> bool:
        rows = await self._rows()
        if rows:
            return await self._tell(rows)
        if not self._lane.is_draining:
            destination, signal = self._lane.destination, self._lane.signal
            await self._lane.until_draining(self._outbox.wait(destination, signal))
            await self._linger()
            return True
        return False

    async def _rows(self) -> Sequence[OutboxRow]:
        again, self._again = self._again, ()
        ahead, self._ahead = self._ahead, None
        return again or await (self._read() if ahead is None else ahead)

    async def _read(self, *, after: int = 0) -> list[OutboxRow]:
        return await self._outbox.read(
            self._lane.destination,
            self._lane.signal,
            limit=self._size.rows,
            max_bytes=self._size.max_bytes,
            after=after,
        )

    async def _tell(self, rows: Sequence[OutboxRow]) -> bool:
        if self._size.is_full(rows):
            self._ahead = asyncio.create_task(self._read(after=rows[-1].seq))
        self._began_s = self._lane.timing.elapsed_s()
        outcome = await self._lane.export(self._envelope.wrap([row.body for row in rows]))
        if isinstance(outcome, Ok):
            self._take(rows, outcome)
            return True
        self._forget_ahead()
        if isinstance(outcome, Retry):
            self._again = rows
            return await self._wait_after(outcome)
        if len(rows) == 1:
            return await self._doubt(rows[0], outcome)
        if isinstance(outcome, TooLarge):
            self._size.too_large(rows, is_certain=outcome.is_certain)
        else:
            self._size.refused(rows)
        return True

    async def _linger(self) -> None:
        """Let more rows gather, unless the last request was a while ago."""
        left_s = self._began_s + _LINGER_S - self._lane.timing.elapsed_s()
        if left_s > 0 and not self._lane.is_draining:
            await self._lane.rest(left_s)

    def _forget_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead.cancel()
            self._ahead = None

    async def _wait_after(self, failure: Retry) -> bool:
        delay_s = self._lane.failed(failure)
        if self._lane.is_draining:
            return False
        await self._lane.rest(delay_s)
        return True

    def _take(self, rows: Sequence[OutboxRow], answer: Ok) -> None:
        self._acknowledge(rows[-1])
        self._lane.delivered(sum(row.items for row in rows), answer)
        self._size.taken(rows)
        self._trust()

    def _trust(self) -> None:
        """Note that the destination takes something."""
        self._buried = self._doubts = 0
        self._pace.reset()

    async def _doubt(self, row: OutboxRow, outcome: Refused | TooLarge) -> bool:
        """Sift a row that was refused by itself, once it is clear that it is for the row."""
        is_clear = not isinstance(outcome, TooLarge) or outcome.is_certain
        if is_clear or len(row.body) >= _SURELY_LARGE or self._doubts == _DOUBTS:
            return await self._sift(row, outcome)
        self._doubts += 1
        self._again = [row]
        return await self._wait_after(Retry(reason=outcome.reason, message=outcome.message))

    async def _sift(self, row: OutboxRow, outcome: Refused | TooLarge) -> bool:
        """Deliver what is taken of a row and bury the rest."""
        sifting = Sifting(row, outcome)
        while bodies := sifting.next():
            answer = await self._lane.export(self._envelope.wrap(bodies))
            if not isinstance(answer, Retry):
                sifting.answered(answer)
            elif not await self._wait_after(answer):
                return False  # the row is told anew, as a whole, after the next start
        self._acknowledge(row)
        for items, ok in sifting.taken:
            self._lane.delivered(items, ok)
        for refusal, bodies in sifting.refused:
            self._bury(row, refusal, bodies)
        self._size.buried()
        self._doubts = 0
        if sifting.taken:
            self._trust()
        return not sifting.refused or await self._slow_down(sifting.refused[-1][0])

    def _bury(self, row: OutboxRow, outcome: Refused | TooLarge, bodies: Sequence[bytes]) -> None:
        lane, body = self._lane, b"".join(bodies)
        letter = row._replace(items=len(bodies), body=body)
        self._outbox.bury(lane.destination, lane.signal, letter, reason=str(outcome))
        lane.buried(len(bodies), outcome.reason)
        lane.log(f"{len(bodies)} items of {len(body)} bytes became a dead letter: {outcome}")

    async def _slow_down(self, outcome: Refused | TooLarge) -> bool:
        """Wait if one row after the other was refused."""
        self._buried += 1
        if self._buried <= _COINCIDENCES:
            return True
        self._lane.health.failed(f"refuses everything: {outcome}")
        if self._lane.is_draining:
            return False
        await self._lane.rest(self._pace.next_delay_s())
        return True

    def _acknowledge(self, row: OutboxRow) -> None:
        self._outbox.acknowledge(self._lane.destination, self._lane.signal, through=row.seq)
