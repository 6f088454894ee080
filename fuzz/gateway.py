"""Whatever a gateway sends, its connection ends in order: nothing is raised, kept or said twice.

An input's first byte says how to read the rest: as bytes of the connection, as bytes of the
yamux session in WebSocket frames, or as a list of what gateways do, which gets furthest. The
second byte is the size of the pieces in which it arrives.
"""

from __future__ import annotations

import asyncio
import atexit
import struct
from collections import Counter
from typing import TYPE_CHECKING, Any

import h11
from google.protobuf.message_factory import GetMessageClass
from websockets.frames import Frame, Opcode

from otelbridge.domain.ledger import Changes
from otelbridge.errors import InvalidRequestError
from otelbridge.protocols import yamux
from otelbridge.protocols.drpc import ClientTransport
from otelbridge.servicers.methods import Method, descriptors, path_of
from otelbridge.transports.access import Door
from otelbridge.transports.gateway import session
from otelbridge.transports.gateway.calls import Dispatcher
from otelbridge.transports.gateway.connection import GatewayConnection
from otelbridge.transports.gateway.endpoint import PATH, Endpoint
from otelbridge.transports.gateway.sessions import Gateways
from otelbridge.transports.listener import Slots

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from google.protobuf.message import Message

    from otelbridge.servicers.methods import Call

_AS_SESSION, _AS_ACTIONS, _SLOW, _LEAVES = 1, 2, 4, 8
_KEY = "k" * 43
_MAX_HELD = 200_000
_LIMITS = yamux.Limits(max_streams=4, max_queued_bytes=4096, max_queued_replies=64)
_HEADER = struct.Struct(">BBHII")
_HEADER_SIZE = 12
_DATA, _UPDATE, _PING, _GO_AWAY = 0, 1, 2, 3
_SYN, _FIN, _RST = 1, 4, 8
_ACTION = 3
_LARGEST = 262_144
_HEAD = h11.Request(
    method="GET",
    target=f"{PATH}?version=1.0",
    headers=[
        ("host", "x"),
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("x-coder-ai-governance-gateway-key", _KEY),
    ],
)
_LOOP = asyncio.new_event_loop()
atexit.register(_LOOP.close)


class Wrong(Exception):  # noqa: N818  # it says what is
    """The connection has done what it must never do."""


def fuzz(data: bytes) -> None:
    """Give a connection these bytes.

    Raises:
        Wrong: If it breaks a rule; whatever else is raised is a mistake, too.
    """
    lazy_s, session._LAZY_S = session._LAZY_S, 0.0  # noqa: SLF001  # nothing waits for milliseconds
    try:
        _LOOP.run_until_complete(_use(data))
    finally:
        session._LAZY_S = lazy_s  # noqa: SLF001  # as it was


async def _use(data: bytes) -> None:
    mode, size = (*data[:2], 0, 0)[:2]
    problems: list[dict[str, Any]] = []
    _LOOP.set_exception_handler(lambda _loop, context: problems.append(context))
    link = _Link(is_slow=bool(mode & _SLOW))
    size = size * 4 + 1
    stream = _stream(mode, data[2:])
    for start in range(0, len(stream), size):
        link.receive(stream[start : start + size])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    if mode & _LEAVES:
        await link.gateways.stop(0.0)
    await link.leave()
    if problems:
        raise Wrong(problems)


def _stream(mode: int, data: bytes) -> bytes:
    if mode & _AS_ACTIONS:
        return b"".join(_actions(data))
    return _message(data) if mode & _AS_SESSION else data


def _actions(data: bytes) -> Iterator[bytes]:
    """Yield what a gateway does, right or wrong; three bytes say what."""
    for start in range(0, len(data) - _ACTION + 1, _ACTION):
        what, stream_id, number = data[start : start + _ACTION]
        yield _action(what % 12, stream_id % 16, number)


