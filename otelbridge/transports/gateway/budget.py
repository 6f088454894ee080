"""How much memory the requests of all sessions may take together."""

from __future__ import annotations


class Budget:
    """Bytes that may be held at one time.

    Args:
        max_bytes: The limit.

    Attributes:
        held: Bytes that are held now.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.held = 0

    def take(self, size: int) -> bool:
        """Hold some bytes more; return False, and hold none of them, if there is no room."""
        if self.held + size > self._max_bytes:
            return False
        self.held += size
        return True

    def give_back(self, size: int) -> None:
        """Hold some bytes less."""
        self.held -= size
