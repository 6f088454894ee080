"""Settings on their way: the file's data with the environment laid over it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from otelbridge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(slots=True)
class Overlay:
    """The settings before they are checked.

    Attributes:
        data: Sections and keys. Tables of the file that are laid over are
            copied first: the file's data stays as it was.
        sources: Which variable set a key, by the key's path.
    """

    data: dict[str, Any]
    sources: dict[tuple[str, ...], str] = field(default_factory=dict)

    def set(self, path: Sequence[str], value: object, *, source: str) -> None:
        """Set a key; what stands on the way to it is created.

        Args:
            path: Section, key and so on; a destination's number is a step.
            value: The new value.
            source: The variable that says so.

        Raises:
            ConfigError: If there is no such place.
        """
        node: Any = self.data
        for step in path[:-1]:
            node = _child(node, step, source)
        if not isinstance(node, dict):
            raise ConfigError(source, "does not name a key of the configuration")
        node[path[-1]] = value
        self.sources[tuple(path)] = source

    def default(self, section: str, key: str, value: object, *, source: str) -> None:
        """Set a key of a section unless it is set already."""
        table = self.data.get(section, {})
        if isinstance(table, dict) and key not in table:
            self.set((section, key), value, source=source)

    def source_of(self, path: Sequence[str], *, is_unknown: bool) -> str | None:
        """Return the variable that set a key, or a table that it is in; None for the file.

        Args:
            path: The key's path.
            is_unknown: Whether it is no key at all: then a variable that set
                something in it has made it up.
        """
        path = tuple(path)
        for known, name in self.sources.items():
            if path[: len(known)] == known or (is_unknown and known[: len(path)] == path):
                return name
        return None


def _child(node: Any, step: str, source: str) -> Any:
    """Return a copy of what stands at a step, put in its place."""
    if isinstance(node, list):
        return _item(node, step, source)
    if not isinstance(node, dict):
        raise ConfigError(source, "does not name a key of the configuration")
    empty: object = [] if step == "destination" else {}
    node[step] = _copy(node.get(step, empty))
    return node[step]


def _item(items: list[Any], step: str, source: str) -> Any:
    number = int(step) if step.isascii() and step.isdigit() and len(step) <= len("99") else -1
    if not 0 <= number <= len(items):
        raise ConfigError(source, f"the next destination has the number {len(items)}")
    if number == len(items):
        items.append({})
    items[number] = _copy(items[number])
    return items[number]


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, dict | list) else value
