"""Repairs: what is done to a damaged database so that SQLite reads what is left of it.

Nothing is restored here: rows on pages that are lost stay lost. A header, whose
content is known, is written anew, and a file that was cut gets its length back.
"""

from __future__ import annotations

import sqlite3
import struct
from typing import TYPE_CHECKING

from otelbridge.journal.schema import FORMAT, create_tables
from otelbridge.journal.wal import PAGE

if TYPE_CHECKING:
    from pathlib import Path

#: What every database begins with.
MAGIC = b"SQLite format 3\0"
# Page size, versions for writing and reading (2: with a log), and three constants.
_HEAD = MAGIC + PAGE.to_bytes(2, "big") + bytes((2, 2, 0, 64, 32, 32))
_PAGES = slice(28, 32)
# Behind the schema's cookie: its format, and what is never set but the text's encoding.
_FIXED = {44: (4, 0, 0, 1), 64: (0,), 72: (0, 0, 0, 0, 0)}
_VERSION = slice(60, 64)
_COUNTERS = slice(24, 28), slice(92, 96)
# A name, a header or a journal of somebody else agrees in less than this with ours.
_LIKENESS = 16


def looks_like_ours(path: Path) -> bool:
    """Return whether a file that is no database may have been one of ours."""
    with path.open("rb") as file:
        head = file.read(len(_HEAD))
    return sum(a == b for a, b in zip(head, _HEAD, strict=False)) >= _LIKENESS


def repair_header(path: Path) -> None:
    """Write the header's constants anew, and make the file as long as it says it was."""
    with path.open("r+b") as file:
        file.write(_HEAD)
        for offset, numbers in _FIXED.items():
            file.seek(offset)
            file.write(struct.pack(f">{len(numbers)}I", *numbers))
        file.seek(0)
        head = file.read(100)
        pages = int.from_bytes(head[_PAGES], "big")
        size = file.seek(0, 2)
        if 0 < pages * PAGE - size < max(size, PAGE * 1024) * 64:
            file.truncate(pages * PAGE)  # what was cut off is zeros now: pages that are lost
        elif size % PAGE:
            file.truncate((size // PAGE + 1) * PAGE)


def replace_first_page(path: Path) -> None:
    """Put the first page of an empty journal in the place of one that cannot be read.

    It says where each table begins: at the same page in every journal that
    was created in this format.
    """
    page = bytearray(_first_page())
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        page[_PAGES] = max(1, -(-size // PAGE)).to_bytes(4, "big")
        for counter in _COUNTERS:  # equal: the number of pages is to be believed
            page[counter] = (1).to_bytes(4, "big")
        file.seek(0)
        file.write(page)


def is_of_this_format(path: Path) -> bool:
    """Return whether a file says that it was written in the present format."""
    with path.open("rb") as file:
        return int.from_bytes(file.read(100)[_VERSION], "big") == FORMAT


def _first_page() -> bytes:
    with sqlite3.connect(":memory:", isolation_level=None) as database:
        create_tables(database)
        page = bytearray(database.serialize()[:PAGE])
    database.close()
    page[: len(_HEAD)] = _HEAD
    return bytes(page)
