"""Whether a destination takes what it is sent: for readiness, and one log line a change."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelbridge.delivery.timing import Timing
    from otelbridge.domain.ports import Signal

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationStatus:
    """How a destination does.

    Attributes:
        name: The destination.
        healthy: Whether its last request of every signal was taken, or none
            was sent yet.
        last_error: Why not, as ``traces: reason: message``; None while healthy.
        since_ns: Since when this has been so.
    """

    name: str
    healthy: bool
    last_error: str | None
    since_ns: int


class Health:
    """How one signal's way to a destination does."""

    def __init__(self, destination: str, signal: Signal, *, timing: Timing) -> None:
        self._destination = destination
        self._signal = signal
        self._timing = timing
        self.error: str | None = None
        self.since_ns = timing.now_ns()

    def failed(self, error: str) -> None:
        """Note that a request was not taken."""
        if self.error is None:
            self.since_ns = self._timing.now_ns()
            logger.warning("destination %s: %s: %s", self._destination, self._signal, error)
        self.error = error

    def succeeded(self) -> None:
        """Note that a request was taken."""
        if self.error is None:
            return
        now_ns = self._timing.now_ns()
        lasted_s = (now_ns - self.since_ns) / 1e9
        logger.info(
            "destination %s: %s: takes everything again after %.1f s",
            self._destination,
            self._signal,
            lasted_s,
        )
        self.error = None
        self.since_ns = now_ns

    def describe(self) -> str | None:
        """Return the error with its signal; None while healthy."""
        return None if self.error is None else f"{self._signal}: {self.error}"


def status_of(name: str, healths: Iterable[Health]) -> DestinationStatus:
    """Return a destination's status from those of its signals."""
    ways = list(healths)
    failing = [way for way in ways if way.error is not None]
    if failing:
        first = min(failing, key=lambda way: way.since_ns)
        return DestinationStatus(
            name=name, healthy=False, last_error=first.describe(), since_ns=first.since_ns
        )
    since_ns = max((way.since_ns for way in ways), default=0)
    return DestinationStatus(name=name, healthy=True, last_error=None, since_ns=since_ns)