def _action(what: int, stream_id: int, number: int) -> bytes:
    call = _call(number)
    part = call[: number % len(call)]
    frames = (
        _frame(_UPDATE, _SYN, stream_id, 0),
        _data(stream_id, call),
        _data(stream_id, call, _SYN),
        _data(stream_id, part),
        _data(stream_id, call[len(part) :]),
        _frame(_UPDATE, _FIN, stream_id, 0),
        _frame(_UPDATE, _RST, stream_id, 0),
        _frame(_UPDATE, 0, stream_id, number * 100),
        _frame(_PING, number % 3, 0, number),
        _frame(_GO_AWAY, 0, 0, number % 4),
        _data(stream_id, bytes(number * 50), number % 16),
    )
    if what < len(frames):
        return _message(frames[what], in_parts=number % 5 == 0)
    return Frame(Opcode(number % 3), bytes(number)).serialize(mask=number % 7 != 0)


def _call(number: int) -> bytes:
    transport = ClientTransport()
    rpcs = [path_of(each) for each in descriptors()]
    call_id = transport.invoke([*rpcs, "/proto.X/Y"][number % (len(rpcs) + 1)])
    transport.send_message(call_id, bytes(number % 70))
    transport.send_close(call_id)
    return transport.data_to_send()


def _data(stream_id: int, data: bytes, flags: int = 0) -> bytes:
    return _frame(_DATA, flags, stream_id, len(data)) + data


def _frame(kind: int, flags: int, stream_id: int, number: int) -> bytes:
    return _HEADER.pack(0, kind, flags, stream_id, number)


def _message(data: bytes, *, in_parts: bool = False) -> bytes:
    """Return bytes of the session as one message."""
    if not in_parts:
        return Frame(Opcode.BINARY, data).serialize(mask=True)
    first = Frame(Opcode.BINARY, data[:7], fin=False).serialize(mask=True)
    return first + Frame(Opcode.CONT, data[7:]).serialize(mask=True)


class _Link(asyncio.Transport):
    """A connection that is not there: it keeps what is written, and looks at it.

    Args:
        is_slow: Whether the gateway reads only now and then.
    """

    def __init__(self, *, is_slow: bool) -> None:
        super().__init__()
        self._is_slow = is_slow
        self._is_closing = False
        self._is_reading = True
        self._written = b""
        self._turns = 0
        self._before = asyncio.all_tasks()
        self._dispatcher = Dispatcher(_methods(), meter=_Meter(), max_held_bytes=_MAX_HELD)
        door = Door({_KEY: "eu"}.get, clock_ns=lambda: 0, count=Changes().count, is_open=False)
        self.gateways = Gateways(
            Endpoint(door, is_ready=lambda: True),
            self._dispatcher,
            clock_ns=lambda: 0,
            count=Changes().count,
            limits=_LIMITS,
        )
        slot = Slots(most=1, most_of_address=1).take("x")
        if slot is None:
            raise Wrong("no slot")
        self._connection = GatewayConnection(self.gateways, self, slot)
        self._connection.begin(_HEAD, b"")

    def receive(self, data: bytes) -> None:
        """Let bytes arrive, if anybody reads."""
        self._turns += 1
        if self._is_slow and self._turns % 4 == 0:
            self._connection.resume_writing()
        elif self._is_slow and self._turns % 4 == 2:  # noqa: PLR2004  # halfway
            self._connection.pause_writing()
        if self._is_reading and not self._is_closing:
            self._connection.data_received(data)

    async def leave(self) -> None:
        """Lose the connection; nothing may be left of it."""
        self._is_closing = True
        self._connection.connection_lost(None)
        self._connection.connection_lost(None)
        for _ in range(3):
            await asyncio.sleep(0)
        if self.gateways.connected() or self._dispatcher.budget.free != _MAX_HELD:
            raise Wrong("the session has outlived its connection, or its memory has")
        if left := asyncio.all_tasks() - self._before:
            raise Wrong(f"tasks are left: {left}")
        await self.gateways.stop(0.0)
        _check(self._written)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._is_closing:
            raise Wrong("something is written after the end")
        self._written += data

    def close(self) -> None:
        self._is_closing = True

    def abort(self) -> None:
        self._is_closing = True

    def is_closing(self) -> bool:
        return self._is_closing

    def pause_reading(self) -> None:
        self._is_reading = False

    def resume_reading(self) -> None:
        self._is_reading = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 1000

    def get_extra_info(self, _name: str, _default: object = None) -> Any:
        return "127.0.0.1", 1


