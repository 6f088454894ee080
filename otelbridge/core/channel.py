"""Requests and answers between the bridge and the process of its core.

Both ends are the same program, and nobody else has the socket: pickled
objects are no risk here.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from otelbridge.domain.spending import Spending

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.connection import Connection

    from otelbridge.clock import SteadyClock
    from otelbridge.config import Config
    from otelbridge.domain.ledger import Series, SeriesKey

_PROTOCOL = 5


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


def send(channel: Connection, message: object) -> None:
    """Send one object.

    Raises:
        OSError: If the other end has gone.
    """
    channel.send_bytes(pickle.dumps(message, _PROTOCOL))


def receive(channel: Connection) -> Any:
    """Wait for one object.

    Raises:
        EOFError: If the other end has gone.
        OSError: The same.
    """
    return pickle.loads(channel.recv_bytes())  # noqa: S301  # of our own process
