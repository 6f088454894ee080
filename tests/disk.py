"""A disk under SQLite that loses what was not synced, fills up, fails or is slow.

with SimulatedDisk() as disk:
    journal = SqliteJournal(path)   # every database opened here lies on it
    disk.lose_power_at = 3          # the third write or sync from now is the last
    ...
    disk.restart(random.Random(1))  # what is left after the crash

Files are real ones, so that other code sees them too. Of what was written to one since its
last sync any sectors may be missing after a crash.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests import vfs
from tests.vfs import FULL, IOERR, IOERR_FSYNC, OK, OPEN_CREATE, SECTOR


@dataclass
class _Content:
    """A file: what was written to it since its last sync, with what was there before."""

    path: Path
    unsynced: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    synced_size: int = 0


class SimulatedDisk:
    """A disk for the databases that are opened while it is entered.

    Attributes:
        capacity: How many bytes all files on it may take; None for any number.
        extra_bytes: What else is on it.
        sync_s: How long a sync takes, in seconds.
        lose_power_at: Counts writes and syncs down; at 0 everything stops. None: never.
        fail_sync_at: Counts syncs down; the one at 0 fails. None: never.
        syncs: How many there were.
        is_off: Whether power was lost.
    """

    def __init__(self) -> None:
        self.capacity: int | None = None
        self.extra_bytes = 0
        self.sync_s = 0.0
        self.lose_power_at: int | None = None
        self.fail_sync_at: int | None = None
        self.syncs = 0
        self.is_off = False
        self._files: dict[Path, _Content] = {}
        self._open: dict[int, tuple[int, _Content]] = {}

    def __enter__(self) -> Self:
        vfs.register(self)  # skips the test where SQLite cannot be reached
        return self

    def __exit__(self, *_: object) -> None:
        vfs.unregister()

    def free_bytes(self) -> int:
        """Return how much more can be written; very much without a capacity."""
        if self.capacity is None:
            return 2**62
        used = sum(each.path.stat().st_size for each in self._files.values() if each.path.exists())
        return self.capacity - self.extra_bytes - used

    def restart(self, choice: random.Random) -> None:
        """Be on again after a crash: of what was not synced, some is there and some is not."""
        for content in self._files.values():
            if content.path.exists():
                _lose(content, choice)
        self._files.clear()
        self.lose_power_at = self.fail_sync_at = None
        self.is_off = False

    # --- What SQLite calls ---------------------------------------------------------------

    def open(self, name: bytes, flags: int) -> int:
        """Open a file; return its number."""
        path = Path(os.fsdecode(name))
        create = os.O_CREAT if flags & OPEN_CREATE else 0
        fd = os.open(path, os.O_RDWR | create | os.O_CLOEXEC, 0o600)
        content = self._files.setdefault(path, _Content(path, synced_size=os.fstat(fd).st_size))
        number = vfs.opened(self)
        self._open[number] = fd, content
        return number

    def close(self, number: int) -> int:
        """Close a file; return a result code."""
        os.close(self._open.pop(number)[0])
        vfs.closed(number)
        return OK

    def delete(self, name: bytes) -> int:
        """Delete a file; return a result code. Durable at once."""
        if self._is_lost():
            return IOERR
        path = Path(os.fsdecode(name))
        path.unlink(missing_ok=True)
        self._files.pop(path, None)
        return OK

    def read(self, number: int, size: int, offset: int) -> bytes:
        """Read from a file."""
        return os.pread(self._open[number][0], size, offset)

    def size(self, number: int) -> int:
        """Return a file's size."""
        return os.fstat(self._open[number][0]).st_size

    def write(self, number: int, data: bytes, offset: int) -> int:
        """Write to a file; return a result code."""
        if self._is_lost():
            return IOERR
        fd, content = self._open[number]
        growth = max(0, offset + len(data) - os.fstat(fd).st_size)
        if growth and growth > self.free_bytes():
            return FULL
        content.unsynced.append((offset, os.pread(fd, len(data), offset), data))
        os.pwrite(fd, data, offset)
        return OK

    def truncate(self, number: int, size: int) -> int:
        """Cut a file; return a result code. Durable at once."""
        if self._is_lost():
            return IOERR
        fd, content = self._open[number]
        os.ftruncate(fd, size)
        content.synced_size = min(content.synced_size, size)
        content.unsynced = [each for each in content.unsynced if each[0] + len(each[2]) <= size]
        return OK

    def sync(self, number: int) -> int:
        """Make a file's content durable; return a result code."""
        if self._is_lost():
            return IOERR
        if self.fail_sync_at is not None:
            self.fail_sync_at -= 1
            if self.fail_sync_at < 0:
                self.fail_sync_at = None
                return IOERR_FSYNC
        if self.sync_s:
            time.sleep(self.sync_s)  # a slow disk
        fd, content = self._open[number]
        content.unsynced.clear()
        content.synced_size = os.fstat(fd).st_size
        self.syncs += 1
        return OK

    def _is_lost(self) -> bool:
        if self.lose_power_at is not None and not self.is_off:
            self.is_off = self.lose_power_at <= 0
            self.lose_power_at -= 1
        return self.is_off


def _lose(content: _Content, choice: random.Random) -> None:
    """Take back any part of what was written to a file and not synced."""
    settled: set[int] = set()
    end = content.synced_size
    with content.path.open("r+b") as file:
        for offset, before, data in reversed(content.unsynced):
            for begin in range(offset, offset + len(data), SECTOR):
                if begin in settled:
                    continue
                if choice.random() < 0.5:
                    settled.add(begin)
                    end = max(end, min(begin + SECTOR, offset + len(data)))
                    continue
                old = before[begin - offset : begin - offset + SECTOR]
                length = min(SECTOR, offset + len(data) - begin)
                file.seek(begin)
                file.write(old.ljust(length, b"\0"))
        if choice.random() < 0.5:  # the file's length is written last
            file.truncate(end)
