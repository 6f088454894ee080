"""yamux: many streams over one connection, as a state machine without input and output.

`Session` is one end of a connection. Bytes that have arrived go in, events and
bytes to send come out; time is passed in.

Source: yamux spec.md (github.com/hashicorp/yamux), and what version 0.1.2 of
its Go implementation does where the specification is silent.
"""

from otelbridge.protocols.yamux.events import (
    DataReceived,
    Event,
    GoAwayReceived,
    PongReceived,
    SessionEnded,
    StreamEnded,
    StreamOpened,
    StreamReset,
)
from otelbridge.protocols.yamux.frames import (
    INTERNAL_ERROR,
    MAX_MESSAGE_BYTES,
    NORMAL,
    PROTOCOL_ERROR,
)
from otelbridge.protocols.yamux.limits import Limits
from otelbridge.protocols.yamux.role import Role
from otelbridge.protocols.yamux.session import Session

__all__ = [
    "INTERNAL_ERROR",
    "MAX_MESSAGE_BYTES",
    "NORMAL",
    "PROTOCOL_ERROR",
    "DataReceived",
    "Event",
    "GoAwayReceived",
    "Limits",
    "PongReceived",
    "Role",
    "Session",
    "SessionEnded",
    "StreamEnded",
    "StreamOpened",
    "StreamReset",
]
