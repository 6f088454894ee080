"""The log of a database, frame by frame, as far as it must be known to notice damage.

SQLite reads its log up to the first frame whose checksum is wrong, and takes
the rest for the torn end of a commit that never returned. If there are whole
commits behind that frame, they had returned: something has changed the file.

Source: SQLite file format 2, section 4, "The Write-Ahead Log".
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
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
        checksum: As it stands in the frame: over all frames up to this one.
    """

    offset: int
    page: int
    pages: int
    checksum: tuple[int, int]


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
            found.append(Frame(offset + _FRAME.size, page, pages, (others[2], others[3])))
            offset += _FRAME.size + PAGE


def whole_commits(log: Path, frames: list[Frame], *, after: int) -> int:
    """Return how many commits end in frames that are whole, at least.

    A frame is whole if its checksum follows from the one of the frame before
    it, whatever stands there. The last frame of a commit may be repeated to
    fill up a sector of the disk.

    Args:
        log: The log's file.
        frames: All its frames.
        after: How many of them are left out.
    """
    number, last = 0, None
    with log.open("rb") as file:
        order = "<" if file.read(4)[-1] & 1 == 0 else ">"
        for before, frame in pairwise(frames[max(after - 1, 0) :]):
            if not frame.pages:
                last = None
            elif frame.page != last and _is_whole(file, before, frame, order):
                number += 1
                last = frame.page
    return number


def _is_whole(file: BinaryIO, before: Frame, frame: Frame, order: str) -> bool:
    file.seek(frame.offset - _FRAME.size)
    content = file.read(8)
    file.seek(frame.offset)
    content += file.read(PAGE)
    if len(content) != 8 + PAGE:  # the file was cut here
        return False
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    first, second = before.checksum
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return (first, second) == frame.checksum


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
