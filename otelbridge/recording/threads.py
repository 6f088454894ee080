"""Threads: which interception asked for the tool whose result another one carries."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from otelbridge.domain.interception import Thread

if TYPE_CHECKING:
    from uuid import UUID

    from otelbridge.domain.assembler import Assembler
    from otelbridge.domain.interception import Parent


class ClosedCallers(Protocol):
    """Knows the tool calls of finalised interceptions."""

    def parent(self, initiator_id: UUID, call_id: str, *, after_ns: int) -> Parent | None:
        """Return the interception of a user that asked for a tool call."""


def resolve_thread(
    interception_id: UUID, assembler: Assembler, closed: ClosedCallers, *, after_ns: int
) -> Thread:
    """Return the place of an open interception in its agent's thread.

    Args:
        interception_id: The interception.
        assembler: Where parents are looked up that are still open.
        closed: Where parents are looked up that were finalised.
        after_ns: Parents that were finalised before are forgotten.
    """
    chain = _chain(interception_id, assembler, closed, after_ns=after_ns)
    start = assembler.start_of(interception_id)
    if start is None or not start.correlating_tool_call_id:
        return Thread(root_id=interception_id)
    if not chain:
        return Thread(root_id=interception_id, unresolved=True)
    root_id = chain[-1].root_id
    return Thread(root_id=root_id, parent=replace(chain[0], root_id=root_id))


def may_miss_parent(
    interception_id: UUID, assembler: Assembler, closed: ClosedCallers, *, after_ns: int
) -> bool:
    """Return whether the thread of an open interception ends at a call that nobody is known for.

    Args:
        interception_id: The interception.
        assembler: Where parents are looked up that are still open.
        closed: Where parents are looked up that were finalised.
        after_ns: Parents that were finalised before are forgotten.
    """
    chain = _chain(interception_id, assembler, closed, after_ns=after_ns)
    first = chain[-1].interception_id if chain else interception_id
    start = assembler.start_of(first)
    if start is None or not start.correlating_tool_call_id:
        return False
    return _parent(first, assembler, closed, after_ns=after_ns) is None


def _chain(
    interception_id: UUID, assembler: Assembler, closed: ClosedCallers, *, after_ns: int
) -> list[Parent]:
    """Return the parent, its parent and so on, to the first that is final or has none.

    Call ids are a client's text and may form a circle: a parent that was met
    before ends the chain.
    """
    chain: list[Parent] = []
    met = {interception_id}
    current = interception_id
    while current in assembler:
        parent = _parent(current, assembler, closed, after_ns=after_ns)
        if parent is None or parent.interception_id in met:
            break
        chain.append(parent)
        current = parent.interception_id
        met.add(current)
    return chain


def _parent(
    interception_id: UUID, assembler: Assembler, closed: ClosedCallers, *, after_ns: int
) -> Parent | None:
    start = assembler.start_of(interception_id)
    if start is None or not start.correlating_tool_call_id:
        return None
    call_id = start.correlating_tool_call_id
    found = [
        assembler.parent(key, root_id=key)
        for _, key in assembler.callers(start.initiator_id, call_id)
        if key != interception_id
    ]
    final = closed.parent(start.initiator_id, call_id, after_ns=after_ns)
    if final is not None and final.interception_id != interception_id:
        found.append(final)
    return max(found, key=lambda p: (p.started_at_ns, p.interception_id.bytes), default=None)
