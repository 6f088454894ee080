"""What a session tells whoever drives it.

Events are made several times a call: they are not frozen, which would take
three times as long, but nobody changes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(slots=True)
class StreamOpened:
    """The peer has opened a stream; it is accepted.

    Attributes:
        stream_id: Its id, never used again in this session.
    """

    stream_id: int


@dataclass(slots=True)
class DataReceived:
    """A frame's payload has arrived, in order.

    Attributes:
        stream_id: Where.
        data: At least one byte. It counts against the window until it is
            given to `Session.acknowledge`.
    """

    stream_id: int
    data: bytes


@dataclass(slots=True)
class StreamEnded:
    """The peer will send nothing more on a stream (FIN); we still may.

    Attributes:
        stream_id: Which stream.
    """

    stream_id: int


@dataclass(slots=True)
class StreamReset:
    """The peer has ended a stream in both directions (RST), or refused it.

    What was not sent yet is dropped.

    Attributes:
        stream_id: Which stream.
    """

    stream_id: int


@dataclass(slots=True)
class PongReceived:
    """The peer has answered the newest ping.

    Attributes:
        round_trip_s: Time from the ping to the answer, in seconds.
    """

    round_trip_s: float


@dataclass(slots=True)
class GoAwayReceived:
    """The peer takes no new streams and is about to close the connection.

    Attributes:
        code: Why: `NORMAL`; any other code also ends the session.
    """

    code: int


@dataclass(slots=True)
class SessionEnded:
    """The session is over, and all of its streams are; always the last event.

    Attributes:
        reason: Why, for a log: lower case, without any of the peer's text.
    """

    reason: str


Event: TypeAlias = (
    StreamOpened
    | DataReceived
    | StreamEnded
    | StreamReset
    | PongReceived
    | GoAwayReceived
    | SessionEnded
)
