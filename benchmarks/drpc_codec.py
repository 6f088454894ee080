"""What DRPC takes of the processor: `python -m benchmarks.drpc_codec [CALLS]`.

Each call has a transport of its own and comes in one read, as a stock gateway's do. The
server's time is of everything between the bytes of the request and those of the answer but
the handler; the client's of everything around them.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from time import process_time_ns
from typing import TYPE_CHECKING, Final

from otelbridge.protocols.drpc import (
    ClientTransport,
    InputEnded,
    Invoked,
    MessageReceived,
    ServerTransport,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_CALLS: Final = 20_000
_ROUNDS: Final = 7
_IDLE: Final = 1000
_RPC: Final = "/proto.Recorder/RecordTokenUsage"
_METADATA: Final = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
_ANSWER: Final = b""
# A token record, a prompt, a long prompt; and how many calls of it count as one of _CALLS.
_SIZES: Final = {300: 1, 2_000: 1, 60_000: 4, 4 << 20: 1000}


def _make_call(message: bytes, metadata: dict[str, str] | None) -> tuple[ClientTransport, bytes]:
    client = ClientTransport()
    call_id = client.invoke(_RPC, metadata=metadata)
    client.send_message(call_id, message)
    client.send_close(call_id)
    return client, client.data_to_send()


def _serve(request: bytes) -> bytes:
    """Serve a call as the shell does: ask what each event is, answer when the input ends."""
    server = ServerTransport()
    server.receive_data(request)
    message, answer = b"", b""
    for event in server.events_received():
        if isinstance(event, Invoked):
            message = b""
        elif isinstance(event, MessageReceived):
            message = event.data
        elif isinstance(event, InputEnded):
            server.send_message(event.call_id, _ANSWER)
            server.send_close(event.call_id)
            answer = server.data_to_send()
    server.receive_eof()
    server.events_received()
    return answer if message else b""


def _call(message: bytes, answer: bytes) -> None:
    """Make a call as a gateway does."""
    client, _ = _make_call(message, None)
    client.receive_data(answer)
    client.events_received()
    client.close(1)
    client.data_to_send()


def _least_us(run: Callable[[], object], calls: int) -> float:
    """Return the least processor time of several rounds, in µs a call."""
    times = []
    for _ in range(_ROUNDS):
        gc.collect()
        started = process_time_ns()
        for _ in range(calls):
            run()
        times.append(process_time_ns() - started)
    return min(times) / calls / 1000


def _idle_bytes() -> float:
    """Return what a transport takes that waits for its call."""
    gc.collect()
    tracemalloc.start()
    transports = [ServerTransport() for _ in range(_IDLE)]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / len(transports)


def main() -> None:
    """Print the processor time of a unary call at either end."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else _CALLS
    for size, weight in _SIZES.items():
        message, rounds = bytes(size), max(calls // weight, 1)
        _, request = _make_call(message, None)
        answer = _serve(request)
        server_us = _least_us(lambda data=request: _serve(data), rounds)  # type: ignore[misc]  # bound now
        client_us = _least_us(lambda data=message, back=answer: _call(data, back), rounds)  # type: ignore[misc]  # bound now
        print(f"{size:9,} bytes: server {server_us:8.2f} µs a call, client {client_us:8.2f}")
    _, request = _make_call(bytes(300), _METADATA)
    print(f"with traceparent: server {_least_us(lambda: _serve(request), calls):6.2f} µs a call")
    print(f"an idle transport takes {_idle_bytes():,.0f} bytes")


if __name__ == "__main__":
    main()
