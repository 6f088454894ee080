"""What group commit needs of the core, in whatever process that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from otelbridge.domain.ports import OutboxRow, Signal
    from otelbridge.recording.values import JournalStats, Result, Side, Submission


class Core(Protocol):
    """What commits. Every method is for the event loop's thread, and returns at once.

    What is asked is done one after the other, and answered in this order. An
    answer is a CoreLostError if nothing can be committed any more.
    """

    def commit(self, batch: list[Submission], side: Side) -> asyncio.Future[Result]:
        """Accept records; the answer is a JournalError if nothing could be committed."""

    def read(
        self, destination: str, signal: Signal, *, after: int, limit: int, max_bytes: int
    ) -> asyncio.Future[list[OutboxRow]]:
        """Return a destination's oldest rows after the row ``after``."""

    def tend(self) -> asyncio.Future[None]:
        """See whether the disk has space again."""

    def prune(self) -> asyncio.Future[None]:
        """Forget what is too old."""

    def stats(self, destinations: Iterable[str]) -> asyncio.Future[JournalStats]:
        """Return the journal's state."""

    async def close(self) -> None:
        """Let another process have the journal."""
