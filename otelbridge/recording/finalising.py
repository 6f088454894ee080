"""Finalising: interceptions that are due are told, in the transaction that closes them."""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

from otelbridge.domain.assembler import tool_calls
from otelbridge.domain.books import TOLD
from otelbridge.domain.interception import Closed, labels_of
from otelbridge.domain.ledger import Changes
from otelbridge.journal.transaction import Finalised
from otelbridge.recording.threads import may_miss_parent, resolve_thread

if TYPE_CHECKING:
    from uuid import UUID

    from otelbridge.domain.assembler import Assembler
    from otelbridge.domain.interception import Interception, Thread
    from otelbridge.domain.ports import Teller
    from otelbridge.journal import SqliteJournal
    from otelbridge.recording.draft import Draft

logger = logging.getLogger(__name__)

_NS = 1_000_000_000
_DAY_NS = 86400 * _NS
# An interception that cannot be told is tried again later: it must not hold up others.
_RETRY_NS = 60 * _NS


class UntellableError(Exception):
    """An interception cannot be told."""


class Finaliser:
    """Tells interceptions.

    Args:
        journal: Knows what was finalised before.
        assembler: Open interceptions.
        teller: Makes telemetry.
        infers_tools: Whether the client's own tool work is told, from the gap
            between a tool call and the first interception that carries its result.
    """

    def __init__(
        self, journal: SqliteJournal, assembler: Assembler, teller: Teller, *, infers_tools: bool
    ) -> None:
        self._closed = journal.closed
        self._assembler = assembler
        self._teller = teller
        self._infers_tools = infers_tools
        # Interceptions whose parent may be among the records that are not read yet.
        self._held: list[UUID] = []

    def finalise(self, draft: Draft, *, all_are_known: bool) -> None:
        """Tell the interceptions that a draft says are due.

        Args:
            draft: Where what is told is added.
            all_are_known: Whether every open interception is in the assembler.

        Raises:
            UntellableError: If one cannot be told. Nothing of the draft is of
                use then: a careful one must be made.
        """
        for interception_id in draft.due:
            if not all_are_known and self._may_miss_parent(interception_id, draft):
                self._held.append(interception_id)
                continue
            if draft.is_careful:
                self._finalise_carefully(interception_id, draft)
            else:
                self._finalise_at_once(interception_id, draft)

    def release(self, *, now_ns: int) -> None:
        """Make due what was held back: now every open interception is in the assembler."""
        held = [key for key in self._held if key in self._assembler]
        self._assembler.postpone(held, until_ns=now_ns)
        self._held = []

    def _finalise_at_once(self, interception_id: UUID, draft: Draft) -> None:
        try:
            self._finalise(interception_id, draft, draft.changes)
        except sqlite3.Error:
            raise
        except Exception as error:
            raise UntellableError from error

    def _finalise_carefully(self, interception_id: UUID, draft: Draft) -> None:
        """Finalise an interception; if it cannot be told, nothing of it is booked."""
        changes = Changes(admitted=draft.changes.admitted)
        try:
            self._finalise(interception_id, draft, changes)
        except sqlite3.Error:
            raise
        except Exception:  # one that cannot be told must not stop the others
            logger.exception("interception %s cannot be told", interception_id)
            draft.changes.count("otelbridge.interceptions.failed")
            retry_ns = draft.now_ns + _RETRY_NS
            self._assembler.postpone([interception_id], until_ns=retry_ns)
        else:
            changes.admitted = {}  # they are the draft's already
            draft.changes.merge(changes)

    def _may_miss_parent(self, interception_id: UUID, draft: Draft) -> bool:
        return may_miss_parent(
            interception_id, self._assembler, self._closed, after_ns=draft.now_ns - _DAY_NS
        )

    def _finalise(self, interception_id: UUID, draft: Draft, changes: Changes) -> None:
        thread = resolve_thread(
            interception_id, self._assembler, self._closed, after_ns=draft.now_ns - _DAY_NS
        )
        thread, answered = self._told_once(thread, draft)
        interception = self._assembler.assembled(interception_id, thread)
        items = self._teller.interception_closed(interception, changes)
        if interception.is_orphan:
            for record in interception.records:
                self._teller.record_arrived(record, None, changes)
        changes.count(TOLD, amount=len(interception.records))
        draft.transaction.outbox += items
        draft.transaction.finalised.append(_finalised(interception, now_ns=draft.now_ns))
        draft.transaction.answered += answered

    def _told_once(self, thread: Thread, draft: Draft) -> tuple[Thread, list[UUID]]:
        """Leave the parent's tools to the first of its follow-ups; return whom this one answers."""
        parent = thread.parent
        if not self._infers_tools or parent is None or not parent.tools:
            return thread, []
        parent_id = parent.interception_id
        if parent_id in draft.transaction.answered or self._closed.is_answered(parent_id):
            return replace(thread, parent=replace(parent, tools=())), []
        return thread, [parent_id]


def _finalised(interception: Interception, *, now_ns: int) -> Finalised:
    start = interception.start
    closed = Closed(
        id=interception.id,
        start_identity=None if start is None else start.identity,
        initiator_id=None if start is None else start.initiator_id,
        root_id=interception.thread.root_id,
        labels=labels_of(start),
        closed_at_ns=now_ns,
        identities=frozenset(record.identity for record in interception.records),
    )
    return Finalised(closed, start.at_ns if start else 0, tool_calls(interception.records))
