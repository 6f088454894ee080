"""The journal's lock: one process only."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from otelbridge.errors import JournalError, JournalLockedError

if TYPE_CHECKING:
    from pathlib import Path


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
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise JournalLockedError(f"journal.url: {path} is in use by process {holder}") from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, str(pid or os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let another process have the journal."""
        os.close(self._fd)
