"""Calls that end only when their client wants: ended by us when the server stops."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from otelbridge.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Streams:
    """The open streams of a server."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ended = False

    async def run(self, answering: Coroutine[Any, Any, None]) -> None:
        """Answer a call in the current task until its client, the answer or `end` ends it.

        Raises:
            UnavailableError: If the server is stopping.
        """
        task = asyncio.current_task()
        if self._ended or task is None:
            answering.close()
            raise _stopping()
        self._tasks.add(task)
        try:
            await answering
        except asyncio.CancelledError:
            if self._ended:
                raise _stopping() from None
            raise
        finally:
            self._tasks.discard(task)

    def end(self) -> None:
        """End them all, and those to come."""
        self._ended = True
        for task in self._tasks:
            task.cancel()


def _stopping() -> UnavailableError:
    return UnavailableError("the bridge is stopping")
