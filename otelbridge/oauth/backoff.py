"""Pauses after failures: gateways ask often, a failing server is asked seldom."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable

    from otelbridge.errors import OAuthError

_NS = 1_000_000_000
_FIRST_S = 1.0
_LONGEST_S = 30.0
#: A server that asks for an hour is asked again before anyone has given up on it.
_LONGEST_ASKED_S = 120.0
# Pauses that ended that long ago are forgotten, and with them how often it failed.
_FORGET_NS = 600 * _NS


class _Pause(NamedTuple):
    until_ns: int
    delay_s: float
    error: OAuthError


class Backoff:
    """Remembers what failed, and until when it is not tried again.

    The first pause takes a second, each further one twice as long, 30 s at
    most. A longer Retry-After counts, to 2 minutes.
    """

    def __init__(self) -> None:
        self._pauses: dict[Hashable, _Pause] = {}

    def error(self, key: Hashable, *, now_ns: int) -> OAuthError | None:
        """Return why this is not to be tried now; None if it is."""
        pause = self._pauses.get(key)
        return pause.error if pause is not None and now_ns < pause.until_ns else None

    def failed(self, key: Hashable, error: OAuthError, *, now_ns: int) -> bool:
        """Begin a pause; return whether it is the first one since this worked."""
        self._forget(now_ns)
        last = self._pauses.get(key)
        delay_s = _FIRST_S if last is None else min(2 * last.delay_s, _LONGEST_S)
        wait_s = max(delay_s, min(error.retry_after_s or 0.0, _LONGEST_ASKED_S))
        self._pauses[key] = _Pause(now_ns + int(wait_s * _NS), delay_s, error)
        return last is None

    def worked(self, key: Hashable) -> bool:
        """Forget failures; return whether there were any."""
        return self._pauses.pop(key, None) is not None

    def _forget(self, now_ns: int) -> None:
        for key in [k for k, p in self._pauses.items() if p.until_ns + _FORGET_NS < now_ns]:
            del self._pauses[key]
