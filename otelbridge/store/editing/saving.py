"""Replacing a file at once, one process after the other."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from otelbridge.errors import StoreError
from otelbridge.store.files import os_reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MODE = 0o600


@contextmanager
def locked(path: Path, *, timeout_s: float) -> Iterator[None]:
    """Hold the lock of a file, ``<name>.lock`` beside it.

    The lock's file stays: one that is removed could be held twice.

    Args:
        path: The file, no symbolic link.
        timeout_s: How long to wait for it, in seconds.

    Raises:
        StoreError: If others hold it for longer, or its file cannot be made.
    """
    lock = FileLock(path.with_name(f"{path.name}.lock"), mode=_MODE)
    try:
        lock.acquire(timeout=timeout_s)
    except Timeout:
        raise _error(path, f"locked by another process for {timeout_s:g} s") from None
    except OSError as error:
        raise _error(path, f"cannot be locked: {os_reason(error)}") from None
    try:
        with suppress(OSError):  # the lock is held all the same
            _give(path.with_name(f"{path.name}.lock"), owner=path.stat())
        yield
    finally:
        lock.release()


def replace(path: Path, data: bytes) -> None:
    """Put bytes in a file's place, with its owner and mode.

    Whoever reads it has the old file or the new one, whole, also after a
    crash or a power loss.

    Args:
        path: The file, no symbolic link; the caller holds its lock.
        data: What will be in it.

    Raises:
        StoreError: If that cannot be done; the file is as it was.
    """
    # The name is fixed, for the lock is held: what a killed process left goes.
    new = path.with_name(f"{path.name}.tmp")
    try:
        try:
            new.unlink(missing_ok=True)
            _write(new, data, like=path.stat())
            new.replace(path)
        except OSError:
            with suppress(OSError):
                new.unlink()
            raise
        _sync_directory(path.parent)
    except OSError as error:
        raise _error(path, f"cannot be written: {os_reason(error)}") from None


def _write(path: Path, data: bytes, *, like: os.stat_result) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        _give(path, owner=like)
        os.fchmod(descriptor, like.st_mode & 0o7777)
        os.fsync(descriptor)


def _give(path: Path, *, owner: os.stat_result) -> None:
    """Give a file to the owner of what it belongs to, who must be able to open it."""
    if os.geteuid() == 0 or owner.st_uid != os.geteuid():
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _error(path: Path, problem: str) -> StoreError:
    return StoreError([f"{path.name}: {problem}"])
