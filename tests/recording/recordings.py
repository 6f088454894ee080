"""A recording on a real journal, with records in place of requests and a clock set by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from otelbridge.domain.assembler import Assembler
from otelbridge.domain.ledger import Ledger
from otelbridge.domain.ports import OutboxRow, Signal
from otelbridge.domain.records import Record
from otelbridge.journal import SqliteJournal
from otelbridge.journal.entries import Entry
from otelbridge.journal.reserve import Reserve
from otelbridge.journal.subscriptions import Subscription
from otelbridge.recording import Limits, Received, Recording, Side, Submission
from tests.records import T0, S, identity
from tests.sinks import MemoryTeller

EVERYTHING = 10**9
UNREADABLE = identity("unreadable")


class Given(dict[bytes, Record]):
    """Records by the bytes that stand for them.

    Attributes:
        keep_content: What the last reading was told about content.
    """

    keep_content = False

    def submit(self, record: Record) -> Submission:
        """Return a submission of a record."""
        self[record.identity] = record
        return Submission(record.kind, record.identity, record.received_at_ns)

    def read(self, submission: Submission, *, keep_content: bool) -> Received:
        """Return the record that was submitted."""
        self.keep_content = keep_content
        if submission.raw == UNREADABLE:
            raise ArithmeticError("a fault of ours")
        return Received(self[submission.raw], submission.raw)

    def parse(self, entry: Entry) -> Record:
        """Return the record of an entry, as it was received."""
        return replace(self[entry.payload], received_at_ns=entry.received_at_ns)


class Bridge:
    """A recording on a journal file.

    Args:
        path: The journal's file.
        limits: What may wait.
        reserve: What is kept back of the disk.
        destinations: Names of the destinations.

    Attributes:
        now_s: The time, in seconds since T0.
        at_once: How many records are read before it serves.
        replayed: How many records the journal had when it was opened last.
    """

    def __init__(
        self,
        path: Path,
        limits: Limits | None = None,
        *,
        reserve: Reserve | None = None,
        destinations: tuple[str, ...] = ("otlp",),
    ) -> None:
        self.path = path
        self.now_s = 100.0
        self.at_once = EVERYTHING
        self.records = Given()
        self._limits = limits
        self._reserve = reserve
        self._destinations = destinations
        self.open()

    def open(self) -> None:
        """Open the journal and read what is in it."""
        self.teller = MemoryTeller()
        self.journal = SqliteJournal(self.path, reserve=self._reserve)
        names = self._destinations
        self.journal.subscribe([Subscription(name=each, variant="v") for each in names], now_ns=T0)
        self.ledger = Ledger(self.journal.ledger.series())
        self.assembler = Assembler(grace_s=6, max_age_s=3600)
        self.recording = Recording(
            self.journal,
            self.assembler,
            self.ledger,
            self.teller,
            read=self.records.read,
            clock_ns=lambda: T0 + int(self.now_s * S),
            dedup_s=86400,
            infers_tools=True,
            limits=self._limits,
        )
        self.replayed = self.recording.replay(self.records.parse, at_once=self.at_once)

    def reopen(self) -> None:
        """Close the journal and open it again."""
        self.journal.close()
        self.open()

    def accept(self, *records: Record) -> list[Exception | None]:
        """Have records received now, in one commit; return what they are answered."""
        at_ns = T0 + int(self.now_s * S)
        received = [replace(record, received_at_ns=at_ns) for record in records]
        batch = [self.records.submit(record) for record in received]
        return self.recording.commit(batch, Side()).outcomes

    def advance(self, seconds: float) -> None:
        """Let time pass, and commit what is due."""
        self.now_s += seconds
        self.recording.commit([], Side())

    def settle(self) -> None:
        """Commit until there is nothing left to do by itself."""
        while self.recording.commit([], Side()).next_deadline_ns == 0:
            pass

    def waiting(self, name: str = "otlp", signal: Signal = Signal.TRACES) -> list[OutboxRow]:
        """Return what waits for a destination."""
        return self.journal.outbox.read(name, signal, limit=EVERYTHING, max_bytes=EVERYTHING)

    def deliver(self, name: str = "otlp", signal: Signal = Signal.TRACES) -> list[bytes]:
        """Have a destination take what waits for it; return the bodies."""
        rows = self.waiting(name, signal)
        side = Side()
        if rows:
            side.progress[name, signal] = rows[-1].seq
            items = sum(row.items for row in rows)
            side.changes.count("otelbridge.delivery.delivered", name, signal.value, amount=items)
            self.recording.commit([], side)
        return [row.body for row in rows]

    def count(self, instrument: str, *values: str) -> Any:
        """Return a counter's committed value."""
        series = self.ledger.snapshot().get((instrument, values))
        return series.value if series else 0
