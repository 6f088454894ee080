"""Tells one destination the metrics, every interval."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from otelbridge.delivery.metrics import MAX_POINTS
from otelbridge.delivery.outcomes import Ok, Retry, TooLarge

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelbridge.delivery.lane import Lane
    from otelbridge.delivery.metrics import MetricsEncoder, MetricsExport
    from otelbridge.delivery.outcomes import Refused
    from otelbridge.delivery.series import Reading


class MetricsWorker:
    """Exports a fresh reading every interval, and a last one when draining begins.

    A total that was not taken is replaced by a newer one at the next interval.
    A change is kept as it is until it is taken: it may have been, with the
    answer lost, and a greater change in its place would count it twice.

    Args:
        lane: The way to the destination.
        encoder: Makes its requests.
        read: Reads the metrics.
        interval_s: From the beginning of one export to the next.
        keeps: Whether a request is kept until it is taken (changes).
        acknowledged: Called after the encoder has noted what was taken.
    """

    def __init__(
        self,
        lane: Lane,
        *,
        encoder: MetricsEncoder,
        read: Callable[[], Reading],
        interval_s: float,
        keeps: bool,
        acknowledged: Callable[[], None],
    ) -> None:
        self._lane = lane
        self._encoder = encoder
        self._read = read
        self._interval_s = interval_s
        self._keeps = keeps
        self._acknowledged = acknowledged
        self._kept: list[MetricsExport] = []
        self._max_points = MAX_POINTS
        self._resume_s = 0.0
        self._zeros = 0

    async def run(self) -> None:
        """Export until draining begins, and then once more."""
        await self._lane.repeat(self._step)

    async def _step(self) -> bool:
        timing = self._lane.timing
        end_s = timing.elapsed_s() + self._interval_s
        if self._lane.is_draining:
            while await self._cycle(end_s):
                pass
            return False
        self._resume_s = end_s
        await self._cycle(end_s)
        await self._lane.rest(max(self._resume_s - timing.elapsed_s(), 0.0))
        return True

    async def _cycle(self, end_s: float) -> bool:
        """Export one reading, or what was kept; return whether there is more to tell now.

        That is so after what was kept, and after a new series' 0: the truth
        would wait for the next start.
        """
        has_more = bool(self._kept)
        exports = self._kept or await self._encoded()
        self._kept, self._zeros = [], 0
        for number, export in enumerate(exports):
            if not await self._push(export, end_s):
                self._kept = exports[number:] if self._keeps else []
                return False
        return has_more or self._zeros > 0

    async def _encoded(self) -> list[MetricsExport]:
        """Encode a reading, in a thread: ten thousand series take 0.2 s."""
        return await asyncio.to_thread(
            self._encoder.exports,
            self._read(),
            now_ns=self._lane.timing.now_ns(),
            max_points=self._max_points,
        )

    async def _push(self, export: MetricsExport, end_s: float) -> bool:
        """Try until the interval is over; return False if the rest has to wait."""
        timing = self._lane.timing
        while isinstance(outcome := await self._lane.export(export.body), Retry):
            delay_s = self._lane.failed(outcome)
            if self._lane.is_draining or timing.elapsed_s() + delay_s >= end_s:
                self._resume_s = max(timing.elapsed_s() + delay_s, end_s)
                return False
            await self._lane.rest(delay_s)
        if isinstance(outcome, Ok):
            self._lane.delivered(len(export.points), outcome)
            self._encoder.acknowledged(export)
            self._acknowledged()
            self._zeros += export.zeros
        else:
            self._refused(export, outcome)
        return True

    def _refused(self, export: MetricsExport, outcome: Refused | TooLarge) -> None:
        """Take smaller requests, or count the points: the next interval tells them anew."""
        if isinstance(outcome, TooLarge) and len(export.points) > 1:
            self._max_points = len(export.points) // 2
            return
        self._lane.rejected(len(export.points), outcome.reason)
        self._lane.health.failed(str(outcome))
