"""Books: records in are records told, pending or lost, and so are a destination's items.

The counters of the ledger are changed in the transactions of what they count,
so that both sums agree to the record at any time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.domain.ledger import Changes, Series, SeriesKey

RECEIVED = "otelbridge.records.received"
DUPLICATE = "otelbridge.records.duplicate"
TOLD = "otelbridge.records.told"
LATE = "otelbridge.records.late"
LOST = "otelbridge.records.lost"
ITEMS_TOLD = "otelbridge.delivery.told"
DELIVERED = "otelbridge.delivery.delivered"
REJECTED = "otelbridge.delivery.rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordBook:
    """What became of the records that were acknowledged.

    Attributes:
        received: Well-formed records, repeats included.
        repeats: Those of them that had been received before.
        told: Records of finalised interceptions.
        late: Records that came after their interception was told, and were told alone.
        pending: Records of open interceptions.
        lost: Records that the disk lost.
    """

    received: int
    repeats: int
    told: int
    late: int
    pending: int
    lost: int

    @property
    def missing(self) -> int:
        """Return how many records nobody can account for; negative if there are too many."""
        return self.received - self.repeats - self.told - self.late - self.pending - self.lost


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneBook:
    """What became of the items that were told to a destination.

    Attributes:
        destination: Its name.
        signal: Which signal.
        told: Spans or log records that were committed for it.
        delivered: What it has taken.
        rejected: What it will never get, by reason.
        waiting: What it has not acknowledged.
    """

    destination: str
    signal: str
    told: int
    delivered: int
    rejected: Mapping[str, int]
    waiting: int

    @property
    def missing(self) -> int:
        """Return how many items nobody can account for; negative if there are too many."""
        return self.told - self.delivered - sum(self.rejected.values()) - self.waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Everything that was acknowledged, and what became of it.

    Attributes:
        records: The records.
        lanes: What was told, by destination and signal.
        unread: About how many records have not been read since the start: until
            then it is not known how many are pending.
    """

    records: RecordBook
    lanes: tuple[LaneBook, ...]
    unread: int = 0

    @property
    def are_balanced(self) -> bool:
        """Return whether each record and each item is accounted for."""
        return not (self.unread or self.records.missing or any(x.missing for x in self.lanes))


def record_book(series: Mapping[SeriesKey, Series], *, pending: int) -> RecordBook:
    """Return the book of records.

    Args:
        series: The ledger.
        pending: Records of open interceptions.
    """
    return RecordBook(
        received=_total(series, RECEIVED),
        repeats=_total(series, DUPLICATE),
        told=_total(series, TOLD),
        late=_total(series, LATE),
        pending=pending,
        lost=_total(series, LOST),
    )


def lane_book(
    series: Mapping[SeriesKey, Series], destination: str, signal: str, *, waiting: int
) -> LaneBook:
    """Return the book of one signal of one destination.

    Args:
        series: The ledger.
        destination: Its name.
        signal: Which signal.
        waiting: What it has not acknowledged, in items.
    """
    lane = (destination, signal)
    rejected = {
        values[2]: _value(each)
        for (name, values), each in series.items()
        if name == REJECTED and values[:2] == lane
    }
    return LaneBook(
        destination=destination,
        signal=signal,
        told=_total(series, ITEMS_TOLD, lane),
        delivered=_total(series, DELIVERED, lane),
        rejected=rejected,
        waiting=waiting,
    )


def balance(book: RecordBook, changes: Changes, *, reason: str) -> int:
    """Count what nobody can account for, so that the book agrees; return how much that is.

    Records that are missing were lost. If there are too many, the ledger had
    lost their arrival.
    """
    if book.missing > 0:
        changes.count(LOST, reason, amount=book.missing)
    elif book.missing < 0:
        changes.count(RECEIVED, "", "", amount=-book.missing)
    return book.missing


def _total(
    series: Mapping[SeriesKey, Series], instrument: str, values: tuple[str, ...] = ()
) -> int:
    return sum(
        _value(each)
        for (name, attributes), each in series.items()
        if name == instrument and attributes[: len(values)] == values
    )


def _value(series: Series) -> int:
    return series.value if isinstance(series.value, int) else 0
