"""A disk under SQLite that loses what was not synced, fills up, fails or is slow: a VFS in Python.

with SimulatedDisk() as disk:
    journal = SqliteJournal(path)   # every database opened here lies on it
    disk.lose_power_at = 3          # the third write or sync from now is the last
    ...
    disk.restart(random.Random(1))  # what is left after the crash

Files are real ones, so that other code sees them too. Of what was written to one since its
last sync any sectors may be missing after a crash.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import os
import time
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    byref,
    c_char_p,
    c_double,
    c_int,
    c_int64,
    c_void_p,
    cast,
    memmove,
    sizeof,
    string_at,
)
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

SECTOR = 512
_OK, _FULL, _IOERR, _NOTFOUND = 0, 13, 10, 12
_IOERR_SHORT_READ, _IOERR_FSYNC = 522, 1034
_OPEN_CREATE = 0x04
_PATH_BYTES = 1024


class _File(Structure):
    _fields_ = [("methods", c_void_p), ("number", c_int)]


class _Vfs(Structure):
    pass


_PFile, _PVfs = POINTER(_File), POINTER(_Vfs)
_OPEN = CFUNCTYPE(c_int, _PVfs, c_char_p, _PFile, c_int, POINTER(c_int))
_DELETE = CFUNCTYPE(c_int, _PVfs, c_char_p, c_int)
_ACCESS = CFUNCTYPE(c_int, _PVfs, c_char_p, c_int, POINTER(c_int))
_FULL_PATH = CFUNCTYPE(c_int, _PVfs, c_char_p, c_int, c_void_p)
_RANDOM = CFUNCTYPE(c_int, _PVfs, c_int, c_void_p)
_SLEEP = CFUNCTYPE(c_int, _PVfs, c_int)
_TIME = CFUNCTYPE(c_int, _PVfs, POINTER(c_double))
_LAST_ERROR = CFUNCTYPE(c_int, _PVfs, c_int, c_void_p)
_Vfs._fields_ = [  # sqlite3.h, sqlite3_vfs, version 1
    ("version", c_int),
    ("file_size", c_int),
    ("path_size", c_int),
    ("next", c_void_p),
    ("name", c_char_p),
    ("data", c_void_p),
    ("open", _OPEN),
    ("delete", _DELETE),
    ("access", _ACCESS),
    ("full_path", _FULL_PATH),
    ("dl_open", c_void_p),
    ("dl_error", c_void_p),
    ("dl_sym", c_void_p),
    ("dl_close", c_void_p),
    ("random", _RANDOM),
    ("sleep", _SLEEP),
    ("time", _TIME),
    ("last_error", _LAST_ERROR),
]

_CLOSE = CFUNCTYPE(c_int, _PFile)
_IO = CFUNCTYPE(c_int, _PFile, c_void_p, c_int, c_int64)
_TRUNCATE = CFUNCTYPE(c_int, _PFile, c_int64)
_NUMBER = CFUNCTYPE(c_int, _PFile, c_int)
_SIZE = CFUNCTYPE(c_int, _PFile, POINTER(c_int64))
_RESERVED = CFUNCTYPE(c_int, _PFile, POINTER(c_int))
_CONTROL = CFUNCTYPE(c_int, _PFile, c_int, c_void_p)


class _Methods(Structure):
    _fields_ = [  # sqlite3.h, sqlite3_io_methods, version 1
        ("version", c_int),
        ("close", _CLOSE),
        ("read", _IO),
        ("write", _IO),
        ("truncate", _TRUNCATE),
        ("sync", _NUMBER),
        ("size", _SIZE),
        ("lock", _NUMBER),
        ("unlock", _NUMBER),
        ("reserved", _RESERVED),
        ("control", _CONTROL),
        ("sector_size", _CLOSE),
        ("characteristics", _CLOSE),
    ]


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
        _vfs()  # skips the test where SQLite cannot be reached
        _registered.disk = self
        _library().sqlite3_vfs_register(byref(_vfs()), 1)
        return self

    def __exit__(self, *_: object) -> None:
        _library().sqlite3_vfs_unregister(byref(_vfs()))
        _registered.disk = None

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
        create = os.O_CREAT if flags & _OPEN_CREATE else 0
        fd = os.open(path, os.O_RDWR | create | os.O_CLOEXEC, 0o600)
        content = self._files.setdefault(path, _Content(path, synced_size=os.fstat(fd).st_size))
        number = next(_numbers)
        self._open[number] = fd, content
        _disks[number] = self
        return number

    def close(self, number: int) -> int:
        """Close a file; return a result code."""
        os.close(self._open.pop(number)[0])
        del _disks[number]
        return _OK

    def delete(self, name: bytes) -> int:
        """Delete a file; return a result code. Durable at once."""
        if self._is_lost():
            return _IOERR
        path = Path(os.fsdecode(name))
        path.unlink(missing_ok=True)
        self._files.pop(path, None)
        return _OK

    def read(self, number: int, size: int, offset: int) -> bytes:
        """Read from a file."""
        return os.pread(self._open[number][0], size, offset)

    def size(self, number: int) -> int:
        """Return a file's size."""
        return os.fstat(self._open[number][0]).st_size

    def write(self, number: int, data: bytes, offset: int) -> int:
        """Write to a file; return a result code."""
        if self._is_lost():
            return _IOERR
        fd, content = self._open[number]
        growth = max(0, offset + len(data) - os.fstat(fd).st_size)
        if growth and growth > self.free_bytes():
            return _FULL
        content.unsynced.append((offset, os.pread(fd, len(data), offset), data))
        os.pwrite(fd, data, offset)
        return _OK

    def truncate(self, number: int, size: int) -> int:
        """Cut a file; return a result code. Durable at once."""
        if self._is_lost():
            return _IOERR
        fd, content = self._open[number]
        os.ftruncate(fd, size)
        content.synced_size = min(content.synced_size, size)
        content.unsynced = [each for each in content.unsynced if each[0] + len(each[2]) <= size]
        return _OK

    def sync(self, number: int) -> int:
        """Make a file's content durable; return a result code."""
        if self._is_lost():
            return _IOERR
        if self.fail_sync_at is not None:
            self.fail_sync_at -= 1
            if self.fail_sync_at < 0:
                self.fail_sync_at = None
                return _IOERR_FSYNC
        if self.sync_s:
            time.sleep(self.sync_s)  # a slow disk
        fd, content = self._open[number]
        content.unsynced.clear()
        content.synced_size = os.fstat(fd).st_size
        self.syncs += 1
        return _OK

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


