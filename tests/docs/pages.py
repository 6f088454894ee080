"""The documents as their readers see them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    """A fenced block of a document.

    Attributes:
        place: The document and the line, for a test's name.
        language: What stands after the fence.
        text: The block.
    """

    place: str
    language: str
    text: str


def pages() -> list[Path]:
    """Return every document of the repository."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def examples() -> list[Example]:
    """Return every fenced block of every document."""
    return [
        Example(
            f"{page.relative_to(ROOT)}:{text[: block.start()].count(chr(10)) + 1}",
            block["language"].strip(),
            block["text"],
        )
        for page in pages()
        for text in [page.read_text()]
        for block in _FENCE.finditer(text)
    ]
