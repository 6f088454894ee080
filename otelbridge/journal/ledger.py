"""The ledger's tables: series, admitted label values, usage rows and users' names."""

from __future__ import annotations

import json
import logging
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

from otelbridge.domain.ledger import Distribution, Series, UsageKey, UsageTotals
from otelbridge.journal.statements import insert_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from otelbridge.domain.ledger import SeriesKey
    from otelbridge.journal.subscriptions import Count

logger = logging.getLogger(__name__)

_TOTALS = UsageTotals._fields
_ADD = " ON CONFLICT DO UPDATE SET " + ", ".join(
    f"{name} = {name} + excluded.{name}" for name in _TOTALS
)
# Daily rows become monthly ones: telemetry is watched by the day for a year.
_FOLD = (
    f"INSERT INTO usage SELECT substr(day, 1, 7), user, provider, model, client,"
    f" {', '.join(f'sum({name})' for name in _TOTALS)} FROM usage"
    f" WHERE length(day) = 10 AND day < ? GROUP BY 1, 2, 3, 4, 5{_ADD}"
)

_BY_MODEL = (
    f"SELECT provider, model, {', '.join(f'sum({name})' for name in _TOTALS)} FROM usage"
    " WHERE day = ? GROUP BY 1, 2 ORDER BY sum(cost_nanos) DESC, sum(input_tokens) DESC, 1, 2"
)


class LedgerTables:
    """Durable totals."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def series(self) -> dict[SeriesKey, Series]:
        """Return every series."""
        rows = self._database.execute(
            "SELECT instrument, attributes, born_at_ns, value, counts, total FROM series"
        )
        found: dict[SeriesKey, Series] = {}
        for row in rows:
            try:
                key, series = _series(*row)
            except (TypeError, ValueError) as error:  # one that is damaged: the others count
                logger.error("journal: a series of %.64r is lost: %s", row[0], error)
            else:
                found[key] = series
        return found

    def store_series(self, series: Mapping[SeriesKey, Series]) -> None:
        """Store the new state of series."""
        counters: list[tuple[object, ...]] = []
        histograms: list[tuple[object, ...]] = []
        for (instrument, attributes), (born_at_ns, value) in series.items():
            head = instrument, _text(attributes), born_at_ns
            if isinstance(value, Distribution):
                histograms.append((*head, _counts_text(value.counts), value.total))
            else:
                counters.append((*head, value))
        for columns, rows in (("value", counters), ("counts, total", histograms)):
            table = f"series (instrument, attributes, born_at_ns, {columns})"
            insert_rows(self._database, table, rows, verb="INSERT OR REPLACE")

    def add(self, counts: Iterable[Count], *, now_ns: int) -> None:
        """Add to counters, whatever is in memory: for what happens before there is a `Ledger`."""
        for instrument, values, amount in counts:
            self._database.execute(
                "INSERT INTO series (instrument, attributes, born_at_ns, value)"
                " VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET value = value + excluded.value",
                (instrument, _text(tuple(values)), now_ns, amount),
            )

    def admitted(self) -> dict[str, list[str]]:
        """Return the values admitted as labels, by attribute key."""
        found: dict[str, list[str]] = {}
        for label, value in self._database.execute("SELECT label, value FROM admitted"):
            found.setdefault(label, []).append(value)
        return found

    def admit(self, admitted: Mapping[str, list[str]]) -> None:
        """Store newly admitted values."""
        insert_rows(
            self._database,
            "admitted",
            [(label, value) for label, values in admitted.items() for value in values],
            verb="INSERT OR IGNORE",
        )

    def usage(self) -> list[tuple[UsageKey, UsageTotals]]:
        """Return all usage rows, by day."""
        rows = self._database.execute("SELECT * FROM usage ORDER BY day")
        return [
            (
                UsageKey(day, user, provider, model, client),
                UsageTotals(*totals),
            )
            for day, user, provider, model, client, *totals in rows
        ]

    def usage_of_day(self, day: str) -> list[tuple[str, str, UsageTotals]]:
        """Return a day's usage by provider and model, the dearest first."""
        rows = self._database.execute(_BY_MODEL, (day,))
        return [(provider, model, UsageTotals(*totals)) for provider, model, *totals in rows]

    def use(self, usage: Mapping[UsageKey, UsageTotals]) -> None:
        """Add to usage rows."""
        insert_rows(
            self._database,
            "usage",
            [
                (day, bytearray(user), provider, model, client, *totals)
                for (day, user, provider, model, client), totals in usage.items()
            ],
            conflict=_ADD,
        )

    def fold(self, *, before_day: str) -> None:
        """Sum up daily rows before a day into monthly ones."""
        self._database.execute(_FOLD, (before_day,))
        self._database.execute(
            "DELETE FROM usage WHERE length(day) = 10 AND day < ?", (before_day,)
        )

    def users(self) -> dict[UUID, str]:
        """Return users' names."""
        rows = self._database.execute("SELECT id, name FROM user")
        return {UUID(bytes=number): name for number, name in rows}

    def name_users(self, users: Mapping[UUID, str]) -> None:
        """Store users' names."""
        insert_rows(
            self._database,
            "user",
            [(user.bytes, name) for user, name in users.items()],
            verb="INSERT OR REPLACE",
        )


def _series(
    instrument: str, attributes: str, born_at_ns: int, value: object, counts: str, total: float
) -> tuple[SeriesKey, Series]:
    key = (instrument, tuple(map(str, json.loads(attributes))))
    if counts is not None:
        return key, Series(born_at_ns, Distribution(tuple(json.loads(counts)), float(total)))
    if not isinstance(value, int):
        raise TypeError(f"{value!r:.64} is no count")
    return key, Series(born_at_ns, value)


# A commit stores some fifty series, the same ones again and again.
@lru_cache(maxsize=4096)
def _text(attributes: tuple[str, ...]) -> str:
    return json.dumps(attributes)


def _counts_text(counts: Iterable[int]) -> str:
    # As json.dumps does, which takes three times as long.
    return f"[{', '.join(map(str, counts))}]"
