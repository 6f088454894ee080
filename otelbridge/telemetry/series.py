"""Series: how many an instrument may have in all.

Labels are bounded one by one, and their combinations are not: of each
instrument the first series are admitted, for good. Beyond them values are told
under ``_OTHER`` in place of every label that a client decides.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from otelbridge.config.sections import LIMITED_LABELS
from otelbridge.telemetry import instruments as ins
from otelbridge.telemetry import semconv as sc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelbridge.domain.ledger import Changes, SeriesKey

#: How many series an instrument may have where the configuration says nothing.
DEFAULT_LIMIT = 2000

_LIMITED = frozenset(LIMITED_LABELS)


class SeriesLimit:
    """Admits series.

    What is admitted in a transaction counts from its commit on. Called in the
    core's thread only.

    Args:
        limit: How many series an instrument may have, those of
            `overflow_key` aside.
        known: The series of former processes. They stay, even above the limit.

    Attributes:
        known: What is admitted for good. Looking here first spares a call.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT, known: Iterable[SeriesKey] = ()) -> None:
        self._limit = limit
        self.known = set(known)
        self._fresh: set[SeriesKey] = set()
        self._sizes = Counter(name for name, _ in self.known)

    def admitted(self, key: SeriesKey, changes: Changes) -> SeriesKey:
        """Return the series for a value: its own, or the one for what has no room.

        Args:
            key: The series.
            changes: The transaction: what has no room is counted in it.
        """
        if key in self.known or key in self._fresh:
            return key
        name = key[0]
        if self._sizes[name] >= self._limit:
            changes.count(ins.SERIES_OVERFLOW, name)
            return overflow_key(key)
        self._sizes[name] += 1
        self._fresh.add(key)
        return key

    def committed(self, changes: Changes) -> None:
        """Keep what a transaction admitted, once it has been committed."""
        kept = self._fresh & (changes.counts.keys() | changes.samples.keys())
        # A transaction that failed leaves nothing behind.
        self._sizes.subtract(name for name, _ in self._fresh - kept)
        self.known |= kept
        self._fresh.clear()


def overflow_key(key: SeriesKey) -> SeriesKey:
    """Return the series with ``_OTHER`` in place of what clients decide."""
    name, values = key
    labels = zip(ins.INSTRUMENTS[name].attributes, values, strict=True)
    return name, tuple(
        [sc.OTHER if label in _LIMITED and value else value for label, value in labels]
    )
