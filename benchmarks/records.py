"""The load: interceptions of eight records each, every one distinct.

A request is serialised once, with an invented id and time, and cut open at both places;
sending one more is joining five pieces, which keeps the generator far from being the
bottleneck.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid5

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from otelbridge.proto import aibridged_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

RECORDS_PER_INTERCEPTION: Final = 8

_ID: Final = "00112233-4455-6677-8899-aabbccddeeff"
_TIME: Final = Timestamp(seconds=1_700_000_000, nanos=123_456_789)
_USERS: Final = 16
_MODELS: Final = (
    ("anthropic", "claude-sonnet-4-5"),
    ("openai", "gpt-5"),
    ("anthropic", "claude-haiku-4-5"),
)
_PROMPT: Final = ("Why does the build fail on the second run only? " * 43)[:2048]  # 2 kB
_THOUGHT: Final = "The second run finds the cache of the first one; look at its key. " * 4


@dataclass(frozen=True, slots=True)
class Template:
    """A request that lacks its interception's id and its time.

    Attributes:
        path: The method, as in the ``:path`` header.
        pieces: What stands before the id, between the two, and after the time.
    """

    path: bytes
    pieces: tuple[bytes, bytes, bytes]

    def fill(self, interception_id: bytes, stamp: bytes) -> bytes:
        """The request's bytes, with ``stamp`` as made by `encode_stamp`."""
        before, between, after = self.pieces
        return b"".join((before, interception_id, between, stamp, after))


@dataclass(frozen=True, slots=True)
class Script:
    """The records of one interception: its start, and what follows the start's answer."""

    start: Template
    rest: tuple[Template, ...]


def encode_stamp(now_ns: int) -> bytes:
    """A Timestamp field's length and content."""
    return _delimited(Timestamp(seconds=now_ns // 10**9, nanos=now_ns % 10**9))


def endless_scripts() -> Iterator[Script]:
    """Scripts of several users, models and token counts, for ever in turn."""
    return cycle([_script(number) for number in range(_USERS * len(_MODELS))])


def _script(number: int) -> Script:
    tokens = (_tokens(number, output=3, cached=14_000), _tokens(number, output=417, cached=0))
    rest = (*tokens, _prompt(), _tool(injected=True), _tool(injected=False), _thought(), _end())
    return Script(_start(number), rest)


def _start(number: int) -> Template:
    user = number % _USERS
    provider, model = _MODELS[number % len(_MODELS)]
    return _cut(
        "RecordInterception",
        pb.RecordInterceptionRequest(
            id=_ID,
            initiator_id=str(uuid5(UUID(_ID), str(user))),
            provider=provider,
            provider_name=provider,
            model=model,
            metadata=_metadata(Username=f"user-{user}"),
            started_at=_TIME,
            api_key_id=f"key{user:07d}",
            client="Claude Code",
            user_agent="claude-cli/2.0.31 (external, cli)",
            client_session_id=f"session-{number}",
            credential_kind="centralized",
            credential_hint="sk-...9f3a",
        ),
    )


def _tokens(number: int, *, output: int, cached: int) -> Template:
    return _cut(
        "RecordTokenUsage",
        pb.RecordTokenUsageRequest(
            interception_id=_ID,
            msg_id="msg_01XFDUDYJgAACzvnptvVoYEL",
            input_tokens=40 + number,
            output_tokens=output,
            metadata=_metadata(cache_read_input=cached, web_search_requests=0),
            created_at=_TIME,
            cache_read_input_tokens=cached,
        ),
    )


def _prompt() -> Template:
    return _cut(
        "RecordPromptUsage",
        pb.RecordPromptUsageRequest(
            interception_id=_ID,
            msg_id="msg_01XFDUDYJgAACzvnptvVoYEL",
            prompt=_PROMPT,
            created_at=_TIME,
        ),
    )


def _tool(*, injected: bool) -> Template:
    return _cut(
        "RecordToolUsage",
        pb.RecordToolUsageRequest(
            interception_id=_ID,
            msg_id="msg_01XFDUDYJgAACzvnptvVoYEL",
            server_url="https://mcp.example.com/mcp" if injected else None,
            tool="get_issue" if injected else "Bash",
            input='{"number": 4711}' if injected else '{"command": "make test"}',
            injected=injected,
            created_at=_TIME,
            tool_call_id="toolu_01A09q90qw90lq917835lq9" + ("a" if injected else "b"),
        ),
    )


def _thought() -> Template:
    return _cut(
        "RecordModelThought",
        pb.RecordModelThoughtRequest(
            interception_id=_ID,
            content=_THOUGHT,
            metadata=_metadata(source="thinking"),
            created_at=_TIME,
        ),
    )


def _end() -> Template:
    request = pb.RecordInterceptionEndedRequest(id=_ID, ended_at=_TIME)
    return _cut("RecordInterceptionEnded", request)


def _metadata(**entries: str | float) -> dict[str, AnyMessage]:
    packed = {name: AnyMessage() for name in entries}
    for name, value in entries.items():
        if isinstance(value, str):
            packed[name].Pack(Value(string_value=value))
        else:
            packed[name].Pack(Value(number_value=value))
    return packed


def _cut(method: str, request: Message) -> Template:
    before, rest = request.SerializeToString(deterministic=True).split(_ID.encode())
    between, after = rest.split(_delimited(_TIME))
    return Template(f"/proto.Recorder/{method}".encode(), (before, between, after))


def _delimited(stamp: Timestamp) -> bytes:
    encoded = stamp.SerializeToString()
    return bytes((len(encoded),)) + encoded
