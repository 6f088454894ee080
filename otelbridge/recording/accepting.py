"""Accepting: what each record of a batch is, and what it adds to the transaction."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from otelbridge.domain.assembler import Verdict
from otelbridge.domain.books import DUPLICATE, RECEIVED
from otelbridge.domain.records import InterceptionStarted, RecordKind
from otelbridge.errors import AlreadyExistsError, InvalidRequestError
from otelbridge.journal.entries import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from otelbridge.domain.assembler import Assembler
    from otelbridge.domain.interception import Closed
    from otelbridge.domain.ports import Teller
    from otelbridge.domain.records import Record
    from otelbridge.errors import CallError
    from otelbridge.journal import SqliteJournal
    from otelbridge.recording.draft import Draft
    from otelbridge.recording.values import Reader, Received, Submission

logger = logging.getLogger(__name__)

_REJECTED = "otelbridge.records.rejected"
_FRESH, _DUPLICATE, _CONFLICT = Verdict  # see `otelbridge.domain.assembler`
_KIND_NAMES = {kind: kind.name.lower() for kind in RecordKind}


class Acceptor:
    """Decides about records and adds them to a draft.

    Args:
        journal: Knows what was finalised.
        assembler: Open interceptions.
        teller: Books records.
        read: Reads a request.
        clock_ns: The bridge's clock.
        dedup_ns: How long repeats of a finalised interception's records are recognised.
    """

    def __init__(
        self,
        journal: SqliteJournal,
        assembler: Assembler,
        teller: Teller,
        *,
        read: Reader,
        clock_ns: Callable[[], int],
        dedup_ns: int,
    ) -> None:
        self._closed = journal.closed
        self._assembler = assembler
        self._teller = teller
        self._read = read
        self._clock_ns = clock_ns
        self._dedup_ns = dedup_ns
        self._users: dict[UUID, str] = journal.ledger.users()

    def read(
        self, batch: list[Submission], draft: Draft, *, keep_content: bool
    ) -> list[Received | Exception]:
        """Read requests; an error stands for one that cannot be accepted."""
        received: list[Received | Exception] = []
        for each in batch:
            try:
                received.append(self._read(each, keep_content=keep_content))
            except InvalidRequestError as error:
                draft.changes.count(_REJECTED, _KIND_NAMES[each.kind], "invalid")
                received.append(error)
            except Exception as error:  # one that cannot be read must not fail its neighbours
                kind = _KIND_NAMES[each.kind]
                logger.exception("a %s record cannot be read", kind)
                draft.changes.count(_REJECTED, kind, "fault")
                received.append(error)
        return received

    def closed_among(self, interceptions: Iterable[UUID]) -> dict[int, Closed]:
        """Return what is remembered of those that were finalised, by number."""
        unknown = self._assembler.unknown(interceptions)
        if not unknown:
            return {}
        after_ns = self._clock_ns() - self._dedup_ns
        return self._closed.find(unknown.values(), dedup_after_ns=after_ns)

    def finalised_among(self, interceptions: Iterable[UUID]) -> dict[UUID, int]:
        """Return those that were finalised, and when."""
        return {each.id: each.closed_at_ns for each in self.closed_among(interceptions).values()}

    def accept(
        self, batch: list[Submission], received: list[Received | Exception], draft: Draft
    ) -> list[Exception | None]:
        """Accept records that were read; return the error that each call is answered with."""
        outcomes = [
            found if isinstance(found, Exception) else self._accept(asked, found, draft)
            for asked, found in zip(batch, received, strict=True)
        ]
        for (kind, gateway), number in draft.received.items():
            draft.changes.count(RECEIVED, _KIND_NAMES[kind], gateway, amount=number)
        return outcomes

    def committed(self, draft: Draft) -> None:
        """Let memory follow the commit."""
        self._users.update(draft.transaction.users)

    def undo(self, draft: Draft) -> None:
        """Take back what a commit that failed had added to the assembler."""
        for record in reversed(draft.added):
            self._assembler.remove(record)

    def _accept(self, submission: Submission, received: Received, draft: Draft) -> CallError | None:
        kind, record = submission.kind, received.record
        closed = draft.closed.get(record.interception_id.int)
        verdict = self._assembler.take(record) if closed is None else _verdict(record, closed)
        if verdict is _CONFLICT:
            draft.changes.count(_REJECTED, _KIND_NAMES[kind], "conflict")
            return AlreadyExistsError(
                f'interception "{record.interception_id}" was already recorded with another start'
            )
        source = kind, submission.gateway
        draft.received[source] = draft.received.get(source, 0) + 1
        if verdict is _DUPLICATE:
            draft.changes.count(DUPLICATE, _KIND_NAMES[kind])
        elif closed is None:
            self._added(kind, received, draft)
        else:
            self._add_late(record, closed, draft)
        return None

    def _added(self, kind: RecordKind, received: Received, draft: Draft) -> None:
        """Have a record that is in the assembler now committed and booked."""
        record = received.record
        draft.added.append(record)
        draft.transaction.entries.append(
            Entry(
                kind,
                record.received_at_ns,
                received.length,
                record.interception_id,
                record.identity,
                received.payload,
                received.prints,
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

    def _add_late(self, record: Record, closed: Closed, draft: Draft) -> None:
        known = closed.identities | {record.identity}
        draft.closed[closed.id.int] = replace(closed, identities=known)
        draft.transaction.late.append((closed.id, record.identity))
        draft.transaction.outbox += self._teller.record_late(record, closed, draft.changes)

    def _name_user(self, start: InterceptionStarted, draft: Draft) -> None:
        name = start.metadata.get("Username")
        if isinstance(name, str) and name and self._users.get(start.initiator_id) != name:
            draft.transaction.users[start.initiator_id] = name


def _verdict(record: Record, closed: Closed) -> Verdict:
    """Return what a record means whose interception was finalised."""
    if record.identity in closed.identities or record.identity == closed.start_identity:
        return _DUPLICATE
    if isinstance(record, InterceptionStarted) and closed.start_identity is not None:
        return _CONFLICT
    return _FRESH
