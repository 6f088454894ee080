"""Truncation: long texts are cut, and JSON that is cut is still JSON.

Sizes are bytes of UTF-8. Time and memory grow with the limit and with the
length of single strings, never with what else a text holds.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    #: Returns where a text can be cut, at a place or before it.
    SafeEnd = Callable[[str, int], int]

#: Stands where something was left out.
MARK: Final = "[TRUNCATED]"
#: The same as a JSON text.
MARK_JSON: Final = json.dumps(MARK)
#: The least that a text can be cut to, in bytes.
MIN_BYTES: Final = 256

_MEMBER_MARK = f"{MARK_JSON}:true"
# Containers within containers; what is deeper is left out.
_MAX_DEPTH = 64
# One of the open containers says that something is missing.
_RESERVE = len(f",{_MEMBER_MARK}")
_SPACE = re.compile(r"[ \t\n\r]*")
_SCALAR = re.compile(r"(?:-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null)")
_CLOSERS = {"[": "]", "{": "}"}
# Reads single strings here.
_DECODER = json.JSONDecoder()


class Shortener:
    """Cuts texts to one limit.

    Args:
        max_bytes: The limit; at least `MIN_BYTES`.
        safe_end: Where a text can be cut: not through a secret, of which no
            rule would recognise the rest.
    """

    def __init__(self, max_bytes: int, safe_end: SafeEnd) -> None:
        self.max_bytes = max_bytes
        self._safe_end = safe_end

    def text(self, text: str, max_bytes: int | None = None) -> str:
        """Return a text, cut if it is too long.

        Args:
            text: The text.
            max_bytes: A smaller limit.
        """
        limit = self._limit(max_bytes)
        return text if fits(text, limit) else cut_text(text, limit, self._safe_end)

    def json(self, text: str, max_bytes: int | None = None) -> str:
        """Return a JSON text, cut inside if it is too long; see `text` for one that is none."""
        limit = self._limit(max_bytes)
        if fits(text, limit):
            return text
        cut = cut_json(text, limit, self._safe_end)
        return cut_text(text, limit, self._safe_end) if cut is None else cut

    def _limit(self, max_bytes: int | None) -> int:
        return self.max_bytes if max_bytes is None else min(max_bytes, self.max_bytes)


def fits(text: str, max_bytes: int) -> bool:
    """Return whether a text takes no more than so many bytes."""
    if len(text) * 4 <= max_bytes:  # at most four bytes a character
        return True
    return len(text) <= max_bytes and size_of(text) <= max_bytes


def size_of(text: str) -> int:
    """Return how many bytes a text takes."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def cut_text(text: str, max_bytes: int, safe_end: SafeEnd) -> str:
    """Return the beginning of a text, and a mark behind it.

    Args:
        text: A text that is too long.
        max_bytes: The limit; at least `MIN_BYTES`.
        safe_end: See `Shortener`.
    """
    room = max_bytes - len(MARK)
    beginning = text[:room].encode(errors="replace")[:room].decode(errors="ignore")
    return f"{text[: safe_end(text, len(beginning))]}{MARK}"


def cut_json(text: str, max_bytes: int, safe_end: SafeEnd) -> str | None:
    """Return a JSON text that is cut: long strings within it, and then its end.

    A string may take half of what is left, or all that is not needed for what
    stands behind it: so keys and short values behind a long one are kept.

    Args:
        text: A text that is too long.
        max_bytes: The limit; at least `MIN_BYTES`.
        safe_end: See `Shortener`.

    Returns:
        JSON without blanks, of the same kind of value; None if the text is
        no JSON as far as it was read.
    """
    try:
        return _Cutter(text, max_bytes, safe_end).run()
    except (ValueError, IndexError):
        return None


class _FullError(Exception):
    """There is no room for the next token."""


class _Open(NamedTuple):
    """A container that is open."""

    closer: str
    is_empty: bool = True


