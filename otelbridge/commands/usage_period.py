"""Days and months of usage that people ask for."""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import click

_DAYS = re.compile(r"([1-9]\d{0,3})d")
_MONTH = re.compile(r"\d{4}-\d{2}")


class Period(NamedTuple):
    """Days from the first to the last, both included, as ``YYYY-MM-DD``; UTC.

    Attributes:
        first: The first day; empty if there is none.
        last: The last day; empty if there is none.
    """

    first: str = ""
    last: str = ""

    def has(self, day: str) -> bool:
        """Return whether a row of this day belongs to it.

        Usage of more than 400 days ago is kept by the month: a month belongs
        to a period that has any day of it.
        """
        after_first = not self.first or day >= self.first[: len(day)]
        before_last = not self.last or day[: len(self.last)] <= self.last[: len(day)]
        return after_first and before_last


class Day(click.ParamType[str]):
    """A day: ``YYYY-MM-DD``, ``today``, ``yesterday``, ``YYYY-MM``, or ``7d``.

    A month stands for its first day, or its last; ``7d`` for the first of
    the last seven days, today included.

    Args:
        is_last: Whether a month stands for its last day.
    """

    name = "day"

    def __init__(self, *, is_last: bool = False) -> None:
        self._is_last = is_last

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return a day as ``YYYY-MM-DD``."""
        today = datetime.fromtimestamp(time.time(), UTC).date()
        try:
            return self._day(value, today).isoformat()
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no YYYY-MM-DD, YYYY-MM, today, yesterday, or number of days as 7d",
                param,
                ctx,
            )

    def _day(self, value: str, today: date) -> date:
        if value in ("today", "yesterday"):
            return today - timedelta(days=value == "yesterday")
        if days := _DAYS.fullmatch(value):
            return today - timedelta(days=int(days[1]) - 1)
        if not _MONTH.fullmatch(value):
            return datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC).date()
        first = date.fromisoformat(f"{value}-01")
        following = (first + timedelta(days=31)).replace(day=1)
        return following - timedelta(days=1) if self._is_last else first
