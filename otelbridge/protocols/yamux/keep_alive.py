"""When to ping, and when a peer has been silent for too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.protocols.yamux.frames import MAX_U32

if TYPE_CHECKING:
    from otelbridge.protocols.yamux.limits import Limits


class KeepAlive:
    """The times of pings. Whatever arrives after a ping proves the peer alive.

    Args:
        limits: How often to ping, and how long to wait.
        now: The present time, in seconds since any fixed instant.
    """

    __slots__ = (
        "_awaited",
        "_heard_at",
        "_is_silent",
        "_limits",
        "_ping_at",
        "_sent_at",
        "_silent_since",
        "_token",
    )

    def __init__(self, limits: Limits, *, now: float) -> None:
        self._limits = limits
        self._ping_at = now + limits.ping_interval_s
        self._token = MAX_U32
        self._awaited: int | None = None
        self._heard_at = self._sent_at = self._silent_since = now
        self._is_silent = False

    def heard(self, now: float) -> None:
        """Note that something has arrived."""
        self._heard_at = now
        self._is_silent = False

    def pinged(self, *, now: float) -> int:
        """Note a ping and return its token."""
        if not self._is_silent:
            self._is_silent = True
            self._silent_since = now
        self._sent_at = now
        self._ping_at = now + self._limits.ping_interval_s
        self._awaited = self._token = (self._token + 1) & MAX_U32
        return self._token

    def answered(self, token: int) -> float | None:
        """Return the newest ping's round trip in seconds, once; None if this answers another."""
        if token != self._awaited:
            return None
        self._awaited = None
        return self._heard_at - self._sent_at

    def next_deadline(self) -> float:
        """Return when something is due next."""
        if self._is_silent:
            return self._silent_since + self._limits.ping_timeout_s
        return self._ping_at

    def is_lost(self, now: float) -> bool:
        """Whether the peer has been silent for too long."""
        return self._is_silent and now >= self.next_deadline()

    def is_due(self, now: float) -> bool:
        """Whether it is time to ping."""
        return not self._is_silent and now >= self._ping_at
