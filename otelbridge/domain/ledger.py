"""The ledger: durable totals. Counts are facts in a table; every metric is a view of it."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from operator import add
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.domain.recent import Brief

#: An instrument's name and its attribute values, in the order in which the
#: instrument declares their keys; an empty value means that the attribute is absent.
SeriesKey: TypeAlias = tuple[str, tuple[str, ...]]


class Exemplar(NamedTuple):
    """A sample that leads to its trace.

    Attributes:
        value: The sample.
        at_ns: When it was taken.
        trace_id: The trace, 16 bytes.
        span_id: The span, 8 bytes.
    """

    value: float
    at_ns: int
    trace_id: bytes
    span_id: bytes


# What a column holds. A total that reaches it is wrong already, and must not fail every
# commit from then on.
_MAX_TOTAL = 2**63 - 1

# A dictionary that nobody changes: a mapping proxy cannot go to another process.
_NO_EXEMPLARS: Mapping[int, Exemplar] = {}


class Distribution(NamedTuple):
    """What a histogram holds.

    Attributes:
        counts: Samples in each bucket, the last one unbounded; not cumulative.
        total: Sum of all samples.
        exemplars: The latest exemplar of a bucket, by the bucket's index. Not
            durable: after a restart there are none until new samples come.
    """

    counts: tuple[int, ...]
    total: float
    exemplars: Mapping[int, Exemplar] = _NO_EXEMPLARS

    @property
    def samples(self) -> int:
        """Return the number of samples."""
        return sum(self.counts)


class Series(NamedTuple):
    """One series' durable state.

    Attributes:
        born_at_ns: When its first value was booked: the points' start time.
        value: A counter's total (an integer, in the instrument's own unit
            divided by its scale), or a histogram's distribution.
    """

    born_at_ns: int
    value: int | Distribution


class UsageKey(NamedTuple):
    """A row of the usage table.

    Attributes:
        day: ``YYYY-MM-DD``, UTC, of the records' times (``YYYY-MM`` after 400 days).
        user: The initiator's UUID as bytes; empty for usage whose start never came.
        provider: ``gen_ai.provider.name``.
        model: The requested model, as sent.
        client: The client, as sent.
    """

    day: str
    user: bytes
    provider: str
    model: str
    client: str


class UsageTotals(NamedTuple):
    """What was used; all counts add up.

    Attributes:
        interceptions: Finalised interceptions.
        input_tokens: All input tokens, cached ones included.
        output_tokens: All output tokens.
        cache_read: Input tokens read from a cache.
        cache_write: Input tokens written to a cache.
        reasoning: Output tokens spent on reasoning.
        cost_nanos: Cost in USD * 10^9.
        unpriced: Token records that had no price.
        prompts: Prompts.
        tool_calls: Tool uses.
    """

    interceptions: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    cost_nanos: int = 0
    unpriced: int = 0
    prompts: int = 0
    tool_calls: int = 0

    def plus(self, other: UsageTotals) -> UsageTotals:
        """Return the sum of both."""
        return UsageTotals(*map(add, self, other))


_TOTALS = len(UsageTotals._fields)


class _Samples:
    """Samples of one histogram that are not in its distribution yet."""

    __slots__ = ("counts", "exemplars", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.total = 0.0
        self.exemplars: dict[int, Exemplar] = {}

    def distribution(self) -> Distribution:
        return Distribution(tuple(self.counts), self.total, self.exemplars)


@dataclass(slots=True)
class Changes:
    """What one transaction adds to the ledger.

    Attributes:
        counts: Additions to counters.
        samples: Additions to histograms.
        used: Additions by usage row, as counts in the order of `UsageTotals`.
        admitted: Values newly admitted as labels, by attribute key.
        recent: What it finalises, for the page.
    """

    counts: dict[SeriesKey, int] = field(default_factory=dict)
    samples: dict[SeriesKey, _Samples] = field(default_factory=dict)
    used: dict[UsageKey, list[int]] = field(default_factory=dict)
    admitted: dict[str, list[str]] = field(default_factory=dict)
    recent: list[Brief] = field(default_factory=list)

    @property
    def series(self) -> dict[SeriesKey, int | Distribution]:
        """Return the additions by series."""
        samples = {key: samples.distribution() for key, samples in self.samples.items()}
        return {**self.counts, **samples}

    @property
    def usage(self) -> dict[UsageKey, UsageTotals]:
        """Return the additions by usage row."""
        return {key: UsageTotals._make(counts) for key, counts in self.used.items()}

    def __bool__(self) -> bool:
        return bool(self.counts or self.samples or self.used or self.admitted)

    def count(self, instrument: str, *values: str, amount: int = 1) -> None:
        """Add to a counter."""
        key = (instrument, values)
        self.counts[key] = self.counts.get(key, 0) + amount

    def sample(
        self,
        instrument: str,
        *values: str,
        bounds: tuple[float, ...],
        value: float,
        exemplar: Exemplar | None = None,
    ) -> None:
        """Add one sample to a histogram with these upper bounds (inclusive)."""
        self.sample_series((instrument, values), bounds=bounds, value=value, exemplar=exemplar)

    def sample_series(
        self,
        key: SeriesKey,
        *,
        bounds: tuple[float, ...],
        value: float,
        exemplar: Exemplar | None = None,
    ) -> None:
        """Add one sample to a histogram whose key is at hand."""
        samples = self.samples.get(key)
        if samples is None:
            samples = self.samples[key] = _Samples(len(bounds) + 1)
        bucket = bisect_left(bounds, value)
        samples.counts[bucket] += 1
        samples.total += value
        if exemplar is not None:
            samples.exemplars[bucket] = exemplar

    def row(self, key: UsageKey) -> list[int]:
        """Return what is added to a row of the usage table, to be added to in place.

        Counts are in the order of `UsageTotals`.
        """
        row = self.used.get(key)
        if row is None:
            row = self.used[key] = [0] * _TOTALS
        return row

    def merge(self, other: Changes) -> None:
        """Add what another transaction would have added."""
        for key, amount in other.counts.items():
            self.counts[key] = self.counts.get(key, 0) + amount
        for key, samples in other.samples.items():
            self._merge_samples(key, samples)
        for usage_key, counts in other.used.items():
            row = self.row(usage_key)
            row[:] = map(add, row, counts)
        for label, values in other.admitted.items():
            self.admitted.setdefault(label, []).extend(values)
        self.recent += other.recent

    def _merge_samples(self, key: SeriesKey, more: _Samples) -> None:
        samples = self.samples.get(key)
        if samples is None:
            samples = self.samples[key] = _Samples(len(more.counts))
        samples.counts = [a + b for a, b in zip(samples.counts, more.counts, strict=True)]
        samples.total += more.total
        samples.exemplars.update(more.exemplars)


def added(before: int | Distribution | None, more: int | Distribution) -> int | Distribution:
    """Return the sum of two values of one series; a counter ends at 2^63 - 1.

    Raises:
        TypeError: If one is a counter's and the other a histogram's.
    """
    if before is None:
        return more
    if isinstance(before, Distribution) and isinstance(more, Distribution):
        counts = tuple(a + b for a, b in zip(before.counts, more.counts, strict=True))
        exemplars = {**before.exemplars, **more.exemplars}
        return Distribution(counts, before.total + more.total, exemplars)
    if isinstance(before, int) and isinstance(more, int):
        return min(before + more, _MAX_TOTAL)
    msg = "a series is either a counter or a histogram"
    raise TypeError(msg)


class Ledger:
    """The committed totals, in memory. Written by one thread, read by any.

    A reader gets a consistent copy: both `updated` and `snapshot` are one
    dictionary operation on keys that hash without running Python code.
    """

    def __init__(self, series: Mapping[SeriesKey, Series] | None = None) -> None:
        self._series: dict[SeriesKey, Series] = dict(series or {})

    def updated(self, changes: Changes, *, now_ns: int) -> dict[SeriesKey, Series]:
        """Return the new state of every series that the changes touch; changes nothing."""
        fresh: dict[SeriesKey, Series] = {}
        for key, more in changes.series.items():
            old = self._series.get(key)
            born = now_ns if old is None else old.born_at_ns
            fresh[key] = Series(born, added(None if old is None else old.value, more))
        return fresh

    def apply(self, fresh: Mapping[SeriesKey, Series]) -> None:
        """Show what has been committed."""
        self._series.update(fresh)

    def snapshot(self) -> dict[SeriesKey, Series]:
        """Return a copy of all series."""
        return dict(self._series)
