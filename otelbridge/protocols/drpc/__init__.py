"""DRPC over one byte stream: a client's and a server's end, with no socket, task or clock.

Source: storj.io/drpc v0.0.34, whose behaviour towards a peer is met.
"""

from otelbridge.protocols.drpc.client import ClientTransport
from otelbridge.protocols.drpc.events import (
    CallCancelled,
    CallEnded,
    CallFailed,
    CancelReason,
    ClientEvent,
    InputEnded,
    Invoked,
    MessageReceived,
    ServerEvent,
    TransportEnded,
)
from otelbridge.protocols.drpc.limits import DEFAULT_LIMITS, Limits
from otelbridge.protocols.drpc.server import ServerTransport

__all__ = [
    "DEFAULT_LIMITS",
    "CallCancelled",
    "CallEnded",
    "CallFailed",
    "CancelReason",
    "ClientEvent",
    "ClientTransport",
    "InputEnded",
    "Invoked",
    "Limits",
    "MessageReceived",
    "ServerEvent",
    "ServerTransport",
    "TransportEnded",
]
