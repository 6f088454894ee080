"""The oracle's reading of single records: what each says, by tables.

Written from the conventions and the contract alone; see `tests.telemetry.oracle`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlsplit
from uuid import UUID

from google.protobuf.struct_pb2 import ListValue, Struct, Value

Plain: TypeAlias = dict[str, Any]

_EARLIEST = 1_577_836_800 * 10**9  # 2020-01-01
_HOUR = 3600 * 10**9
_MAX_KEYS = 32
_NUMBERS = {
    "RecordInterceptionRequest": 1,
    "RecordPromptUsageRequest": 2,
    "RecordTokenUsageRequest": 3,
    "RecordModelThoughtRequest": 4,
    "RecordToolUsageRequest": 5,
    "RecordInterceptionEndedRequest": 6,
}
EVENTS = {2: "aibridge.prompt", 4: "aibridge.model_thought", 5: "aibridge.tool_use"}
_COPIED = {
    "api_key_id": ("aibridge.api_key.id",),
    "client": ("aibridge.client", "user_agent.name"),
    "user_agent": ("user_agent.original",),
    "client_session_id": ("gen_ai.conversation.id",),
    "correlating_tool_call_id": ("aibridge.correlating_tool_call.id",),
    "credential_kind": ("aibridge.credential.kind",),
    "agent_firewall_session_id": ("aibridge.agent_firewall.session.id",),
    "workspace_id": ("aibridge.workspace.id",),
    "model": ("gen_ai.request.model",),
}
_PROVIDERS = {
    "": "unknown",
    "azure": "azure.ai.openai",
    "azure-openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "copilot": "github.copilot",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "grok": "x_ai",
    "kimi": "moonshot_ai",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "vertex": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
#: Each part of usage: where a token record has it, the first that is there counts.
_METADATA = {
    "read": ("cache_read_input", "prompt_cached", "input_cached"),
    "write": ("cache_creation_input",),
    "reasoning": ("completion_reasoning", "output_reasoning"),
    "audio in": ("prompt_audio",),
    "audio out": ("completion_audio",),
    "5m": ("cache_ephemeral_5m_input",),
    "1h": ("cache_ephemeral_1h_input",),
    "searches": ("web_search_requests",),
    "total": ("total_tokens",),
}
_USAGE_KEYS = {key for keys in _METADATA.values() for key in keys}
_USAGE_NAMES = {
    "read": ("gen_ai.usage.cache_read.input_tokens",),
    "reasoning": ("gen_ai.usage.reasoning.output_tokens",),
    "audio in": ("aibridge.usage.audio.input_tokens",),
    "audio out": ("aibridge.usage.audio.output_tokens",),
    "5m": ("aibridge.usage.cache_write.ephemeral_5m.input_tokens",),
    "1h": ("aibridge.usage.cache_write.ephemeral_1h.input_tokens",),
    "searches": ("aibridge.usage.web_search.requests",),
}
_WRITE_NAMES = {
    "latest": ("gen_ai.usage.cache_write.input_tokens",),
    "v1_41": ("gen_ai.usage.cache_creation.input_tokens",),
    "dup": ("gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"),
}
#: Words of a failed tool, in lower case, and what they mean; the first that fits.
_TOOL_ERRORS = (
    ("timeout", ("timeout", "timed out", "deadline exceeded")),
    ("cancelled", ("cancelled", "canceled")),
    ("unauthorized", ("unauthorized", "forbidden", "permission denied", " 401", " 403")),
    ("connection_error", ("connect", "no such host", "broken pipe", "unreachable")),
    ("tool_error", ("tool", "iserror")),
)


@dataclass
class Row:
    """A record as the oracle sees it."""

    number: int
    sent: Any
    identity: bytes
    at: int
    synthetic: bool
    metadata: Plain

    @property
    def order(self) -> tuple[int, int, bytes]:
        return (self.at, self.number, self.identity)


@dataclass
class Case:
    """An interception as the oracle sees it."""

    id: UUID
    rows: list[Row] = field(default_factory=list)

    def of(self, *numbers: int) -> list[Row]:
        return [row for row in self.rows if row.number in numbers]

    @property
    def start(self) -> Any:
        return next((row.sent for row in self.of(1)), None)

    @property
    def trace(self) -> str:
        return str(self.id)


def row_of(sent: Any, now_ns: int) -> Row:
    number = _NUMBERS[type(sent).__name__]
    stamp = getattr(sent, {1: "started_at", 6: "ended_at"}.get(number, "created_at"))
    at = stamp.seconds * 10**9 + stamp.nanos
    is_absurd = at < _EARLIEST or at > now_ns + _HOUR or not 0 <= stamp.nanos < 10**9
    packed = {} if number == 6 else dict(sent.metadata)
    digest = hashlib.sha256(bytes([number]) + sent.SerializeToString(deterministic=True)).digest()
    return Row(
        number=number,
        sent=sent,
        identity=digest[:16],
        at=now_ns if is_absurd else at,
        synthetic=is_absurd,
        metadata={key: _unpacked(any_value.value) for key, any_value in packed.items()},
    )


def _unpacked(data: bytes) -> Any:
    return _json(Value.FromString(data))


def _json(value: Any) -> Any:
    if isinstance(value, Value):
        kind = value.WhichOneof("kind")
        return None if kind in (None, "null_value") else _json(getattr(value, kind))
    if isinstance(value, Struct):
        return {key: _json(item) for key, item in value.fields.items()}
    if isinstance(value, ListValue):
        return [_json(item) for item in value.values]
    return value


def span_hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def chat_id(case: Case) -> str:
    return span_hash(case.id.bytes + b"chat")


def safe(text: str) -> str:
    r"""Return a text as a name has it: 64 characters, what cannot be printed as \xNN."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[:64])[:64]