class _Cutter:
    """Writes a JSON text again as far as there is room."""

    def __init__(self, text: str, max_bytes: int, safe_end: SafeEnd) -> None:
        self._text = text
        self._safe_end = safe_end
        self._at = 0
        self._left = max_bytes - _RESERVE
        self._open: list[_Open] = []
        self._out: list[str] = []

    def run(self) -> str:
        """Return what was written.

        Raises:
            ValueError: If the text is no JSON.
            IndexError: If it ends too early to be one.
        """
        try:
            self._value("")
            while self._open:
                self._step()
        except _FullError:
            return "".join((*self._out, *self._ending()))
        self._skip()
        if self._at != len(self._text):
            raise ValueError("something follows the value")
        return "".join(self._out)

    def _step(self) -> None:
        """Write the next element or member of the innermost container, or close it."""
        closer, is_empty = self._open[-1]
        if self._next() == closer:
            self._at += 1
            self._out.append(closer)
            self._open.pop()
            return
        before = "" if is_empty else self._expected(",")
        self._value(before if closer == "]" else f"{before}{self._key()}:")

    def _value(self, before: str) -> None:
        """Write a value, or the beginning of one; nothing of ``before`` without it."""
        first = self._next()
        if first == '"':
            self._string(before)
        elif first in _CLOSERS:
            if len(self._open) == _MAX_DEPTH:
                raise _FullError
            self._emit(before + first, self._at + 1, more=1)  # it will be closed
            self._open.append(_Open(_CLOSERS[first]))
        else:
            scalar = _SCALAR.match(self._text, self._at)
            if scalar is None:
                raise ValueError("not a value")
            self._emit(before + scalar[0], scalar.end())

    def _string(self, before: str) -> None:
        value, end = _DECODER.raw_decode(self._text, self._at)
        token = self._text[self._at : end]
        room = self._left - size_of(before)
        allowed = max(room // 2, room - (len(self._text) - end))
        if size_of(token) > allowed:
            token = self._cut(value, allowed)
        self._emit(before + token, end)

    def _cut(self, value: str, max_bytes: int) -> str:
        """Return the beginning of a string and a mark, as JSON."""
        if size_of(_dumped(value[:max_bytes])) <= max_bytes and len(value) <= max_bytes:
            return _dumped(value)  # its escapes were what made it long
        room = max_bytes - len(MARK)
        ends = range(min(len(value), max(room, 0)) + 1)
        end = bisect_right(ends, room, key=lambda end: size_of(_dumped(value[:end]))) - 1
        if end < 0:
            raise _FullError
        return _dumped(value[: self._safe_end(value, end)] + MARK)

    def _key(self) -> str:
        if self._next() != '"':
            raise ValueError("not a key")
        begin = self._at
        _, self._at = _DECODER.raw_decode(self._text, begin)
        key = self._text[begin : self._at]
        self._next()
        self._expected(":")
        return key

    def _next(self) -> str:
        """Return the next character that is no blank."""
        self._skip()
        return self._text[self._at]

    def _skip(self) -> None:
        self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # none is enough

    def _expected(self, character: str) -> str:
        if self._text[self._at] != character:
            raise ValueError(f"{character} is missing")
        self._at += 1
        return character

    def _emit(self, token: str, end: int, *, more: int = 0) -> None:
        size = size_of(token) + more
        if size > self._left:
            raise _FullError
        self._left -= size
        self._out.append(token)
        self._at = end
        if self._open:
            self._open[-1] = _Open(self._open[-1].closer, is_empty=False)

    def _ending(self) -> list[str]:
        """Return the mark of the innermost container, and what closes all of them."""
        if not self._open:
            return [MARK_JSON]
        closer, is_empty = self._open[-1]
        mark = _MEMBER_MARK if closer == "}" else MARK_JSON
        return [mark if is_empty else f",{mark}", *(each.closer for each in reversed(self._open))]


def _dumped(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
