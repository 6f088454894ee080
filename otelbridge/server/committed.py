"""What the core has committed, in the memory of the process that serves."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from otelbridge.core.process import CoreProcess
from otelbridge.domain.ledger import Changes, Ledger
from otelbridge.recording import GroupCommit
from otelbridge.telemetry.labels import Labels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from otelbridge.clock import SteadyClock
    from otelbridge.config import Config
    from otelbridge.core.canary import CanaryProgress
    from otelbridge.core.overview import Overview
    from otelbridge.domain.books import Books
    from otelbridge.errors import JournalError
    from otelbridge.journal.dead_letters import Selection
    from otelbridge.journal.usage import UsageRow
    from otelbridge.recording import Result
    from otelbridge.recording.dead_letters import Listed, Moved, Shown

logger = logging.getLogger(__name__)


class Committed:
    """Follows the core, commit by commit. For the event loop's thread.

    Args:
        core: The core, opened.
        config: The settings.
        clock_ns: The bridge's clock.
        on_failure: See `GroupCommit`.

    Attributes:
        commits: The way in.
        ledger: Committed totals.
        spending: Committed cost by user.
        labels: Values admitted as labels.
        active: Starts without an end, by (provider, model) as sent.
        instance_id: The journal's own id.
        metrics_bases: What each destination had acknowledged of the metrics.
    """

    def __init__(
        self,
        core: CoreProcess,
        config: Config,
        *,
        clock_ns: Callable[[], int],
        on_failure: Callable[[JournalError], None],
    ) -> None:
        opened = core.opened
        self._core = core
        self.ledger = Ledger(opened.series)
        self.spending = opened.spending
        self.labels = Labels(admitted=opened.admitted)
        self.active: Mapping[tuple[str, str], int] = opened.active
        self.instance_id = opened.instance_id
        self.metrics_bases = opened.metrics_bases
        self.commits = GroupCommit(
            core,
            apply=self._apply,
            destinations=[each.name for each in config.destination],
            clock_ns=clock_ns,
            on_failure=on_failure,
        )

    @classmethod
    async def open(
        cls, config: Config, *, clock_ns: SteadyClock, on_failure: Callable[[JournalError], None]
    ) -> Committed:
        """Start the core, wait until the journal is open, and begin to commit.

        Raises:
            JournalError: If the journal cannot be opened.
            ConfigError: If the file of prices is wrong.
        """
        core = await asyncio.to_thread(CoreProcess, config, clock_ns=clock_ns)
        logger.info(
            "journal: %d records of %d open interceptions, %d bytes wait for delivery",
            core.opened.records,
            core.opened.interceptions,
            core.opened.waiting_bytes,
        )
        return cls(core, config, clock_ns=clock_ns, on_failure=on_failure)

    async def usage(self) -> list[UsageRow]:
        """Return the usage table."""
        return await self.commits.run(self._core.usage())

    async def status(self) -> dict[str, Any]:
        """Return what the journal holds, as JSON can hold it."""
        return await self.commits.run(self._core.status())

    async def books(self) -> Books:
        """Return what became of all records and items."""
        return await self.commits.run(self._core.books())

    async def overview(self, day: str) -> Overview:
        """Return what the page shows of a day, ``YYYY-MM-DD``, UTC."""
        return await self.commits.run(self._core.overview(day))

    async def canary_progress(self, interception_id: UUID, through: int | None) -> CanaryProgress:
        """Return how far a canary has come."""
        return await self.commits.run(self._core.canary_progress(interception_id, through))

    async def begin_backup(self) -> None:
        """Have the journal's file stay as it is, to be copied."""
        await self.commits.run(self._core.begin_backup())

    async def end_backup(self) -> bool:
        """Let it change again; return whether it stayed as it was."""
        return await self.commits.run(self._core.end_backup())

    async def list_letters(self, selection: Selection, *, limit: int) -> Listed:
        """Return dead letters."""
        return await self.commits.run(self._core.list_letters(selection, limit=limit))

    async def show_letter(self, number: int) -> Shown | None:
        """Return a dead letter with its content; None if there is none of that number."""
        return await self.commits.run(self._core.show_letter(number))

    async def resend_letters(self, selection: Selection) -> Moved:
        """Tell some dead letters again, the oldest of a selection."""
        return await self.commits.change(self._core.resend_letters(selection))

    async def drop_letters(self, selection: Selection) -> Moved:
        """Forget some dead letters, the oldest of a selection."""
        return await self.commits.change(self._core.drop_letters(selection))

    def _apply(self, result: Result) -> None:
        self.ledger.apply(result.series)
        self.spending.apply(result.usage.items())
        self.labels.committed(Changes(admitted=dict(result.admitted)))
        self.active = result.active
