"""The parts of a TOML text, cut so that whole tables can be added and taken away.

tomlkit keeps the format of values, but gathers the tables of an array that
others are written in between, and counts a comment to the table before it.
Here a part is one table as it stands in the file, and the comments that lead
up to the next one are its gap. Source: TOML 1.0.0, "Table" and "Array of Tables".
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# A line that may be a table's header, or else within a value of several lines.
_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)
_LINES = re.compile(r"(?<=\n)")
# What begins a value that may have several lines: a text, or an array.
_LONG = re.compile(r"\"{3}|'{3}|=[^\n]*\[")


# Not compared: two tables may be written alike. Not shown: there are secrets in it.
@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Part:
    """One table of the text; the first part is what stands before any table.

    Attributes:
        path: The header's names; empty for the first part.
        is_element: Whether the header is that of an array's element, ``[[…]]``.
        body: The header and the keys. Whole lines, but for the text's last one.
        notes: Comments right below the keys: they belong to the table.
        gap: Empty lines and comments before the next part.
    """

    path: tuple[str, ...] = ()
    is_element: bool = False
    body: str = ""
    notes: str = ""
    gap: str = ""

    @property
    def text(self) -> str:
        """Return all of it."""
        return f"{self.body}{self.notes}{self.gap}"


def split_parts(text: str) -> list[Part]:
    """Return the parts of a text that is valid TOML; together they are the text."""
    pieces = list(_pieces(text))
    parts = [_part(piece, is_last=False) for piece in pieces[:-1]]
    return [*parts, _part(pieces[-1], is_last=True)]


def _pieces(text: str) -> Iterator[str]:
    start = 0
    for match in _HEADER.finditer(text):
        if _is_whole(text[start : match.start()]):
            yield text[start : match.start()]
            start = match.start()
    yield text[start:]


def _is_whole(piece: str) -> bool:
    """Return whether the end of a piece is not within a value, which would be no TOML."""
    if not _LONG.search(piece):
        return True
    try:
        tomllib.loads(piece)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _part(piece: str, *, is_last: bool) -> Part:
    lines = [line for line in _LINES.split(piece) if line]
    path, is_element = _header(lines[0] if lines else "")
    end = _end_of_keys(lines, first=1 if path else 0)
    notes = _end_of_notes(lines, end, is_last=is_last) if end else end
    return Part(
        path=path,
        is_element=is_element,
        body="".join(lines[:end]),
        notes="".join(lines[end:notes]),
        gap="".join(lines[notes:]),
    )


def _header(line: str) -> tuple[tuple[str, ...], bool]:
    """Return a header's names, and whether it is that of an array's element."""
    if not line.lstrip(" \t").startswith("["):
        return (), False
    names: list[str] = []
    value: Any = tomllib.loads(line)
    while value and isinstance(value, dict):
        name, value = next(iter(value.items()))
        names.append(name)
    return tuple(names), isinstance(value, list)


def _end_of_keys(lines: list[str], *, first: int) -> int:
    end = len(lines)
    while end > first and _is_trivia(lines[end - 1]):
        end -= 1
    # The last line of a text of several lines may look like a comment.
    while not _is_whole("".join(lines[:end])):
        end += 1
    return end


def _end_of_notes(lines: list[str], end: int, *, is_last: bool) -> int:
    notes = end
    while notes < len(lines) and lines[notes].strip():
        notes += 1
    # Comments that run into the next header are about what it begins.
    return notes if notes < len(lines) or is_last else end


def _is_trivia(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")
