"""The Recorder service: what happened to the LLM requests that passed through a gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from otelbridge.domain.records import RecordKind
from otelbridge.recording import Submission

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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
    """Answers once a record is durable. The answers hold nothing.

    A request is parsed where it is committed, in the core: `PARSES` is false.
    No method is a coroutine: what it returns is done when the record is, and
    a coroutine around it would be another 1 µs of each call.

    Args:
        sink: Where records go.
        clock_ns: The bridge's clock.
    """

    PARSES = False

    def __init__(self, sink: RecordSink, *, clock_ns: Callable[[], int]) -> None:
        self._sink = sink
        self._clock_ns = clock_ns

    def RecordInterception(self, call: Call) -> Awaitable[None]:
        """Record that an interception began."""
        return self._record(RecordKind.START, call)

    def RecordInterceptionEnded(self, call: Call) -> Awaitable[None]:
        """Record that an interception ended."""
        return self._record(RecordKind.END, call)

    def RecordTokenUsage(self, call: Call) -> Awaitable[None]:
        """Record that tokens were used."""
        return self._record(RecordKind.TOKENS, call)

    def RecordPromptUsage(self, call: Call) -> Awaitable[None]:
        """Record a prompt."""
        return self._record(RecordKind.PROMPT, call)

    def RecordToolUsage(self, call: Call) -> Awaitable[None]:
        """Record that a tool was asked for, or run."""
        return self._record(RecordKind.TOOL, call)

    def RecordModelThought(self, call: Call) -> Awaitable[None]:
        """Record that the model thought aloud."""
        return self._record(RecordKind.THOUGHT, call)

    def _record(self, kind: RecordKind, call: Call) -> Awaitable[None]:
        return self._sink.record(Submission(kind, call.raw, self._clock_ns(), call.gateway))
