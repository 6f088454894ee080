"""The journal's lock: one process only."""

from __future__ import annotations

import fcntl
import logging
import os
from typing import TYPE_CHECKING

from otelbridge.errors import JournalError, JournalLockedError

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)


class Lock:
    """An advisory lock on ``PATH.lock``, held until released or the process ends.

    Args:
        path: The journal's file.
        pid: Which process is named to others as the holder.

    Raises:
        JournalLockedError: If another process holds it; the error names it.
        JournalError: If the lock file cannot be written.
    """

    def __init__(self, path: Path, *, pid: int | None = None) -> None:
        name = path.with_name(path.name + ".lock")
        try:
            self._fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalError(f"journal.url: {path}: {error.strerror}") from None
        try:
            self._lock(path)
        except JournalLockedError:
            os.close(self._fd)
            raise
        self._name_holder(pid or os.getpid())

    def _lock(self, path: Path) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
            if not _has_ended(holder):
                name = holder or "unknown"
                message = f"journal.url: {path} is in use by process {name}"
                raise JournalLockedError(message) from None
            # Its bridge was killed: the core ends with its last transaction.
            logger.warning("journal: waiting for what process %s left behind", holder)
            fcntl.flock(self._fd, fcntl.LOCK_EX)

    def _name_holder(self, pid: int) -> None:
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, str(pid).encode(), 0)
        except OSError as error:  # a full disk: the lock itself needs no space
            logger.warning("journal: the lock does not name its holder: %s", error.strerror)

    def release(self) -> None:
        """Let another process have the journal."""
        os.close(self._fd)


def _has_ended(pid: str) -> bool:
    """Return whether there is no process of this number."""
    if not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:  # somebody else's
        return False
    return False
