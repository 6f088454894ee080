"""Backup: a copy of the journal as it was at one moment, made while it is in use.

The log is moved into the database's file, which then stays as it is until the
copy is made: what is committed meanwhile goes to the log alone.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from otelbridge.errors import JournalError
from otelbridge.journal.opening import open_owned
from otelbridge.journal.sqlite import SqliteJournal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_TRIES = 3


def back_up(
    journal: Path, target: Path, *, begin: Callable[[], object], end: Callable[[], bool]
) -> None:
    """Copy a journal; the copy is whole, durable and its owner's alone, or not there.

    Args:
        journal: The journal's file.
        target: Where the copy is made.
        begin: Has the journal's file stay as it is.
        end: Lets it change again; returns whether it stayed as it was until then.

    Raises:
        JournalError: If there is a file already, or the copy cannot be made.
    """
    if target.exists():
        raise JournalError(f"{target}: the file exists")
    partial = target.with_name(f"{target.name}.partial")
    try:
        for _ in range(_TRIES):
            begin()
            try:
                _copy(journal, partial)
            finally:
                stayed = end()
            if stayed:
                partial.rename(target)
                return
    except OSError as error:
        raise JournalError(f"{target}: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)
    raise JournalError(f"{journal}: it changed while it was copied: its disk is full")


def back_up_at_rest(journal: Path, target: Path) -> None:
    """Copy a journal that no bridge uses; see `back_up`.

    Raises:
        JournalError: If it is in use or damaged, or cannot be copied.
    """
    opened = SqliteJournal(journal, salvages=False)
    try:
        back_up(journal, target, begin=lambda: opened.hold_still(now_ns=0), end=opened.let_go)
    finally:
        opened.close()


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as reader, open_owned(target) as writer:
        shutil.copyfileobj(reader, writer, 1024 * 1024)
        writer.flush()
        os.fsync(writer.fileno())
