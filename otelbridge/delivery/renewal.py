"""An exporter that is replaced while requests are under way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from otelbridge.delivery.outcomes import Retry

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelbridge.delivery.outcomes import Exporter, Outcome
    from otelbridge.domain.ports import Signal


@dataclass(slots=True, eq=False)
class _Used:
    """An exporter and how many requests it has under way."""

    exporter: Exporter
    requests: int = 0


class RenewableExporter:
    """Sends by the exporter that was made last; one before it ends with its last request.

    A connection whose other end has gone without a word would swallow every
    request until the system gives it up, which takes a quarter of an hour: after
    a request without an answer a new one is made.

    Args:
        make: Makes an exporter.
    """

    def __init__(self, make: Callable[[], Exporter]) -> None:
        self._make = make
        self._current = _Used(make())
        self._before: set[_Used] = set()
        self._closing: set[asyncio.Task[None]] = set()

    async def export(self, signal: Signal, body: bytes) -> Outcome:
        """Send one request; see `otelbridge.delivery.outcomes.Exporter`."""
        used = self._current
        used.requests += 1
        try:
            outcome = await used.exporter.export(signal, body)
        finally:
            used.requests -= 1
            self._close_unused()
        if isinstance(outcome, Retry) and outcome.is_silence and used is self._current:
            self.renew()
        return outcome

    def renew(self) -> None:
        """Make an exporter for the requests to come."""
        self._before.add(self._current)
        self._current = _Used(self._make())
        self._close_unused()

    async def close(self) -> None:
        """Close all connections; requests under way are cut."""
        await asyncio.gather(
            *self._closing, *(each.exporter.close() for each in (self._current, *self._before))
        )

    def _close_unused(self) -> None:
        for each in [each for each in self._before if not each.requests]:
            self._before.remove(each)
            closing = asyncio.create_task(each.exporter.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
