"""A gateway's side: the requests that it sends, and what it learns from the answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID, uuid4

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.servicers.methods import request_classes
from tests.records import ALICE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from google.protobuf.message import Message
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from tests.collector import Collector
    from tests.e2e.bridges import Bridge

_M = TypeVar("_M", bound="Message")

_METHODS = {kind: name for name, kind in request_classes().items()}
_TYPE_URL = "type.googleapis.com/google.protobuf.Value"


def fresh_id() -> str:
    """Return the id of an interception that no test has used."""
    return str(uuid4())


def now(later_s: float = 0.0) -> Timestamp:
    """Return the time of the machine, or a time that many seconds later."""
    stamp = Timestamp()
    stamp.FromNanoseconds(time.time_ns() + int(later_s * 1e9))
    return stamp


def packed(value: Any) -> Packed:
    """Return a metadata value as gateways send it."""
    return Packed(type_url=_TYPE_URL, value=ParseDict(value, Value()).SerializeToString())


def metadata(**values: Any) -> dict[str, Packed]:
    """Return a record's metadata."""
    return {key: packed(value) for key, value in values.items()}


def start(interception: str, **fields: Any) -> pb.RecordInterceptionRequest:
    """Return a start; all fields may be given."""
    usual = {
        "id": interception,
        "initiator_id": str(ALICE),
        "api_key_id": "alicekey01",
        "provider": "anthropic",
        "model": "claude-sonnet-4-5",
        "started_at": now(),
    }
    return pb.RecordInterceptionRequest(**{**usual, **fields})


def end(interception: str, **fields: Any) -> pb.RecordInterceptionEndedRequest:
    """Return an end."""
    usual = {"id": interception, "ended_at": now()}
    return pb.RecordInterceptionEndedRequest(**{**usual, **fields})


def tokens(interception: str, **fields: Any) -> pb.RecordTokenUsageRequest:
    """Return a token record."""
    usual = {"interception_id": interception, "msg_id": "msg_1", "created_at": now()}
    return pb.RecordTokenUsageRequest(**{**usual, **fields})


def prompt(interception: str, **fields: Any) -> pb.RecordPromptUsageRequest:
    """Return a prompt."""
    usual = {"interception_id": interception, "prompt": "why?", "created_at": now()}
    return pb.RecordPromptUsageRequest(**{**usual, **fields})


def tool(interception: str, **fields: Any) -> pb.RecordToolUsageRequest:
    """Return a tool use."""
    usual = {"interception_id": interception, "tool": "Read", "input": "{}", "created_at": now()}
    return pb.RecordToolUsageRequest(**{**usual, **fields})


def thought(interception: str, **fields: Any) -> pb.RecordModelThoughtRequest:
    """Return a thought."""
    usual = {"interception_id": interception, "content": "hm", "created_at": now()}
    return pb.RecordModelThoughtRequest(**{**usual, **fields})


def method_of(request: Message) -> str:
    """Return the ``Service/Method`` that takes a request."""
    return _METHODS[type(request)]


async def send(bridge: Bridge, *requests: Message, key: str = "") -> None:
    """Send requests one after the other; each must be accepted."""
    for request in requests:
        await bridge.call(method_of(request), request, metadata=_shown(key))


async def ask(bridge: Bridge, request: Message, answer: type[_M], *, key: str = "") -> _M:
    """Send a request; return its answer.

    Args:
        bridge: Who is asked.
        request: The request.
        answer: The answer's class.
        key: The gateway key that is shown; none if empty.
    """
    raw = await bridge.call(method_of(request), request, metadata=_shown(key))
    return answer.FromString(raw)


async def refusal(bridge: Bridge, request: Message, *, key: str = "") -> tuple[str, str]:
    """Send a request that must be refused; return the name of its status and its text."""
    return await refusal_of_bytes(bridge, method_of(request), request.SerializeToString(), key=key)


async def refusal_of_bytes(
    bridge: Bridge, method: str, raw: bytes, *, key: str = ""
) -> tuple[str, str]:
    """Send bytes that must be refused to ``Service/Method``; see `refusal`."""
    call = bridge.channel.unary_unary(f"/proto.{method}")(raw, metadata=_shown(key))
    code: grpc.StatusCode = await call.code()
    assert code is not grpc.StatusCode.OK, f"{method} was accepted"
    return code.name, await call.details()


async def told(bridge: Bridge, interception: str) -> Span:
    """Return the chat span of an interception, once the collector has it."""
    await bridge.collector.wait_for(lambda c: bool(chat_spans(c, interception)))
    (span,) = chat_spans(bridge.collector, interception)
    return span


def chat_spans(collector: Collector, *interceptions: str) -> list[Span]:
    """Return the chat spans of interceptions that a collector took."""
    wanted = {UUID(each).bytes for each in interceptions}
    return [s for s in collector.spans if s.trace_id in wanted and s.name.startswith("chat")]


def _shown(key: str) -> Iterable[tuple[str, str]]:
    return (("authorization", f"Bearer {key}"),) if key else ()


# What the kinds are called in `otelbridge.record.kind`.
KINDS: dict[Callable[..., Message], str] = {
    start: "start",
    tokens: "tokens",
    prompt: "prompt",
    tool: "tool",
    thought: "thought",
    end: "end",
}
