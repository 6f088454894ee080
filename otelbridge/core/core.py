"""What is done with the journal: one method each, one caller at a time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from otelbridge.core.canary import CanaryProgress, canary_progress
from otelbridge.core.channel import Opened
from otelbridge.core.fingerprint_key import load_fingerprinter
from otelbridge.core.overview import Overview, look
from otelbridge.domain.assembler import Assembler
from otelbridge.domain.ledger import Ledger
from otelbridge.domain.recent import Recent
from otelbridge.domain.records import Prints
from otelbridge.domain.spending import Spending
from otelbridge.journal import SqliteJournal
from otelbridge.journal.inspection import status
from otelbridge.journal.reserve import Reserve
from otelbridge.journal.subscriptions import Subscription
from otelbridge.journal.usage import usage_rows
from otelbridge.recording import Limits, Recording
from otelbridge.recording.dead_letters import DeadLetters
from otelbridge.servicers.keeping import RequestReader
from otelbridge.servicers.messages import Receipt, parse_record
from otelbridge.telemetry.labels import Labels
from otelbridge.telemetry.stripping import body_without_content
from otelbridge.telemetry.teller import build_shortener, build_teller
from otelbridge.telemetry.variants import options_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping
    from collections.abc import Set as AbstractSet
    from uuid import UUID

    from otelbridge.config import Config
    from otelbridge.domain.books import Books
    from otelbridge.domain.ledger import Series, SeriesKey
    from otelbridge.domain.ports import OutboxRow, Signal
    from otelbridge.domain.records import Record
    from otelbridge.errors import JournalError
    from otelbridge.journal.dead_letters import Selection
    from otelbridge.journal.entries import Entry
    from otelbridge.journal.usage import UsageRow
    from otelbridge.recording import JournalStats, Result, Side, Submission
    from otelbridge.recording.dead_letters import Listed, Moved, Shown


class Core:
    """The journal, open. Every method is for one thread.

    Args:
        recording: The use case.
        journal: What it writes to.
        takes: The signals that each destination takes, by its name.
        look: Looks at what the page shows; see `otelbridge.core.overview`.
    """

    def __init__(
        self,
        recording: Recording,
        journal: SqliteJournal,
        *,
        takes: Mapping[str, AbstractSet[str]] | None = None,
        look: Callable[[str], Overview] = lambda _day: Overview(),
    ) -> None:
        self._recording = recording
        self._journal = journal
        self._letters = DeadLetters(journal, recording.settle, takes=takes or {})
        self._look = look

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

    def tend(self) -> None:
        """See whether the disk has space again; see `Recording.tend`."""
        self._recording.tend()

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

    def status(self) -> dict[str, Any]:
        """Return what the journal holds, as JSON can hold it."""
        stats = self._recording.stats(())
        return {
            **status(self._journal),
            "records": stats.records,
            "unread": stats.unread,
            "disk_is_full": stats.disk_is_full,
        }

    def books(self) -> Books:
        """Return what became of everything; see `Recording.books`."""
        return self._recording.books()

    def overview(self, day: str) -> Overview:
        """Return what the page shows; see `otelbridge.core.overview.look`."""
        return self._look(day)

    def canary_progress(self, interception_id: UUID, through: int | None) -> CanaryProgress:
        """Return how far a canary has come; see `otelbridge.core.canary`."""
        return canary_progress(self._journal, interception_id, through)

    def begin_backup(self) -> None:
        """Have the journal's file stay as it is; see `SqliteJournal.hold_still`."""
        self._recording.begin_backup()

    def end_backup(self) -> bool:
        """Let it change again; see `SqliteJournal.let_go`."""
        return self._journal.let_go()

    def list_letters(self, selection: Selection, *, limit: int) -> Listed:
        """Return dead letters; see `DeadLetters.listed`."""
        return self._letters.listed(selection, limit=limit)

    def show_letter(self, number: int) -> Shown | None:
        """Return a dead letter with its content; see `DeadLetters.shown`."""
        return self._letters.shown(number)

    def resend_letters(self, selection: Selection) -> Moved:
        """Tell dead letters again; see `DeadLetters.resend`."""
        return self._letters.resend(selection)

    def drop_letters(self, selection: Selection) -> Moved:
        """Forget dead letters; see `DeadLetters.drop`."""
        return self._letters.drop(selection)

    def error_of(self, error: sqlite3.Error) -> JournalError:
        """Return the error that one of the database is told as; see `SqliteJournal.error_of`."""
        return self._journal.error_of(error)

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
        ConfigError: If the file of prices, or of the fingerprints' key, is wrong.
    """
    journal = SqliteJournal(config.journal.path, pid=pid, reserve=reserve_of(config))
    try:
        return _build(journal, config, clock_ns)
    except BaseException:
        journal.close()
        raise


def _build(
    journal: SqliteJournal, config: Config, clock_ns: Callable[[], int]
) -> tuple[Core, Opened]:
    now_ns = clock_ns()
    bits = journal.subscribe(_subscriptions(config), now_ns=now_ns)
    ledger, spending = Ledger(_series(journal, now_ns)), Spending()
    spending.apply(journal.ledger.usage())
    admitted = journal.ledger.admitted()
    assembly = config.assembly
    assembler = Assembler(grace_s=assembly.grace_s, max_age_s=assembly.max_age_s)
    masks = {name: 1 << bit for name, bit in bits.items()}
    recent = Recent() if config.page.enabled else None
    teller = build_teller(
        config,
        masks,
        Labels(config.metrics.limits, admitted),
        known=ledger.snapshot(),
        recent=recent,
    )
    recording = Recording(
        journal,
        assembler,
        ledger,
        teller,
        read=RequestReader(build_shortener(config), load_fingerprinter(config.content)),
        clock_ns=clock_ns,
        dedup_s=config.journal.dedup_s,
        infers_tools=any(options_of(config, each)[3] == "thread" for each in config.destination),
        limits=_limits(config),
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
        unread=recording.unread,
        interceptions=len(assembler),
        waiting_bytes=journal.outbox.total_bytes(),
    )
    read = partial(look, journal=journal, assembler=assembler, teller=teller, recent=recent)
    return Core(recording, journal, takes=takes_of(config), look=read), opened


def reserve_of(config: Config) -> Reserve:
    """Return what is kept back of the journal's disk."""
    return Reserve(config.journal.path, size=config.journal.reserve_bytes)


def takes_of(config: Config) -> dict[str, frozenset[str]]:
    """Return the signals that each destination takes, by its name."""
    return {each.name: frozenset(each.signals) for each in config.destination}


def _series(journal: SqliteJournal, now_ns: int) -> dict[SeriesKey, Series]:
    """Return the ledger's series; none is born in the future, whatever the clock said then."""
    return {
        key: series._replace(born_at_ns=min(series.born_at_ns, now_ns))
        for key, series in journal.ledger.series().items()
    }


def _record(entry: Entry) -> Record:
    prints = Prints.unpack(entry.prints)
    receipt = Receipt(entry.received_at_ns, entry.identity, entry.length, prints)
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


def _limits(config: Config) -> Limits:
    """Return how much may wait for each destination, and which may receive content."""
    return Limits(
        quotas={
            each.name: each.max_bytes or config.journal.max_bytes for each in config.destination
        },
        with_content=frozenset(
            each.name
            for each in config.destination
            if (each.content or config.content.capture) != "NO_CONTENT"
        ),
        take_out=body_without_content,
    )
