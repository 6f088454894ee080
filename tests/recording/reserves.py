"""The reserve on a simulated disk."""

from __future__ import annotations

from pathlib import Path

from otelbridge.journal.reserve import Reserve
from tests.disk import SimulatedDisk


class DiskReserve(Reserve):
    """Keeps a part of a simulated disk back."""

    def __init__(self, journal: Path, disk: SimulatedDisk, *, size: int) -> None:
        super().__init__(journal, size=size)
        self._disk = disk
        self.is_held = False

    def free_bytes(self) -> int:
        """Return how much of the disk is free."""
        return self._disk.free_bytes()

    def hold(self) -> bool:
        """Take the space."""
        if not self.is_held and self._disk.free_bytes() >= self.size:
            self._disk.extra_bytes += self.size
            self.is_held = True
        return self.is_held

    def release(self) -> bool:
        """Give the space back."""
        if self.is_held:
            self._disk.extra_bytes -= self.size
        was_held, self.is_held = self.is_held, False
        return was_held
