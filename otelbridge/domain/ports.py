"""Ports: what the domain and its neighbours need of each other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from otelbridge.domain.interception import Closed, Interception
    from otelbridge.domain.ledger import Changes
    from otelbridge.domain.records import InterceptionStarted, Record, TokensUsed
    from otelbridge.domain.usage import Usage


class Signal(StrEnum):
    """An OpenTelemetry signal."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


class OutboxItem(NamedTuple):
    """Something that will be told, encoded once.

    Attributes:
        signal: Which signal it belongs to; never metrics.
        destinations: Bit mask of the destinations that it is for.
        items: Number of spans or log records in it.
        body: The ``spans`` of a ScopeSpans, or the ``log_records`` of a
            ScopeLogs, as serialised protobuf: bodies may be concatenated.
    """

    signal: Signal
    destinations: int
    items: int
    body: bytes


class OutboxRow(NamedTuple):
    """An outbox item that was committed.

    Attributes:
        seq: Its place; rows are told in ascending order.
        items: Number of spans or log records in it.
        body: See `OutboxItem`.
    """

    seq: int
    items: int
    body: bytes


@dataclass(slots=True, kw_only=True)
class Cost:
    """What a token record cost, in USD. Nobody changes it; see `otelbridge.domain.records`.

    Attributes:
        input: Uncached input tokens.
        output: Output tokens.
        cache_read: Cached input tokens that were read.
        cache_write: Input tokens that were written to a cache.
        web_search: Web searches.
        price_id: Which price was matched, as ``anthropic/claude-sonnet-4-5``.
        price_version: Version of the price table.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal
    web_search: Decimal
    price_id: str
    price_version: str


class Pricer(Protocol):
    """Knows prices."""

    def price(self, record: TokensUsed, usage: Usage, start: InterceptionStarted) -> Cost | None:
        """Return the record's cost at its own time, or None if no price is known."""


class Teller(Protocol):
    """Turns records and interceptions into telemetry. Called in the core's thread only."""

    def record_arrived(
        self, record: Record, start: InterceptionStarted | None, changes: Changes
    ) -> None:
        """Book a record of an interception whose start is known (None: it never came)."""

    def interception_closed(
        self, interception: Interception, changes: Changes
    ) -> Sequence[OutboxItem]:
        """Book a finalised interception and return what will be told of it."""

    def record_late(self, record: Record, closed: Closed, changes: Changes) -> Sequence[OutboxItem]:
        """Book a record that came after its interception was told; return what will be told."""

    def spare(self, destinations: int) -> None:
        """Tell these destinations (a bit mask), and only these, no content from now on."""

    def committed(self, changes: Changes) -> None:
        """Note that the changes are durable: label values admitted in them count from now on."""


class Outbox(Protocol):
    """What delivery takes from the journal. All methods may be called from the event loop."""

    async def read(
        self, destination: str, signal: Signal, *, limit: int, max_bytes: int, after: int = 0
    ) -> list[OutboxRow]:
        """Return the oldest rows not yet acknowledged, at most ``limit`` and about ``max_bytes``.

        At least one row is returned if there is one, however large.

        Args:
            destination: For whom.
            signal: Of which signal.
            limit: How many rows at most.
            max_bytes: How many bytes at most, but for a single row.
            after: Leave out rows up to this one: they are under way.
        """

    async def wait(self, destination: str, signal: Signal) -> None:
        """Return when there may be rows to read."""

    def acknowledge(self, destination: str, signal: Signal, *, through: int) -> None:
        """Note that the destination has taken all rows to ``through``.

        Durable with the next commit: after a crash rows may be read again.
        """

    def bury(self, destination: str, signal: Signal, row: OutboxRow, *, reason: str) -> None:
        """Keep a row that the destination refuses for good as a dead letter."""

    def count(self, instrument: str, *values: str, amount: int = 1) -> None:
        """Add to a counter of the ledger; visible with the next commit."""
