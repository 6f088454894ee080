"""Requests and answers between the bridge and the process of its core.

Both ends are the same program, and nobody else has the socket: pickled
objects are no risk here.
"""

from __future__ import annotations

import pickle
import socket
import struct
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

from otelbridge.domain.ledger import Distribution, Exemplar, Series, UsageKey, UsageTotals
from otelbridge.domain.ports import OutboxRow
from otelbridge.domain.spending import Spending

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.clock import SteadyClock
    from otelbridge.config import Config
    from otelbridge.domain.ledger import SeriesKey
    from otelbridge.recording import Result

    _PlainDistribution: TypeAlias = tuple[tuple[int, ...], float, dict[int, tuple[object, ...]]]

#: How objects are pickled.
PROTOCOL = 5
#: What stands before an object: its length.
SIZE = struct.Struct("!Q")


class Hello(NamedTuple):
    """What the process of the core is told first.

    Attributes:
        config: The settings, with absolute paths.
        clock_ns: The bridge's clock.
        log_level: From which severity on it writes to the log.
    """

    config: Config
    clock_ns: SteadyClock
    log_level: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What was in the journal when it was opened.

    Attributes:
        series: The ledger's series.
        spending: Committed cost by user.
        admitted: Values admitted as labels, by attribute key.
        active: Starts without an end, by (provider, model) as sent.
        instance_id: The journal's own id.
        metrics_bases: What each destination had acknowledged of the metrics.
        records: Records of open interceptions; about, if some are unread.
        unread: How many of them will be read while the bridge serves.
        interceptions: Open interceptions, those of unread records not counted.
        waiting_bytes: What waits for delivery, in bytes.
    """

    series: Mapping[SeriesKey, Series] = field(default_factory=dict)
    spending: Spending = field(default_factory=Spending)
    admitted: Mapping[str, list[str]] = field(default_factory=dict)
    active: Mapping[tuple[str, str], int] = field(default_factory=dict)
    instance_id: str = ""
    metrics_bases: Mapping[str, str] = field(default_factory=dict)
    records: int = 0
    unread: int = 0
    interceptions: int = 0
    waiting_bytes: int = 0


class Request(NamedTuple):
    """A method of the core and its arguments."""

    method: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}  # noqa: RUF012  # nobody changes it


class Rows(NamedTuple):
    """Rows of the outbox on their way: their bodies in one piece, which is copied once.

    Attributes:
        heads: Number, items and size of each.
        bodies: Their bodies, one after the other.
    """

    heads: list[tuple[int, int, int]]
    bodies: bytes

    @classmethod
    def of(cls, rows: list[OutboxRow]) -> Self:
        """Pack rows."""
        heads = [(seq, items, len(body)) for seq, items, body in rows]
        return cls(heads, b"".join([row.body for row in rows]))

    def unpacked(self) -> list[OutboxRow]:
        """Return the rows."""
        bodies, ends = self.bodies, accumulate(size for *_, size in self.heads)
        return [
            OutboxRow(seq, items, bodies[end - size : end])
            for (seq, items, size), end in zip(self.heads, ends, strict=True)
        ]


class PackedResult(NamedTuple):
    """A `Result` on its way, in plain tuples: named ones take several times as long.

    Attributes:
        result: All but the two below.
        series: Key, birth and value of each series.
        usage: The key and the counts of each usage row.
    """

    result: Result
    series: list[tuple[SeriesKey, int, int | _PlainDistribution]]
    usage: list[tuple[tuple[object, ...], tuple[int, ...]]]

    @classmethod
    def of(cls, result: Result) -> Self:
        """Pack a result."""
        return cls(
            result._replace(series={}, usage={}),
            [(key, born, _plain(value)) for key, (born, value) in result.series.items()],
            [(tuple(key), tuple(totals)) for key, totals in result.usage.items()],
        )

    def unpacked(self) -> Result:
        """Return the result."""
        return self.result._replace(
            series={key: Series(born, _named(value)) for key, born, value in self.series},
            usage={UsageKey._make(key): UsageTotals._make(row) for key, row in self.usage},
        )


def _plain(value: int | Distribution) -> int | _PlainDistribution:
    if isinstance(value, int):
        return value
    counts, total, exemplars = value
    return counts, total, {bucket: tuple(each) for bucket, each in exemplars.items()}


def _named(value: int | _PlainDistribution) -> int | Distribution:
    if isinstance(value, int):
        return value
    counts, total, exemplars = value
    named = {bucket: Exemplar._make(each) for bucket, each in exemplars.items()}
    return Distribution(counts, total, named)


class Channel:
    """One end of a stream socket, which carries objects.

    multiprocessing's connections take five times as long for a MiB: they
    ask for all of it at each step, and copy what came.

    Args:
        end: The socket; closed with the channel.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, message: object) -> None:
        """Send one object.

        Raises:
            OSError: If the other end has gone.
        """
        data = pickle.dumps(message, PROTOCOL)
        self._socket.sendall(SIZE.pack(len(data)))
        self._socket.sendall(data)

    def receive(self) -> Any:
        """Wait for one object.

        Raises:
            EOFError: If the other end has gone.
            OSError: The same.
        """
        (size,) = SIZE.unpack(self._exactly(SIZE.size))
        return pickle.loads(self._exactly(size))  # noqa: S301  # of our own process

    def _exactly(self, size: int) -> bytearray:
        buffer = bytearray(size)
        view, taken = memoryview(buffer), 0
        while taken < size:
            more = self._socket.recv_into(view[taken:], 0, socket.MSG_WAITALL)
            if not more:
                raise EOFError("the other end has gone")
            taken += more
        return buffer
