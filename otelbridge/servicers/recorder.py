"""The Recorder service: what happened to the LLM requests that passed through a gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from otelbridge.domain.records import RecordKind
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.recording import Submission

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from google.protobuf.message import Message

    from otelbridge.servicers.methods import Call


class RecordSink(Protocol):
    """Where records go."""

    def record(self, submission: Submission) -> Awaitable[None]:
        """Return what is done when the record is durable.

        Raises:
            InvalidRequestError: If it breaks the contract.
            AlreadyExistsError: If a different start was recorded under its id.
            UnavailableError: If it could not be committed.
        """


class RecorderServicer:
    """Answers once a record is durable.

    Args:
        sink: Where records go.
        clock_ns: The bridge's clock.
    """

    def __init__(self, sink: RecordSink, *, clock_ns: Callable[[], int]) -> None:
        self._sink = sink
        self._clock_ns = clock_ns

    async def RecordInterception(self, request: Message, call: Call) -> Message:
        """Record that an interception began."""
        await self._record(RecordKind.START, request, call)
        return _STARTED

    async def RecordInterceptionEnded(self, request: Message, call: Call) -> Message:
        """Record that an interception ended."""
        await self._record(RecordKind.END, request, call)
        return _ENDED

    async def RecordTokenUsage(self, request: Message, call: Call) -> Message:
        """Record that tokens were used."""
        await self._record(RecordKind.TOKENS, request, call)
        return _TOKENS

    async def RecordPromptUsage(self, request: Message, call: Call) -> Message:
        """Record a prompt."""
        await self._record(RecordKind.PROMPT, request, call)
        return _PROMPT

    async def RecordToolUsage(self, request: Message, call: Call) -> Message:
        """Record that a tool was asked for, or run."""
        await self._record(RecordKind.TOOL, request, call)
        return _TOOL

    async def RecordModelThought(self, request: Message, call: Call) -> Message:
        """Record that the model thought aloud."""
        await self._record(RecordKind.THOUGHT, request, call)
        return _THOUGHT

    def _record(self, kind: RecordKind, request: Message, call: Call) -> Awaitable[None]:
        received_at_ns = self._clock_ns()
        return self._sink.record(Submission(kind, request, call.raw, received_at_ns, call.gateway))


_STARTED = pb.RecordInterceptionResponse()
_ENDED = pb.RecordInterceptionEndedResponse()
_TOKENS = pb.RecordTokenUsageResponse()
_PROMPT = pb.RecordPromptUsageResponse()
_TOOL = pb.RecordToolUsageResponse()
_THOUGHT = pb.RecordModelThoughtResponse()
