"""What is done with the journal: one method each, one caller at a time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from otelbridge.core.channel import Opened
from otelbridge.domain.assembler import Assembler
from otelbridge.domain.ledger import Ledger
from otelbridge.domain.spending import Spending
from otelbridge.journal import SqliteJournal
from otelbridge.journal.outbox import Subscription
from otelbridge.journal.usage import usage_rows
from otelbridge.recording import Recording
from otelbridge.servicers.messages import Receipt, parse_record, read_submission
from otelbridge.telemetry.labels import Labels
from otelbridge.telemetry.teller import build_teller
from otelbridge.telemetry.variants import options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from otelbridge.config import Config
    from otelbridge.domain.ports import OutboxRow, Signal
    from otelbridge.domain.records import Record
    from otelbridge.journal.entries import Entry
    from otelbridge.journal.usage import UsageRow
    from otelbridge.recording import JournalStats, Result, Side, Submission


class Core:
    """The journal, open. Every method is for one thread.

    Args:
        recording: The use case.
        journal: What it writes to.
    """

    def __init__(self, recording: Recording, journal: SqliteJournal) -> None:
        self._recording = recording
        self._journal = journal

    def commit(self, batch: list[Submission], side: Side) -> Result:
        """Accept records; see `Recording.commit`."""
        return self._recording.commit(batch, side)

    def read(
        self, destination: str, signal: Signal, *, after: int, limit: int, max_bytes: int
    ) -> list[OutboxRow]:
        """Return a destination's rows after the row ``after``; see `OutboxTable.read`."""
        return self._journal.outbox.read(
            destination, signal, after=after, limit=limit, max_bytes=max_bytes
        )

    def shed(self, quotas: Mapping[str, int]) -> Side:
        """Return what gives up the oldest beyond the quotas; see `Recording.shed`."""
        return self._recording.shed(quotas)

    def prune(self) -> None:
        """Forget what is too old; see `Recording.prune`."""
        self._recording.prune()

    def stats(self, destinations: Iterable[str]) -> JournalStats:
        """Return the journal's state; see `Recording.stats`."""
        return self._recording.stats(destinations)

    def usage(self) -> list[UsageRow]:
        """Return the usage table."""
        ledger = self._journal.ledger
        return usage_rows(ledger.usage(), ledger.users())

    def close(self) -> None:
        """Close the journal and let another process have it."""
        self._journal.close()


def open_core(
    config: Config, *, clock_ns: Callable[[], int], pid: int | None = None
) -> tuple[Core, Opened]:
    """Open the journal and rebuild what was open when it was closed.

    Args:
        config: The settings, with absolute paths.
        clock_ns: The bridge's clock.
        pid: Which process holds the journal, for people; this one if not given.

    Raises:
        JournalError: If the journal cannot be opened.
        ConfigError: If the file of prices is wrong.
    """
    journal = SqliteJournal(config.journal.path, pid=pid)
    try:
        return _build(journal, config, clock_ns)
    except BaseException:
        journal.close()
        raise


def _build(
    journal: SqliteJournal, config: Config, clock_ns: Callable[[], int]
) -> tuple[Core, Opened]:
    bits = journal.subscribe(_subscriptions(config))
    ledger, spending = Ledger(journal.ledger.series()), Spending()
    spending.apply(journal.ledger.usage())
    admitted = journal.ledger.admitted()
    assembly = config.assembly
    assembler = Assembler(grace_s=assembly.grace_s, max_age_s=assembly.max_age_s)
    masks = {name: 1 << bit for name, bit in bits.items()}
    recording = Recording(
        journal,
        assembler,
        ledger,
        build_teller(config, masks, Labels(config.metrics.limits, admitted)),
        read=partial(read_submission, keep_content=_keeps_content(config)),
        clock_ns=clock_ns,
        dedup_s=config.journal.dedup_s,
        infers_tools=any(options_of(config, each)[3] == "thread" for each in config.destination),
    )
    records = recording.replay(_record)
    opened = Opened(
        series=ledger.snapshot(),
        spending=spending,
        admitted=admitted,
        active=assembler.active(),
        instance_id=journal.instance_id(),
        metrics_bases={
            each.name: journal.outbox.metrics_base(each.name) for each in config.destination
        },
        records=records,
        interceptions=len(assembler),
        waiting_bytes=journal.outbox.total_bytes(),
    )
    return Core(recording, journal), opened


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
