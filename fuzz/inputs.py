"""Inputs that once reached new code or showed a mistake, by target."""

from __future__ import annotations

from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def kept(name: str) -> list[bytes]:
    """Return the inputs that are kept for a target, by the name of its module."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
