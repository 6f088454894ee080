"""The closed table: what is remembered of finalised interceptions, and their tool calls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

from otelbridge.domain.interception import Closed, Labels, Parent, ToolCall
from otelbridge.domain.records import Identity
from otelbridge.journal.statements import insert_rows, padded

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from otelbridge.journal.transaction import Finalised

_IDENTITY_BYTES = 16
_LABELS = ("provider", "provider_name", "model", "client")
_CHUNK = 512  # ids in one look-up
_PRUNED_AT_ONCE = 5000  # rows: keeps the commit that forgets short


class ClosedTable:
    """Finalised interceptions, by id, and who asked for which tool call."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def find(self, interceptions: Iterable[UUID], *, dedup_after_ns: int) -> dict[UUID, Closed]:
        """Return what is remembered of these interceptions.

        Args:
            interceptions: Which.
            dedup_after_ns: Identities are forgotten of what was closed before.
        """
        wanted = [interception.bytes for interception in interceptions]
        found: dict[UUID, Closed] = {}
        for offset in range(0, len(wanted), _CHUNK):
            chunk = padded(wanted[offset : offset + _CHUNK])
            rows = self._database.execute(
                "SELECT interception, closed_at_ns, start, initiator, root, labels, identities"
                f" FROM closed WHERE interception IN ({','.join('?' * len(chunk))})",
                chunk,
            )
            for row in rows:
                closed = self._closed(row, dedup_after_ns)
                found[closed.id] = closed
        return found

    def insert(self, finalised: list[Finalised]) -> None:
        """Remember finalised interceptions."""
        insert_rows(self._database, "closed", [self._row(item.closed) for item in finalised])
        insert_rows(
            self._database,
            "tool_call",
            [
                (
                    call.call_id,
                    item.closed.initiator_id.bytes,
                    item.closed.id.bytes,
                    item.started_at_ns,
                    item.closed.closed_at_ns,
                    call.tool,
                    call.at_ns,
                    call.identity,
                    call.injected,
                )
                for item in finalised
                if item.closed.initiator_id is not None
                for call in item.tools
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
        row = self._database.execute(
            "SELECT c.interception, t.started_at_ns, c.root FROM tool_call t"
            " JOIN closed c ON c.interception = t.interception"
            " WHERE t.call_id = ? AND t.initiator = ? AND t.closed_at_ns >= ?"
            " ORDER BY t.started_at_ns DESC, t.interception DESC LIMIT 1",
            (call_id, initiator_id.bytes, after_ns),
        ).fetchone()
        if row is None:
            return None
        interception, started_at_ns, root = row
        return Parent(
            interception_id=UUID(bytes=interception),
            started_at_ns=started_at_ns,
            root_id=UUID(bytes=root),
            tools=self._tools(interception),
        )

    def prune(self, *, closed_before_ns: int, calls_before_ns: int) -> None:
        """Forget what is too old."""
        for table, before_ns in (("closed", closed_before_ns), ("tool_call", calls_before_ns)):
            self._database.execute(
                f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table}"
                " WHERE closed_at_ns < ? ORDER BY closed_at_ns LIMIT ?)",
                (before_ns, _PRUNED_AT_ONCE),
            )

    def _tools(self, interception: bytes) -> tuple[ToolCall, ...]:
        rows = self._database.execute(
            "SELECT call_id, tool, at_ns, identity, injected FROM tool_call"
            " WHERE interception = ? ORDER BY at_ns, identity",
            (interception,),
        )
        return tuple(
            ToolCall(
                call_id=call_id,
                tool=tool,
                at_ns=at_ns,
                identity=Identity(identity),
                injected=bool(injected),
            )
            for call_id, tool, at_ns, identity, injected in rows
        )

    def _row(self, closed: Closed) -> tuple[object, ...]:
        return (
            closed.id.bytes,
            closed.closed_at_ns,
            closed.start_identity,
            None if closed.initiator_id is None else closed.initiator_id.bytes,
            closed.root_id.bytes,
            json.dumps(_label_values(closed.labels)),
            b"".join(sorted(closed.identities)),
        )

    def _closed(self, row: tuple[Any, ...], after_ns: int) -> Closed:
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


def _label_values(labels: Labels) -> list[str]:
    return [getattr(labels, name) for name in _LABELS]
