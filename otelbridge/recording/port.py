"""What group commit needs of the core, in whatever process that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelbridge.domain.ports import OutboxRow, Signal
    from otelbridge.recording.values import JournalStats, Result, Side, Submission


class Core(Protocol):
    """What commits. Every method blocks, and is called in one thread.

    Each raises a CoreLostError if nothing can be committed any more.
    """

    def commit(self, batch: list[Submission], side: Side) -> Result:
        """Accept records; raises a JournalError if nothing could be committed."""

    def read(
        self, destination: str, signal: Signal, *, after: int, limit: int, max_bytes: int
    ) -> list[OutboxRow]:
        """Return a destination's oldest rows after the row ``after``."""

    def tend(self) -> None:
        """See whether the disk has space again."""

    def prune(self) -> None:
        """Forget what is too old."""

    def stats(self, destinations: Iterable[str]) -> JournalStats:
        """Return the journal's state."""

    def close(self) -> None:
        """Let another process have the journal."""
