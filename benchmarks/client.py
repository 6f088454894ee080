"""One connection of the load generator, with the interceptions it carries.

As a gateway does, it waits for the answer to an interception's start and then sends
the other records at once; when all are answered, the next interception takes the place.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, TypeAlias, cast
from uuid import UUID, uuid4

from benchmarks.errors import BenchmarkError
from benchmarks.http2 import ClientConnection
from benchmarks.records import encode_stamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.load import Load
    from benchmarks.records import Script, Template

INTERCEPTIONS_PER_CONNECTION: Final = 6

_STATUS: Final = b"grpc-status"
_OK: Final = b"0"

_Call: TypeAlias = "tuple[_Interception, float]"  # with when it was sent, in seconds


class _Interception:
    """One interception under way.

    Attributes:
        script: What it sends.
        id: Its UUID; ``id_text`` is the same as it is sent.
        left: How many answers to its present step are missing.
        is_started: Whether its start has been answered.
    """

    __slots__ = ("id", "id_text", "is_started", "left", "script")

    def __init__(self, script: Script) -> None:
        self.script = script
        self.id: UUID = uuid4()
        self.id_text = str(self.id).encode()
        self.left = 1
        self.is_started = False


class Client(asyncio.Protocol):
    """One connection of a load."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._connection: ClientConnection[_Call] = ClientConnection(load.traffic.headers)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start as many interceptions as a connection carries."""
        # A cast: uvloop's transports are not derived from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        for _ in range(INTERCEPTIONS_PER_CONNECTION):
            self._start(time.perf_counter())
        self._transport.write(self._connection.data_to_send())

    def data_received(self, data: bytes) -> None:
        """Book the answers in ``data`` and send what follows them."""
        now = time.perf_counter()
        try:
            for call, trailers in self._connection.receive_data(data):
                self._answered(call, trailers, now)
        except BenchmarkError as error:
            self._load.fail(error)
        if output := self._connection.data_to_send():
            self._transport.write(output)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the round, unless it is over."""
        self._load.fail(exc or BenchmarkError("the server closed a connection"))

    def _answered(self, call: _Call, trailers: Mapping[bytes, bytes], now: float) -> None:
        if trailers.get(_STATUS) != _OK:
            raise BenchmarkError(f"a call was refused: {dict(trailers)}")
        interception, sent_at = call
        self._load.acknowledged(now - sent_at)
        interception.left -= 1
        if interception.left:
            return
        if not interception.is_started:
            interception.is_started = True
            interception.left = len(interception.script.rest)
            self._send(interception, interception.script.rest, now)
        elif self._load.completed(interception.id):
            self._start(now)

    def _start(self, now: float) -> None:
        interception = _Interception(next(self._load.scripts))
        self._send(interception, (interception.script.start,), now)

    def _send(self, interception: _Interception, what: tuple[Template, ...], now: float) -> None:
        stamp = encode_stamp(time.time_ns())
        for template in what:
            message = template.fill(interception.id_text, stamp)
            self._connection.send_request(template.path, message, (interception, now))
