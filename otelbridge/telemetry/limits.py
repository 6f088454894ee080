"""Limits of single attributes, and a count of what was cut to them.

An exporter's limits would cut the oldest attributes first, required ones
among them; so ours are smaller. A chat span has at most 128 attributes.
"""

from __future__ import annotations

from typing import Final

from otelbridge.telemetry import semconv as sc
from otelbridge.telemetry import wire

#: Length of an id or a name, in characters; what is longer is cut.
MAX_TEXT: Final = 1024
#: Length of a User-Agent header, in characters; what is longer is cut.
MAX_USER_AGENT: Final = 512


class Cutter:
    """Cuts the texts of one span or event to their limits.

    Attributes:
        count: How many were too long.
    """

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, text: str, limit: int = MAX_TEXT) -> str:
        """Return a text of at most so many characters."""
        if len(text) <= limit:
            return text
        self.count += 1
        return text[:limit]

    def attributes(self) -> list[bytes]:
        """Return the attribute that says how many were cut; nothing if none was."""
        return [wire.integer(sc.ATTRIBUTES_TRUNCATED, self.count)] if self.count else []
