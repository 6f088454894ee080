"""One destination: a worker for each signal, over one exporter."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from otelbridge.delivery.health import status_of
from otelbridge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otelbridge.config.sections import DestinationConfig
    from otelbridge.delivery.credentials import CredentialFiles
    from otelbridge.delivery.health import DestinationStatus
    from otelbridge.delivery.lane import Lane
    from otelbridge.delivery.renewal import RenewableExporter
    from otelbridge.delivery.timing import Timing

logger = logging.getLogger(__name__)

#: Between two looks at the files of headers and certificates.
_LOOK_S = 1.0


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
        files: Its headers and certificates.
        timing: Time and chance.

    Attributes:
        name: Its identity.
    """

    def __init__(
        self,
        name: str,
        *,
        exporter: RenewableExporter,
        workers: Sequence[tuple[Lane, Worker]],
        files: CredentialFiles,
        timing: Timing,
    ) -> None:
        self.name = name
        self._exporter = exporter
        self._workers = workers
        self._files = files
        self._timing = timing
        self._tasks: list[asyncio.Task[None]] = []
        self._following: asyncio.Task[None] | None = None
        self._reading = asyncio.Lock()

    @property
    def status(self) -> DestinationStatus:
        """Return how it does."""
        return status_of(self.name, [lane.health for lane, _ in self._workers])

    def start(self) -> None:
        """Begin to deliver."""
        self._tasks = [
            asyncio.create_task(worker.run(), name=f"deliver {lane.signal} to {self.name}")
            for lane, worker in self._workers
        ]
        self._begin_to_follow()

    async def reload(self, config: DestinationConfig) -> None:
        """Take the headers and certificates of new settings, unless they are wrong."""
        await self._renew(lambda: self._files.replace(config))
        self._begin_to_follow()

    async def drain(self, grace_s: float) -> None:
        """Deliver what is pending, as far as that goes, and end.

        A signal whose try fails ends at once; what is left is delivered after
        the next start. So is a request that is cut here: the same bytes again.

        Args:
            grace_s: How long it may take, in seconds.
        """
        if self._following is not None:
            self._following.cancel()
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
                logger.error("destination %s: a worker ended", self.name, exc_info=result)
        self._tasks = []
        await self._exporter.close()

    def _begin_to_follow(self) -> None:
        if self._files.are_there and self._following is None:
            name = f"follow the files of {self.name}"
            self._following = asyncio.create_task(self._follow(), name=name)

    async def _follow(self) -> None:
        while True:
            await self._timing.sleep(_LOOK_S)
            await self._renew(self._files.look)

    async def _renew(self, read: Callable[[], bool]) -> None:
        """Use what was read from now on if it is new; what failed is tried again at once.

        It is read in a thread: a file system that hangs holds up nothing else.
        """
        try:
            async with self._reading:
                is_new = await asyncio.to_thread(read)
        except ConfigError as error:
            logger.error("keeping the headers and certificates in use: %s", error)
            return
        if not is_new:
            return
        self._exporter.renew()
        for lane, _ in self._workers:
            lane.hide(self._files.credentials.headers.values())
            lane.rouse()
        logger.info("destination %s: using new headers or certificates", self.name)
