"""What metrics are read from: series and observations; and what a reader has seen."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from otelbridge.domain.ledger import Distribution, Series
from otelbridge.telemetry.instrument import InstrumentKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otelbridge.domain.ledger import SeriesKey
    from otelbridge.telemetry.instrument import Instrument

#: Kinds that a reader computes increases of: their new series show 0 first.
GROWING = frozenset({InstrumentKind.COUNTER, InstrumentKind.HISTOGRAM})


class Observation(NamedTuple):
    """A value that is not in the ledger, read when metrics are collected.

    Attributes:
        name: The instrument's name.
        values: Attribute values in the order of the instrument's keys; empty
            means absent.
        value: A number, or a histogram's distribution.
        born_at_ns: Since when it has been counting; 0 for a gauge.
    """

    name: str
    values: tuple[str, ...]
    value: float | Distribution
    born_at_ns: int = 0


class Point(NamedTuple):
    """One series as a reader is shown it.

    Attributes:
        key: Which series.
        labels: Its attributes; absent ones are left out.
        born_at_ns: Its start time; 0 if it has none.
        value: What is shown; a counter's is still to be `scaled`.
    """

    key: SeriesKey
    labels: dict[str, str]
    born_at_ns: int
    value: float | Distribution


class Family(NamedTuple):
    """An instrument and its points, which may be none."""

    instrument: Instrument
    points: list[Point]


class SeriesView:
    """Which series one reader has seen.

    A series that is born at 5 would show no increase: the reader is told 0
    first, and the truth the next time.

    Args:
        known: Series that need no zero: the reader can have seen them before.
    """

    def __init__(self, known: Iterable[SeriesKey]) -> None:
        self._seen = set(known)

    def unseen(self, keys: Iterable[SeriesKey]) -> frozenset[SeriesKey]:
        """Return those among the series that the reader has not seen."""
        return frozenset(key for key in keys if key not in self._seen)

    def saw(self, keys: Iterable[SeriesKey]) -> None:
        """Note what the reader has been shown."""
        self._seen.update(keys)


class Reading(NamedTuple):
    """Everything that metrics are made of, at one moment.

    Attributes:
        series: The ledger's series and, in the same form, what was observed.
    """

    series: Mapping[SeriesKey, tuple[int, float | Distribution]]

    @classmethod
    def of(
        cls, snapshot: Mapping[SeriesKey, Series], observations: Iterable[Observation]
    ) -> Reading:
        """Put the ledger and what was observed together."""
        series: dict[SeriesKey, tuple[int, float | Distribution]] = dict(snapshot)
        for name, values, value, born_at_ns in observations:
            series[name, values] = (born_at_ns, value)
        return cls(series)

    def families(
        self, instruments: Mapping[str, Instrument], *, zero: frozenset[SeriesKey] = frozenset()
    ) -> list[Family]:
        """Return every instrument with its points, both in a fixed order.

        Series that another version of the bridge has written are left out if
        no instrument fits them.

        Args:
            instruments: What is told, by name.
            zero: Series that are shown as 0 if they can only grow.
        """
        families = {name: Family(instrument, []) for name, instrument in instruments.items()}
        for key in sorted(self.series):
            family = families.get(key[0])
            if family is not None and _fits(family.instrument, self.series[key][1]):
                family.points.append(self._point(family.instrument, key, zeroed=key in zero))
        return list(families.values())

    def _point(self, instrument: Instrument, key: SeriesKey, *, zeroed: bool) -> Point:
        born_at_ns, value = self.series[key]
        if zeroed and instrument.kind in GROWING:
            value = _zero(value)
        # A series of an earlier version may have fewer values than there are keys today.
        pairs = zip(instrument.attributes, key[1], strict=False)
        labels = {name: text for name, text in pairs if text}
        return Point(key, labels, born_at_ns, value)


def scaled(value: float, scale: float) -> float:
    """Return a counter's value in its unit; an integer stays one if it can."""
    if scale == 1:
        return value
    # 123456789 * 1e-9 is not 0.123456789 in binary: scale in decimal, round once.
    return float(Decimal(value) * Decimal(str(scale)))


def _zero(value: float | Distribution) -> float | Distribution:
    return Distribution((0,) * len(value.counts), 0.0) if isinstance(value, Distribution) else 0


def _fits(instrument: Instrument, value: float | Distribution) -> bool:
    if isinstance(value, Distribution):
        is_histogram = instrument.kind is InstrumentKind.HISTOGRAM
        return is_histogram and len(value.counts) == len(instrument.bounds) + 1
    return instrument.kind is not InstrumentKind.HISTOGRAM
