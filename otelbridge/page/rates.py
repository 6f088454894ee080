"""Rates: how much arrived in the last minutes, from samples of the ledger."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from otelbridge.domain.books import RECEIVED
from otelbridge.telemetry import instruments as ins
from otelbridge.telemetry.semconv import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.domain.ledger import Series, SeriesKey

_NS = 1_000_000_000
#: How often the ledger is looked at, in seconds, and how many intervals are shown: three minutes.
STEP_S = 2.0
STEPS = 90
# Rates are of the last minute: shorter ones jump, longer ones do not show that something stopped.
_MINUTE_STEPS = int(60 / STEP_S)
_OUTCOME = ins.INSTRUMENTS[ins.INTERCEPTIONS].attributes.index("aibridge.outcome")


class Sample(NamedTuple):
    """Totals at one moment.

    Attributes:
        at_ns: When.
        records: Records that arrived.
        interceptions: Interceptions that were finalised.
        errors: Those of them that failed.
        cost_nanos: Cost in USD * 10^9.
    """

    at_ns: int
    records: int = 0
    interceptions: int = 0
    errors: int = 0
    cost_nanos: int = 0


class Rates(NamedTuple):
    """How much arrives.

    Attributes:
        bars: Records in each interval of `STEP_S`, the oldest first.
        seconds: How long the time is, in seconds, that the rates are of; a minute at most.
        records: Records a second.
        interceptions: Interceptions a minute.
        errors: Those of them that failed.
        cost_nanos: Cost an hour, in USD * 10^9.
    """

    bars: tuple[int, ...] = ()
    seconds: float = 0.0
    records: float = 0.0
    interceptions: float = 0.0
    errors: float = 0.0
    cost_nanos: float = 0.0


class History:
    """Samples of the last three minutes. For one thread."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=STEPS + 1)

    def add(self, sample: Sample) -> None:
        """Add the newest sample."""
        self._samples.append(sample)

    def rates(self) -> Rates:
        """Return what the samples come to; all is 0 until there are two."""
        samples = list(self._samples)
        bars = tuple(max(0, b.records - a.records) for a, b in zip(samples, samples[1:]))  # noqa: B905, RUF007  # neighbours
        if not bars:
            return Rates()
        first, last = samples[max(0, len(samples) - 1 - _MINUTE_STEPS)], samples[-1]
        seconds = max(1e-3, (last.at_ns - first.at_ns) / _NS)
        return Rates(
            bars=bars,
            seconds=seconds,
            records=max(0, last.records - first.records) / seconds,
            interceptions=60 * max(0, last.interceptions - first.interceptions) / seconds,
            errors=60 * max(0, last.errors - first.errors) / seconds,
            cost_nanos=3600 * max(0, last.cost_nanos - first.cost_nanos) / seconds,
        )


def sample_of(series: Mapping[SeriesKey, Series], *, at_ns: int) -> Sample:
    """Return the totals of a ledger. A thousand series take 0.1 ms."""
    records = interceptions = errors = cost = 0
    for (name, values), (_, value) in series.items():
        if not isinstance(value, int):
            continue
        if name == RECEIVED:
            records += value
        elif name == ins.COST:
            cost += value
        elif name == ins.INTERCEPTIONS:
            interceptions += value
            errors += value if values[_OUTCOME] == Outcome.ERROR.value else 0
    return Sample(at_ns, records, interceptions, errors, cost)
