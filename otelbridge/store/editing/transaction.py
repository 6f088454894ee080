"""An edit from lock to rename: read, check, change, check again, write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from otelbridge.errors import StoreError
from otelbridge.store.editing.edits import StoreEdit
from otelbridge.store.editing.saving import locked, replace
from otelbridge.store.editing.text import StoreText
from otelbridge.store.files import FileContent, os_reason, read_regular
from otelbridge.store.loading import MAX_BYTES, load_content, load_store

if TYPE_CHECKING:
    from pathlib import Path

    from otelbridge.domain.access import Snapshot

# An edit takes a second at most: who holds the lock for longer is stopped or hangs.
_LOCK_TIMEOUT_S = 10.0


class _EveryVariable(Mapping[str, str]):
    """An environment in which every variable is set.

    Whoever edits the store need not have the server's environment: what its
    variables hold is checked where it runs.
    """

    def __getitem__(self, key: str) -> str:
        return "set where the server runs"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def view_store(path: Path) -> Snapshot:
    """Load a store file to be looked at, not to be served: no variable needs to be set.

    Raises:
        StoreError: As `otelbridge.store.load_store`.
    """
    return load_store(path, _EveryVariable())


@contextmanager
def edit_store(path: Path, *, timeout_s: float = _LOCK_TIMEOUT_S) -> Iterator[StoreEdit]:
    """Edit a store file: it is written when the block ends without an error.

    The file is right before and after, by the rules of the server, except that
    environment variables need not be set. It is replaced at once, with its
    owner and mode; where it is a symbolic link, what that leads to is replaced.
    Processes that edit one file take turns.

    Args:
        path: The store file.
        timeout_s: How long to wait for others' edits, in seconds.

    Raises:
        StoreError: If the file is wrong, would be wrong, is locked for too
            long or cannot be written. It is as it was.
    """
    target = _target(path)
    with locked(target, timeout_s=timeout_s):
        old = _read(path)
        load_content(old, path, _EveryVariable())
        text = StoreText(old.data.decode())
        yield StoreEdit(text)
        new = FileContent(text.render().encode(), old.mode)
        if new.data != old.data:
            _check(new, path)
            replace(target, new.data)


def _target(path: Path) -> Path:
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before 3.13
        reason = os_reason(error) if isinstance(error, OSError) else "links in a circle"
        raise StoreError([f"{path.name}: {reason}"]) from None


def _read(path: Path) -> FileContent:
    try:
        return read_regular(path, max_bytes=MAX_BYTES)
    except ValueError as error:
        raise StoreError([f"{path.name}: {error}"]) from None


def _check(new: FileContent, path: Path) -> None:
    try:
        if len(new.data) > MAX_BYTES:
            raise StoreError([f"{path.name}: larger than {MAX_BYTES} bytes, which is the limit"])
        load_content(new, path, _EveryVariable())
    except StoreError as error:
        raise StoreError(["not written, for it would be wrong:", *error.problems]) from None
