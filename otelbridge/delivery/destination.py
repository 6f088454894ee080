"""One destination: a worker for each signal, over one exporter."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from otelbridge.delivery.health import status_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelbridge.delivery.health import DestinationStatus
    from otelbridge.delivery.lane import Lane
    from otelbridge.delivery.outcomes import Exporter

logger = logging.getLogger(__name__)


class Worker(Protocol):
    """Delivers one signal."""

    async def run(self) -> None:
        """Deliver until its lane is draining and nothing more can be delivered now."""


class Destination:
    """One OTLP endpoint with its own progress.

    Args:
        name: Its identity.
        exporter: Sends requests; closed at the end.
        workers: A worker for each signal, with its lane.
    """

    def __init__(
        self, name: str, *, exporter: Exporter, workers: Sequence[tuple[Lane, Worker]]
    ) -> None:
        self._name = name
        self._exporter = exporter
        self._workers = workers
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def status(self) -> DestinationStatus:
        """Return how it does."""
        return status_of(self._name, [lane.health for lane, _ in self._workers])

    def start(self) -> None:
        """Begin to deliver."""
        self._tasks = [
            asyncio.create_task(worker.run(), name=f"deliver {lane.signal} to {self._name}")
            for lane, worker in self._workers
        ]

    async def drain(self, grace_s: float) -> None:
        """Deliver what is pending, as far as that goes, and end.

        A signal whose try fails ends at once; what is left is delivered after
        the next start. So is a request that is cut here: the same bytes again.

        Args:
            grace_s: How long it may take, in seconds.
        """
        for lane, _ in self._workers:
            lane.drain()
        try:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=grace_s)
        finally:
            await self._end()

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                logger.error("destination %s: a worker ended", self._name, exc_info=result)
        self._tasks = []
        await self._exporter.close()
