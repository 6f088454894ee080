"""What spans tell, as a person would: interceptions, grouped by conversation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otelbridge.telemetry import semconv as sc

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

    Attributes: TypeAlias = Mapping[str, str | int | float | bool]

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool use.

    Attributes:
        name: The tool's name.
        injected: Whether the gateway ran it; else the model asked the client to.
        server: Host and path of the MCP server that ran it.
        error: Why it failed; empty if it did not.
    """

    name: str
    injected: bool
    server: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An interception, as its spans tell it.

    Attributes:
        user: Who made the request.
        client: The coding agent.
        conversation: The client's name for its conversation.
        model: The requested model.
        started_ns: When it started.
        ended_ns: When it ended.
        tokens: Tokens by kind; input and output count the other kinds in.
        cost_usd: What it cost, as far as prices are known.
        unpriced: Whether a price is missing.
        prompts: The prompts' lengths in characters.
        thoughts: How often the model thought aloud.
        tools: Tool uses in their order.
        error: Why it failed; empty if it did not.
        follows: Whether it carries a tool's result to the model.
    """

    user: str
    client: str
    conversation: str
    model: str
    started_ns: int
    ended_ns: int
    tokens: Mapping[str, int]
    cost_usd: float
    unpriced: bool
    prompts: tuple[int, ...]
    thoughts: int
    tools: tuple[Tool, ...]
    error: str
    follows: bool

    @property
    def duration_s(self) -> float:
        """Return how long it took, in seconds."""
        return (self.ended_ns - self.started_ns) / _NS


@dataclass(slots=True)
class Conversation:
    """Interceptions of one conversation, in the order of their start."""

    told: list[Told] = field(default_factory=list)

    @property
    def started_ns(self) -> int:
        """Return when its first interception started."""
        return self.told[0].started_ns


def is_chat(span: Span) -> bool:
    """Return whether the span is an interception's."""
    return bool(span.kind == Span.SPAN_KIND_CLIENT)


def conversations(spans: Iterable[Span]) -> list[Conversation]:
    """Return what the spans tell; a span that was delivered twice counts once."""
    unique = {(span.trace_id, span.span_id): span for span in spans}
    found: dict[tuple[str, str], Conversation] = {}
    for span in sorted(unique.values(), key=lambda span: int(span.start_time_unix_nano)):
        if is_chat(span):
            told = _told(span)
            key = (told.user, told.conversation)
            found.setdefault(key, Conversation()).told.append(told)
    return sorted(found.values(), key=lambda conversation: conversation.started_ns)


def _told(span: Span) -> Told:
    have = attributes(span.attributes)
    events = [(event.name, attributes(event.attributes)) for event in span.events]
    return Told(
        user=str(have.get(sc.USER_NAME) or have.get(sc.USER_ID, "unknown")),
        client=str(have.get(sc.CLIENT, "")),
        conversation=str(have.get(sc.CONVERSATION_ID, "")),
        model=str(have.get(sc.REQUEST_MODEL, "")),
        started_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        tokens={kind: int(have.get(key, 0)) for kind, key in _TOKENS.items()},
        cost_usd=float(have.get(sc.COST_TOTAL, 0.0)),
        unpriced=bool(have.get(sc.COST_UNPRICED)),
        prompts=tuple(int(a[sc.PROMPT_LENGTH]) for name, a in events if name == sc.EVENT_PROMPT),
        thoughts=sum(name == sc.EVENT_THOUGHT for name, _ in events),
        tools=tuple(_tool(a) for name, a in events if name == sc.EVENT_TOOL_USE),
        error=_error(span, have),
        follows=sc.CORRELATING_CALL in have,
    )


#: Kinds of tokens and the attributes that count them.
_TOKENS = {
    "in": sc.INPUT_TOKENS,
    "cache read": sc.CACHE_READ_TOKENS,
    "cache write": sc.CACHE_WRITE_TOKENS,
    "out": sc.OUTPUT_TOKENS,
    "reasoning": sc.REASONING_TOKENS,
}


def _tool(have: Attributes) -> Tool:
    url = str(have.get(sc.MCP_SERVER_URL, ""))
    return Tool(
        name=str(have.get(sc.TOOL_NAME, "")),
        injected=bool(have.get(sc.TOOL_INJECTED)),
        server=url.rstrip("/").rpartition("/")[2],
        error=str(have.get(sc.ERROR_TYPE, "")),
    )


def _error(span: Span, have: Attributes) -> str:
    if span.status.code != Status.STATUS_CODE_ERROR:
        return ""
    return str(have.get(sc.ERROR_TYPE, "error"))


def attributes(pairs: Iterable[KeyValue]) -> Attributes:
    """Return the attributes of one value each."""
    return {pair.key: _plain(pair.value) for pair in pairs}


def _plain(value: AnyValue) -> str | int | float | bool:
    kind = value.WhichOneof("value")
    if kind not in {"string_value", "int_value", "double_value", "bool_value"}:
        return ""
    plain: str | int | float | bool = getattr(value, kind)
    return plain
