"""Faults of everything around a bridge: its gateways, its destinations, its disk."""

from __future__ import annotations

import resource
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.struct_pb2 import Value

from tests.interop.bridge import Destination
from tests.interop.sent import method_of
from tests.interop.session import Turn
from tests.store.files import ALICE, GATEWAY_KEY
from tests.transports.gateway.peers import peer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.interop.bridge import Bridge
    from tests.interop.sent import Record

_TRACES = "opentelemetry.proto.collector.trace.v1.TraceService"
# Less than what a bridge tries to write to learn whether its disk is full. Its log is shorter.
_FULL_BYTES = 32 * 1024


def request(*, user: str = ALICE, model: str | None = None, tokens: int = 10) -> list[Record]:
    """Return the records of a request that is made now."""
    turn = Turn(time.time_ns(), initiator_id=user)
    turn.start.model = model or turn.start.model
    return [turn.start, turn.prompt(1), turn.tokens(2, counted=(tokens, 0)), turn.end(3)]


def large_request() -> list[Record]:
    """Return the records of a request of 60 kB, half of it content and half metadata."""
    turn = Turn(time.time_ns(), initiator_id=ALICE)
    for number in range(30):
        packed = Any()
        packed.Pack(Value(string_value="x" * 1000))
        turn.start.metadata[f"key{number:02}"].CopyFrom(packed)
    asked = turn.prompt(1)
    asked.prompt = "much " * 6000
    return [turn.start, asked, turn.end(2)]


# --- Gateways ----------------------------------------------------------------------------


def try_to_record(bridge: Bridge, record: bytes | Record) -> grpc.StatusCode:
    """Send a record, which need be none; return what it is answered with."""
    method = "/proto.Recorder/RecordTokenUsage" if isinstance(record, bytes) else method_of(record)
    raw = record if isinstance(record, bytes) else record.SerializeToString()
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(f"127.0.0.1:{bridge.grpc_port}", options=options) as channel:
        try:
            channel.unary_unary(method)(raw, timeout=10.0)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


class _Place(NamedTuple):
    url: str


async def break_the_protocol(bridge: Bridge) -> None:
    """Connect as a gateway, and send what is no frame."""
    async with peer(_Place(bridge.url), GATEWAY_KEY) as broken:
        await broken.send(b"\xff" * 12)
        await broken.until_closed()


# --- Destinations ------------------------------------------------------------------------


@contextmanager
def refuser() -> Iterator[Destination]:
    """Run a destination that refuses every span for good."""

    def refuse(_request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no span is good enough")
        return b""

    methods = {"Export": grpc.unary_unary_rpc_method_handler(refuse)}
    with ThreadPoolExecutor(1) as threads:
        server = grpc.server(threads)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_TRACES, methods),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield Destination(name="strict", protocol="grpc", port=port, signals=["traces"])
        finally:
            server.stop(None).wait()


@dataclass(frozen=True, kw_only=True)
class SmallDestination(Destination):
    """A destination that gets content, and for which as little may wait as can be set."""

    def to_toml(self) -> str:
        """Return its table of the configuration."""
        return f'{super().to_toml()}max_bytes = "1MiB"\ncontent = "SPAN_ONLY"\n'


# --- The disk ----------------------------------------------------------------------------


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Have no space for the journal of a bridge that runs, until the end of the block.

    The kernel refuses its core every byte behind the beginning of a file, with
    EFBIG: another quota that is used up.
    """
    core = _core_of((folder / "journal.db.lock").read_text())
    before = resource.prlimit(core, resource.RLIMIT_FSIZE)
    resource.prlimit(core, resource.RLIMIT_FSIZE, (_FULL_BYTES, before[1]))
    try:
        yield
    finally:
        resource.prlimit(core, resource.RLIMIT_FSIZE, before)


def _core_of(bridge: str) -> int:
    """Return the process that a bridge has for its journal: its only child."""
    (core,) = (
        int(file.parent.name)
        for file in Path("/proc").glob("[0-9]*/stat")
        if _parent(file) == bridge
    )
    return core


def _parent(stat: Path) -> str:
    """Return the parent of a process; empty if it has ended. Source: proc_pid_stat(5)."""
    with suppress(OSError):
        return stat.read_text().rpartition(") ")[2].split()[1]
    return ""


def damage_records(folder: Path) -> int:
    """Overwrite the records that a killed bridge has in its journal; return how many they are."""
    # What the bridge left behind has the journal until it has ended, too.
    database = sqlite3.connect(folder / "journal.db", timeout=20.0, isolation_level=None)
    try:
        (records,) = database.execute("SELECT sum(records) FROM batch").fetchone()
        database.execute("UPDATE batch SET body = x'FF'")
    finally:
        database.close()
    return int(records)
