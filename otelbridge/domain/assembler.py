"""The assembler: open interceptions, joined by id, whatever the order of arrival.

Pure: it holds no clock and no storage. A record is added before it is
committed and removed again if the commit fails.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, cast

from otelbridge.domain.interception import Interception, Parent, ToolCall
from otelbridge.domain.records import (
    InterceptionEnded,
    InterceptionStarted,
    ToolUsed,
    sort_key,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from otelbridge.domain.interception import Thread
    from otelbridge.domain.records import Identity, Record

_NS = 1_000_000_000
# An interception is told at most this long after its end, however many records follow.
_MAX_GRACE_NS = 60 * _NS
# Where an interception begins and ends.
_BOUNDS = frozenset((InterceptionStarted, InterceptionEnded))


class Verdict(Enum):
    """What a record means for its interception."""

    FRESH = "fresh"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


# A member that is looked up in its class takes four times as long.
_FRESH, _DUPLICATE, _CONFLICT = Verdict


@dataclass(slots=True)
class _Open:
    """One open interception.

    Attributes:
        id: Its id.
        records: Its records by identity, in the order of arrival.
        start: Its start, once it has come.
        ended_ns: Receipt of its first end; 0 before.
        last_ns: Receipt of its last record.
    """

    id: UUID
    records: dict[Identity, Record] = field(default_factory=dict)
    start: InterceptionStarted | None = None
    ended_ns: int = 0
    last_ns: int = 0


class Assembler:
    """Open interceptions, by id.

    Args:
        grace_s: How long after the later of its end and its last record an
            interception is finalised, in seconds.
        max_age_s: How long after its last record, if its start or its end
            never comes, in seconds.
    """

    def __init__(self, *, grace_s: float, max_age_s: float) -> None:
        self._grace_ns = int(grace_s * _NS)
        self._max_age_ns = int(max_age_s * _NS)
        # By the ids' numbers: a UUID is hashed and compared in Python, a number is not.
        self._open: dict[int, _Open] = {}
        self._callers: dict[str, list[int]] = {}
        self._deadlines: list[tuple[int, int]] = []
        self._active: dict[tuple[str, str], int] = {}
        self._records = 0

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, interception_id: UUID) -> bool:
        return interception_id.int in self._open

    def unknown(self, interception_ids: Iterable[UUID]) -> dict[int, UUID]:
        """Return those of which nothing is open, by their numbers."""
        return {each.int: each for each in interception_ids if each.int not in self._open}

    @property
    def record_count(self) -> int:
        """Return the number of records of all open interceptions."""
        return self._records

    def take(self, record: Record) -> Verdict:
        """Return what the record means, if its interception was not finalised; add a fresh one."""
        opened = self._open.get(record.interception_id.int)
        if opened is not None:
            if record.identity in opened.records:
                return _DUPLICATE
            if opened.start is not None and type(record) is InterceptionStarted:
                return _CONFLICT
        self._add(record, opened)
        return _FRESH

    def add(self, record: Record) -> None:
        """Add a fresh record."""
        self._add(record, self._open.get(record.interception_id.int))

    def remove(self, record: Record) -> None:
        """Take back a record whose commit failed."""
        key = record.interception_id.int
        left = [r for r in self._open[key].records.values() if r.identity != record.identity]
        self.forget(record.interception_id)
        for other in left:
            self.add(other)

    def start_of(self, interception_id: UUID) -> InterceptionStarted | None:
        """Return the start of an open interception, if it has come."""
        opened = self._open.get(interception_id.int)
        return None if opened is None else opened.start

    def records_of(self, interception_id: UUID) -> Iterable[Record]:
        """Return the records of an open interception, in the order of arrival."""
        return self._open[interception_id.int].records.values()

    def newest(self, limit: int) -> list[UUID]:
        """Return open interceptions that have started, the newest arrivals first."""
        started = (each.id for each in reversed(self._open.values()) if each.start is not None)
        return list(islice(started, limit))

    def next_deadline_ns(self) -> int | None:
        """Return a time before which nothing is due; None if nothing is open."""
        return self._deadlines[0][0] if self._deadlines else None

    def due(self, now_ns: int, *, limit: int) -> list[UUID]:
        """Return interceptions to be finalised now, at most ``limit``, the oldest first."""
        found: dict[int, UUID] = {}
        while self._deadlines and len(found) < limit and self._deadlines[0][0] <= now_ns:
            key = heapq.heappop(self._deadlines)[1]
            opened = self._open.get(key)
            if opened is None or key in found:
                continue
            deadline = self._deadline(opened)
            if deadline <= now_ns:
                found[key] = opened.id
            else:
                heapq.heappush(self._deadlines, (deadline, key))
        return list(found.values())

    def postpone(self, interception_ids: Iterable[UUID], *, until_ns: int) -> None:
        """Make interceptions due again that could not be finalised."""
        for key in interception_ids:
            heapq.heappush(self._deadlines, (until_ns, key.int))

    def assembled(self, interception_id: UUID, thread: Thread) -> Interception:
        """Return the interception as it stands; it stays open until it is forgotten."""
        opened = self._open[interception_id.int]
        records = tuple(sorted(opened.records.values(), key=sort_key))
        ends = [record for record in records if isinstance(record, InterceptionEnded)]
        return Interception(
            id=interception_id,
            records=records,
            start=opened.start,
            end=ends[0] if ends else None,
            end_conflict=len(ends) > 1,
            thread=thread,
        )

    def forget(self, interception_id: UUID) -> None:
        """Drop an interception."""
        opened = self._open.pop(interception_id.int)
        self._records -= len(opened.records)
        if opened.start is not None and _is_active(opened):
            self._count(opened.start, -1)
        for record in opened.records.values():
            if isinstance(record, ToolUsed) and record.tool_call_id:
                callers = self._callers[record.tool_call_id]
                callers.remove(interception_id.int)
                if not callers:
                    del self._callers[record.tool_call_id]

    def callers(self, initiator_id: UUID, call_id: str) -> list[tuple[InterceptionStarted, UUID]]:
        """Return the open interceptions of a user that recorded a tool call with this id."""
        found = (self._open[key] for key in dict.fromkeys(self._callers.get(call_id, ())))
        return [
            (each.start, each.id)
            for each in found
            if each.start is not None and each.start.initiator_id == initiator_id
        ]

    def parent(self, interception_id: UUID, *, root_id: UUID) -> Parent:
        """Return an open interception that has started as the parent of another one."""
        opened = self._open[interception_id.int]
        started_at_ns = opened.start.at_ns if opened.start else 0
        return Parent(
            interception_id=interception_id,
            started_at_ns=started_at_ns,
            root_id=root_id,
            tools=tool_calls(sorted(opened.records.values(), key=sort_key)),
        )

    def active(self) -> dict[tuple[str, str], int]:
        """Return the number of starts without an end, by (provider, model) as sent."""
        return dict(self._active)

    def _add(self, record: Record, opened: _Open | None) -> None:
        key, received_at_ns, kind = record.interception_id.int, record.received_at_ns, type(record)
        if opened is None:
            opened = self._open[key] = _Open(record.interception_id)
            heapq.heappush(self._deadlines, (received_at_ns + self._max_age_ns, key))
        opened.records[record.identity] = record
        self._records += 1
        opened.last_ns = max(opened.last_ns, received_at_ns)
        if kind is ToolUsed:
            if call_id := cast("ToolUsed", record).tool_call_id:
                self._callers.setdefault(call_id, []).append(key)
        elif kind in _BOUNDS:
            self._mark(opened, cast("InterceptionStarted | InterceptionEnded", record))

    def _deadline(self, opened: _Open) -> int:
        if opened.start is None or not opened.ended_ns:
            return opened.last_ns + self._max_age_ns
        return min(opened.last_ns + self._grace_ns, opened.ended_ns + _MAX_GRACE_NS)

    def _mark(self, opened: _Open, record: InterceptionStarted | InterceptionEnded) -> None:
        """Note a start or an end."""
        was_active = _is_active(opened)
        if isinstance(record, InterceptionStarted):
            opened.start = record
        else:
            opened.ended_ns = opened.ended_ns or record.received_at_ns
        self._count_active(opened, before=was_active)
        if opened.start is not None and opened.ended_ns:
            heapq.heappush(self._deadlines, (self._deadline(opened), record.interception_id.int))

    def _count_active(self, opened: _Open, *, before: bool) -> None:
        after = _is_active(opened)
        if before != after and opened.start is not None:
            self._count(opened.start, 1 if after else -1)

    def _count(self, start: InterceptionStarted, change: int) -> None:
        labels = (start.provider, start.model)
        count = self._active.get(labels, 0) + change
        if count:
            self._active[labels] = count
        else:
            del self._active[labels]


def tool_calls(records: Iterable[Record]) -> tuple[ToolCall, ...]:
    """Return the tool uses among records that others may refer to, in the order of the records."""
    return tuple(
        [
            ToolCall(
                call_id=record.tool_call_id,
                tool=record.tool,
                at_ns=record.at_ns,
                identity=record.identity,
                injected=record.injected,
            )
            for record in records
            if isinstance(record, ToolUsed) and record.tool_call_id
        ]
    )


def _is_active(opened: _Open) -> bool:
    return opened.start is not None and not opened.ended_ns
