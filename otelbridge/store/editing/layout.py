"""Where tables stand in a text: they come and go with the empty lines around them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from otelbridge.errors import StoreError
from otelbridge.store.editing.parts import Part, split_parts

if TYPE_CHECKING:
    from collections.abc import Callable

#: What people are told of a format that cannot be edited here.
UNUSUAL = "the store file's format is too unusual for this edit: make it by hand"

_BARE_NEWLINE = re.compile(r"(?<!\r)\n")
_FIRST_EMPTY_LINES = re.compile(r"\A(?:[ \t]*\r?\n)+")
_LAST_EMPTY_LINES = re.compile(r"(?:^[ \t]*\r?\n)+\Z", re.MULTILINE)


class Layout:
    """A text's parts, in their order.

    Args:
        text: Valid TOML. Its first line's end is that of new lines.

    Attributes:
        parts: The first one is what stands before any table.
    """

    def __init__(self, text: str) -> None:
        self.parts = split_parts(text)
        self._newline = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"

    @property
    def text(self) -> str:
        """Return the text."""
        return "".join(part.text for part in self.parts)

    def elements(self, array: str) -> list[Part]:
        """Return the tables with the header ``[[array]]``."""
        return [part for part in self.parts if part.path == (array,) and part.is_element]

    def insert(self, array: str, table: str) -> None:
        """Add a table below the last one of its array, else at the end.

        Args:
            array: The array's name.
            table: The table with its header, in lines that end with LF.
        """
        new = Part(path=(array,), is_element=True, body=table.replace("\n", self._newline))
        own = [index for index, part in enumerate(self.parts) if part.path[:1] == (array,)]
        at = own[-1] if own else len(self.parts) - 1
        before = self.parts[at]
        if own:
            new.gap, before.gap = before.gap, ""
        self._end_with_empty_line(before)
        self.parts.insert(at + 1, new)
        is_followed = bool(new.gap) or at + 2 < len(self.parts)
        if is_followed and not _FIRST_EMPTY_LINES.match(new.gap):
            new.gap = self._newline + new.gap

    def drop(self, part: Part) -> None:
        """Take a table away. The comments above it and in its gap stay."""
        at = next(index for index, other in enumerate(self.parts) if other is part)
        before, gap = self.parts[at - 1], part.gap
        if not before.text or _LAST_EMPTY_LINES.search(before.text):
            gap = _FIRST_EMPTY_LINES.sub("", gap)
        before.gap += gap
        del self.parts[at]
        if at == len(self.parts):
            before.gap = _LAST_EMPTY_LINES.sub("", before.gap)

    def change(self, part: Part, change: Callable[[Any], object]) -> None:
        """Change values of a table.

        Args:
            part: The table.
            change: Called with tomlkit's document of this table alone.

        Raises:
            StoreError: If tomlkit cannot read or change it.
        """
        try:
            document = tomlkit.parse(part.body)
            change(document)
        except TOMLKitError:
            raise StoreError([UNUSUAL]) from None
        body = document.as_string()
        # tomlkit ends new lines with LF. One that was there is in a value of several lines.
        had_bare = _BARE_NEWLINE.search(part.body)
        part.body = body if had_bare else _BARE_NEWLINE.sub(self._newline, body)

    def _end_with_empty_line(self, part: Part) -> None:
        if part.text and not part.text.endswith("\n"):
            part.gap += self._newline
        if part.text and not _LAST_EMPTY_LINES.search(part.text):
            part.gap += self._newline
