"""What a gateway sends, and what must be told about it: the oracle of the interop tests."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeAlias, TypeVar
from uuid import UUID

from google.protobuf import struct_pb2  # noqa: F401  # metadata values are Any of its Value
from google.protobuf.json_format import ParseDict

from otelbridge.proto import aibridged_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

Start: TypeAlias = pb.RecordInterceptionRequest
End: TypeAlias = pb.RecordInterceptionEndedRequest
Tokens: TypeAlias = pb.RecordTokenUsageRequest
Prompt: TypeAlias = pb.RecordPromptUsageRequest
Tool: TypeAlias = pb.RecordToolUsageRequest
Thought: TypeAlias = pb.RecordModelThoughtRequest
Record: TypeAlias = Start | End | Tokens | Prompt | Tool | Thought

_R = TypeVar("_R", End, Tokens, Prompt, Tool, Thought)

#: Every Recorder method and its request.
METHODS: dict[str, type[Record]] = {
    "Recorder/RecordInterception": Start,
    "Recorder/RecordInterceptionEnded": End,
    "Recorder/RecordTokenUsage": Tokens,
    "Recorder/RecordPromptUsage": Prompt,
    "Recorder/RecordToolUsage": Tool,
    "Recorder/RecordModelThought": Thought,
}
_EVENT_NAMES: dict[type[Record], str] = {
    Prompt: "aibridge.prompt",
    Tool: "aibridge.tool_use",
    Thought: "aibridge.model_thought",
}


@dataclass(frozen=True, kw_only=True)
class Interception:
    """One interception as it was sent.

    Attributes:
        start: The record that opened it.
        rest: All its other records, in the order in which they were sent.
    """

    start: Start
    rest: list[Record] = field(default_factory=list)

    @property
    def trace_id(self) -> bytes:
        """The trace's id: the interception's UUID."""
        return UUID(self.start.id).bytes

    @property
    def chat_span_id(self) -> bytes:
        """The id of its chat span, which follow-ups link to."""
        return blake2b(self.trace_id + b"chat", digest_size=8).digest()

    @property
    def started_ns(self) -> int:
        """When it started."""
        return self.start.started_at.ToNanoseconds()

    @property
    def end(self) -> End:
        """Its one end."""
        (end,) = self.of(End)
        return end

    @property
    def ended_ns(self) -> int:
        """When it ended."""
        return self.end.ended_at.ToNanoseconds()

    def of(self, kind: type[_R]) -> list[_R]:
        """Return its records of one kind."""
        return [record for record in self.rest if isinstance(record, kind)]

    @property
    def injected_tools(self) -> list[Tool]:
        """The tools that the gateway ran itself, in the order of time."""
        ran = [tool for tool in self.of(Tool) if tool.injected]
        return sorted(ran, key=lambda tool: tool.created_at.ToNanoseconds())

    @property
    def events(self) -> list[tuple[str, int]]:
        """The name and time of each event, sorted."""
        told = [r for r in self.rest if isinstance(r, Prompt | Tool | Thought)]
        return sorted((_EVENT_NAMES[type(r)], r.created_at.ToNanoseconds()) for r in told)

    @property
    def input_tokens(self) -> int:
        """All input tokens: the convention counts cached ones in, the gateway counts them out."""
        parts = ("input_tokens", "cache_read_input_tokens", "cache_write_input_tokens")
        return sum(max(0, sum(getattr(t, part) for part in parts)) for t in self.of(Tokens))

    @property
    def output_tokens(self) -> int:
        """All output tokens."""
        return sum(t.output_tokens for t in self.of(Tokens))

    @property
    def cache_read_tokens(self) -> int:
        """Input tokens that the provider had cached."""
        return sum(t.cache_read_input_tokens for t in self.of(Tokens))

    @property
    def cache_write_tokens(self) -> int:
        """Input tokens that the provider put into its cache."""
        return sum(t.cache_write_input_tokens for t in self.of(Tokens))

    @property
    def outcome(self) -> str:
        """What `aibridge.outcome` says of an interception that has an end."""
        return "error" if self.end.HasField("error_type") else "completed"


def read_capture(path: Path) -> list[Record]:
    """Return the records of a capture; its other calls are left out."""
    calls = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        ParseDict(call["request"], METHODS[call["rpc"]]())
        for call in calls
        if call["rpc"] in METHODS
    ]


def method_of(record: Record) -> str:
    """Return the wire path of the method that takes this record."""
    (path,) = (path for path, kind in METHODS.items() if type(record) is kind)
    return f"/proto.{path}"


def interceptions(records: Iterable[Record]) -> list[Interception]:
    """Put records together by interception; each start must come before the rest."""
    found: dict[str, Interception] = {}
    for record in records:
        if isinstance(record, Start):
            found[record.id] = Interception(start=record)
        elif isinstance(record, End):
            found[record.id].rest.append(record)
        else:
            found[record.interception_id].rest.append(record)
    return list(found.values())


def parent_of(follow_up: Interception, among: Sequence[Interception]) -> Interception | None:
    """Return the interception that asked for the tool whose result a follow-up carries.

    Of several that recorded the same call id for the same user, the later start wins.
    """
    start = follow_up.start
    candidates = [
        each
        for each in among
        if start.correlating_tool_call_id
        and each.start.initiator_id == start.initiator_id
        and any(tool.tool_call_id == start.correlating_tool_call_id for tool in each.of(Tool))
    ]
    return max(candidates, key=lambda each: each.started_ns, default=None)
