"""What yamux takes of the processor: `python -m benchmarks.yamux [CALLS]`.

Each call opens a stream, sends a request in one payload, is answered in one, and ends the
stream, as a gateway's unary calls do; 32 are under way at once. What one end writes is recorded
first, so that the other can be timed alone.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from time import process_time_ns
from typing import TYPE_CHECKING, Final

from otelbridge.protocols.yamux import DataReceived, Role, Session, StreamEnded, StreamOpened

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelbridge.protocols.yamux import Event

_CALLS: Final = 20_000
_AT_ONCE: Final = 32
_ROUNDS: Final = 7
_IDLE: Final = 1000
_REQUEST: Final = b"q" * 300  # a token record with its DRPC frames
_ANSWER: Final = b"a" * 10


class Server:
    """Answers every request and ends what the client has ended."""

    def __init__(self) -> None:
        self._session = Session(Role.SERVER, now=0.0)

    def turn(self, received: list[bytes], *, joined: bool) -> list[bytes]:
        """Take a turn's messages and return those to write."""
        session = self._session
        for data in received:
            session.receive_data(data, now=0.0)
        for event in session.events_received():
            self._handle(event)
        return session.data_to_send(joined=joined)

    def _handle(self, event: Event) -> None:
        session = self._session
        if isinstance(event, DataReceived):
            session.acknowledge(event.stream_id, len(event.data))
            session.send_data(event.stream_id, _ANSWER)
        elif isinstance(event, StreamEnded):
            session.end_stream(event.stream_id)
        elif not isinstance(event, StreamOpened):
            raise TypeError(event)


class Client:
    """Keeps so many calls under way until all are made."""

    def __init__(self, calls: int) -> None:
        self._session = Session(Role.CLIENT, now=0.0)
        self._to_make = calls
        self.open = 0

    def turn(self, received: list[bytes], *, joined: bool) -> list[bytes]:
        """Take a turn's messages and return those to write."""
        session = self._session
        for data in received:
            session.receive_data(data, now=0.0)
        for event in session.events_received():
            self._handle(event)
        while self._to_make and self.open < _AT_ONCE:
            stream_id = session.open_stream()
            session.send_data(stream_id, _REQUEST)
            self._to_make -= 1
            self.open += 1
        return session.data_to_send(joined=joined)

    def _handle(self, event: Event) -> None:
        session = self._session
        if isinstance(event, DataReceived):
            session.acknowledge(event.stream_id, len(event.data))
            session.end_stream(event.stream_id)
        elif isinstance(event, StreamEnded):
            self.open -= 1
        else:
            raise TypeError(event)


def _record(calls: int, *, joined: bool) -> tuple[list[list[bytes]], list[list[bytes]]]:
    """Make the calls; return what each end received, by turns."""
    client, server = Client(calls), Server()
    to_client: list[list[bytes]] = [[]]
    to_server: list[list[bytes]] = []
    while written := client.turn(to_client[-1], joined=joined):
        to_server.append(written)
        to_client.append(server.turn(written, joined=True))
    return to_client, to_server


def _least_us(run: Callable[[], None], calls: int) -> float:
    """Return the least processor time of several rounds, in µs a call."""
    times = []
    for _ in range(_ROUNDS):
        gc.collect()
        started = process_time_ns()
        run()
        times.append(process_time_ns() - started)
    return min(times) / calls / 1000


def _time_ends(calls: int, *, joined: bool) -> tuple[float, float]:
    """Return what a call takes at the client's end and at the server's, in µs."""
    to_client, to_server = _record(calls, joined=joined)

    def run_client() -> None:
        client = Client(calls)
        for received in to_client:
            client.turn(received, joined=joined)

    def run_server() -> None:
        server = Server()
        for received in to_server:
            server.turn(received, joined=True)

    return _least_us(run_client, calls), _least_us(run_server, calls)


def _idle_bytes() -> float:
    """Return what a session takes that has done nothing."""
    gc.collect()
    tracemalloc.start()
    sessions = [Session(Role.SERVER, now=0.0) for _ in range(_IDLE)]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / len(sessions)


def main() -> None:
    """Print the processor time of a call at either end."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else _CALLS
    for joined, how in ((False, "header and payload apart, as Go writes"), (True, "joined")):
        client_us, server_us = _time_ends(calls, joined=joined)
        print(f"{how:40}  client {client_us:5.2f} µs a call   server {server_us:5.2f}")
    print(f"an idle session takes {_idle_bytes():,.0f} bytes")


if __name__ == "__main__":
    main()
