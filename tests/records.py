"""Records as short as a test needs them."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

from otelbridge.domain.records import (
    Identity,
    InterceptionEnded,
    InterceptionStarted,
    ModelThought,
    PromptUsed,
    TokensUsed,
    ToolUsed,
)

S = 1_000_000_000
#: When the tests' interceptions begin: 2026-11-22T12:00:00Z.
T0 = 1_795_348_800 * S
ALICE = UUID("6f0d1c0e-3d4b-4c55-9d0f-0a1b2c3d4e5f")
BOB = UUID("b2c4d6e8-1a3b-4c5d-8e7f-901234567890")


def uuid(number: int) -> UUID:
    """Return the interception id with this number; not nil."""
    return UUID(int=0xA000 << 112 | number)


def identity(*parts: object) -> Identity:
    """Return an identity that depends on all parts."""
    return Identity(hashlib.sha256(repr(parts).encode()).digest()[:16])


def _common(kind: str, number: int, at_s: float, fields: dict[str, Any]) -> dict[str, Any]:
    at_ns = T0 + int(at_s * S)
    return {
        "interception_id": uuid(number),
        "identity": identity(kind, number, at_s, sorted(fields.items(), key=str)),
        "received_at_ns": at_ns,
        "at_ns": at_ns,
    }


def started(number: int = 1, at_s: float = 0, **fields: Any) -> InterceptionStarted:
    """Return a start."""
    values = {
        "initiator_id": ALICE,
        "provider": "anthropic",
        "model": "claude-sonnet-4-5",
        "api_key_id": "alicekey01",
        "client": "Claude Code",
        **_common("start", number, at_s, fields),
        **fields,
    }
    return InterceptionStarted(**values)


def ended(number: int = 1, at_s: float = 9, **fields: Any) -> InterceptionEnded:
    """Return an end."""
    return InterceptionEnded(**{**_common("end", number, at_s, fields), **fields})


def tokens(
    number: int = 1, at_s: float = 3, given: int = 10, made: int = 5, **fields: Any
) -> TokensUsed:
    """Return a token record: ``given`` input and ``made`` output tokens."""
    values = {"msg_id": "msg_1", "input_tokens": given, "output_tokens": made, **fields}
    return TokensUsed(**{**_common("tokens", number, at_s, values), **values})


def prompt(number: int = 1, at_s: float = 1, text: str = "why?", **fields: Any) -> PromptUsed:
    """Return a prompt."""
    values = {"msg_id": "msg_1", "prompt": text, "length": len(text), **fields}
    return PromptUsed(**{**_common("prompt", number, at_s, values), **values})


def tool(number: int = 1, at_s: float = 4, call: str = "toolu_1", **fields: Any) -> ToolUsed:
    """Return a tool use."""
    values = {
        "msg_id": "msg_1",
        "tool": "Read",
        "input": "{}",
        "length": 2,
        "tool_call_id": call,
        **fields,
    }
    return ToolUsed(**{**_common("tool", number, at_s, values), **values})


def thought(number: int = 1, at_s: float = 2, text: str = "hm", **fields: Any) -> ModelThought:
    """Return a thought."""
    values = {"content": text, "length": len(text), "metadata": {"source": "thinking"}, **fields}
    return ModelThought(**{**_common("thought", number, at_s, values), **values})