class _Meter:
    def observe_call(self, method: str, code: str, seconds: float) -> None:
        """Look at nothing."""


def _methods() -> dict[str, Method]:
    """Return servicers that answer at once, late, never, with a stream, or with an error."""
    found = {}
    for number, each in enumerate(descriptors()):
        response = GetMessageClass(each.output_type)()
        kind = (
            "stream" if each.server_streaming else ("late", "never", "at once", "bad")[number % 4]
        )
        found[path_of(each)] = Method(
            path=path_of(each),
            request_class=GetMessageClass(each.input_type),
            server_streaming=bool(each.server_streaming),
            answer=_Servicer(kind, response).answer,
        )
    return found


class _Servicer:
    def __init__(self, kind: str, response: Message) -> None:
        self._kind = kind
        self._response = response

    def answer(self, _call: Call) -> Any:
        if self._kind == "stream":
            return self._messages()
        if self._kind == "bad":
            raise InvalidRequestError("no")
        return self._late() if self._kind == "late" else self._future()

    def _future(self) -> asyncio.Future[Message]:
        future: asyncio.Future[Message] = _LOOP.create_future()
        if self._kind == "at once":
            future.set_result(self._response)
        return future

    async def _late(self) -> Message:
        await asyncio.sleep(0)
        return self._response

    async def _messages(self) -> AsyncIterator[Message]:
        yield self._response
        await asyncio.Event().wait()


def _check(written: bytes) -> None:
    """Look at what was written: a handshake, whole frames, and yamux in them."""
    head, _, rest = written.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101 "):
        raise Wrong(head)
    stream, allowed = b"", {Opcode.BINARY, Opcode.CLOSE, Opcode.PONG}
    while rest:
        if rest[0] & 0x70 or rest[1] & 0x80:
            raise Wrong("a frame with reserved bits, or masked")
        opcode, size, rest = _payload(rest)
        if opcode not in allowed or size > _LARGEST:
            raise Wrong(f"a frame of {opcode}, {size} bytes")
        if opcode == Opcode.BINARY:
            stream += rest[:size]
        elif opcode == Opcode.CLOSE:
            allowed = {Opcode.PONG}  # RFC 6455, section 5.5.1
        rest = rest[size:]
    _check_session(stream)


def _payload(rest: bytes) -> tuple[Opcode, int, bytes]:
    opcode, size = Opcode(rest[0] & 0x0F), rest[1]
    if size == 126:  # noqa: PLR2004  # RFC 6455, section 5.2
        return opcode, int.from_bytes(rest[2:4]), rest[4:]
    if size == 127:  # noqa: PLR2004  # the same
        return opcode, int.from_bytes(rest[2:10]), rest[10:]
    return opcode, size, rest[2:]


def _check_session(stream: bytes) -> None:
    fins: Counter[int] = Counter()
    is_over = False
    while stream:
        if is_over:
            raise Wrong("something follows the goodbye")
        _, kind, flags, stream_id, number = _HEADER.unpack_from(stream)
        end = _HEADER_SIZE + (number if kind == _DATA else 0)
        fins[stream_id] += bool(flags & _FIN and kind != _PING)
        if len(stream) < end or kind > _GO_AWAY or fins[stream_id] > 1:
            raise Wrong("a broken frame, or a second FIN")
        is_over = kind == _GO_AWAY
        stream = stream[end:]
