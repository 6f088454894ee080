"""Errors of servicers: what a client is told of them, and what the log says."""

from __future__ import annotations

import logging
import time

from otelbridge.errors import CallError
from otelbridge.transports.status import INTERNAL, Status, status_of

logger = logging.getLogger(__name__)

# A fault that hits every call must not fill the disk with tracebacks.
_TRACEBACK_EVERY_S = 1.0


class Faults:
    """Turns errors into statuses, and logs those that nobody expected.

    Of each method at most one traceback a second is logged.
    """

    def __init__(self) -> None:
        self._traced_at: dict[str, float] = {}

    def status(self, method: str, error: Exception) -> Status:
        """Return how a call ends that failed.

        Args:
            method: ``Service/Method``.
            error: A CallError's text is the client's to read; of any other
                error the client is told nothing.
        """
        if isinstance(error, CallError):
            return status_of(error)
        now = time.monotonic()
        if now - self._traced_at.get(method, -_TRACEBACK_EVERY_S) >= _TRACEBACK_EVERY_S:
            self._traced_at[method] = now
            logger.error("%s failed", method, exc_info=error)
        return INTERNAL
