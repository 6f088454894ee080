"""Usage rows as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from otelbridge.errors import JournalError
from otelbridge.journal.sqlite import SqliteJournal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

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
            **_user(key.user, names),
            "provider": key.provider,
            "model": key.model,
            "client": key.client,
            **totals._asdict(),
        }
        for key, totals in usage
    ]


def _user(user: bytes, names: Mapping[UUID, str]) -> UsageRow:
    if not user:
        return {"user_id": "", "user": ""}
    user_id = UUID(bytes=user)
    return {"user_id": str(user_id), "user": names.get(user_id, str(user_id))}


def read_usage(path: Path) -> list[UsageRow]:
    """Read the usage rows of a journal that no process uses.

    Raises:
        JournalError: If it is not there, in use, or cannot be read.
    """
    if not path.exists():
        raise JournalError(f"journal.url: {path}: there is no journal")
    journal = SqliteJournal(path, salvages=False)
    try:
        return usage_rows(journal.ledger.usage(), journal.ledger.users())
    finally:
        journal.close()
