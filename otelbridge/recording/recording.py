"""The use case: records are accepted, interceptions finalised, in one transaction.

Runs in the core's thread only, so that nothing here needs a lock.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from otelbridge.domain.books import ITEMS_TOLD, Books, balance, lane_book, record_book
from otelbridge.domain.ports import Signal
from otelbridge.errors import JournalFullError
from otelbridge.recording.accepting import Acceptor
from otelbridge.recording.backlog import Backlog
from otelbridge.recording.draft import Draft
from otelbridge.recording.finalising import Finaliser, UntellableError
from otelbridge.recording.relief import Limits, Relief
from otelbridge.recording.values import JournalStats, Received, Result, Side, Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otelbridge.domain.assembler import Assembler
    from otelbridge.domain.ledger import Changes, Ledger
    from otelbridge.domain.ports import Teller
    from otelbridge.domain.records import Record
    from otelbridge.journal import SqliteJournal
    from otelbridge.journal.entries import Entry
    from otelbridge.journal.transaction import Transaction
    from otelbridge.recording.values import Reader

logger = logging.getLogger(__name__)

_NS = 1_000_000_000
_HOUR_NS = 3600 * _NS
_DAY_NS = 24 * _HOUR_NS
# Finalised in one commit: keeps the replies that wait for it short.
_FINALISED_AT_ONCE = 500
_AND_READ_AT_ONCE = 150
# Records of a backlog that are read before the first call is answered: a second's work.
# Further ones are read along with commits, so many for each interception that can be told.
_READ_AT_START = 20_000
_RECORDS_EACH = 8
# How often the memory of finalised interceptions is shortened when the disk is full, at once.
_PRUNED_AT_ONCE = 4


class Recording:
    """Accepts records and finalises interceptions.

    Args:
        journal: Where everything is made durable.
        assembler: Open interceptions.
        ledger: Committed totals.
        teller: Makes telemetry.
        read: Reads a request. Many are read in a row, which takes a third of
            the time that reading each in its own turn of the event loop takes.
        clock_ns: The bridge's clock.
        dedup_s: How long repeats of a finalised interception's records are
            recognised, in seconds.
        infers_tools: Whether the client's own tool work is told, from the gap
            between a tool call and the first interception that carries its result.
        limits: What may wait for each destination.
    """

    def __init__(
        self,
        journal: SqliteJournal,
        assembler: Assembler,
        ledger: Ledger,
        teller: Teller,
        *,
        read: Reader,
        clock_ns: Callable[[], int],
        dedup_s: float,
        infers_tools: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self._journal = journal
        self._assembler = assembler
        self._ledger = ledger
        self._teller = teller
        self._clock_ns = clock_ns
        self._dedup_ns = int(dedup_s * _NS)
        self._acceptor = Acceptor(
            journal,
            assembler,
            teller,
            read=read,
            clock_ns=clock_ns,
            dedup_ns=self._dedup_ns,
        )
        self._finaliser = Finaliser(journal, assembler, teller, infers_tools=infers_tools)
        self._relief = Relief(journal, limits or Limits(), clock_ns=clock_ns)
        self._backlog: Backlog | None = None
        # What was pending when the backlog had been read is held against the ledger once.
        self._is_checked = True
        self._names_of: dict[int, list[str]] = {}

    @property
    def unread(self) -> int:
        """Return how many records of the journal have not been read yet, about."""
        if self._backlog is None or self._backlog.is_done:
            return 0
        return max(1, self._backlog.total - self._backlog.taken)

    def replay(self, parse: Callable[[Entry], Record], *, at_once: int = _READ_AT_START) -> int:
        """Rebuild open interceptions from the journal; return how many records there were.

        Args:
            parse: Reads an entry.
            at_once: How many records are read here. The rest is read along
                with the commits that follow.
        """
        self._backlog = Backlog(
            self._journal,
            self._assembler,
            parse=parse,
            finalised_among=self._acceptor.finalised_among,
            clock_ns=self._clock_ns,
        )
        self._is_checked = False
        self._backlog.read_on(at_once)
        return self._assembler.record_count + self.unread

    def commit(self, batch: list[Submission], side: Side) -> Result:
        """Accept records and finalise what is due, in one transaction.

        On a full disk it is tried a second time: with the reserve given back,
        and with the oldest of what waits for delivery given up.

        Raises:
            JournalError: If nothing could be committed. Memory is as before.
        """
        try:
            return self._commit(batch, side)
        except JournalFullError:
            if not self._relief.note_full_disk():
                raise
        self._forget_early()
        return self._commit(batch, side)

    def settle(self, transaction: Transaction, changes: Changes) -> Result:
        """Commit a change that is no record, with its counts.

        Raises:
            JournalError: If it could not be committed. Memory is as before.
        """
        draft = Draft(self._clock_ns(), changes=changes, transaction=transaction)
        told = self._settle(draft)
        self._apply(draft)
        return self._result([], told, draft)

    def tend(self) -> None:
        """Look at the disk and at backups; to be called about once a second."""
        self._journal.tend(now_ns=self._clock_ns())
        self._relief.look()
        if self._relief.disk_is_full:
            self._forget_early()

    def stats(self, destinations: Iterable[str]) -> JournalStats:
        """Return the journal's state."""
        outbox = self._journal.outbox
        names = list(destinations)
        waiting = {
            (name, signal): oldest_ns
            for name in names
            for signal in (Signal.TRACES, Signal.LOGS)
            if (oldest_ns := outbox.oldest_ns(name, signal)) is not None
        }
        return JournalStats(
            records=self._assembler.record_count + self.unread,
            bytes=self._journal.size_bytes(),
            oldest_ns=self._journal.batches.oldest_ns(),
            waiting_ns=waiting,
            waiting_bytes={name: outbox.waiting_bytes(name) for name in names},
            free_bytes=self._journal.reserve.free_bytes(),
            disk_is_full=self._relief.disk_is_full,
            unread=self.unread,
            dead_letters={
                lane: kept.items for lane, kept in self._journal.dead_letters.kept().items()
            },
        )

    def books(self) -> Books:
        """Return what became of all records, and of what was told to each destination."""
        series = self._ledger.snapshot()
        lanes = (
            lane_book(series, name, signal.value, waiting=self._journal.outbox.items(name, signal))
            for name in self._journal.outbox.bits()
            for signal in (Signal.TRACES, Signal.LOGS)
        )
        return Books(
            records=record_book(series, pending=self._assembler.record_count),
            lanes=tuple(lanes),
            unread=self.unread,
        )

    def begin_backup(self) -> None:
        """Have the journal's file stay as it is; see `SqliteJournal.hold_still`."""
        self._journal.hold_still(now_ns=self._clock_ns())

    def prune(self) -> None:
        """Forget what is too old: finalised interceptions, tool calls, daily usage rows."""
        self._prune(kept_ns=self._dedup_ns + _DAY_NS)

    def _prune(self, *, kept_ns: int) -> None:
        if self.unread:  # whether an interception is open is not known of all
            return
        now_ns = self._clock_ns()
        self._journal.prune(
            closed_before_ns=now_ns - kept_ns,
            calls_before_ns=now_ns - min(kept_ns, _DAY_NS),
            before_day=_day(now_ns - 400 * _DAY_NS),
            is_open=self._assembler.__contains__,
        )

    def _forget_early(self) -> None:
        """Shorten the memory of finalised interceptions: what is least worth its space."""
        try:
            for _ in range(_PRUNED_AT_ONCE):
                self._prune(kept_ns=min(_HOUR_NS, self._dedup_ns + _DAY_NS))
        except JournalFullError as error:
            logger.warning("journal: nothing can be forgotten: %s", error)

    def _commit(self, batch: list[Submission], side: Side, *, is_careful: bool = False) -> Result:
        draft = self._draft(side, is_careful=is_careful)
        try:
            outcomes = self._accept_all(batch, draft)
            self._finalise_due(draft, is_waited_for=bool(batch))
            told = self._settle(draft)
        except UntellableError:
            self._undo(draft, until_ns=draft.now_ns)
            return self._commit(batch, side, is_careful=True)
        except BaseException:
            self._undo(draft, until_ns=draft.now_ns + _NS)
            raise
        self._apply(draft)
        return self._result(outcomes, told, draft)

    def _draft(self, side: Side, *, is_careful: bool) -> Draft:
        draft = Draft(self._clock_ns(), is_careful)
        draft.changes.merge(side.changes)
        draft.transaction.progress = side.progress
        draft.transaction.metrics = side.metrics
        draft.transaction.buried = side.buried
        self._teller.spare(self._relief.spared())
        if not self._is_checked and not self.unread:
            self._check(draft)
        return draft

    def _check(self, draft: Draft) -> None:
        """Hold what the journal has kept against what it has acknowledged."""
        draft.is_checked = True
        self._finaliser.release(now_ns=draft.now_ns)
        missing = balance(self.books().records, draft.changes, reason="damaged")
        if missing > 0:
            logger.error("journal: %d acknowledged records are lost", missing)
        elif missing < 0:
            logger.error("journal: %d records were not in the ledger: it has lost counts", -missing)

    def _accept_all(self, batch: list[Submission], draft: Draft) -> list[Exception | None]:
        keep_content = self._relief.keeps_content
        received = self._acceptor.read(batch, draft, keep_content=keep_content)
        wanted = [each.record.interception_id for each in received if isinstance(each, Received)]
        draft.closed = self._acceptor.closed_among(wanted)
        if self._backlog is not None and not self._backlog.is_done:
            self._backlog.fetch(key for key in set(wanted) if key.int not in draft.closed)
        return self._acceptor.accept(batch, received, draft)

    def _finalise_due(self, draft: Draft, *, is_waited_for: bool) -> None:
        backlog = self._backlog
        if backlog is None or backlog.is_done:
            draft.due = self._assembler.due(draft.now_ns, limit=_FINALISED_AT_ONCE)
        else:
            at_once = _AND_READ_AT_ONCE if is_waited_for else _FINALISED_AT_ONCE
            draft.due = self._assembler.due(draft.now_ns, limit=at_once)
            more = at_once - len(draft.due)
            backlog.read_on(more * _RECORDS_EACH)
            draft.due += self._assembler.due(draft.now_ns, limit=more)
        self._finaliser.finalise(draft, all_are_known=not self.unread)

    def _settle(self, draft: Draft) -> dict[Signal, int]:
        transaction = draft.transaction
        self._relief.draft(transaction, draft.changes)
        for signal, destinations, items, _ in transaction.outbox:
            for name in self._names(destinations):
                draft.changes.count(ITEMS_TOLD, name, signal.value, amount=items)
        transaction.series = self._ledger.updated(draft.changes, now_ns=draft.now_ns)
        transaction.usage = draft.changes.usage
        transaction.admitted = draft.changes.admitted
        if not transaction and not self._journal.has_more:
            return {}
        return self._journal.commit(transaction, now_ns=draft.now_ns)

    def _names(self, destinations: int) -> list[str]:
        """Return the names of the destinations of a mask."""
        names = self._names_of.get(destinations)
        if names is None:
            bits = self._journal.outbox.bits()
            names = [name for name, bit in bits.items() if destinations >> bit & 1]
            self._names_of[destinations] = names
        return names

    def _result(
        self, outcomes: list[Exception | None], told: dict[Signal, int], draft: Draft
    ) -> Result:
        done = draft.transaction
        is_settled = self._is_checked and len(draft.due) < _AND_READ_AT_ONCE
        return Result(
            outcomes,
            told,
            self._assembler.next_deadline_ns() if is_settled else 0,
            series=done.series,
            usage=done.usage,
            admitted=done.admitted,
            active=self._assembler.active(),
            has_more=self._journal.has_more,
        )

    def _apply(self, draft: Draft) -> None:
        """Let memory follow the commit."""
        self._is_checked = self._is_checked or draft.is_checked
        self._ledger.apply(draft.transaction.series)
        self._teller.committed(draft.changes)
        self._acceptor.committed(draft)
        self._relief.committed()
        for finalised in draft.transaction.finalised:
            self._assembler.forget(finalised.closed.id)

    def _undo(self, draft: Draft, *, until_ns: int) -> None:
        self._acceptor.undo(draft)
        due = (key for key in draft.due if key in self._assembler)
        self._assembler.postpone(due, until_ns=until_ns)


def _day(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // _NS, tz=UTC).strftime("%Y-%m-%d")
