"""The bridge's clock: the wall's time, that never jumps while the process runs."""

from __future__ import annotations

import time


class SteadyClock:
    """Nanoseconds since the Unix epoch, as the wall's clock said when the process started.

    It advances with the monotonic clock: a wall clock that is set forward or
    back makes no timer fire early and none late.
    """

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def __call__(self) -> int:
        """Return the time."""
        return self._offset_ns + time.monotonic_ns()
