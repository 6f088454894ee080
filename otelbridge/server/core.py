"""The core: the journal and everything that lives in its thread."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from otelbridge.domain.assembler import Assembler
from otelbridge.domain.ledger import Ledger
from otelbridge.domain.spending import Spending
from otelbridge.journal import SqliteJournal
from otelbridge.journal.outbox import Subscription
from otelbridge.journal.usage import usage_rows
from otelbridge.recording import GroupCommit, Recording
from otelbridge.servicers.messages import Receipt, parse_record, read_submission
from otelbridge.telemetry.labels import Labels
from otelbridge.telemetry.teller import build_teller
from otelbridge.telemetry.variants import options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otelbridge.config import Config
    from otelbridge.domain.records import Record
    from otelbridge.errors import JournalError
    from otelbridge.journal.entries import Entry
    from otelbridge.journal.usage import UsageRow

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """What records pass through.

    Attributes:
        journal: Used in the writer's thread only.
        assembler: Open interceptions.
        ledger: Committed totals.
        spending: Committed cost by user.
        labels: Values admitted as labels.
        commits: The way in.
        instance_id: The journal's own id.
        metrics_bases: What each destination had acknowledged of the metrics.
    """

    journal: SqliteJournal
    assembler: Assembler
    ledger: Ledger
    spending: Spending
    labels: Labels
    commits: GroupCommit
    instance_id: str
    metrics_bases: Mapping[str, str]

    async def usage(self) -> list[UsageRow]:
        """Return the usage table."""
        ledger = self.journal.ledger
        return await self.commits.run(lambda: usage_rows(ledger.usage(), ledger.users()))


async def open_core(
    config: Config, *, clock_ns: Callable[[], int], on_failure: Callable[[JournalError], None]
) -> Core:
    """Open the journal, rebuild what was open when it was closed, and begin to commit.

    Args:
        config: The settings.
        clock_ns: The bridge's clock.
        on_failure: See `GroupCommit`.

    Raises:
        JournalError: If the journal cannot be opened.
        ConfigError: If the file of prices is wrong.
    """
    journal = await asyncio.to_thread(SqliteJournal, config.journal.path)
    try:
        return await _build(journal, config, clock_ns=clock_ns, on_failure=on_failure)
    except BaseException:
        journal.close()
        raise


async def _build(
    journal: SqliteJournal,
    config: Config,
    *,
    clock_ns: Callable[[], int],
    on_failure: Callable[[JournalError], None],
) -> Core:
    bits = journal.subscribe(_subscriptions(config))
    ledger, spending = Ledger(journal.ledger.series()), Spending()
    spending.apply(journal.ledger.usage())
    labels = Labels(config.metrics.limits, journal.ledger.admitted())
    assembly = config.assembly
    assembler = Assembler(grace_s=assembly.grace_s, max_age_s=assembly.max_age_s)
    recording = Recording(
        journal,
        assembler,
        ledger,
        spending,
        build_teller(config, {name: 1 << bit for name, bit in bits.items()}, labels),
        read=partial(read_submission, keep_content=_keeps_content(config)),
        clock_ns=clock_ns,
        dedup_s=config.journal.dedup_s,
        infers_tools=any(options_of(config, each)[3] == "thread" for each in config.destination),
    )
    count = await asyncio.to_thread(recording.replay, _record)
    logger.info(
        "journal: %d records of %d open interceptions, %d bytes wait for delivery",
        count,
        len(assembler),
        journal.outbox.total_bytes(),
    )
    quotas = {each.name: each.max_bytes or config.journal.max_bytes for each in config.destination}
    instance_id = journal.instance_id()
    bases = {each.name: journal.outbox.metrics_base(each.name) for each in config.destination}
    commits = GroupCommit(
        recording, journal, quotas=quotas, clock_ns=clock_ns, on_failure=on_failure
    )
    return Core(
        journal=journal,
        assembler=assembler,
        ledger=ledger,
        spending=spending,
        labels=labels,
        commits=commits,
        instance_id=instance_id,
        metrics_bases=bases,
    )


def _record(entry: Entry) -> Record:
    receipt = Receipt(entry.received_at_ns, entry.identity, entry.length)
    return parse_record(entry.kind, entry.payload, receipt)


def _subscriptions(config: Config) -> list[Subscription]:
    return [
        Subscription(
            name=each.name,
            signals=frozenset(each.signals),
            variant=repr((options_of(config, each), sorted(each.signals))),
            from_beginning=each.start == "beginning",
        )
        for each in config.destination
    ]


def _keeps_content(config: Config) -> bool:
    """Return whether any destination may receive content."""
    captures = (each.content or config.content.capture for each in config.destination)
    return any(capture != "NO_CONTENT" for capture in captures)
