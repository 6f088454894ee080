"""Records: the immutable facts that a gateway reports about one interception.

Times are integers, nanoseconds since the Unix epoch: a gateway stamps
nanoseconds, and `datetime` keeps only microseconds.

Nobody changes a record. The classes are not declared frozen because making
one would take four times as long (1.2 µs), and each call makes one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from operator import attrgetter
from typing import TYPE_CHECKING, ClassVar, NamedTuple, NewType, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

#: SHA-256 over a request's method and canonical bytes, cut to 16 bytes.
Identity = NewType("Identity", bytes)

#: A metadata value: what JSON can hold.
MetadataValue: TypeAlias = (
    "bool | int | float | str | list[MetadataValue] | dict[str, MetadataValue] | None"
)


class RecordKind(IntEnum):
    """What a record is about; the order in which records of one instant sort.

    The numbers are stored in the journal and never change.
    """

    START = 1
    PROMPT = 2
    TOKENS = 3
    THOUGHT = 4
    TOOL = 5
    END = 6


_FINGERPRINT_BYTES = 16
_NO_FINGERPRINT = 32  # so many bytes are a SHA-256 alone


class Prints(NamedTuple):
    """What is known of a content besides itself and its length.

    Attributes:
        fingerprint: Keyed: 16 bytes, or nothing without a key.
        sha256: 32 bytes where only the beginning of the content was kept; else nothing.
    """

    fingerprint: bytes = b""
    sha256: bytes = b""

    @classmethod
    def unpack(cls, packed: bytes) -> Prints:
        """Return what `pack` has packed."""
        size = 0 if len(packed) == _NO_FINGERPRINT else _FINGERPRINT_BYTES
        return cls(packed[:size], packed[size:]) if packed else NO_PRINTS

    def pack(self) -> bytes:
        """Return both as bytes."""
        return self.fingerprint + self.sha256


NO_PRINTS = Prints()


@dataclass(slots=True, kw_only=True)
class RecordBase:
    """What every record has.

    Attributes:
        kind: What it is about.
        interception_id: Which interception the record belongs to; never nil.
        identity: The same for two sendings of the same request, and for no others.
        received_at_ns: When the bridge received it. Ages and grace count from here.
        at_ns: When the gateway says it happened, or the receive time if it
            said nothing usable.
        synthetic_time: Whether ``at_ns`` is the receive time because the
            gateway's was missing or absurd.
        metadata: The gateway's free-form metadata.
    """

    kind: ClassVar[RecordKind]

    interception_id: UUID
    identity: Identity
    received_at_ns: int
    at_ns: int
    synthetic_time: bool = False
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class InterceptionStarted(RecordBase):
    """An LLM request entered the gateway; ``at_ns`` is its ``started_at``.

    Attributes:
        initiator_id: The user who made the request.
        provider: The provider's type, as ``anthropic``.
        provider_name: The name under which the gateway configured it.
        model: The requested model; may be empty.
        api_key_id: Which key the request was made with; never empty.
        client: The gateway's name for the coding agent, as ``Claude Code``.
        user_agent: The request's User-Agent header.
        correlating_tool_call_id: The last tool result that the request carries.
        client_session_id: The client's name for its conversation.
        credential_kind: ``centralized`` or ``byok``.
        credential_hint: A masked form of the provider's key.
        agent_firewall_session_id: The firewall's session, if one is in use.
        agent_firewall_sequence_number: The request's number in that session.
        workspace_id: The workspace that the request came from.
    """

    kind: ClassVar[RecordKind] = RecordKind.START

    initiator_id: UUID
    provider: str
    model: str
    api_key_id: str
    provider_name: str = ""
    client: str = ""
    user_agent: str = ""
    correlating_tool_call_id: str | None = None
    client_session_id: str | None = None
    credential_kind: str = ""
    credential_hint: str = ""
    agent_firewall_session_id: str | None = None
    agent_firewall_sequence_number: int | None = None
    workspace_id: str = ""


@dataclass(slots=True, kw_only=True)
class InterceptionEnded(RecordBase):
    """The interception is over; ``at_ns`` is its ``ended_at``.

    Attributes:
        error_type: Why it failed, as ``rate_limited``; None on success.
        error_message: The provider's own words.
        credential_hint: A masked form of the provider's key.
    """

    kind: ClassVar[RecordKind] = RecordKind.END

    error_type: str | None = None
    error_message: str | None = None
    credential_hint: str = ""


@dataclass(slots=True, kw_only=True)
class TokensUsed(RecordBase):
    """Tokens were used. Counts are as sent: they may be negative.

    Attributes:
        msg_id: The provider's id of the response; may be empty.
        input_tokens: Input tokens without the cached ones.
        output_tokens: Output tokens.
        cache_read_input_tokens: Typed field of newer gateways; 0 if not sent.
        cache_write_input_tokens: Typed field of newer gateways; 0 if not sent.
    """

    kind: ClassVar[RecordKind] = RecordKind.TOKENS

    msg_id: str
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0


@dataclass(slots=True, kw_only=True)
class PromptUsed(RecordBase):
    """The user's last prompt.

    Attributes:
        msg_id: The provider's id of the response; may be empty.
        prompt: The text, or None where content is not kept.
        length: Its length in Unicode code points, as it was sent.
        prints: What else is known of it.
        redacted: How many secrets were taken out of it; only before it is told.
    """

    kind: ClassVar[RecordKind] = RecordKind.PROMPT

    msg_id: str
    prompt: str | None
    length: int
    prints: Prints = NO_PRINTS
    redacted: int = 0


@dataclass(slots=True, kw_only=True)
class ToolUsed(RecordBase):
    """The model asked for a tool, or (injected) the gateway ran one.

    Attributes:
        msg_id: The provider's id of the response; may be empty.
        tool: The tool's name.
        input: Its arguments as JSON text, or None where content is not kept.
        length: Length of the arguments in Unicode code points, as they were sent.
        prints: What else is known of them.
        redacted: How many secrets were taken out of them; only before they are told.
        injected: Whether the gateway itself ran the tool, on an MCP server.
        server_url: The MCP server's URL, for an injected tool.
        invocation_error: Why the gateway could not run it.
        tool_call_id: The provider's id of the call; empty in the first revision.
        item_id: The provider's id of the output item.
    """

    kind: ClassVar[RecordKind] = RecordKind.TOOL

    msg_id: str
    tool: str
    input: str | None
    length: int
    prints: Prints = NO_PRINTS
    redacted: int = 0
    injected: bool = False
    server_url: str | None = None
    invocation_error: str | None = None
    tool_call_id: str = ""
    item_id: str = ""


@dataclass(slots=True, kw_only=True)
class ModelThought(RecordBase):
    """The model thought aloud. Its source is in the metadata.

    Attributes:
        content: The text, or None where content is not kept.
        length: Its length in Unicode code points, as it was sent.
        prints: What else is known of it.
        redacted: How many secrets were taken out of it; only before it is told.
    """

    kind: ClassVar[RecordKind] = RecordKind.THOUGHT

    content: str | None
    length: int
    prints: Prints = NO_PRINTS
    redacted: int = 0


Record: TypeAlias = (
    InterceptionStarted | InterceptionEnded | TokensUsed | PromptUsed | ToolUsed | ModelThought
)

#: The key by which records sort: (time, kind, identity).
sort_key = attrgetter("at_ns", "kind", "identity")
