"""What a DRPC transport tells. A call's id is the id of its DRPC stream."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping


class CancelReason(StrEnum):
    """Why a call is over without its answer."""

    CANCEL = "cancel"  # the peer sent Cancel
    CLOSE = "close"  # the client sent Close
    ERROR = "error"  # the client sent Error
    SUPERSEDED = "superseded"  # the client went on to another stream
    EOF = "eof"  # the byte stream ended
    BROKEN = "broken"  # the peer broke the protocol


# Not frozen: several are made a call, and freezing triples what one costs.


@dataclass(slots=True)
class Invoked:
    """A client calls an RPC.

    Attributes:
        call_id: The call.
        rpc: Its name as sent, like ``/proto.Recorder/RecordInterception``; it
            may be unknown. Bytes that are no UTF-8 are replacement characters.
        metadata: What came with it, all keys; see `decode_metadata`.
    """

    call_id: int
    rpc: str
    metadata: Mapping[str, str]


@dataclass(slots=True)
class MessageReceived:
    """The peer sent a message.

    Attributes:
        call_id: The call.
        data: The whole message.
    """

    call_id: int
    data: bytes


@dataclass(slots=True)
class InputEnded:
    """The client sends no more messages of this call (CloseSend).

    Attributes:
        call_id: The call.
    """

    call_id: int


@dataclass(slots=True)
class CallCancelled:
    """The call is over without its answer: who works on it, or waits for it, may stop.

    Nothing that was received before is undone by it.

    Attributes:
        call_id: The call.
        reason: Why.
    """

    call_id: int
    reason: CancelReason


@dataclass(slots=True)
class CallEnded:
    """The server sends no more messages of this call: the answer is complete.

    Attributes:
        call_id: The call.
    """

    call_id: int


@dataclass(slots=True)
class CallFailed:
    """The server answered with an error.

    Attributes:
        call_id: The call.
        code: The error's code; 0 says nothing, 12 is "unimplemented".
        text: What people read, as sent.
    """

    call_id: int
    code: int
    text: str


@dataclass(slots=True)
class TransportEnded:
    """Nothing more comes: the byte stream ended, or the peer broke the protocol."""


#: What a server is told.
ServerEvent: TypeAlias = Invoked | MessageReceived | InputEnded | CallCancelled | TransportEnded
#: What a client is told; of each call at most one end.
ClientEvent: TypeAlias = MessageReceived | CallEnded | CallFailed | CallCancelled | TransportEnded
