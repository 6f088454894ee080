"""The model: a set of acknowledged records, and what must come of them.

The machine drives the real use case, assembler, journal and outbox on a simulated disk, with a
scripted destination behind them. What it keeps is what a gateway and a destination know; after
every run the disk is whole again, everything is told, and both must agree.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from otelbridge.domain.assembler import Assembler
from otelbridge.domain.interception import Closed, Interception
from otelbridge.domain.ledger import Changes, Ledger
from otelbridge.domain.ports import OutboxItem, Signal
from otelbridge.domain.records import InterceptionStarted, Record
from otelbridge.errors import JournalError, JournalFullError
from otelbridge.journal import SqliteJournal
from otelbridge.journal.subscriptions import Subscription
from otelbridge.recording import Limits, Recording, Side, Submission
from tests.disk import SimulatedDisk
from tests.recording.recordings import Given
from tests.recording.reserves import DiskReserve
from tests.records import T0, S

MIB = 1024 * 1024
NAME = "sink"
RESERVE = 1 * MIB


class Teller:
    """Tells which records an interception is made of: what is delivered can be looked up."""

    def record_arrived(
        self, record: Record, start: InterceptionStarted | None, changes: Changes
    ) -> None:
        """Book a record."""
        assert start is None or start.interception_id == record.interception_id
        changes.count("booked", "known" if start else "orphan")

    def interception_closed(self, interception: Interception, changes: Changes) -> list[OutboxItem]:
        """Tell an interception: its id, then its records in their order."""
        changes.count("closed")
        parts = [interception.id.bytes, *(record.identity for record in interception.records)]
        return [OutboxItem(Signal.TRACES, 1, 1, b"".join(parts))]

    def record_late(self, record: Record, closed: Closed, changes: Changes) -> list[OutboxItem]:
        """Tell a late record."""
        changes.count("otelbridge.records.late", "")
        return [OutboxItem(Signal.TRACES, 1, 1, closed.id.bytes + record.identity)]

    def spare(self, destinations: int) -> None:
        """Nothing here has content."""

    def committed(self, changes: Changes) -> None:
        """Nothing to remember."""


@dataclass
class Model:
    """What the world outside knows.

    Attributes:
        acknowledged: Records whose calls were answered with OK, by identity.
        sent: All records that were ever sent.
        taken: Bodies that the destination has taken, with how often.
        rejected: Bodies that it refused for good.
        may_repeat: Whether it may have got something twice: a process ended without
            being told to, or an answer was lost.
    """

    acknowledged: dict[bytes, Record] = field(default_factory=dict)
    sent: dict[bytes, Record] = field(default_factory=dict)
    taken: Counter[bytes] = field(default_factory=Counter)
    rejected: list[bytes] = field(default_factory=list)
    may_repeat: bool = False


class World:
    """The bridge, its disk, its clock and its destination.

    Args:
        folder: Where the journal is.
        seed: Decides what a crash leaves of what was not synced.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.disk = SimulatedDisk()
        self.disk.__enter__()
        self.model = Model()
        self._path = folder / "journal.db"
        self._choice = random.Random(seed)
        self._given = Given()
        self._uptime_s = 0.0
        self._wall_s = 1000.0
        self._at_once = 0
        self._was_full = False
        self._open()

    def end(self) -> None:
        """Leave the disk."""
        with suppress(JournalError):
            self._journal.close()
        self.disk.__exit__()

    # --- What happens ---------------------------------------------------------------------

    def submit(self, *records: Record, is_answered: bool = True) -> None:
        """Have records received in one commit.

        Args:
            records: The records.
            is_answered: Whether the answers arrive.
        """
        if self._was_full:
            # What was finalised more than an hour ago may have been forgotten.
            records = tuple(each for each in records if each.identity not in self.model.sent)
        received = [replace(record, received_at_ns=self._now_ns()) for record in records]
        for record in received:
            self.model.sent[record.identity] = record
        batch = [self._given.submit(record) for record in received]
        outcomes = self._commit(batch, Side())
        if outcomes is None or not is_answered:
            return
        for record, outcome in zip(received, outcomes, strict=True):
            if outcome is None:
                self.model.acknowledged[record.identity] = record

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._uptime_s += seconds
        self._wall_s += seconds
        self._recording_tends()
        self._commit([], Side())

    def export(self, *, limit: int, how: str) -> None:
        """Send some of what waits.

        Args:
            limit: How many rows at most.
            how: ``ok``, ``failed`` (not taken), ``lost`` (taken, but the answer is lost)
                or ``partial`` (taken but for one item).
        """
        try:
            rows = self._journal.outbox.read(NAME, Signal.TRACES, limit=limit, max_bytes=MIB)
        except sqlite3.Error:
            self._restart(is_crash=True)
            return
        if not rows or how == "failed":
            return
        taken = rows[:-1] if how == "partial" else rows
        self.model.taken.update(row.body for row in taken)
        if how == "lost":
            self.model.may_repeat = True
            return
        side = Side()
        side.progress[NAME, Signal.TRACES] = rows[-1].seq
        lane = (NAME, Signal.TRACES.value)
        side.changes.count("otelbridge.delivery.delivered", *lane, amount=len(taken))
        if len(taken) < len(rows):
            reason = "partial_success"
            side.changes.count("otelbridge.delivery.rejected", *lane, reason, amount=1)
            self.model.rejected.append(rows[-1].body)
        self._commit([], side)

    def lose_power(self, *, after: int) -> None:
        """Have the disk stop at one of the next writes and syncs."""
        self.disk.lose_power_at = after

    def fail_sync(self) -> None:
        """Have the next sync fail."""
        self.disk.fail_sync_at = 0

    def crash(self) -> None:
        """End at once, and start again."""
        self._restart(is_crash=True)

    def stop(self) -> None:
        """End in order, and start again."""
        self._restart(is_crash=False)

    def jump(self, seconds: float) -> None:
        """Set the wall's clock; only the next start notices."""
        self._wall_s += seconds

    def fill_disk(self, *, spare_bytes: int) -> None:
        """Leave only so much of the disk, and the reserve."""
        self._was_full = True
        self.disk.capacity = 64 * MIB
        self.disk.extra_bytes += self.disk.free_bytes() - spare_bytes

    def empty_disk(self) -> None:
        """Give the disk its space back."""
        self.disk.capacity = None

    def read_at_start(self, records: int) -> None:
        """Have later starts read so many records before they serve."""
        self._at_once = records

    # --- What must be ---------------------------------------------------------------------

    def settle(self) -> None:
        """Make everything whole again and have it told and delivered."""
        self.empty_disk()
        self._restart(is_crash=self.disk.is_off)
        for _ in range(40):
            self.advance(3601)
            while self._recording.commit([], Side()).next_deadline_ns == 0:
                pass
            waits = self._journal.outbox.items(NAME, Signal.TRACES)
            self.export(limit=10**6, how="ok")
            if not waits and not len(self._assembler):
                return
        raise AssertionError("it does not come to rest")

    def check(self) -> None:
        """Hold the invariants against what happened; after `settle`."""
        told: dict[bytes, set[bytes]] = defaultdict(set)
        for body in [*self.model.taken, *self.model.rejected]:
            for begin in range(16, len(body), 16):
                told[body[begin : begin + 16]].add(body)
        self._check_durable(told)
        # I2: a record is told once; if it is sent again, the bytes are the same.
        assert all(len(bodies) == 1 for bodies in told.values())
        if not self.model.may_repeat:
            assert max(self.model.taken.values(), default=1) == 1
        # I3: nothing is told that was not sent.
        assert told.keys() <= self.model.sent.keys()
        self._check_counts(len(told))

    def _check_durable(self, told: Mapping[bytes, set[bytes]]) -> None:
        """I1: what was acknowledged is told, or was given up on a full disk and counted."""
        missing = self.model.acknowledged.keys() - told.keys()
        interceptions = {self.model.sent[identity].interception_id for identity in missing}
        assert len(interceptions) <= self._given_up()

    def _check_counts(self, told: int) -> None:
        """I4: the ledger counts each acknowledged record once, whatever happened."""
        series = self._ledger.snapshot()

        def total(name: str) -> int:
            return sum(
                each.value
                for (instrument, _), each in series.items()
                if instrument == name and isinstance(each.value, int)
            )

        books = self._recording.books()
        assert books.are_balanced, books
        assert books.records.lost == 0
        distinct = books.records.received - books.records.repeats
        assert distinct == books.records.told + books.records.late
        assert distinct == total("booked") + books.records.late
        if not self._given_up():
            assert distinct == told
        assert distinct >= len(self.model.acknowledged)
        assert distinct <= len(self.model.sent)

    # --- The bridge ----------------------------------------------------------------------

    def _given_up(self) -> int:
        series = self._ledger.snapshot()
        reasons = ("disk_full", "max_bytes", "damaged")
        return sum(
            each.value
            for (name, values), each in series.items()
            if name == "otelbridge.delivery.rejected"
            and values[2] in reasons
            and isinstance(each.value, int)
        )

    def _now_ns(self) -> int:
        return T0 + int((self._started_s + self._uptime_s) * S)

    def _open(self) -> None:
        """Start the bridge; again, as a supervisor would, if it ends at once."""
        while True:
            try:
                self._try_to_open()
            except JournalFullError:
                self.disk.capacity = None  # somebody has looked
            except (JournalError, sqlite3.Error):
                self.disk.restart(self._choice)
            else:
                return

    def _try_to_open(self) -> None:
        self._started_s, self._uptime_s = self._wall_s, 0.0
        self._journal = SqliteJournal(
            self._path, reserve=DiskReserve(self._path, self.disk, size=RESERVE)
        )
        self._journal.subscribe(
            [Subscription(name=NAME, variant="v", signals=frozenset({"traces"}))],
            now_ns=self._now_ns(),
        )
        self._ledger = Ledger(self._journal.ledger.series())
        self._assembler = Assembler(grace_s=6, max_age_s=3600)
        self._recording = Recording(
            self._journal,
            self._assembler,
            self._ledger,
            Teller(),
            read=self._given.read,
            clock_ns=self._now_ns,
            dedup_s=10**6,
            limits=Limits(quotas={NAME: 10**9}),
        )
        self._recording.replay(self._given.parse, at_once=self._at_once)

    def _commit(self, batch: list[Submission], side: Side) -> list[Exception | None] | None:
        """Commit; return what each record is answered, None if nothing is."""
        try:
            return self._recording.commit(batch, side).outcomes
        except JournalFullError:
            return None
        except (JournalError, sqlite3.Error):
            # As the bridge does: it ends, and the next start reads what is there.
            self._restart(is_crash=True)
            return None

    def _recording_tends(self) -> None:
        with suppress(JournalError):
            self._recording.tend()

    def _restart(self, *, is_crash: bool) -> None:
        if is_crash:
            self.model.may_repeat = True
            self.disk.is_off = True
        with suppress(JournalError):
            self._journal.close()
        self._journal.reserve.release()
        if self.disk.is_off:
            self.disk.restart(self._choice)
        self._open()
