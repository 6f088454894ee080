"""A collector that is stopped, started again, held still and short of memory."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc

from tests.interop.bridge import Destination
from tests.interop.collector import PROTOCOLS, Received
from tests.interop.programs import PEERS, Program, environment, free_ports
from tests.interop.sent import interceptions, method_of
from tests.interop.session import Turn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.interop.bridge import Bridge
    from tests.interop.sent import Interception, Record

_SENDERS = 4
_ALICE = "7d4a8c9e-1f2b-4c3d-8e5f-0a1b2c3d4e5f"


class FragileCollector:
    """A collector that keeps its ports, and what it received, over its restarts."""

    def __init__(self, executable: Path, folder: Path) -> None:
        *ports, self._health = free_ports(3)
        self.ports = dict(zip(PROTOCOLS, ports, strict=True))
        self._executable = executable
        self._folder = folder
        self._runs: list[dict[str, Received]] = []
        self._program: Program | None = None

    @property
    def destinations(self) -> list[Destination]:
        """Return a destination for each protocol, of traces alone."""
        return [
            Destination(name=f"by-{name[:4]}", protocol=name, port=port, signals=("traces",))
            for name, port in self.ports.items()
        ]

    def start(self, config: str = "config.yaml") -> None:
        """Start it and wait until it is healthy."""
        number = len(self._runs)
        files = [self._folder / f"{name}-{number}.jsonl" for name in ("grpc", "http")]
        self._runs.append(dict(zip(PROTOCOLS, map(Received, files), strict=True)))
        grpc_port, http_port = (str(port) for port in self.ports.values())
        self._program = Program(
            [self._executable, "--config", PEERS / "otelcol" / config],
            folder=self._folder,
            env=environment(
                OTLP_GRPC=grpc_port,
                OTLP_HTTP=http_port,
                HEALTH=str(self._health),
                GRPC_FILE=str(files[0]),
                HTTP_FILE=str(files[1]),
            ),
        )
        self._program.await_health(f"http://127.0.0.1:{self._health}/")

    @property
    def program(self) -> Program:
        """Return the program that runs."""
        assert self._program is not None
        return self._program

    def stop(self) -> None:
        """Stop it as a service manager would: it writes down what it has taken."""
        assert self.program.stop() == 0

    def spans(self, protocol: str) -> dict[bytes, set[bytes]]:
        """Return all encodings of each span that came over a protocol, by the span's id."""
        found: dict[bytes, set[bytes]] = {}
        for span in itertools.chain.from_iterable(run[protocol].spans() for run in self._runs):
            told = span.SerializeToString(deterministic=True)
            found.setdefault(span.span_id, set()).add(told)
        return found


class Load:
    """Gateways that record one interception after the other.

    Attributes:
        slowest_s: How long the slowest reply took.
    """

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._sent: list[Record] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._errors: list[Exception] = []
        self.slowest_s = 0.0

    @property
    def sent(self) -> list[Interception]:
        """Return what was acknowledged, once no more is sent."""
        assert not self._errors, self._errors
        return interceptions(self._sent)

    def wait(self, seconds: float) -> None:
        """Let it go on for a while."""
        assert not self._stopped.wait(seconds), self._errors

    def run(self) -> None:
        """Record until it is stopped."""
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        address = f"127.0.0.1:{self._bridge.grpc_port}"
        try:
            with grpc.insecure_channel(address, options=options) as channel:
                while not self._stopped.is_set():
                    self._record(channel)
        except grpc.RpcError as error:
            self._errors.append(error)
            self._stopped.set()

    def stop(self) -> None:
        """Send no more."""
        self._stopped.set()

    def _record(self, channel: grpc.Channel) -> None:
        turn = Turn(time.time_ns(), initiator_id=_ALICE)
        for record in (turn.start, turn.prompt(1), turn.end(2)):
            began = time.monotonic()
            call = channel.unary_unary(method_of(record))
            call(record.SerializeToString(), timeout=10.0)
            with self._lock:
                self._sent.append(record)
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)


@contextmanager
def loaded(bridge: Bridge) -> Iterator[Load]:
    """Load a bridge from several connections until the end of the block."""
    load = Load(bridge)
    senders = [threading.Thread(target=load.run) for _ in range(_SENDERS)]
    for sender in senders:
        sender.start()
    try:
        yield load
    finally:
        load.stop()
        for sender in senders:
            sender.join()
