"""Captures made new: other ids, and times that end now.

Otherwise a second replay is all duplicates, and an old capture is old.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

    from otelbridge.transports.capture import CapturedCall

# Seconds since 1970 of 2020-01-01 and 2100-01-01: what lies outside is no
# moment of the capture but one of its mistakes, and stays as it is.
_EARLIEST_S = 1_577_836_800
_LATEST_S = 4_102_444_800
_NS = 1_000_000_000

_INTERCEPTIONS = ("id", "interception_id")
_TOOL_CALLS = ("tool_call_id", "correlating_tool_call_id")
_SESSIONS = ("client_session_id", "agent_firewall_session_id")


def freshened(
    calls: Iterable[CapturedCall],
    *,
    now_ns: int,
    draw: Callable[[], uuid.UUID] = uuid.uuid4,
) -> list[CapturedCall]:
    """Return the calls with new ids and times.

    Interceptions, tool calls and sessions get new ids, the same one wherever
    the old one stood. All times are shifted by one constant, so that the last
    of them is now and every duration stays. The calls given are not changed.

    Args:
        calls: A capture.
        now_ns: Now, in nanoseconds since the Unix epoch.
        draw: Returns an id that was never used.
    """
    fresh = [replace(call, request=_copy(call.request)) for call in calls]
    ids = _Ids(draw)
    for call in fresh:
        if call.rpc.startswith("Recorder/"):
            ids.replace_in(call.request)
    moments = [moment for call in fresh for moment in _moments(call.request)]
    if moments:
        shift_ns = now_ns - max(moment.ToNanoseconds() for moment in moments)
        for moment in moments:
            moment.FromNanoseconds(moment.ToNanoseconds() + shift_ns)
    return fresh


class _Ids:
    """New ids by old ones."""

    def __init__(self, draw: Callable[[], uuid.UUID]) -> None:
        self._draw = draw
        self._new: dict[tuple[str, str], str] = {}

    def replace_in(self, request: Any) -> None:
        """Give a request new ids for its old ones; what it does not say stays unsaid."""
        for names, draw in (
            (_INTERCEPTIONS, self._interception),
            (_TOOL_CALLS, self._tool_call),
            (_SESSIONS, self._session),
        ):
            for name in names:
                old = getattr(request, name, "")
                if old:
                    setattr(request, name, self._replacement(names[0], old, draw))

    def _replacement(self, kind: str, old: str, draw: Callable[[str], str]) -> str:
        key = (kind, old.lower() if _is_uuid(old) else old)
        if key not in self._new:
            self._new[key] = draw(old)
        return self._new[key]

    def _interception(self, old: str) -> str:
        # What is no UUID, or nil, is in the capture to be refused, and still is.
        return str(self._draw()) if _is_uuid(old) and uuid.UUID(old).int else old

    def _tool_call(self, old: str) -> str:
        # The provider's prefix stays: `toolu_`, `call_`, `chatcmpl-tool-`.
        prefix = old[: max(old.rfind("_"), old.rfind("-")) + 1]
        return f"{prefix}{self._draw().hex}"

    def _session(self, _old: str) -> str:
        return str(self._draw())


def _copy(request: Message) -> Message:
    copied = type(request)()
    copied.CopyFrom(request)
    return copied


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _moments(request: Any) -> Iterator[Timestamp]:
    for name in ("started_at", "ended_at", "created_at"):
        if name in request.DESCRIPTOR.fields_by_name and request.HasField(name):
            moment: Timestamp = getattr(request, name)
            if _EARLIEST_S <= moment.seconds < _LATEST_S and 0 <= moment.nanos < _NS:
                yield moment
