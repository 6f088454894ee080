"""Failures: how often a source may fail before it is told nothing but that.

Who guesses keys fails; who has a right one does not, and is never limited.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import unquote

from otelbridge.domain.rate_limit import RateLimit
from otelbridge.errors import LimitExceededError, escaped

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

#: Failures a second of one source that are answered with their reason; as many at once.
FAILURES_PER_S = 100
# A guesser must not fill the disk with log lines, nor many of them together.
_LOG_EVERY_S = 60.0
# What all processes of this machine are called that come over a Unix socket.
_LOCAL = "local"


class FailureLimit:
    """Limits the failures of each source.

    Args:
        what: What fails, for people; as ``wrong keys``.
        clock_ns: The bridge's clock.
        hint: What ends the answer of a failure beyond the limit; if any.
    """

    def __init__(self, what: str, *, clock_ns: Callable[[], int], hint: str = "") -> None:
        self._what = what
        self._clock_ns = clock_ns
        self._text = f"too many {what}, at most {FAILURES_PER_S} a second are answered{hint}"
        self._limit = RateLimit(per_s=FAILURES_PER_S, burst=FAILURES_PER_S)
        self._lines = RateLimit(per_s=1 / _LOG_EVERY_S, burst=1, max_sources=1)

    def exceeded_by(self, source: str) -> LimitExceededError | None:
        """Count a failure; return what it is answered with if the source had too many.

        A line in the log names such a source, at most one a minute.

        Args:
            source: Where it comes from; see `source_of`.
        """
        now_ns = self._clock_ns()
        if self._limit.admits(source, now_ns=now_ns):
            return None
        if self._lines.admits("", now_ns=now_ns):
            logger.warning(
                "more than %d %s a second from %s", FAILURES_PER_S, self._what, escaped(source)
            )
        return LimitExceededError(self._text)


def source_of(gateway: str, peer: str) -> str:
    """Return whose failures are counted together.

    Args:
        gateway: Name of the gateway that calls; empty if it showed no key.
        peer: The caller's address as gRPC writes it, ``ipv4:10.0.0.1:4711``,
            ``ipv6:%5B::1%5D:4711`` or ``unix:PATH``.

    Returns:
        The gateway's name; without one the address, without its port: all
        processes of a machine are one source.
    """
    if gateway:
        return f"gateway {gateway}"
    scheme, _, place = unquote(peer).partition(":")
    if scheme not in {"ipv4", "ipv6"}:
        return _LOCAL
    return place.rpartition(":")[0].strip("[]")
