"""Invented agent sessions: what gateways of every revision send, odd things included.

Each seed gives the same requests for ever. What is left out on purpose: secrets, content over
the limits (both have tests of their own), and two follow-ups of one interception, of which only
the order of arrival says which one is told the client's work.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from otelbridge.proto import aibridged_pb2 as pb

#: 2026-11-22T12:00:00Z: when the requests are received; they say that they happened before.
NOW_NS = 1_795_348_800 * 10**9

_HOUR = 3600 * 10**9
_MODELS = (
    ("anthropic", "claude-sonnet-4-5-20250929"),
    ("anthropic", "us.anthropic.claude-haiku-4-5-20251001-v1:0"),
    ("anthropic", ""),
    ("openai", "gpt-5.1"),
    ("OpenAI", "gpt-5.1-codex"),
    ("copilot", "gpt-5-mini"),
    ("azure", "gpt-5\x07"),
    ("gemini", "gemini-2.5-pro" + "-long" * 30),
    ("Groq", "kimi-k2"),
    ("", "unheard-of"),
)
_CLIENTS = ("Claude Code", "Codex", "Zed", "Unknown", "")
_TEXTS = ("", "Why?", "Grüße, 世界 🌍", '{"a": [1, "b"]}', "two\nlines\x00", "x" * 300)
_INPUTS = ("", "null", '"text"', '{"path":"a.py"}', '{"emoji":"🧪"}')
_TOOLS = ("Read", "Bash", "search_issues", "tool\x1b[0m", "t" * 80, "")
_URLS = (
    "https://mcp.example.com/mcp",
    "http://user:pw@Tools.example.com:8080/a/b?key=v#frag",
    "https://[2001:db8::1]:8443/",
    "no url at all",
)
_ERRORS = (
    "context deadline exceeded",
    "request was cancelled",
    "HTTP 401",
    "dial tcp: connection refused",
    "tool failed",
    "what is this?",
)
_SOURCES = ("thinking", "reasoning_summary", "commentary")
_METADATA: dict[str, Any] = {
    "Username": "alice",
    "tier": "priority",
    "fast": True,
    "ratio": 0.25,
    "nothing": None,
    "nested": {"b": [1, None, "ü"], "a": {"c": False}},
    "list": ["x", 2.5],
}


class Inventor:
    """Invents sessions.

    Args:
        seed: What decides everything.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._at = NOW_NS - 5 * _HOUR

    def requests(self, sessions: int) -> list[Message]:
        """Return the requests of so many sessions in any order, some of them repeated."""
        found = [each for _ in range(sessions) for each in self._session()]
        found += self._random.sample(found, len(found) // 10)
        self._random.shuffle(found)
        return found

    def _session(self) -> Iterator[Message]:
        """Yield a thread of interceptions, each of which may answer the one before."""
        user, call = self._uuid(), ""
        metadata = {"Username": "bob"} if self._chance(0.7) else self._metadata()
        for _ in range(self._random.randint(1, 4)):
            start = self._start(user, call, metadata)
            tools = [self._tool(start.id) for _ in range(self._few())]
            calls = [each.tool_call_id for each in tools if not each.injected]
            call = self._random.choice(calls) if calls else self._rare("toolu_that_never_came")
            yield from self._known(start)
            yield from tools
            yield from self._rest(start)

    def _known(self, start: pb.RecordInterceptionRequest) -> Iterator[Message]:
        if self._chance(0.95):
            yield start

    def _rest(self, start: pb.RecordInterceptionRequest) -> Iterator[Message]:
        for _ in range(self._few()):
            yield self._prompt(start.id)
        for _ in range(self._few()):
            yield self._thought(start.id)
        for _ in range(self._few()):
            yield self._tokens(start.id, start.provider)
        ends = self._random.choices((0, 1, 2), (5, 90, 5))[0]
        for _ in range(ends):
            yield self._end(start.id)

    def _start(self, user: str, call: str, metadata: Any) -> pb.RecordInterceptionRequest:
        choice, maybe = self._random.choice, self._maybe
        provider, model = choice(_MODELS)
        found = pb.RecordInterceptionRequest(
            id=self._uuid(),
            initiator_id=user,
            provider=provider,
            model=model,
            api_key_id="key0000001",
            client=choice(_CLIENTS),
            user_agent=choice(("", "agent/1.0 (x)", "a" * 600)),
            metadata=_packed(metadata),
            started_at=self._time(),
            provider_name=maybe("eu-1"),
            credential_kind=maybe("centralized"),
            credential_hint=maybe("ab...cd"),
            workspace_id=maybe(self._uuid()),
        )
        if call:
            found.correlating_tool_call_id = call
        if self._chance(0.5):
            found.client_session_id = choice(("", "session 7", "Grüße"))
        if self._chance(0.3):
            found.agent_firewall_session_id = "wall"
            found.agent_firewall_sequence_number = self._random.randint(0, 3)
        return found

    def _tokens(self, key: str, provider: str) -> pb.RecordTokenUsageRequest:
        """Return a token record of the provider's API, of any revision of the gateway."""
        cached, written = self._count(), self._count() if provider == "anthropic" else 0
        output = self._count()
        counts: dict[str, Any] = {}
        if self._chance(0.7):
            counts = self._anthropic(cached, written)
            if provider != "anthropic":
                counts = self._random.choice((self._chat, self._responses))(cached, output)
        is_typed = self._chance(0.6)
        found = pb.RecordTokenUsageRequest(
            interception_id=key,
            msg_id=self._msg_id(),
            input_tokens=self._random.choice((0, 7, 1200, 1200, 1200, -20)),
            output_tokens=output if self._chance(0.97) else -3,
            cache_read_input_tokens=cached if is_typed else 0,
            cache_write_input_tokens=written if is_typed else 0,
            metadata=_packed(counts | (self._metadata() if self._chance(0.1) else {})),
            created_at=self._time(),
        )
        if self._chance(0.02):
            found.cache_read_input_tokens = -5
        return found

    def _anthropic(self, cached: int, written: int) -> dict[str, Any]:
        return {
            "cache_read_input": cached,
            "cache_creation_input": written,
            "cache_ephemeral_5m_input": written // 3,
            "cache_ephemeral_1h_input": written - written // 3,
            "web_search_requests": self._random.choice((0, 0, 2)),
        }

    def _chat(self, cached: int, output: int) -> dict[str, Any]:
        return {
            "prompt_cached": cached,
            "prompt_audio": self._random.choice((0, 25)),
            "completion_audio": self._random.choice((0, 15)),
            "completion_reasoning": self._random.choice((output // 2, output, output + 9)),
            "completion_accepted_prediction": self._random.choice((0, 4)),
            "completion_rejected_prediction": self._random.choice((0, 6)),
        }

    def _responses(self, cached: int, output: int) -> dict[str, Any]:
        return {"input_cached": cached, "output_reasoning": output // 4, "total_tokens": 9999}

    def _prompt(self, key: str) -> pb.RecordPromptUsageRequest:
        return pb.RecordPromptUsageRequest(
            interception_id=key,
            msg_id=self._msg_id(),
            prompt=self._random.choice(_TEXTS),
            metadata=_packed(self._metadata()),
            created_at=self._time(),
        )

    def _tool(self, key: str) -> pb.RecordToolUsageRequest:
        found = pb.RecordToolUsageRequest(
            interception_id=key,
            msg_id=self._msg_id(),
            tool=self._random.choice(_TOOLS),
            input=self._random.choice(_INPUTS),
            injected=self._chance(0.3),
            metadata=_packed(self._metadata()),
            created_at=self._time(),
            tool_call_id=f"call_{self._random.getrandbits(32)}",
        )
        if found.injected:
            found.server_url = self._random.choice(_URLS)
            if self._chance(0.4):
                found.invocation_error = self._random.choice(_ERRORS)
        return found

    def _thought(self, key: str) -> pb.RecordModelThoughtRequest:
        source = {"source": self._random.choice(_SOURCES)} if self._chance(0.9) else {"source": 3}
        return pb.RecordModelThoughtRequest(
            interception_id=key,
            content=self._random.choice(_TEXTS),
            metadata=_packed(source),
            created_at=self._time(),
        )

    def _end(self, key: str) -> pb.RecordInterceptionEndedRequest:
        found = pb.RecordInterceptionEndedRequest(id=key, ended_at=self._time(1000))
        if self._chance(0.2):
            found.error_type = self._random.choice(("rate_limited", "timeout", ""))
        if self._chance(0.2):
            found.error_message = "529 the provider's own words"
        return found

    def _time(self, later_ms: int = 0) -> Timestamp | None:
        """Return a time of this session; often the same one, seldom none or an absurd one."""
        if self._chance(0.02):
            return self._random.choice((None, Timestamp(seconds=-5), Timestamp(seconds=2**33)))
        self._at += self._random.choice((0, 0, 1, 1_000_003, 250_000_000))
        at = self._at + self._random.randint(-5, later_ms) * 1_000_000
        return Timestamp(seconds=at // 10**9, nanos=at % 10**9)

    def _metadata(self) -> dict[str, Any]:
        if self._chance(0.02):
            return {f"key{number:02}": float(number) for number in range(40)}
        return {key: value for key, value in _METADATA.items() if self._chance(0.1)}

    def _msg_id(self) -> str:
        return self._random.choice(("", "msg_1", "msg_1", "msg_2", "resp_ü"))

    def _count(self) -> int:
        return self._random.choice((0, 1, 417, 14_210, 1_000_000))

    def _few(self) -> int:
        return self._random.choice((0, 1, 1, 2, 3))

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _maybe(self, text: str) -> str:
        return text if self._chance(0.5) else ""

    def _rare(self, text: str) -> str:
        return text if self._chance(0.1) else ""

    def _uuid(self) -> str:
        return str(UUID(int=self._random.getrandbits(128) | 1))


def _packed(metadata: dict[str, Any]) -> dict[str, Packed]:
    """Return metadata as gateways send it."""
    url = "type.googleapis.com/google.protobuf.Value"
    return {
        key: Packed(
            type_url=url, value=ParseDict(value, Value()).SerializeToString(deterministic=True)
        )
        for key, value in metadata.items()
    }
