"""Interceptions: all records of one LLM request, put back together.

Nobody changes these objects. As with records, the classes are not declared
frozen because making one would take several times as long.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from otelbridge.domain.records import (
    InterceptionEnded,
    InterceptionStarted,
    ModelThought,
    PromptUsed,
    TokensUsed,
    ToolUsed,
)

if TYPE_CHECKING:
    from uuid import UUID

    from otelbridge.domain.records import Identity, Record, RecordBase

_R = TypeVar("_R", bound="RecordBase")


@dataclass(slots=True, kw_only=True)
class ToolCall:
    """A tool use as other interceptions may refer to it.

    Attributes:
        call_id: The provider's id of the call; never empty.
        tool: The tool's name.
        at_ns: The record's ``created_at``.
        identity: The record's identity.
        injected: Whether the gateway ran it.
    """

    call_id: str
    tool: str
    at_ns: int
    identity: Identity
    injected: bool


@dataclass(slots=True, kw_only=True)
class Parent:
    """The interception whose tool call another one answers.

    Attributes:
        interception_id: The parent's id.
        started_at_ns: The parent's start; of two candidates the later wins.
        root_id: The root of the parent's own thread.
        tools: The parent's tool uses, sorted as records sort.
    """

    interception_id: UUID
    started_at_ns: int
    root_id: UUID
    tools: tuple[ToolCall, ...] = ()


@dataclass(slots=True, kw_only=True)
class Thread:
    """Where an interception stands in its agent's thread of requests.

    Attributes:
        root_id: The first interception of the thread; itself without a parent.
        parent: The interception that asked for the tool whose result this one
            carries; None if it carries none or the parent never came.
        unresolved: Whether it carries a tool result whose parent never came.
    """

    root_id: UUID
    parent: Parent | None = None
    unresolved: bool = False


@dataclass(slots=True, kw_only=True)
class Interception:
    """A finalised interception: what will be told is decided.

    Attributes:
        id: The interception's id.
        records: Its records, each once, sorted by (time, kind, identity).
        start: Its start; None for an orphan.
        end: The earliest of its ends; None if it never ended.
        end_conflict: Whether its ends differed.
        thread: Its place in the agent's thread.
    """

    id: UUID
    records: tuple[Record, ...]
    start: InterceptionStarted | None
    end: InterceptionEnded | None
    thread: Thread
    end_conflict: bool = False

    @property
    def is_orphan(self) -> bool:
        """Whether the start never came."""
        return self.start is None

    @property
    def is_incomplete(self) -> bool:
        """Whether the end never came."""
        return self.end is None

    @property
    def tokens(self) -> list[TokensUsed]:
        """Return the token records, sorted."""
        return self._of(TokensUsed)

    @property
    def prompts(self) -> list[PromptUsed]:
        """Return the prompt records, sorted."""
        return self._of(PromptUsed)

    @property
    def tools(self) -> list[ToolUsed]:
        """Return the tool records, sorted."""
        return self._of(ToolUsed)

    @property
    def thoughts(self) -> list[ModelThought]:
        """Return the thought records, sorted."""
        return self._of(ModelThought)

    def _of(self, kind: type[_R]) -> list[_R]:
        return [record for record in self.records if isinstance(record, kind)]


@dataclass(slots=True, kw_only=True)
class Labels:
    """What later records of a finalised interception are counted under.

    Attributes:
        provider: The start's provider as sent; empty for an orphan.
        provider_name: The start's provider_name as sent.
        model: The start's model as sent.
        client: The start's client as sent.
    """

    provider: str = ""
    provider_name: str = ""
    model: str = ""
    client: str = ""


@dataclass(slots=True, kw_only=True)
class Closed:
    """What is remembered of a finalised interception, for repeats and late records.

    Attributes:
        id: The interception's id.
        start_identity: Identity of its start; None for an orphan.
        initiator_id: The start's initiator; None for an orphan.
        root_id: The root of its thread.
        labels: What late records are counted under.
        closed_at_ns: When it was finalised, by the bridge's clock.
        identities: Its records' identities; empty once they have been forgotten.
    """

    id: UUID
    start_identity: Identity | None
    initiator_id: UUID | None
    root_id: UUID
    labels: Labels
    closed_at_ns: int
    identities: frozenset[Identity] = field(default_factory=frozenset)


def labels_of(start: InterceptionStarted | None) -> Labels:
    """Return what an interception with this start is counted under."""
    if start is None:
        return Labels()
    return Labels(
        provider=start.provider,
        provider_name=start.provider_name,
        model=start.model,
        client=start.client,
    )
