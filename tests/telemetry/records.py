"""Records to tell: plain ones, to be changed where a test says so."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from otelbridge.domain.assembler import Assembler
from otelbridge.domain.interception import Closed, Thread, labels_of
from otelbridge.domain.records import (
    Identity,
    InterceptionEnded,
    InterceptionStarted,
    ModelThought,
    PromptUsed,
    Record,
    RecordBase,
    TokensUsed,
    ToolUsed,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelbridge.domain.interception import Interception

_R = TypeVar("_R", bound=RecordBase)

MS = 1_000_000
#: 2026-10-01 12:00:00 UTC, and a few nanoseconds that no microsecond clock holds.
BEGIN_NS = 1_790_856_000_000_000_123
INTERCEPTION = UUID("11111111-2222-3333-4444-555555555555")
USER = UUID("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee")
MODEL = "claude-sonnet-4-5-20250929"


def identity(text: str) -> Identity:
    """Return an identity that only this text has."""
    return Identity(sha256(text.encode()).digest()[:16])


def _common(name: str, after_ms: int) -> dict[str, object]:
    at_ns = BEGIN_NS + after_ms * MS
    return {
        "interception_id": INTERCEPTION,
        "identity": identity(name),
        "received_at_ns": at_ns + MS,
        "at_ns": at_ns,
    }


STARTED = InterceptionStarted(
    **_common("start", 0),  # type: ignore[arg-type]  # fields by name
    initiator_id=USER,
    provider="anthropic",
    provider_name="anthropic-eu",
    model=MODEL,
    api_key_id="key0000001",
    client="Claude Code",
    user_agent="claude-cli/2.1.92 (external, cli)",
    metadata={"Username": "alice"},
)
PROMPTED = PromptUsed(
    **_common("prompt", 900),  # type: ignore[arg-type]  # fields by name
    msg_id="msg_1",
    prompt="Why does Jürgen fail?",
    length=21,
)
USED = TokensUsed(
    **_common("tokens", 100),  # type: ignore[arg-type]  # fields by name
    msg_id="msg_1",
    input_tokens=4,
    output_tokens=5,
    cache_write_input_tokens=14_210,
    metadata={"cache_creation_input": 14_210.0, "cache_ephemeral_5m_input": 14_210.0},
)
USED_MORE = TokensUsed(
    **_common("more tokens", 950),  # type: ignore[arg-type]  # fields by name
    msg_id="msg_1",
    input_tokens=0,
    output_tokens=131,
)
THOUGHT = ModelThought(
    **_common("thought", 300),  # type: ignore[arg-type]  # fields by name
    content="It is the umlaut.",
    length=17,
    metadata={"source": "thinking"},
)
ASKED = ToolUsed(
    **_common("tool", 800),  # type: ignore[arg-type]  # fields by name
    msg_id="msg_1",
    tool="Grep",
    input='{"pattern":"normalize"}',
    length=23,
    tool_call_id="toolu_1",
)
RAN = ToolUsed(
    **_common("injected tool", 500),  # type: ignore[arg-type]  # fields by name
    msg_id="msg_1",
    tool="search_issues",
    input='{"query":"umlaut"}',
    length=18,
    injected=True,
    server_url="https://user:secret@mcp.example.com:8443/tracker?key=secret#secret",
    tool_call_id="toolu_2",
)
ENDED = InterceptionEnded(**_common("end", 1000))  # type: ignore[arg-type]  # fields by name

#: An ordinary interception of eight records.
SESSION: tuple[Record, ...] = (STARTED, USED, PROMPTED, THOUGHT, ASKED, RAN, USED_MORE, ENDED)


def changed(record: _R, **fields: object) -> _R:
    """Return the record with other fields, and with an identity of its own."""
    name = f"{type(record).__name__} {sorted(fields.items(), key=str)}"
    fields.setdefault("identity", identity(name))
    return replace(record, **fields)  # type: ignore[arg-type]  # fields by name


def assembled(records: Iterable[Record], thread: Thread | None = None) -> Interception:
    """Return the interception that the real assembler makes of the records."""
    assembler = Assembler(grace_s=0, max_age_s=0)
    for record in records:
        assembler.take(record)
    return assembler.assembled(INTERCEPTION, thread or Thread(root_id=INTERCEPTION))


def closed(start: InterceptionStarted | None = STARTED) -> Closed:
    """Return what is remembered of a told interception."""
    return Closed(
        id=INTERCEPTION,
        start_identity=start.identity if start else None,
        initiator_id=start.initiator_id if start else None,
        root_id=INTERCEPTION,
        labels=labels_of(start),
        closed_at_ns=BEGIN_NS + 60_000 * MS,
    )
