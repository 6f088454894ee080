"""What the control socket answers about the journal."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.server.committed import Committed
    from otelbridge.transports.control import Answer


def journal_answers(core: Committed) -> dict[str, Answer]:
    """Return what is answered, by name; `otelbridge.commands.journal` asks."""

    async def status(_query: Mapping[str, str]) -> dict[str, Any]:
        return await core.status()

    async def books(_query: Mapping[str, str]) -> dict[str, Any]:
        return asdict(await core.books())

    async def begin_backup(_query: Mapping[str, str]) -> dict[str, Any]:
        await core.begin_backup()
        return {}

    async def end_backup(_query: Mapping[str, str]) -> dict[str, Any]:
        return {"stayed": await core.end_backup()}

    return {
        "journal-status": status,
        "journal-books": books,
        "journal-backup-begin": begin_backup,
        "journal-backup-end": end_backup,
    }
