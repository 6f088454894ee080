"""The use case: records are accepted, interceptions finalised, in one transaction.

Runs in the journal's thread only, so that nothing here needs a lock.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from otelbridge.domain.assembler import Verdict, tool_calls
from otelbridge.domain.interception import Closed, labels_of
from otelbridge.domain.ledger import Changes
from otelbridge.domain.ports import Signal
from otelbridge.domain.records import InterceptionStarted, RecordKind
from otelbridge.errors import AlreadyExistsError, InvalidRequestError
from otelbridge.journal.entries import Entry
from otelbridge.journal.transaction import Finalised, Transaction
from otelbridge.recording.threads import resolve_thread
from otelbridge.recording.values import JournalStats, Received, Result, Side, Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from uuid import UUID

    from otelbridge.domain.assembler import Assembler
    from otelbridge.domain.interception import Thread
    from otelbridge.domain.ledger import Ledger
    from otelbridge.domain.ports import Teller
    from otelbridge.domain.records import Record
    from otelbridge.errors import CallError
    from otelbridge.journal import SqliteJournal

logger = logging.getLogger(__name__)

_NS = 1_000_000_000
_DAY_NS = 86400 * _NS
# Finalised in one commit: keeps the replies that wait for it short.
_FINALISED_AT_ONCE = 500
# An interception that cannot be told is tried again later: it must not hold up others.
_RETRY_NS = 60 * _NS
_KIND_NAMES = {kind: kind.name.lower() for kind in RecordKind}


@dataclass(slots=True)
class _Draft:
    """A transaction that is being prepared."""

    now_ns: int
    changes: Changes = field(default_factory=Changes)
    transaction: Transaction = field(default_factory=Transaction)
    closed: dict[int, Closed] = field(default_factory=dict)
    added: list[Record] = field(default_factory=list)
    due: list[UUID] = field(default_factory=list)


class Recording:
    """Accepts records and finalises interceptions.

    Args:
        journal: Where everything is made durable.
        assembler: Open interceptions.
        ledger: Committed totals.
        teller: Makes telemetry.
        read: Reads a request; raises an InvalidRequestError if it breaks the
            contract. Many are read in a row, which takes a third of the time
            that reading each in its own turn of the event loop takes.
        clock_ns: The bridge's clock.
        dedup_s: How long repeats of a finalised interception's records are
            recognised, in seconds.
        infers_tools: Whether the client's own tool work is told, from the gap
            between a tool call and the first interception that carries its result.
    """

    def __init__(
        self,
        journal: SqliteJournal,
        assembler: Assembler,
        ledger: Ledger,
        teller: Teller,
        *,
        read: Callable[[Submission], Received],
        clock_ns: Callable[[], int],
        dedup_s: float,
        infers_tools: bool = False,
    ) -> None:
        self._journal = journal
        self._assembler = assembler
        self._ledger = ledger
        self._teller = teller
        self._read = read
        self._clock_ns = clock_ns
        self._infers_tools = infers_tools
        # What could not be replayed: counted with the first commit.
        self._lost = Changes()
        self._dedup_ns = int(dedup_s * _NS)
        self._users: dict[UUID, str] = journal.ledger.users()

    def replay(self, parse: Callable[[Entry], Record]) -> int:
        """Rebuild the open interceptions from the journal; return how many records there were."""
        count = 0
        now_ns = self._clock_ns()
        for entry in self._journal.replay(self._finalised_among):
            try:
                record = parse(entry)
            except Exception:  # one that cannot be read must not keep the bridge from starting
                kind = _KIND_NAMES[entry.kind]
                logger.exception("a %s record of the journal is lost", kind)
                self._lost.count("otelbridge.records.rejected", kind, "lost")
                continue
            if record.received_at_ns > now_ns:  # the clock was set back between the runs
                record = replace(record, received_at_ns=now_ns)
            self._assembler.add(record)
            count += 1
        return count

    def commit(self, batch: list[Submission], side: Side) -> Result:
        """Accept records and finalise what is due, in one transaction.

        Raises:
            JournalError: If nothing could be committed. Memory is as before.
        """
        draft = _Draft(self._clock_ns())
        draft.changes.merge(side.changes)
        draft.changes.merge(self._lost)
        draft.transaction.progress = side.progress
        draft.transaction.metrics = side.metrics
        draft.transaction.buried = side.buried
        try:
            received = [self._receive(submission, draft) for submission in batch]
            draft.closed = self._closed_among(
                r.record.interception_id for r in received if isinstance(r, Received)
            )
            pairs = zip(batch, received, strict=True)
            outcomes = [
                self._accept(submission, found, draft) if isinstance(found, Received) else found
                for submission, found in pairs
            ]
            self._finalise_due(draft)
            told = self._settle(draft)
        except BaseException:
            self._undo(draft)
            raise
        self._apply(draft)
        return self._result(outcomes, told, draft.transaction)

    def shed(self, quotas: Mapping[str, int]) -> Side:
        """Return what gives up the oldest of what waits for destinations beyond their quotas.

        Args:
            quotas: How many bytes may wait for each destination, by name.
        """
        side = Side()
        outbox = self._journal.outbox
        if outbox.total_bytes() <= min(quotas.values(), default=0):
            return side
        for name, max_bytes in quotas.items():
            for shed in outbox.excess(name, max_bytes=max_bytes):
                side.progress[name, shed.signal] = shed.through
                side.changes.count(
                    "otelbridge.delivery.rejected",
                    name,
                    shed.signal.value,
                    "max_bytes",
                    amount=shed.items,
                )
                logger.error(
                    "destination %s: %d %s were given up: more than %d bytes wait",
                    name,
                    shed.items,
                    shed.signal.value,
                    max_bytes,
                )
        return side

    def stats(self, destinations: Iterable[str]) -> JournalStats:
        """Return the journal's state."""
        outbox = self._journal.outbox
        waiting = {
            (name, signal): oldest_ns
            for name in destinations
            for signal in (Signal.TRACES, Signal.LOGS)
            if (oldest_ns := outbox.oldest_ns(name, signal)) is not None
        }
        return JournalStats(
            records=self._assembler.record_count,
            bytes=self._journal.size_bytes(),
            oldest_ns=self._journal.batches.oldest_ns(),
            waiting_ns=waiting,
        )

    def prune(self) -> None:
        """Forget what is too old: finalised interceptions, tool calls, daily usage rows."""
        now_ns = self._clock_ns()
        closed_before_ns = now_ns - self._dedup_ns - _DAY_NS
        self._journal.prune(
            closed_before_ns=closed_before_ns,
            calls_before_ns=now_ns - _DAY_NS,
            before_day=_day(now_ns - 400 * _DAY_NS),
            is_open=self._assembler.__contains__,
        )

    def _receive(self, submission: Submission, draft: _Draft) -> Received | Exception:
        kind = _KIND_NAMES[submission.kind]
        try:
            return self._read(submission)
        except InvalidRequestError as error:
            draft.changes.count("otelbridge.records.rejected", kind, "invalid")
            return error
        except Exception as error:  # one that cannot be read must not fail its neighbours
            logger.exception("a %s record cannot be read", kind)
            draft.changes.count("otelbridge.records.rejected", kind, "fault")
            return error

    def _accept(
        self, submission: Submission, received: Received, draft: _Draft
    ) -> CallError | None:
        record = received.record
        kind = _KIND_NAMES[submission.kind]
        closed = draft.closed.get(record.interception_id.int)
        verdict = self._assembler.verdict(record) if closed is None else _verdict(record, closed)
        if verdict is Verdict.CONFLICT:
            draft.changes.count("otelbridge.records.rejected", kind, "conflict")
            return AlreadyExistsError(
                f'interception "{record.interception_id}" was already recorded with another start'
            )
        draft.changes.count("otelbridge.records.received", kind, submission.gateway)
        if verdict is Verdict.DUPLICATE:
            draft.changes.count("otelbridge.records.duplicate", kind)
        elif closed is None:
            self._add(submission.kind, received, draft)
        else:
            self._add_late(record, closed, draft)
        return None

    def _add(self, kind: RecordKind, received: Received, draft: _Draft) -> None:
        record = received.record
        draft.added.append(record)
        self._assembler.add(record)
        draft.transaction.entries.append(
            Entry(
                kind,
                record.received_at_ns,
                received.length,
                record.interception_id,
                record.identity,
                received.payload,
            )
        )
        if isinstance(record, InterceptionStarted):
            self._name_user(record, draft)
            # What came before its start waited to be booked.
            for waiting in self._assembler.records_of(record.interception_id):
                self._teller.record_arrived(waiting, record, draft.changes)
            return
        start = self._assembler.start_of(record.interception_id)
        if start is not None:
            self._teller.record_arrived(record, start, draft.changes)

    def _add_late(self, record: Record, closed: Closed, draft: _Draft) -> None:
        known = closed.identities | {record.identity}
        draft.closed[closed.id.int] = replace(closed, identities=known)
        draft.transaction.late.append((closed.id, record.identity))
        draft.transaction.outbox += self._teller.record_late(record, closed, draft.changes)

    def _finalise_due(self, draft: _Draft) -> None:
        draft.due = self._assembler.due(draft.now_ns, limit=_FINALISED_AT_ONCE)
        for interception_id in draft.due:
            try:
                self._finalise(interception_id, draft)
            except Exception:  # one that cannot be told must not stop the others
                logger.exception("interception %s cannot be told", interception_id)
                draft.changes.count("otelbridge.interceptions.failed")
                retry_ns = draft.now_ns + _RETRY_NS
                self._assembler.postpone([interception_id], until_ns=retry_ns)

    def _finalise(self, interception_id: UUID, draft: _Draft) -> None:
        start = self._assembler.start_of(interception_id)
        calls_after_ns = draft.now_ns - _DAY_NS
        thread = resolve_thread(
            interception_id, self._assembler, self._journal.closed, after_ns=calls_after_ns
        )
        thread = self._told_once(thread, draft)
        interception = self._assembler.assembled(interception_id, thread)
        items = self._teller.interception_closed(interception, draft.changes)
        if start is None:
            for record in interception.records:
                self._teller.record_arrived(record, None, draft.changes)
        draft.transaction.outbox += items
        closed = Closed(
            id=interception_id,
            start_identity=None if start is None else start.identity,
            initiator_id=None if start is None else start.initiator_id,
            root_id=thread.root_id,
            labels=labels_of(start),
            closed_at_ns=draft.now_ns,
            identities=frozenset(record.identity for record in interception.records),
        )
        draft.transaction.finalised.append(
            Finalised(closed, start.at_ns if start else 0, tool_calls(interception.records))
        )

    def _told_once(self, thread: Thread, draft: _Draft) -> Thread:
        """Leave the parent's tools to the first of its follow-ups that is finalised."""
        parent = thread.parent
        if not self._infers_tools or parent is None or not parent.tools:
            return thread
        parent_id = parent.interception_id
        answered = draft.transaction.answered
        if parent_id in answered or self._journal.closed.is_answered(parent_id):
            return replace(thread, parent=replace(parent, tools=()))
        answered.append(parent_id)
        return thread

    def _settle(self, draft: _Draft) -> dict[Signal, int]:
        transaction = draft.transaction
        transaction.series = self._ledger.updated(draft.changes, now_ns=draft.now_ns)
        transaction.usage = draft.changes.usage
        transaction.admitted = draft.changes.admitted
        if not transaction:
            return {}
        return self._journal.commit(transaction, now_ns=draft.now_ns)

    def _result(
        self, outcomes: list[Exception | None], told: dict[Signal, int], done: Transaction
    ) -> Result:
        return Result(
            outcomes,
            told,
            self._assembler.next_deadline_ns(),
            series=done.series,
            usage=done.usage,
            admitted=done.admitted,
            active=self._assembler.active(),
        )

    def _apply(self, draft: _Draft) -> None:
        """Let memory follow the commit."""
        self._lost = Changes()
        transaction = draft.transaction
        self._ledger.apply(transaction.series)
        self._teller.committed(draft.changes)
        self._users.update(transaction.users)
        for finalised in transaction.finalised:
            self._assembler.forget(finalised.closed.id)

    def _undo(self, draft: _Draft) -> None:
        for record in reversed(draft.added):
            self._assembler.remove(record)
        self._assembler.postpone(
            (key for key in draft.due if key in self._assembler), until_ns=draft.now_ns + _NS
        )

    def _name_user(self, start: InterceptionStarted, draft: _Draft) -> None:
        name = start.metadata.get("Username")
        if isinstance(name, str) and name and self._users.get(start.initiator_id) != name:
            draft.transaction.users[start.initiator_id] = name

    def _closed_among(self, interceptions: Iterable[UUID]) -> dict[int, Closed]:
        """Return what is remembered of those that were finalised, by number."""
        unknown = {key.int: key for key in interceptions if key not in self._assembler}
        if not unknown:
            return {}
        after_ns = self._clock_ns() - self._dedup_ns
        return self._journal.closed.find(unknown.values(), dedup_after_ns=after_ns)

    def _finalised_among(self, interceptions: set[UUID]) -> set[UUID]:
        return {closed.id for closed in self._closed_among(interceptions).values()}


def _verdict(record: Record, closed: Closed) -> Verdict:
    """Return what a record means whose interception was finalised."""
    if record.identity in closed.identities or record.identity == closed.start_identity:
        return Verdict.DUPLICATE
    if isinstance(record, InterceptionStarted) and closed.start_identity is not None:
        return Verdict.CONFLICT
    return Verdict.FRESH


def _day(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // _NS, tz=UTC).strftime("%Y-%m-%d")
