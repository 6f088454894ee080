"""One signal's way to one destination: tries, waits, counts and what people see of it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from otelbridge.delivery.backoff import Backoff
from otelbridge.delivery.health import Health
from otelbridge.delivery.outcomes import Ok, Retry
from otelbridge.delivery.timing import either

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from otelbridge.delivery.outcomes import Exporter, Outcome
    from otelbridge.delivery.timing import Timing
    from otelbridge.domain.ports import Signal

logger = logging.getLogger(__name__)

DELIVERED = "otelbridge.delivery.delivered"
REJECTED = "otelbridge.delivery.rejected"
BURIED = "otelbridge.delivery.dead_lettered"
RETRIES = "otelbridge.delivery.retries"

_PARTIAL = "partial_success"
#: A destination that rejects something of every request is named once a minute.
_LOG_EVERY_S = 60.0


class Counter(Protocol):
    """Adds to a counter of the ledger; see `otelbridge.domain.ports.Outbox.count`."""

    def __call__(self, instrument: str, *values: str, amount: int = 1) -> None:
        """Add to a counter."""


class Lane:
    """One signal's way to one destination.

    Args:
        destination: The destination's name.
        signal: What goes this way.
        exporter: Sends requests.
        count: Counts what became of them.
        timing: Time and chance.
        secrets: Never shown, even if the destination itself repeats them.
    """

    def __init__(
        self,
        destination: str,
        signal: Signal,
        *,
        exporter: Exporter,
        count: Counter,
        timing: Timing,
        secrets: Iterable[str] = (),
    ) -> None:
        self.destination = destination
        self.signal = signal
        self.timing = timing
        self.health = Health(destination, signal, timing=timing)
        self._secrets: list[str] = []
        self.hide(secrets)
        self._exporter = exporter
        self._count = count
        self._backoff = Backoff(timing)
        self._draining = asyncio.Event()
        self._roused = asyncio.Event()
        self._logged_at_s: float | None = None

    @property
    def is_draining(self) -> bool:
        """Return whether this is the end: what fails now is left for the next start."""
        return self._draining.is_set()

    def drain(self) -> None:
        """Begin the end: no wait lasts any longer."""
        self._draining.set()

    def rouse(self) -> None:
        """End the wait that is under way: what failed may be taken now."""
        self._backoff.reset()
        self._roused.set()

    def hide(self, secrets: Iterable[str]) -> None:
        """Show these secrets neither, from now on."""
        # A header's value may be quoted without its scheme, as in "Bearer TOKEN".
        words = {word for secret in secrets for word in (secret, secret.rpartition(" ")[2])}
        self._secrets = sorted({*words, *self._secrets} - {""}, key=len, reverse=True)

    async def repeat(self, step: Callable[[], Awaitable[bool]]) -> None:
        """Take steps until one returns False. No error ends it: it is shown, and tried again."""
        while True:
            try:
                goes_on = await step()
            except Exception as error:  # a task's edge
                logger.exception(
                    "destination %s: %s: internal error", self.destination, self.signal
                )
                goes_on = not self.is_draining
                failure = Retry(reason="internal_error", message=type(error).__name__)
                await self.rest(self.failed(failure))
            if not goes_on:
                return

    async def export(self, body: bytes) -> Outcome:
        """Send one request."""
        outcome = await self._exporter.export(self.signal, body)
        if outcome.message:
            outcome = replace(outcome, message=self._masked(outcome.message))
        if isinstance(outcome, Ok):
            self._backoff.reset()
            self.health.succeeded()
        return outcome

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def failed(self, failure: Retry) -> float:
        """Note that a request was not taken; return how long to wait, in seconds."""
        self._count(RETRIES, self.destination, self.signal.value, failure.reason)
        self.health.failed(str(failure))
        return self._backoff.next_delay_s(failure.after_s)

    async def rest(self, seconds: float) -> None:
        """Wait, but no longer than until draining begins or the lane is roused."""
        self._roused.clear()
        await self.until_draining(either(self.timing.sleep(seconds), self._roused.wait()))

    async def until_draining(self, wait: Coroutine[object, object, object]) -> None:
        """Wait for something, but no longer than until draining begins."""
        await either(wait, self._draining.wait())

    def delivered(self, items: int, answer: Ok) -> None:
        """Count a request that was taken."""
        rejected = min(answer.rejected, items)
        self._count(DELIVERED, self.destination, self.signal.value, amount=items - rejected)
        if rejected:
            self.rejected(rejected, _PARTIAL)
        if answer.message or rejected:
            self.log(
                f"{rejected} of {items} items rejected: {answer.message}",
                level=logging.ERROR if rejected else logging.WARNING,
            )

    def rejected(self, items: int, reason: str) -> None:
        """Count items that the destination will never take."""
        self._count(REJECTED, self.destination, self.signal.value, reason, amount=items)

    def buried(self, items: int, reason: str) -> None:
        """Count items that the destination refused and that are kept as dead letters."""
        self.rejected(items, reason)
        self._count(BURIED, self.destination, self.signal.value, reason, amount=items)

    def log(self, text: str, *, level: int = logging.WARNING) -> None:
        """Write a line, at most one a minute: the counters have them all."""
        now_s = self.timing.elapsed_s()
        if self._logged_at_s is None or now_s - self._logged_at_s >= _LOG_EVERY_S:
            self._logged_at_s = now_s
            logger.log(level, "destination %s: %s: %s", self.destination, self.signal, text)
