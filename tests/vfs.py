"""A VFS of SQLite in Python: what it asks of its files is asked of an object.

Source: sqlite3.h, `sqlite3_vfs` and `sqlite3_io_methods`, version 1 of both.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import os
import time
from collections.abc import Callable
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
from functools import cache
from itertools import count
from typing import Any, Protocol
from unittest import SkipTest

SECTOR = 512
#: Result codes.
OK, FULL, IOERR, IOERR_FSYNC = 0, 13, 10, 1034
OPEN_CREATE = 0x04
_NOTFOUND, _IOERR_SHORT_READ = 12, 522
_PATH_BYTES = 1024


class Disk(Protocol):
    """What files are on. A method's number is a result code if nothing else is said."""

    def open(self, name: bytes, flags: int) -> int:
        """Open a file; return its number."""

    def close(self, number: int) -> int:
        """Close a file."""

    def delete(self, name: bytes) -> int:
        """Delete a file."""

    def read(self, number: int, size: int, offset: int) -> bytes:
        """Read from a file."""

    def size(self, number: int) -> int:
        """Return a file's size."""

    def write(self, number: int, data: bytes, offset: int) -> int:
        """Write to a file."""

    def truncate(self, number: int, size: int) -> int:
        """Cut a file."""

    def sync(self, number: int) -> int:
        """Make a file's content durable."""


class _Registered:
    """The disk of the databases that are opened now."""

    disk: Disk | None = None


_registered = _Registered()
# Of files that are open: a database may outlive its disk's turn.
_disks: dict[int, Disk] = {}
_numbers = count(1)


def register(disk: Disk) -> None:
    """Put every database on a disk that is opened from now on.

    Raises:
        SkipTest: If SQLite cannot be reached.
    """
    _vfs()
    _registered.disk = disk
    _library().sqlite3_vfs_register(byref(_vfs()), 1)


def unregister() -> None:
    """Put databases where they are usually again."""
    _library().sqlite3_vfs_unregister(byref(_vfs()))
    _registered.disk = None


def opened(disk: Disk) -> int:
    """Return the number of a file that was opened on a disk."""
    number = next(_numbers)
    _disks[number] = disk
    return number


def closed(number: int) -> None:
    """Forget a file's number."""
    del _disks[number]


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


@cache
def _library() -> ctypes.CDLL:
    """Return the SQLite that Python uses."""
    try:
        library = ctypes.CDLL(_sqlite3.__file__)
        library.sqlite3_vfs_register  # noqa: B018  # is it there?
    except (AttributeError, OSError):
        raise SkipTest("SQLite is built into Python: its files cannot be simulated") from None
    return library


def _guarded(call: Callable[[Disk], int], file: Any = None) -> int:
    """Call the disk of a file; an exception must not pass through SQLite."""
    disk = _registered.disk if file is None else _disks.get(file.contents.number)
    if disk is None:
        return IOERR
    try:
        return call(disk)
    except OSError:
        return IOERR


def _x_open(_: Any, name: bytes, file: Any, flags: int, out: Any) -> int:
    def call(disk: Disk) -> int:
        file.contents.number = disk.open(name, flags)
        file.contents.methods = cast(byref(_methods()), c_void_p)
        if out:
            out[0] = flags
        return OK

    file.contents.methods = None
    return _guarded(call)


def _x_delete(_: Any, name: bytes, __: int) -> int:
    return _guarded(lambda disk: disk.delete(name))


def _x_access(_: Any, name: bytes, __: int, out: Any) -> int:
    out[0] = os.path.exists(name)  # noqa: PTH110  # a name in bytes
    return OK


def _x_full_path(_: Any, name: bytes, size: int, out: int) -> int:
    path = os.path.abspath(name) + b"\0"  # noqa: PTH100  # a name in bytes
    memmove(out, path, min(size, len(path)))
    return OK


def _x_random(_: Any, size: int, out: int) -> int:
    memmove(out, os.urandom(size), size)
    return size


def _x_time(_: Any, out: Any) -> int:
    out[0] = 2440587.5 + time.time() / 86400
    return OK


def _x_close(file: Any) -> int:
    return _guarded(lambda disk: disk.close(file.contents.number), file)


def _x_read(file: Any, buffer: int, size: int, offset: int) -> int:
    def call(disk: Disk) -> int:
        data = disk.read(file.contents.number, size, offset)
        memmove(buffer, data.ljust(size, b"\0"), size)
        return OK if len(data) == size else _IOERR_SHORT_READ

    return _guarded(call, file)


def _x_write(file: Any, buffer: int, size: int, offset: int) -> int:
    data = string_at(buffer, size)
    return _guarded(lambda disk: disk.write(file.contents.number, data, offset), file)


def _x_truncate(file: Any, size: int) -> int:
    return _guarded(lambda disk: disk.truncate(file.contents.number, size), file)


def _x_sync(file: Any, _: int) -> int:
    return _guarded(lambda disk: disk.sync(file.contents.number), file)


def _x_size(file: Any, out: Any) -> int:
    def call(disk: Disk) -> int:
        out[0] = disk.size(file.contents.number)
        return OK

    return _guarded(call, file)


def _x_reserved(_: Any, out: Any) -> int:
    out[0] = 0
    return OK


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
        _NUMBER(lambda _file, _level: OK),
        _NUMBER(lambda _file, _level: OK),
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
        _LAST_ERROR(lambda _vfs, _size, _out: OK),
    )
