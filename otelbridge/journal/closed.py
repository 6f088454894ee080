"""The closed table: what is remembered of finalised interceptions, and their tool calls."""

from __future__ import annotations

import hashlib
import json
import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from otelbridge.domain.interception import Closed, Labels, Parent, ToolCall
from otelbridge.domain.records import Identity
from otelbridge.journal.statements import insert_rows, padded

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from otelbridge.journal.transaction import Finalised

logger = logging.getLogger(__name__)

_IDENTITY_BYTES = 16
_LABELS = ("provider", "provider_name", "model", "client")
_CHUNK = 512  # ids in one look-up
_MAX_ROWID = 2**63 - 1
_PRUNED_AT_ONCE = 5000  # rows: keeps the commit that forgets short


class ClosedTable:
    """Finalised interceptions, by id, and who asked for which tool call."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def find(self, interceptions: Iterable[UUID], *, dedup_after_ns: int) -> dict[int, Closed]:
        """Return what is remembered of these interceptions, by their ids' numbers.

        Args:
            interceptions: Which.
            dedup_after_ns: Identities are forgotten of what was closed before.
        """
        wanted = [interception.bytes for interception in interceptions]
        found: dict[int, Closed] = {}
        for offset in range(0, len(wanted), _CHUNK):
            chunk = padded(wanted[offset : offset + _CHUNK])
            rows = self._database.execute(
                "SELECT interception, closed_at_ns, start, initiator, root, labels, identities"
                f" FROM closed WHERE interception IN ({','.join('?' * len(chunk))})",
                chunk,
            )
            for row in rows:
                closed = _closed_or_bare(row, dedup_after_ns)
                found[closed.id.int] = closed
        return found

    def insert(self, finalised: list[Finalised]) -> None:
        """Remember finalised interceptions."""
        insert_rows(self._database, "closed", [_row(item) for item in finalised])
        insert_rows(
            self._database,
            "tool_call",
            [
                (
                    call,
                    bytearray(item.closed.id.bytes),
                    item.started_at_ns,
                    item.closed.closed_at_ns,
                )
                for item in finalised
                if item.closed.initiator_id is not None
                for call in {_hash(item.closed.initiator_id, tool.call_id) for tool in item.tools}
            ],
        )

    def add_late(self, late: list[tuple[UUID, Identity]]) -> None:
        """Remember the identities of late records."""
        self._database.executemany(
            "UPDATE closed SET identities = CAST(identities || ? AS BLOB) WHERE interception = ?",
            [(identity, interception.bytes) for interception, identity in late],
        )

    def parent(self, initiator_id: UUID, call_id: str, *, after_ns: int) -> Parent | None:
        """Return the interception of a user that asked for a tool call.

        Of several the one that started last counts.

        Args:
            initiator_id: The user.
            call_id: The provider's id of the call.
            after_ns: Interceptions that were closed before are forgotten.
        """
        rows = self._database.execute(
            "SELECT t.interception, t.started_at_ns, c.initiator, c.root, c.tools"
            " FROM tool_call t JOIN closed c ON c.interception = t.interception"
            " WHERE t.call = ? AND t.closed_at_ns >= ?"
            " ORDER BY t.started_at_ns DESC, t.interception DESC",
            (_hash(initiator_id, call_id), after_ns),
        ).fetchall()
        for interception, started_at_ns, initiator, root, tools in rows:
            calls = _tools(tools)
            if initiator == initiator_id.bytes and any(call.call_id == call_id for call in calls):
                return Parent(
                    interception_id=UUID(bytes=interception),
                    started_at_ns=started_at_ns,
                    root_id=UUID(bytes=root),
                    tools=calls,
                )
        return None

    def is_answered(self, parent: UUID) -> bool:
        """Return whether the client's tool work for an interception was told."""
        row = self._database.execute(
            "SELECT 1 FROM answered WHERE parent = ?", (parent.bytes,)
        ).fetchone()
        return row is not None

    def answer(self, parents: Iterable[UUID], *, now_ns: int) -> None:
        """Remember whose client's tool work is told."""
        rows = [(parent.bytes, now_ns) for parent in parents]
        insert_rows(self._database, "answered", rows, verb="INSERT OR IGNORE")

    def prune(self, *, closed_before_ns: int, calls_before_ns: int) -> None:
        """Forget what is too old."""
        for table, before_ns in (("closed", closed_before_ns), ("tool_call", calls_before_ns)):
            # Rows are in the order of their times, but for a clock that was set back: none is
            # looked at behind the first that stays.
            oldest = f"SELECT rowid, closed_at_ns FROM {table} ORDER BY rowid LIMIT ?1"
            self._database.execute(
                f"DELETE FROM {table} WHERE rowid <= (SELECT max(rowid) FROM ({oldest}))"
                " AND rowid < coalesce((SELECT min(rowid) FROM"
                f" ({oldest}) WHERE closed_at_ns >= ?2), {_MAX_ROWID})",
                (_PRUNED_AT_ONCE, before_ns),
            )
        self._database.execute("DELETE FROM answered WHERE at_ns < ?", (calls_before_ns,))


