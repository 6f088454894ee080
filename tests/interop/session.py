"""A short agent's session of our own, with what no capture holds: failures and odd text."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from google.protobuf.any_pb2 import Any
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from tests.interop.sent import End, Prompt, Start, Thought, Tokens, Tool

if TYPE_CHECKING:
    from tests.interop.sent import Record

#: Text of the user, the model and a tool, and a server's password: by default none may leave.
SECRETS = ("prompt-canary-Ünï", "thought-canary", "input-canary", "url-canary")

_MODEL = "claude-sonnet-4-5-20250929"
_MS = 1_000_000


class Turn:
    """Builds the records of one interception; times are milliseconds after its start."""

    def __init__(self, start_ns: int, *, initiator_id: str, after: str | None = None) -> None:
        self.id = str(uuid4())
        self._start_ns = start_ns
        self._message = f"msg_{self.id}"
        self.start = Start(
            id=self.id,
            initiator_id=initiator_id,
            provider="anthropic",
            model=_MODEL,
            metadata={"Username": _value("zoë")},
            started_at=self.at(0),
            api_key_id="aB3dE5fG7h",
            client="Claude Code",
            client_session_id="session-1",
            correlating_tool_call_id=after,
        )

    def at(self, after_ms: float) -> Timestamp:
        """Return a time in nanoseconds that no microsecond clock can hold."""
        stamp = Timestamp()
        stamp.FromNanoseconds(self._start_ns + int(after_ms * _MS) + 7)
        return stamp

    def prompt(self, after_ms: float) -> Prompt:
        """Return what the user asked."""
        return Prompt(
            interception_id=self.id,
            msg_id=self._message,
            prompt=SECRETS[0],
            created_at=self.at(after_ms),
        )

    def thought(self, after_ms: float) -> Thought:
        """Return what the model thought."""
        return Thought(
            interception_id=self.id,
            content=SECRETS[1],
            metadata={"source": _value("thinking")},
            created_at=self.at(after_ms),
        )

    def tokens(
        self, after_ms: float, counted: tuple[int, int], cached: tuple[int, int] = (0, 0)
    ) -> Tokens:
        """Return a usage of (input, output) tokens, and (read, written) ones of the cache."""
        return Tokens(
            interception_id=self.id,
            msg_id=self._message,
            input_tokens=counted[0],
            output_tokens=counted[1],
            cache_read_input_tokens=cached[0],
            cache_write_input_tokens=cached[1],
            created_at=self.at(after_ms),
        )

    def tool(self, after_ms: float, name: str) -> Tool:
        """Return a tool that the model asked the client to run."""
        return Tool(
            interception_id=self.id,
            msg_id=self._message,
            tool=name,
            input=f'{{"path": "{SECRETS[2]}"}}',
            created_at=self.at(after_ms),
            tool_call_id=f"{self.id}-{name}",
        )

    def injected_tool(self, after_ms: float, name: str, error: str | None = None) -> Tool:
        """Return a tool that the gateway ran."""
        record = self.tool(after_ms, name)
        record.injected = True
        record.server_url = f"https://{SECRETS[3]}@mcp.example.com/mcp?key={SECRETS[3]}"
        if error is not None:
            record.invocation_error = error
        return record

    def end(self, after_ms: float, error: str | None = None) -> End:
        """Return the end; with an error, also the words of the provider."""
        return End(
            id=self.id,
            ended_at=self.at(after_ms),
            error_type=error,
            error_message=error and SECRETS[0],
        )


def agent_session(now_ns: int) -> list[Record]:
    """Return a session of three turns that began ten seconds ago.

    The first asks for a tool; the second follows up, has tools run by the
    gateway and asks for another; the third follows that up and is refused.
    Records come as a gateway sends them: often the end before the rest.
    """
    alice = str(uuid4())
    begin = now_ns - 10_000 * _MS
    first = Turn(begin, initiator_id=alice)
    second = Turn(begin + 3000 * _MS, initiator_id=alice, after=f"{first.id}-Read")
    third = Turn(begin + 6000 * _MS, initiator_id=alice, after=f"{second.id}-Edit")
    return [*_asking(first), *_running_tools(second), *_refused(third)]


def _asking(turn: Turn) -> list[Record]:
    return [
        turn.start,
        turn.end(1900.25),
        turn.prompt(1890),
        turn.tokens(400, counted=(12, 3), cached=(9000, 250)),
        turn.tokens(1880, counted=(0, 87)),
        turn.thought(700),
        turn.tool(1885, "Read"),
    ]


def _running_tools(turn: Turn) -> list[Record]:
    return [
        turn.start,
        turn.injected_tool(500, "search_issues"),
        turn.injected_tool(900, "create_issue", error="timeout of the tracker"),
        turn.tokens(950, counted=(20, 41), cached=(9250, 0)),
        turn.tool(2400, "Edit"),
        turn.end(2500),
    ]


def _refused(turn: Turn) -> list[Record]:
    return [turn.start, turn.prompt(10), turn.end(310, error="rate_limited")]


def _value(text: str) -> Any:
    packed = Any()
    packed.Pack(Value(string_value=text))
    return packed