class _Registered:
    """The disk of the databases that are opened now."""

    disk: SimulatedDisk | None = None


_registered = _Registered()
# Of files that are open: a database may outlive its disk's turn.
_disks: dict[int, SimulatedDisk] = {}
_numbers = count(1)


@cache
def _library() -> ctypes.CDLL:
    """Return the SQLite that Python uses."""
    try:
        library = ctypes.CDLL(_sqlite3.__file__)
        library.sqlite3_vfs_register  # noqa: B018  # is it there?
    except (AttributeError, OSError):
        pytest.skip("SQLite is built into Python: its files cannot be simulated")
    return library


def _guarded(call: Callable[[SimulatedDisk], int], file: Any = None) -> int:
    """Call the disk of a file; an exception must not pass through SQLite."""
    disk = _registered.disk if file is None else _disks.get(file.contents.number)
    if disk is None:
        return _IOERR
    try:
        return call(disk)
    except OSError:
        return _IOERR


def _x_open(_: Any, name: bytes, file: Any, flags: int, out: Any) -> int:
    def call(disk: SimulatedDisk) -> int:
        file.contents.number = disk.open(name, flags)
        file.contents.methods = cast(byref(_methods()), c_void_p)
        if out:
            out[0] = flags
        return _OK

    file.contents.methods = None
    return _guarded(call)


def _x_delete(_: Any, name: bytes, __: int) -> int:
    return _guarded(lambda disk: disk.delete(name))


def _x_access(_: Any, name: bytes, __: int, out: Any) -> int:
    out[0] = os.path.exists(name)  # noqa: PTH110  # a name in bytes
    return _OK


def _x_full_path(_: Any, name: bytes, size: int, out: int) -> int:
    path = os.path.abspath(name) + b"\0"  # noqa: PTH100  # a name in bytes
    memmove(out, path, min(size, len(path)))
    return _OK


def _x_random(_: Any, size: int, out: int) -> int:
    memmove(out, os.urandom(size), size)
    return size


def _x_time(_: Any, out: Any) -> int:
    out[0] = 2440587.5 + time.time() / 86400
    return _OK


def _x_close(file: Any) -> int:
    return _guarded(lambda disk: disk.close(file.contents.number), file)


def _x_read(file: Any, buffer: int, size: int, offset: int) -> int:
    def call(disk: SimulatedDisk) -> int:
        data = disk.read(file.contents.number, size, offset)
        memmove(buffer, data.ljust(size, b"\0"), size)
        return _OK if len(data) == size else _IOERR_SHORT_READ

    return _guarded(call, file)


def _x_write(file: Any, buffer: int, size: int, offset: int) -> int:
    data = string_at(buffer, size)
    return _guarded(lambda disk: disk.write(file.contents.number, data, offset), file)


def _x_truncate(file: Any, size: int) -> int:
    return _guarded(lambda disk: disk.truncate(file.contents.number, size), file)


def _x_sync(file: Any, _: int) -> int:
    return _guarded(lambda disk: disk.sync(file.contents.number), file)


def _x_size(file: Any, out: Any) -> int:
    def call(disk: SimulatedDisk) -> int:
        out[0] = disk.size(file.contents.number)
        return _OK

    return _guarded(call, file)


def _x_reserved(_: Any, out: Any) -> int:
    out[0] = 0
    return _OK


@cache
def _methods() -> _Methods:
    return _Methods(
        1,
        _CLOSE(_x_close),
        _IO(_x_read),
        _IO(_x_write),
        _TRUNCATE(_x_truncate),
        _NUMBER(_x_sync),
        _SIZE(_x_size),
        _NUMBER(lambda _file, _level: _OK),
        _NUMBER(lambda _file, _level: _OK),
        _RESERVED(_x_reserved),
        _CONTROL(lambda _file, _op, _arg: _NOTFOUND),
        _CLOSE(lambda _file: SECTOR),
        _CLOSE(lambda _file: 0),
    )


@cache
def _vfs() -> _Vfs:
    _library()
    return _Vfs(
        1,
        sizeof(_File),
        _PATH_BYTES,
        None,
        b"simulated",
        None,
        _OPEN(_x_open),
        _DELETE(_x_delete),
        _ACCESS(_x_access),
        _FULL_PATH(_x_full_path),
        None,
        None,
        None,
        None,
        _RANDOM(_x_random),
        _SLEEP(lambda _vfs, microseconds: microseconds),
        _TIME(_x_time),
        _LAST_ERROR(lambda _vfs, _size, _out: _OK),
    )