def _closed_or_bare(row: tuple[Any, ...], after_ns: int) -> Closed:
    """Return what a row remembers; of a damaged one that its interception was finalised."""
    try:
        return _closed(row, after_ns)
    except (TypeError, ValueError) as error:
        interception = UUID(bytes=row[0])
        logger.error("journal: what is remembered of %s is damaged: %s", interception, error)
        return Closed(
            id=interception,
            start_identity=None,
            initiator_id=None,
            root_id=interception,
            labels=Labels(),
            closed_at_ns=0,
        )


def _closed(row: tuple[Any, ...], after_ns: int) -> Closed:
    interception, closed_at_ns, start, initiator, root, labels, identities = row
    if closed_at_ns < after_ns:
        identities = b""
    return Closed(
        id=UUID(bytes=interception),
        closed_at_ns=closed_at_ns,
        start_identity=None if start is None else Identity(start),
        initiator_id=None if initiator is None else UUID(bytes=initiator),
        root_id=UUID(bytes=root),
        labels=Labels(**dict(zip(_LABELS, json.loads(labels), strict=True))),
        identities=frozenset(
            Identity(identities[i : i + _IDENTITY_BYTES])
            for i in range(0, len(identities), _IDENTITY_BYTES)
        ),
    )


def _row(item: Finalised) -> tuple[object, ...]:
    closed, labels = item.closed, item.closed.labels
    return (
        bytearray(closed.id.bytes),
        closed.closed_at_ns,
        None if closed.start_identity is None else bytearray(closed.start_identity),
        None if closed.initiator_id is None else bytearray(closed.initiator_id.bytes),
        bytearray(closed.root_id.bytes),
        _labels_text(labels.provider, labels.provider_name, labels.model, labels.client),
        bytearray().join(sorted(closed.identities)),
        _tools_text(item.tools),
    )


def _tool(call_id: str, tool: str, at_ns: int, identity: str, injected: bool) -> ToolCall:  # noqa: FBT001  # as stored
    return ToolCall(
        call_id=call_id,
        tool=tool,
        at_ns=at_ns,
        identity=Identity(bytes.fromhex(identity)),
        injected=injected,
    )


def _tools(text: str) -> tuple[ToolCall, ...]:
    try:
        return tuple(_tool(*values) for values in json.loads(text))
    except (TypeError, ValueError) as error:
        logger.error("journal: tool calls of a finalised interception are damaged: %s", error)
        return ()


def _hash(initiator_id: UUID, call_id: str) -> int:
    """Return what a tool call is found by: a number, because long texts make an index large."""
    digest = hashlib.blake2b(initiator_id.bytes + call_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


@lru_cache(maxsize=1024)
def _labels_text(*values: str) -> str:
    return json.dumps(values)


def _tools_text(tools: tuple[ToolCall, ...]) -> str:
    if not tools:
        return "[]"
    return json.dumps(
        [
            (call.call_id, call.tool, call.at_ns, call.identity.hex(), call.injected)
            for call in tools
        ]
    )
