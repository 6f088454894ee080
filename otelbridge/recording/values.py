"""What passes between the event loop and the use case."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol

from otelbridge.domain.ledger import Changes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.domain.ledger import Series, SeriesKey, UsageKey, UsageTotals
    from otelbridge.domain.ports import Signal
    from otelbridge.domain.records import Record, RecordKind
    from otelbridge.journal.transaction import Buried


class Submission(NamedTuple):
    """A request that waits for its commit.

    Attributes:
        kind: What it is about.
        raw: The request as it was received; not parsed yet.
        received_at_ns: When that was.
        gateway: Which gateway reported it; empty if it showed no key.
        is_canary: Whether the bridge itself recorded it, as a canary; see
            `otelbridge.server.canary`.
    """

    kind: RecordKind
    raw: bytes
    received_at_ns: int
    gateway: str = ""
    is_canary: bool = False


class Received(NamedTuple):
    """A record and how it will be kept.

    Attributes:
        record: The record.
        payload: The request as it will be kept.
        length: Length of its content if the content was taken out of the payload,
            or a part of it.
        prints: What else is known of its content; see `otelbridge.domain.records.Prints`.
    """

    record: Record
    payload: bytes
    length: int | None = None
    prints: bytes = b""


class Reader(Protocol):
    """Reads a request."""

    def __call__(self, submission: Submission, *, keep_content: bool) -> Received:
        """Return the record that a request tells, and how it will be kept.

        Args:
            submission: The request.
            keep_content: Whether anybody will be told its content.

        Raises:
            InvalidRequestError: If it breaks the contract.
        """


@dataclass(slots=True)
class Side:
    """What is committed along with records, and is waited for by nobody.

    Attributes:
        changes: Counts.
        progress: How far destinations have taken the outbox.
        metrics: Destinations' metric bases.
        buried: Dead letters.
    """

    changes: Changes = field(default_factory=Changes)
    progress: dict[tuple[str, Signal], int] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    buried: list[Buried] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.changes or self.progress or self.metrics or self.buried)


class Result(NamedTuple):
    """What a commit has done.

    Attributes:
        outcomes: For each submission None, or the error that answers its call.
        told: The last outbox row by signal, where there are new ones.
        next_deadline_ns: A time before which nothing is due; None if nothing is open,
            0 if the next commit has something to do in any case.
        series: New state of the ledger's series.
        usage: Additions to the usage table.
        admitted: Values admitted as labels, by attribute key.
        active: Starts without an end, by (provider, model) as sent.
        has_more: Whether an empty commit would have something to do: rows that
            all destinations have taken are deleted some at a time.
    """

    outcomes: list[Exception | None]
    told: dict[Signal, int]
    next_deadline_ns: int | None
    series: Mapping[SeriesKey, Series]
    usage: Mapping[UsageKey, UsageTotals]
    admitted: Mapping[str, list[str]]
    active: Mapping[tuple[str, str], int]
    has_more: bool = False


class JournalStats(NamedTuple):
    """The journal at one moment.

    Attributes:
        records: Records of open interceptions.
        bytes: Size of the data in the database.
        oldest_ns: When the oldest of those records arrived; None without any.
        waiting_ns: When the oldest row was told that waits for a destination, by
            destination and signal; only where one waits.
        waiting_bytes: Size of what waits for each destination.
        free_bytes: Free space on the journal's disk.
        disk_is_full: Whether the disk was full, and has no space for the reserve yet.
        unread: About how many records have not been read since the start.
        dead_letters: Spans or log records that are kept as dead letters, by
            destination and signal; only where there are some.
    """

    records: int = 0
    bytes: int = 0
    oldest_ns: int | None = None
    waiting_ns: Mapping[tuple[str, Signal], int] = MappingProxyType({})
    waiting_bytes: Mapping[str, int] = MappingProxyType({})
    free_bytes: int = 0
    disk_is_full: bool = False
    unread: int = 0
    dead_letters: Mapping[tuple[str, Signal], int] = MappingProxyType({})
