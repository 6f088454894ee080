"""What became of an export request: one class for each reaction.

Source: OTLP specification 1.x, "Failures", "Partial Success", "OTLP/gRPC
Throttling" and "OTLP/HTTP Response".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otelbridge.domain.ports import Signal
from otelbridge.errors import escaped

_TEXT_LIMIT = 200  # a server's sentence; its stack trace is for its own log


@dataclass(frozen=True, slots=True, kw_only=True)
class Ok:
    """The request was taken.

    Attributes:
        rejected: How many of its items were not; sending them again is forbidden.
        message: Why, or a warning, in the server's words.
    """

    rejected: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The request was not taken.

    Attributes:
        reason: What happened, as one of few words: it becomes a label.
        message: The server's words, made safe for a log line.
    """

    reason: str
    message: str = ""

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.message else self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry(Failure):
    """The same request may be taken later.

    Attributes:
        after_s: When to try again at the earliest, if the server says so.
        is_silence: Whether there was no answer at all.
    """

    after_s: float | None = None
    is_silence: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Failure):
    """This request will never be taken; a part of it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TooLarge(Failure):
    """A smaller request may be taken.

    Attributes:
        is_certain: Whether the server says that it is for its size; else it may
            be for the rate.
    """

    is_certain: bool = True


Outcome: TypeAlias = Ok | Retry | Refused | TooLarge


class Exporter(Protocol):
    """Sends export requests to one destination."""

    async def export(self, signal: Signal, body: bytes) -> Outcome:
        """Send one request and say what became of it. Gives up after the time limit of a try."""

    async def close(self) -> None:
        """Close connections; requests under way are cut."""


def safe_text(text: str | None) -> str:
    """Return a server's text made safe for a log line."""
    return escaped(text or "", _TEXT_LIMIT)


def parse_response(signal: Signal, body: bytes) -> Ok:
    """Read the answer to a request that was taken.

    What is no export response is no reason to send the same data again.
    """
    try:
        return _READERS[signal](body)
    except DecodeError:
        return Ok(message="the response is no OTLP message")


def _traces(body: bytes) -> Ok:
    partial = ExportTraceServiceResponse.FromString(body).partial_success
    return _ok(partial.rejected_spans, partial.error_message)


def _logs(body: bytes) -> Ok:
    partial = ExportLogsServiceResponse.FromString(body).partial_success
    return _ok(partial.rejected_log_records, partial.error_message)


def _metrics(body: bytes) -> Ok:
    partial = ExportMetricsServiceResponse.FromString(body).partial_success
    return _ok(partial.rejected_data_points, partial.error_message)


def _ok(rejected: int, message: str) -> Ok:
    return Ok(rejected=max(rejected, 0), message=safe_text(message))


_READERS = {Signal.TRACES: _traces, Signal.LOGS: _logs, Signal.METRICS: _metrics}
