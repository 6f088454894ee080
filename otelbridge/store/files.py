"""Reading the store's files: bounded, regular files only, and private where secrets are."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

#: What changes when a file is written, replaced, re-linked or made readable by
#: others; None if there is none.
Signature: TypeAlias = tuple[int, int, int, int, int] | None

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class FileContent(NamedTuple):
    """A file as it was at one instant.

    Attributes:
        data: All its bytes.
        mode: Its permission bits.
    """

    data: bytes
    mode: int

    @property
    def exposure(self) -> str | None:
        """Return what is wrong with the mode of a file with secrets, if anything is."""
        if not self.mode & _OTHERS:
            return None
        return f"mode {self.mode:04o} is open to others than its owner, 0600 is allowed (chmod 600)"


def signature(path: Path) -> Signature:
    """Return what a file looks like from outside; a symbolic link is followed.

    Two writes within one tick of the file system's clock (4 ms on Linux) that
    leave the same size look the same.
    """
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return None
    # ctime tells of a file with an old mtime that was put in another's place.
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_mode


def read_regular(path: Path, *, max_bytes: int) -> FileContent:
    """Read a whole file; never waits for a pipe or a device.

    Args:
        path: The file; a symbolic link is followed.
        max_bytes: Largest size to accept. Of a larger file no more is read.

    Raises:
        ValueError: If it cannot be read, is no regular file or is too large.
            The text is for people and names no path.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return _read(descriptor, max_bytes)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ValueError(os_reason(error)) from None


def _read(descriptor: int, max_bytes: int) -> FileContent:
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        raise ValueError("not a regular file")
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(f"larger than {max_bytes} bytes, which is the limit")
    return FileContent(data, stat.S_IMODE(mode))


def os_reason(error: OSError) -> str:
    """Return what went wrong, without the path, as a part of a sentence."""
    text = error.strerror or type(error).__name__
    return f"{text[:1].lower()}{text[1:]}"
