"""How long to wait between tries."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otelbridge.delivery.timing import Timing

_FIRST_S = 0.5
#: Within 30 s after a destination is back, everything flows again.
MAX_DELAY_S = 30.0
#: A server may ask for more, but not for ever.
_MAX_ASKED_S = 300.0
#: Keeps a hundred bridges from coming back in the same millisecond.
_JITTER_S = 0.5


class Backoff:
    """Waits that double, with jitter: 0.25 to 0.5 s, 0.5 to 1 s, ... 15 to 30 s."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._failures = 0

    def reset(self) -> None:
        """Note a success: the next wait is the shortest again."""
        self._failures = 0

    def next_delay_s(self, asked_s: float | None = None) -> float:
        """Note a failure and return how long to wait.

        Args:
            asked_s: What the server asked for: never less, and half a second
                more at most. 0 asks for nothing.
        """
        longest_s = min(_FIRST_S * 2.0 ** min(self._failures, 10), MAX_DELAY_S)
        self._failures += 1
        if asked_s:
            return min(asked_s, _MAX_ASKED_S) + _JITTER_S * self._timing.random()
        return longest_s * (1 + self._timing.random()) / 2
