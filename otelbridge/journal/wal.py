"""The log of a database, frame by frame, as far as it must be known to notice damage.

SQLite reads its log up to the first frame whose checksum is wrong, and takes
the rest for the torn end of a commit that never returned. If there are whole
commits behind that frame, they had returned: something has changed the file.

Source: SQLite file format 2, section 4, "The Write-Ahead Log".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PAGE = 4096
# Magic, version, page size, checkpoint number, two salts, two checksums.
_HEADER = struct.Struct(">IIIIIIII")
# Page number, size of the database after a commit, two salts, two checksums.
_FRAME = struct.Struct(">IIIIII")


class Frame(NamedTuple):
    """A page in the log.

    Attributes:
        offset: Where its content begins in the file.
        page: The page's number, from 1.
        pages: Pages of the database after the commit that this frame ends;
            0 if it ends none.
    """

    offset: int
    page: int
    pages: int


def log_of(database: Path) -> Path:
    """Return the log's file."""
    return database.with_name(f"{database.name}-wal")


def read_frames(log: Path) -> list[Frame]:
    """Return the frames of the log's present generation; checksums are not looked at.

    The generation is known by two salts: those of the first frame, because
    the file's own header may be what is damaged.
    """
    found: list[Frame] = []
    salts = None
    try:
        file = log.open("rb")
    except FileNotFoundError:
        return found
    with file:
        offset = _HEADER.size
        while True:
            file.seek(offset)
            head = file.read(_FRAME.size)
            if len(head) < _FRAME.size:
                return found
            page, pages, *others = _FRAME.unpack(head)
            if salts not in (None, others[:2]) or not page:
                return found
            salts = others[:2]
            found.append(Frame(offset + _FRAME.size, page, pages))
            offset += _FRAME.size + PAGE


def commits_in(frames: Iterable[Frame]) -> int:
    """Return how many commits the frames end."""
    return sum(1 for frame in frames if frame.pages)


def overlay(database: Path, log: Path, frames: list[Frame]) -> None:
    """Write the pages of frames into a database, up to the last commit among them."""
    ends = [number for number, frame in enumerate(frames) if frame.pages]
    if not ends:
        return
    pages = frames[ends[-1]].pages
    with database.open("r+b") as target, log.open("rb") as source:
        for frame in frames[: ends[-1] + 1]:
            if frame.page <= pages:  # else its number is what is damaged
                source.seek(frame.offset)
                target.seek((frame.page - 1) * PAGE)
                target.write(source.read(PAGE))
        target.truncate(pages * PAGE)
