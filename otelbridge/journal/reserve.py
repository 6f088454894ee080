"""The reserve: disk space that is kept back for the moment when the disk is full.

SQLite can neither delete nor checkpoint without space: both write to the log
first. What a deletion frees goes back into the same file, so that once there
is room for the log again, the journal can go on within the size that it has.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: Errors of the system that more space would cure.
NO_SPACE = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_CHUNK = 1024 * 1024
_PROBE_BYTES = 64 * 1024


class Reserve:
    """The file ``PATH.reserve``, mode 0600.

    Args:
        journal: The journal's file.
        size: How large it is, in bytes; 0 for none.

    Attributes:
        path: The file.
        is_held: Whether the space is taken.
    """

    def __init__(self, journal: Path, *, size: int) -> None:
        self.path = journal.with_name(f"{journal.name}.reserve")
        self._folder = journal.parent
        self._size = size
        self.is_held = size > 0 and self.path.exists() and self.path.stat().st_size == size

    @property
    def size(self) -> int:
        """Return how large it is, or should be."""
        return self._size

    def hold(self) -> bool:
        """Take the space; return whether there was enough."""
        if not self._size:
            self.path.unlink(missing_ok=True)
        elif not self.is_held:
            try:
                self._write(self._size)
            except OSError:
                self.path.unlink(missing_ok=True)
                return False
            self.is_held = True
        return True

    def release(self) -> bool:
        """Give the space back; return whether there was any."""
        was_held, self.is_held = self.is_held, False
        self.path.unlink(missing_ok=True)
        return was_held

    def free_bytes(self) -> int:
        """Return how much of the disk is free for this user, the reserve not counted."""
        found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize

    def is_disk_full(self) -> bool:
        """Return whether a small file cannot be written because there is no space for it.

        SQLite tells a quota that is used up, or a limit of the file's size,
        apart from a full disk, and calls it an input/output error.
        """
        if self.is_held:
            return False
        try:
            self._write(_PROBE_BYTES)
        except OSError as error:
            return error.errno in NO_SPACE
        finally:
            self.path.unlink(missing_ok=True)
        return False

    def _write(self, size: int) -> None:
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(fd, 0, size)
            else:  # macOS
                _fill(fd, size)
        finally:
            os.close(fd)


def _fill(fd: int, size: int) -> None:
    for offset in range(0, size, _CHUNK):
        os.pwrite(fd, bytes(min(_CHUNK, size - offset)), offset)
