"""How much memory the sessions of gateways may take, and which part of it is one gateway's."""

from __future__ import annotations


class Budget:
    """Bytes that all gateways hold together.

    A gateway may hold as much as is still free, and no more: alone half of
    everything, beside one as greedy a third. So there is always room for who
    comes next, however many are greedy. Source: dynamic thresholds for shared
    buffers (Choudhury and Hahne, 1998).

    Args:
        max_bytes: The limit.

    Attributes:
        free: Bytes that are not held now.
    """

    def __init__(self, max_bytes: int) -> None:
        self.free = max_bytes
        # As many as gateways had names since the start: a few bytes each.
        self._shares: dict[str, Share] = {}

    def share(self, gateway: str) -> Share:
        """Return what the sessions of a gateway hold together."""
        if gateway not in self._shares:
            self._shares[gateway] = Share(self)
        return self._shares[gateway]


class Share:
    """What one gateway holds of a budget.

    Attributes:
        held: Bytes that it holds now.
    """

    __slots__ = ("_budget", "held")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.held = 0

    def take(self, size: int) -> bool:
        """Hold some bytes more; return False, and hold none of them, if that is too much."""
        budget = self._budget
        if self.held + size > budget.free - size:
            return False
        self.held += size
        budget.free -= size
        return True

    def give_back(self, size: int) -> None:
        """Hold some bytes less."""
        self.held -= size
        self._budget.free += size
