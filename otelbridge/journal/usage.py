"""Usage rows as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from otelbridge.journal.ledger import LedgerTables
from otelbridge.journal.lock import Lock
from otelbridge.journal.schema import open_database

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from uuid import UUID

    from otelbridge.domain.ledger import UsageKey, UsageTotals

#: ``day``, ``user_id``, ``user``, ``provider``, ``model``, ``client`` and the
#: fields of `otelbridge.domain.ledger.UsageTotals`.
UsageRow: TypeAlias = dict[str, str | int]


def usage_rows(
    usage: Iterable[tuple[UsageKey, UsageTotals]], names: Mapping[UUID, str]
) -> list[UsageRow]:
    """Return usage as rows; a user without a name is called by id."""
    return [
        {
            "day": key.day,
            "user_id": str(key.user_id or ""),
            "user": names.get(key.user_id, str(key.user_id)) if key.user_id else "",
            "provider": key.provider,
            "model": key.model,
            "client": key.client,
            **totals._asdict(),
        }
        for key, totals in usage
    ]


def read_usage(path: Path) -> list[UsageRow]:
    """Read the usage rows of a journal that no process uses.

    Raises:
        JournalError: If it is not there, in use, or cannot be read.
    """
    lock = Lock(path)
    try:
        database = open_database(path)
        try:
            tables = LedgerTables(database)
            return usage_rows(tables.usage(), tables.users())
        finally:
            database.close()
    finally:
        lock.release()
