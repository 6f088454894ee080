"""Any bytes are events or one ProtocolError to either end of a DRPC transport.

An input's first byte says which end we are, whether it answers, and how to read the rest:
as bytes, or as a list of frames with small numbers in them, which gets further. The second
byte is the size of the pieces in which it arrives.
"""

from __future__ import annotations

from typing import TypeAlias

from otelbridge.errors import ProtocolError
from otelbridge.protocols.drpc import (
    CallCancelled,
    CallEnded,
    CallFailed,
    ClientEvent,
    ClientTransport,
    InputEnded,
    Invoked,
    Limits,
    MessageReceived,
    ServerEvent,
    ServerTransport,
    TransportEnded,
)
from otelbridge.protocols.drpc.packets import PacketReader

_SERVER, _AS_FRAMES, _ACTIVE = 1, 2, 4
_LIMITS = Limits(
    max_packet_bytes=300, max_metadata_bytes=40, max_rpc_name_bytes=20, max_packet_frames=4
)
_FRAME = 4
_RPC = "/a"

_Event: TypeAlias = ServerEvent | ClientEvent


class Wrong(Exception):  # noqa: N818  # it says what is
    """The transport has done what it must never do."""


def fuzz(data: bytes) -> None:
    """Give a transport these bytes and use it as they say.

    Raises:
        Wrong: If it breaks a rule; whatever else is raised is a mistake, too.
    """
    mode, size = (*data[:2], 0, 0)[:2]
    stream = _frames(data[2:]) if mode & _AS_FRAMES else data[2:]
    size = size % 40 + 1
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    user = _ServerUser if mode & _SERVER else _ClientUser
    told = user(is_active=bool(mode & _ACTIVE)).use(pieces)
    # What is done meanwhile may depend on how the bytes are cut; what is told alone may not.
    if not mode & _ACTIVE and user(is_active=False).use([stream]) != told:
        raise Wrong("what is told depends on how the bytes are cut")


def _frames(data: bytes) -> bytes:
    """Make frames of four bytes each: first byte, stream, message, and size."""
    frames = []
    for start in range(0, len(data) - _FRAME + 1, _FRAME):
        first, stream, message, size = data[start : start + _FRAME]
        header = bytes((first, stream % 8, message % 16))
        # Now and then the number takes more bytes than it needs.
        number = bytes((size,)) if size < 0x80 else bytes((size, size % 2))  # noqa: PLR2004
        frames += [header, number, bytes(size % 0x80 + (size // 0x80) * (size % 2) * 0x80)]
    return b"".join(frames)


class _User:
    """Looks at everything that is told and written.

    Args:
        is_active: Whether to do something else than to listen.
    """

    def __init__(self, *, is_active: bool) -> None:
        self.is_active = is_active
        self.transport: ServerTransport | ClientTransport
        self._told: list[_Event | str] = []
        self._written = PacketReader(Limits())

    def use(self, pieces: list[bytes]) -> list[_Event | str]:
        """Let the pieces arrive, then the end; return what was told."""
        for piece in pieces:
            self.prepare()
            self._take(piece)
        self.prepare()
        self.transport.receive_eof()
        self._handle_all()
        if not self.transport.is_ended or self._told[-1] != TransportEnded():
            raise Wrong("the transport has outlived its stream")
        return self._told

    def prepare(self) -> None:
        """Do what is to be done before bytes arrive."""

    def handle(self, event: _Event) -> None:
        """Check an event, and do something about it."""
        raise NotImplementedError

    def _take(self, piece: bytes) -> None:
        was_ended = self.transport.is_ended
        error = None
        try:
            self.transport.receive_data(piece)
        except ProtocolError as raised:
            error = raised
        if error and (was_ended or not self.transport.is_ended):
            raise Wrong("a transport has failed twice, or goes on after it")
        self._handle_all()
        if error:
            self._told.insert(-1, f"{error.kind}: {error}")

    def _handle_all(self) -> None:
        for event in self.transport.events_received():
            if TransportEnded() in self._told[-1:]:
                raise Wrong(f"{event} after the end")
            self._told.append(event)
            self.handle(event)
        # Whatever we write must be right: this raises if it is not.
        list(self._written.packets(self.transport.data_to_send()))


class _ServerUser(_User):
    """Answers calls, some before they are complete."""

    def __init__(self, *, is_active: bool) -> None:
        super().__init__(is_active=is_active)
        self.transport: ServerTransport = ServerTransport(limits=_LIMITS)
        self._newest = 0
        # The call that is open, and whether more input may come.
        self._open: int | None = None
        self._has_input = False
        # Of these the transport had told more before it knew that they are answered.
        self._answered: set[int] = set()

    def prepare(self) -> None:
        """From now on nothing may be told of what was answered."""
        self._answered.clear()

    def handle(self, event: _Event) -> None:
        """Check an event, and answer some calls."""
        if isinstance(event, TransportEnded):
            if self._open is not None:
                raise Wrong("an open call has not been cancelled")
            return
        if event.call_id in self._answered:
            return
        if isinstance(event, Invoked):
            self._begin(event)
        self._check(event)
        if self.is_active and self._open is not None:
            self._answer(self._open, event)

    def _begin(self, event: Invoked) -> None:
        if self._open is not None or event.call_id <= self._newest:
            raise Wrong(f"{event} after call {self._newest}")
        self._newest = self._open = event.call_id
        self._has_input = True

    def _check(self, event: _Event) -> None:
        if isinstance(event, TransportEnded) or event.call_id != self._open:
            raise Wrong(f"{event} in call {self._open}")
        if isinstance(event, MessageReceived | InputEnded) and not self._has_input:
            raise Wrong(f"{event} after the end of the input")
        if isinstance(event, InputEnded):
            self._has_input = False
        if isinstance(event, CallCancelled):
            self._open = None

    def _answer(self, call_id: int, event: _Event) -> None:
        size = len(event.data) if isinstance(event, MessageReceived) else 0
        self.transport.send_message(call_id, bytes(size))
        if isinstance(event, InputEnded):
            self.transport.send_close(call_id)
        elif size % 5 == 1:
            self.transport.send_error(call_id, size, "x" * size)
        else:
            return
        self._open = None
        self._answered.add(call_id)


class _ClientUser(_User):
    """Makes calls, and gives some up."""

    def __init__(self, *, is_active: bool) -> None:
        super().__init__(is_active=is_active)
        self.transport: ClientTransport = ClientTransport(limits=_LIMITS)
        self._call = self.transport.invoke(_RPC)
        self._is_told = False
        self._turns = 0

    def prepare(self) -> None:
        """Go on with the call, or to the next."""
        self._turns += 1
        if not self.is_active or self.transport.is_ended:
            return
        if self._turns % 5 == 0:
            self._begin_next()
        elif self._turns % 3 == 0:
            self.transport.send_close(self._call)
        else:
            self.transport.send_message(self._call, bytes(self._turns % 7))

    def _begin_next(self) -> None:
        give_up = self.transport.cancel if self._turns % 2 else self.transport.close
        give_up(self._call)
        self._call = self.transport.invoke(_RPC, metadata={"n": str(self._turns)})
        self._is_told = False

    def handle(self, event: _Event) -> None:
        """Check an event."""
        if isinstance(event, TransportEnded):
            return
        if event.call_id != self._call or self._is_told:
            raise Wrong(f"{event} in call {self._call}")
        self._is_told = isinstance(event, CallEnded | CallFailed | CallCancelled)
