"""Numbers, times and texts as the page writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from otelbridge.errors import escaped

if TYPE_CHECKING:
    from otelbridge.domain.ports import Cost

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS = 1_000_000_000
_MAX_S = 253_402_300_799  # the last second of the year 9999
_MILLION = 10**6
_BILLION = 10**9
_TEN = 10
_HUNDRED = 100
_THOUSAND = 1000
_KIB = 1024
_MINUTE_S = 60
_HOUR_S = 3600


def count(number: float) -> str:
    """Return a count, short from ten millions on: ``161,137``, ``12.3 M``."""
    if number >= _BILLION:
        return f"{number / _BILLION:,.2f} G"
    if number >= _TEN * _MILLION:
        return f"{number / _MILLION:,.1f} M"
    return f"{int(number):,}"


def rate(number: float) -> str:
    """Return a rate with as many digits as say something: ``0``, ``0.4``, ``12``, ``1,234``."""
    if number == 0:
        return "0"
    return f"{number:,.1f}" if number < _TEN else f"{number:,.0f}"


def usd(nanos: float) -> str:
    """Return USD * 10^9 as dollars: ``$0.0553``, ``$12.34``, ``$1,234``."""
    dollars = nanos / _BILLION
    if 0 < dollars < 0.00005:  # noqa: PLR2004  # what four digits do not show
        return "<$0.0001"
    if dollars < 1:
        return f"${dollars:.4f}" if dollars else "$0"
    return f"${dollars:,.2f}" if dollars < _TEN * _THOUSAND else f"${dollars:,.0f}"


def cost_nanos(cost: Cost) -> int:
    """Return what an interception cost, in USD * 10^9."""
    parts = cost.input + cost.output + cost.cache_read + cost.cache_write + cost.web_search
    return int(parts * _BILLION)


def duration(nanoseconds: int) -> str:
    """Return how long something took: ``350 ms``, ``2.0 s``, ``1 min 05 s``, ``2 h 10 min``."""
    seconds = nanoseconds / _NS
    if seconds < 0.9995:  # noqa: PLR2004  # what would be rounded up to 1000 ms
        return f"{seconds * _THOUSAND:.0f} ms"
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    if seconds < _HOUR_S:
        return f"{int(seconds) // _MINUTE_S} min {int(seconds) % _MINUTE_S:02d} s"
    return f"{int(seconds) // _HOUR_S} h {int(seconds) % _HOUR_S // _MINUTE_S:02d} min"


def age(seconds: float) -> str:
    """Return an age in whole seconds, so that it does not change with every look."""
    return "none" if seconds < 1 else duration(int(seconds) * _NS).replace(".0 s", " s")


def size(number: float) -> str:
    """Return a size: ``0 B``, ``12.3 KiB``, ``1.0 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < _KIB:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= _KIB
    return f"{number:,.1f} TiB"


def percent(part: float) -> str:
    """Return a part of a whole: ``0 %``, ``<1 %``, ``42 %``."""
    if 0 < part < 0.01:  # noqa: PLR2004  # one hundredth
        return "<1 %"
    return f"{_HUNDRED * part:,.0f} %"


def clock(at_ns: int) -> str:
    """Return a time of day, ``HH:MM:SS``, UTC."""
    return f"{_time(at_ns):%H:%M:%S}"


def moment(at_ns: int) -> str:
    """Return a day and a time, ``YYYY-MM-DD HH:MM``, UTC."""
    return f"{_time(at_ns):%Y-%m-%d %H:%M}"


def iso(at_ns: int) -> str:
    """Return a time as RFC 3339 writes it."""
    return f"{_time(at_ns):%Y-%m-%dT%H:%M:%SZ}"


def plain(text: str, limit: int = 64) -> str:
    """Return a client's text, at most ``limit`` characters, without what cannot be printed.

    The template escapes what means something in HTML; this is for what
    means something to terminals and to the direction of writing.
    """
    return escaped(text, limit)


def _time(at_ns: int) -> datetime:
    return _EPOCH + timedelta(seconds=min(max(0, at_ns // _NS), _MAX_S))
