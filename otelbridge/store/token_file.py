"""``tokens.json``: read when it changed, written in whole, shared by several processes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import threading
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import AsyncFileLock, FileLock, Timeout

from otelbridge.errors import StoreError
from otelbridge.store.files import os_reason, read_regular, signature
from otelbridge.store.tokens import find_link, links_of, parse_document, put_link

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path
    from uuid import UUID

    from filelock import BaseAsyncFileLock

    from otelbridge.store.files import Signature
    from otelbridge.store.tokens import Link, Links

_MAX_BYTES = 64 * 1024 * 1024  # 10,000 users with a 2 KiB token at each of three servers
# A change takes some fsyncs: who holds the lock for longer is stopped or hangs.
_LOCK_TIMEOUT_S = 10.0
# A file that was just changed may be changed again within the resolution of
# its times: what was read of it is not kept.
_FRESH_NS = 100_000_000


class _Cached(NamedTuple):
    stamp: Signature
    links: Links


class TokenFile:
    """The file with the users' logins; `read` and `update` block, they are for threads.

    Instances in one process or in several may use one file at the same time.

    Args:
        path: The file; need not exist. A symbolic link is followed, and what
            it leads to is replaced.
        lock_timeout_s: How long to wait for others' changes, in seconds.
    """

    def __init__(self, path: Path, *, lock_timeout_s: float = _LOCK_TIMEOUT_S) -> None:
        self._path = path
        self._lock_timeout_s = lock_timeout_s
        self._mutex = threading.Lock()
        self._cached: _Cached | None = None

    def read(self) -> Links:
        """Return all links; an absent file has none.

        Raises:
            StoreError: If it is there and cannot be read, others than its
                owner have access to it, or it is not of its form. No token is
                in the text. What is wrong with one link only spoils that link.
        """
        stamp = signature(self._path)
        cached = self._cached
        if cached is not None and cached.stamp == stamp:
            return cached.links
        # Read after its stamp was taken: it may be newer than that, never older.
        links = dict(links_of(self._document()))
        self._cached = None if _is_fresh(stamp) else _Cached(stamp, links)
        return links

    def update(
        self, server_id: str, user_id: UUID, change: Callable[[Link | None], Link | None]
    ) -> Link | None:
        """Change one link; it is on disk when this returns.

        Args:
            server_id: The MCP server.
            user_id: Whose link.
            change: Given the link (None if there is none), returns what takes
                its place (None to remove it). The same link writes nothing.

        Returns:
            What ``change`` returned.

        Raises:
            StoreError: If the file cannot be read (see `read`) or written, or
                others hold its lock for too long. Nothing was changed.
        """
        with self._locked():
            document = self._document()
            old = find_link(document, server_id, user_id)
            new = change(old)
            if new != old:
                put_link(document, server_id, user_id, new)
                self._write(json.dumps(document).encode() + b"\n")
            return new

    @asynccontextmanager
    async def refreshing(
        self, server_id: str, user_id: UUID, *, timeout_s: float
    ) -> AsyncIterator[None]:
        """Be the only one, of all processes, that refreshes a link.

        The locks are files in ``tokens.json.locks/`` beside the file; they
        stay there.

        Args:
            server_id: The MCP server.
            user_id: Whose link.
            timeout_s: How long to wait for another one, in seconds.

        Raises:
            StoreError: If another one takes longer, or locks cannot be kept.
        """
        lock = await asyncio.to_thread(self._refresh_lock, server_id, user_id)
        try:
            await lock.acquire(timeout=timeout_s)
        except Timeout:
            raise self._error(f"another process refreshes for {timeout_s:g} s") from None
        except OSError as error:
            raise self._error(f"locks cannot be kept: {os_reason(error)}") from None
        try:
            yield
        finally:
            await lock.release()

    def _refresh_lock(self, server_id: str, user_id: UUID) -> BaseAsyncFileLock:
        target = self._target()
        directory = target.with_name(f"{target.name}.locks")
        name = hashlib.sha256(f"{user_id} {server_id}".encode()).hexdigest()[:32]
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            (directory / name).touch(mode=0o600)
            for path in (directory, directory / name):
                _give(path, to_owner_of=target.parent)
        except OSError as error:
            raise self._error(f"locks cannot be kept: {os_reason(error)}") from None
        return AsyncFileLock(directory / name, mode=0o600)

    def _document(self) -> dict[str, Any]:
        target = self._target()
        if not target.exists() and target.parent.is_dir():
            return {}  # not yet; without the directory, what it leads to is missing
        try:
            content = read_regular(self._path, max_bytes=_MAX_BYTES)
            if content.exposure is not None:
                raise self._error(content.exposure)
            return parse_document(content.data)
        except ValueError as error:
            raise self._error(str(error)) from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        target = self._target()
        lock = FileLock(target.with_name(f"{target.name}.lock"), mode=0o600)
        # Threads of this process take turns without polling.
        if not self._mutex.acquire(timeout=self._lock_timeout_s):
            raise self._locked_error()
        try:
            with lock.acquire(timeout=self._lock_timeout_s):
                _give(target.with_name(f"{target.name}.lock"), to_owner_of=target.parent)
                yield
        except Timeout:
            raise self._locked_error() from None
        except OSError as error:
            raise self._error(f"cannot be written: {os_reason(error)}") from None
        finally:
            self._mutex.release()

    def _write(self, data: bytes) -> None:
        """Replace the file: whoever reads it has the old one or the new one, whole."""
        if len(data) > _MAX_BYTES:
            raise self._error(f"would have {len(data)} bytes, at most {_MAX_BYTES} are read")
        target = self._target()
        # The name is fixed, the lock is held: what a killed process left is replaced.
        temporary = target.with_name(f"{target.name}.tmp")
        with suppress(FileNotFoundError):
            temporary.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _give(temporary, to_owner_of=target if target.exists() else target.parent)
            temporary.replace(target)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise
        _sync_directory(target.parent)

    def _target(self) -> Path:
        return self._path.resolve()

    def _locked_error(self) -> StoreError:
        return self._error(f"locked by another process for {self._lock_timeout_s:g} s")

    def _error(self, problem: str) -> StoreError:
        return StoreError([f"{self._path.name}: {problem}"])


def _is_fresh(stamp: Signature) -> bool:
    return stamp is not None and abs(time.time_ns() - max(stamp[:2])) < _FRESH_NS


def _give(path: Path, *, to_owner_of: Path) -> None:
    """Give a file that root made to who owns its neighbours: the server must read it."""
    if os.geteuid() == 0:
        owner = to_owner_of.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