def failure_of(ends: Sequence[Row]) -> tuple[str, str] | None:
    if not ends or not (ends[0].sent.error_type or ends[0].sent.error_message):
        return None
    return ends[0].sent.error_type or "_OTHER", ends[0].sent.error_message


def outcome_of(case: Case) -> str:
    if not case.start:
        return "orphan"
    if not case.of(6):
        return "incomplete"
    return "error" if failure_of(case.of(6)) else "completed"


def start_attributes(start: Any, metadata: Plain) -> Plain:
    kind = start.provider.lower()
    provider = _PROVIDERS.get(kind, kind)
    model = start.model.lower().removeprefix("us.").removeprefix("eu.")
    if kind == "anthropic" and model.startswith(("anthropic.", "arn:aws:bedrock")):
        provider = "aws.bedrock"
    found = {"gen_ai.provider.name": provider, "user.id": str(UUID(start.initiator_id))}
    for name, keys in _COPIED.items():
        limit = 512 if name == "user_agent" else 1024
        found |= {key: getattr(start, name)[:limit] for key in keys if getattr(start, name)}
    if metadata.get("Username"):
        found["user.name"] = metadata["Username"]
    if start.provider not in ("", provider):
        found["aibridge.provider.type"] = start.provider
    if start.provider_name or start.provider:
        found["aibridge.provider.name"] = start.provider_name or start.provider
    if start.HasField("agent_firewall_sequence_number"):
        found["aibridge.agent_firewall.sequence_number"] = start.agent_firewall_sequence_number
    if len(start.user_agent) > 512:
        found["aibridge.attributes.truncated"] = 1
    return found


def response_attributes(case: Case) -> Plain:
    last: dict[str, int] = {}
    for row in case.of(2, 3, 5):
        last[row.sent.msg_id] = max(row.at, last.get(row.sent.msg_id, 0))
    last.pop("", None)
    found = sorted(last, key=lambda name: (last[name], name))
    several = {"aibridge.response.ids": found} if len(found) > 1 else {}
    return {"gen_ai.response.id": found[-1], **several} if found else {}


def usage_attributes(rows: Sequence[Row], semconv: str) -> Plain:
    if not rows:
        return {}
    parts = [parts_of(row) for row in rows]
    total = {name: sum(max(0, part[name]) for part in parts) for name in parts[0]}
    found = {
        "gen_ai.usage.input_tokens": total["in"],
        "gen_ai.usage.output_tokens": total["out"],
        **dict.fromkeys(_WRITE_NAMES[semconv], total["write"]),
        **{key: total[name] for name, keys in _USAGE_NAMES.items() for key in keys},
    }
    always = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    found = {key: count for key, count in found.items() if count or key in always}
    if any(is_odd(row, part) for row, part in zip(rows, parts, strict=True)):
        found["aibridge.usage.inconsistent"] = True
    return found


def extra_counts(rows: Sequence[Row]) -> tuple[Plain, int]:
    """Return other counts of token records, the first 32, and how many more there were."""
    total: dict[str, float] = {}
    for row in rows:
        for key, value in row.metadata.items():
            if key not in _USAGE_KEYS and isinstance(value, float) and value:
                total[key] = total.get(key, 0) + value
    told = sorted(total, key=str.encode)[:_MAX_KEYS]
    return {f"aibridge.usage.extra.{key}": total[key] for key in told}, len(total) - len(told)


