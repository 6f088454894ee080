"""Settings that a running bridge takes: headers and certificates of its destinations."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from otelbridge.config.sections import DestinationTlsConfig
from otelbridge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelbridge.config import Config
    from otelbridge.delivery.delivery import Delivery

logger = logging.getLogger(__name__)


class SettingsReload:
    """Reads the settings again when somebody asks for it.

    Args:
        config: The settings in use.
        delivery: What takes headers and certificates.
        read: Reads the settings; may block, and raises a ConfigError if they are wrong.
    """

    def __init__(self, config: Config, delivery: Delivery, read: Callable[[], Config]) -> None:
        self._config = config
        self._delivery = delivery
        self._read = read
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, *, asked_by: str) -> None:
        """Begin to read; what comes of it is logged.

        Args:
            asked_by: What a log line begins with.
        """
        task = asyncio.create_task(self._run(asked_by))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Take nothing any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, asked_by: str) -> None:
        try:
            config = await asyncio.to_thread(self._read)
        except ConfigError as error:
            for line in str(error).splitlines():
                logger.error("%s: %s", asked_by, line)
            logger.warning("%s: the settings in use stay", asked_by)
            return
        await self._delivery.reload(config.destination)
        if _rest(config) != _rest(self._config):
            logger.warning(
                "%s: other settings than destinations' headers and tls have changed:"
                " they count from the next start",
                asked_by,
            )


def _rest(config: Config) -> Config:
    """Return the settings without what is taken while the bridge runs."""
    taken = {"headers": {}, "tls": DestinationTlsConfig()}
    destinations = tuple(each.model_copy(update=taken) for each in config.destination)
    return config.model_copy(update={"destination": destinations})
