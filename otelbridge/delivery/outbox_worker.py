"""Delivers one signal's outbox to one destination: read, export, acknowledge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.delivery.backoff import Backoff
from otelbridge.delivery.batches import BatchSize
from otelbridge.delivery.outcomes import Ok, Retry, TooLarge

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


class OutboxWorker:
    """Delivers rows in their order; a row is acknowledged once it was taken or buried.

    A request that was cut after the destination had it is sent again: the same
    rows, byte for byte, with the same span ids.
    """

    def __init__(self, lane: Lane, *, outbox: Outbox, envelope: Envelope) -> None:
        self._lane = lane
        self._outbox = outbox
        self._envelope = envelope
        self._size = BatchSize()
        self._buried = 0
        self._pace = Backoff(lane.timing)

    async def run(self) -> None:
        """Deliver until draining has begun and nothing is left, or a try fails."""
        await self._lane.repeat(self._step)

    async def _step(self) -> bool:
        destination, signal = self._lane.destination, self._lane.signal
        rows = await self._outbox.read(
            destination, signal, limit=self._size.rows, max_bytes=self._size.max_bytes
        )
        if rows:
            return await self._tell(rows)
        if not self._lane.is_draining:
            await self._lane.until_draining(self._outbox.wait(destination, signal))
            return True
        return False

    async def _tell(self, rows: Sequence[OutboxRow]) -> bool:
        outcome = await self._lane.export(self._envelope.wrap([row.body for row in rows]))
        if isinstance(outcome, Retry):
            return await self._wait_after(outcome)
        if isinstance(outcome, Ok):
            self._take(rows, outcome)
            return True
        if len(rows) == 1:
            return await self._bury(rows[0], outcome)
        if isinstance(outcome, TooLarge):
            self._size.too_large(rows)
        else:
            self._size.refused(rows)
        return True

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
        self._buried = 0
        self._pace.reset()

    async def _bury(self, row: OutboxRow, outcome: Refused | TooLarge) -> bool:
        lane = self._lane
        self._outbox.bury(lane.destination, lane.signal, row, reason=str(outcome))
        self._acknowledge(row)
        lane.rejected(row.items, outcome.reason)
        lane.log(f"a row of {len(row.body)} bytes became a dead letter: {outcome}")
        self._size.buried()
        self._buried += 1
        if self._buried <= _COINCIDENCES:
            return True
        lane.health.failed(f"refuses everything: {outcome}")
        if lane.is_draining:
            return False
        await lane.rest(self._pace.next_delay_s())
        return True

    def _acknowledge(self, row: OutboxRow) -> None:
        self._outbox.acknowledge(self._lane.destination, self._lane.signal, through=row.seq)