def parts_of(row: Row) -> dict[str, int]:
    found = {
        name: next((int(row.metadata[key]) for key in keys if key in row.metadata), 0)
        for name, keys in _METADATA.items()
    }
    found["read"] = row.sent.cache_read_input_tokens or found["read"]
    found["write"] = row.sent.cache_write_input_tokens or found["write"]
    found["in"] = row.sent.input_tokens + found["read"] + found["write"]
    found["out"] = row.sent.output_tokens
    return found


def is_odd(row: Row, part: Mapping[str, int]) -> bool:
    is_negative = min(*part.values(), row.sent.input_tokens) < 0
    return is_negative or part["reasoning"] > part["out"] or part["read"] > part["in"]


def joined_metadata(case: Case) -> Plain:
    """Return a start's metadata, and what token records carry besides counts."""
    first = case.of(1)
    found = dict(first[0].metadata) if first else {}
    for row in case.of(3):
        for key, value in row.metadata.items():
            if key not in _USAGE_KEYS and not isinstance(value, float):
                found.setdefault(key, value)
    return found


def metadata_attributes(metadata: Plain, beside: tuple[Plain, int] = ({}, 0)) -> Plain:
    """Return metadata as it is told; what is left out beside it is counted along."""
    told = {
        key: value
        for key, value in metadata.items()
        if key not in _USAGE_KEYS and key != "Username" and value is not None
    }
    first = sorted(told, key=str.encode)[:_MAX_KEYS]
    found = {f"aibridge.metadata.{key}": _scalar(told[key]) for key in first}
    dropped = len(told) - len(first) + beside[1]
    return found | beside[0] | ({"aibridge.metadata.dropped": dropped} if dropped else {})


def _scalar(value: Any) -> Any:
    if isinstance(value, list | dict):
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return value


def _message(role: str, kind: str, texts: Sequence[str]) -> Plain:
    return {"role": role, "parts": [{"type": kind, "content": text} for text in texts]}


def content_attributes(rows: Sequence[Row]) -> Plain:
    prompts = [_message("user", "text", [r.sent.prompt]) for r in rows if r.number == 2]
    thoughts = [r.sent.content for r in rows if r.number == 4]
    found = {"gen_ai.input.messages": prompts} if prompts else {}
    if thoughts:
        found["gen_ai.output.messages"] = [_message("assistant", "reasoning", thoughts)]
    return {
        key: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        for key, value in found.items()
    }


def event_attributes(case: Case, row: Row, *, in_event: bool) -> Plain:
    sent = row.sent
    found: Plain = {"aibridge.interception.id": case.trace, **metadata_attributes(row.metadata)}
    if row.synthetic:
        found["aibridge.timestamp.synthetic"] = True
    if row.number == 4:
        if isinstance(row.metadata.get("source"), str):
            found["aibridge.thought.source"] = row.metadata["source"]
        return found | (content_attributes([row]) if in_event else {})
    if sent.msg_id:
        found["gen_ai.response.id"] = sent.msg_id
    if row.number == 2:
        found["aibridge.prompt.length"] = len(sent.prompt)
        return found | (content_attributes([row]) if in_event else {})
    return (
        found
        | call_attributes(sent)
        | ({"gen_ai.tool.call.arguments": sent.input} if in_event else {})
    )


def call_attributes(sent: Any) -> Plain:
    found: Plain = {
        "gen_ai.tool.name": sent.tool,
        "gen_ai.tool.type": "extension" if sent.injected else "function",
        "aibridge.tool.injected": sent.injected,
        "aibridge.tool.input.length": len(sent.input),
    }
    if sent.tool_call_id:
        found["gen_ai.tool.call.id"] = sent.tool_call_id
    url = urlsplit(sent.server_url)
    if url.hostname:
        host = url.netloc.rpartition("@")[2]
        found["server.address"] = url.hostname
        found["server.port"] = url.port or {"http": 80, "https": 443}[url.scheme]
        found["aibridge.mcp.server.url"] = f"{url.scheme}://{host.lower()}{url.path}"
    if sent.invocation_error:
        found["error.type"] = _tool_error(sent.invocation_error.lower())
    return found


def _tool_error(words: str) -> str:
    fits = (name for name, parts in _TOOL_ERRORS if any(part in words for part in parts))
    return next(fits, "_OTHER")
