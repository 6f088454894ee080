"""Points in time as the commands show them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS = 1_000_000_000


def instant(at_ns: int) -> str:
    """Return a time as RFC 3339 has it, to the second, UTC."""
    try:
        moment = _EPOCH + timedelta(seconds=at_ns // _NS)
    except OverflowError:
        return "9999-12-31T23:59:59Z"  # as good as never
    return moment.isoformat().replace("+00:00", "Z")
