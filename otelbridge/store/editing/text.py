"""A store file's text, edited row by row; all else in it stays as it is."""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import tomlkit

from otelbridge.errors import StoreError
from otelbridge.store.editing.layout import UNUSUAL, Layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tomlkit.items import Array

    from otelbridge.store.editing.parts import Part

    Row: TypeAlias = dict[str, Any]

_SERVERS = "mcp_server"
_TOKENS = (_SERVERS, "auth", "tokens")
_INDENT = re.compile(r"\n([ \t]*)[^\s\]]")


class StoreText:
    """The text of a valid store file, and what it says.

    Each edit is made to both. `render` compares them: a text that would say
    anything else than what the edits made is never given out.

    Args:
        text: TOML that the loader accepts.
    """

    def __init__(self, text: str) -> None:
        self._layout = Layout(text)
        self._data = _parsed(text)

    def rows(self, array: str) -> list[Row]:
        """Return the tables of an array, with the edits that were made."""
        rows: list[Row] = self._data.get(array, [])
        return rows

    def append(self, array: str, row: Mapping[str, Any]) -> None:
        """Add a row below the last one, else at the end of the file."""
        if self._is_inline(array):
            self._layout.change(self._first, lambda document: _append(document[array], row))
        else:
            self._layout.insert(array, tomlkit.dumps({array: [row]}))
        self._data.setdefault(array, []).append(dict(row))

    def set(self, array: str, index: int, values: Mapping[str, str]) -> None:
        """Change keys of a row, or add them to it."""
        if self._is_inline(array):
            part, place = self._first, index
        else:
            part, place = self._layout.elements(array)[index], 0
        self._layout.change(part, lambda document: document[array][place].update(values))
        self.rows(array)[index].update(values)

    def remove(self, array: str, index: int) -> None:
        """Take a row away, with the comments in it."""
        del self.rows(array)[index]
        if self._is_inline(array):
            self._layout.change(self._first, lambda document: document[array].pop(index))
            return
        self._layout.drop(self._layout.elements(array)[index])
        if not self.rows(array):
            del self._data[array]

    def remove_tokens(self, user: str) -> None:
        """Take a user's own static tokens away, at every MCP server."""
        for part in [part for part in self._layout.parts if part.path[:4] == (*_TOKENS, user)]:
            self._layout.drop(part)
        for part in [part for part in self._layout.parts if part.path[:1] in {(), (_SERVERS,)}]:
            if any(user in tokens for _, tokens in token_tables(tomllib.loads(part.body))):
                self._layout.change(part, lambda document: _remove_tokens(document, user))
        _remove_tokens(self._data, user)
        _drop_empty_tokens(self._data)

    def render(self) -> str:
        """Return the edited text.

        Raises:
            StoreError: If it does not say what the edits made: the file's
                format is one that cannot be edited here.
        """
        text = self._layout.text
        try:
            is_right = _parsed(text) == self._data
        except tomllib.TOMLDecodeError:
            is_right = False
        if not is_right:
            raise StoreError([UNUSUAL])
        return text

    @property
    def _first(self) -> Part:
        return self._layout.parts[0]

    def _is_inline(self, array: str) -> bool:
        """Return whether an array is written as a value, ``array = [{ … }]``."""
        return array in self._data and not self._layout.elements(array)


def token_tables(data: Mapping[str, Any]) -> Iterator[tuple[Row, Row]]:
    """Yield the tables ``auth`` and ``auth.tokens`` of each MCP server that has users' own tokens.

    Args:
        data: A store file, or one table of it.
    """
    servers = data.get(_SERVERS, [])
    for server in servers if isinstance(servers, list) else [servers]:
        auth = server.get("auth", {})
        if "tokens" in auth:
            yield auth, auth["tokens"]


def _parsed(text: str) -> Row:
    data = tomllib.loads(text, parse_float=Decimal)
    _drop_empty_tokens(data)
    return data


def _drop_empty_tokens(data: Row) -> None:
    """Leave out what means the same as its absence, and may go with its last token."""
    for auth, tokens in list(token_tables(data)):
        if not tokens:
            del auth["tokens"]


def _remove_tokens(data: Mapping[str, Any], user: str) -> None:
    for _, tokens in token_tables(data):
        if user in tokens:
            del tokens[user]


def _append(array: Array, row: Mapping[str, Any]) -> None:
    table = tomlkit.inline_table()
    table.update(row)
    text = array.as_string()
    if "\n" in text:
        indent = _INDENT.search(text)
        array.add_line(table, indent=indent[1] if indent else "  ")
    else:
        array.append(table)
