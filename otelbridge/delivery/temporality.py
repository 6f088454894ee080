"""Delta temporality: what changed since a destination last acknowledged.

Source: OpenTelemetry data model, "Temporality".
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from otelbridge.domain.ledger import Distribution

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otelbridge.delivery.series import Point
    from otelbridge.domain.ledger import SeriesKey

logger = logging.getLogger(__name__)

_Row: TypeAlias = tuple[str, list[str], int, int, "float | list[int]", "float | None"]


class Acknowledged(NamedTuple):
    """A series as a destination last took it.

    Attributes:
        born_at_ns: The series' birth: another one means that it started anew.
        at_ns: When it was told: where the next change begins.
        value: What was told.
    """

    born_at_ns: int
    at_ns: int
    value: float | Distribution

    def is_continued_by(self, point: Point) -> bool:
        """Return whether the point tells of the same series, with the same buckets."""
        return self.born_at_ns == point.born_at_ns and _buckets(self.value) == _buckets(point.value)


class DeltaBase:
    """What one destination has acknowledged of every series."""

    def __init__(self, base: Mapping[SeriesKey, Acknowledged] | None = None) -> None:
        self._base = dict(base or {})

    @classmethod
    def load(cls, text: str) -> DeltaBase | None:
        """Read what `dump` wrote; None if there is nothing that can be read."""
        if not text:
            return None
        try:
            rows: list[_Row] = json.loads(text)
            return cls({(row[0], tuple(row[1])): _acknowledged(row) for row in rows})
        except (ValueError, TypeError, IndexError):
            logger.warning("what a destination acknowledged of the metrics cannot be read")
            return None

    def dump(self) -> str:
        """Return everything as JSON text, for `load`."""
        rows: list[_Row] = []
        for (name, values), (born_at_ns, at_ns, value) in self._base.items():
            if isinstance(value, Distribution):
                counts, total = list(value.counts), value.total
                rows.append((name, list(values), born_at_ns, at_ns, counts, total))
            else:
                rows.append((name, list(values), born_at_ns, at_ns, value, None))
        return json.dumps(rows, separators=(",", ":"))

    def change(self, point: Point) -> Point | None:
        """Return the point as a change since the last acknowledged one; None if there is none."""
        before = self._base.get(point.key)
        if before is None or not before.is_continued_by(point):
            return point
        if before.value == point.value:
            return None
        return point._replace(born_at_ns=before.at_ns, value=_difference(point.value, before.value))

    def acknowledge(self, points: Iterable[Point], *, at_ns: int) -> None:
        """Note that these points, as totals, have been taken."""
        for point in points:
            self._base[point.key] = Acknowledged(point.born_at_ns, at_ns, point.value)


def _acknowledged(row: _Row) -> Acknowledged:
    _, _, born_at_ns, at_ns, value, total = row
    if isinstance(value, list):
        return Acknowledged(born_at_ns, at_ns, Distribution(tuple(value), float(total or 0)))
    return Acknowledged(born_at_ns, at_ns, value)


def _buckets(value: float | Distribution) -> int:
    return len(value.counts) if isinstance(value, Distribution) else 0


def _difference(now: float | Distribution, before: float | Distribution) -> float | Distribution:
    if isinstance(now, Distribution) and isinstance(before, Distribution):
        counts = tuple(a - b for a, b in zip(now.counts, before.counts, strict=True))
        return Distribution(counts, now.total - before.total, now.exemplars)
    if isinstance(now, Distribution) or isinstance(before, Distribution):
        raise TypeError("a series is either a number or a distribution")
    return now - before
