"""Finding the items of one row that a destination refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from otelbridge.delivery.items import items_of
from otelbridge.delivery.outcomes import Ok

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelbridge.delivery.outcomes import Refused, TooLarge
    from otelbridge.domain.ports import OutboxRow

    Refusal: TypeAlias = Refused | TooLarge


class Sifting:
    """Halves a row that was refused, and each refused half, down to single items.

    Nothing is acknowledged before the end: if that does not come, the whole row
    is told again.

    Args:
        row: The row.
        outcome: Why it was refused.

    Attributes:
        taken: How many items each request held that was taken, and its answer.
        refused: Items that were refused by themselves, as bodies in their
            order; those with the same reason together.
    """

    def __init__(self, row: OutboxRow, outcome: Refusal) -> None:
        self._waiting: list[list[bytes]] = []
        self._asked: list[bytes] = _items(row)
        self.taken: list[tuple[int, Ok]] = []
        self.refused: list[tuple[Refusal, list[bytes]]] = []
        self.answered(outcome)

    def next(self) -> Sequence[bytes]:
        """Return what to send next, the same until it is answered; nothing at the end."""
        if not self._asked and self._waiting:
            self._asked = self._waiting.pop()
        return self._asked

    def answered(self, outcome: Ok | Refusal) -> None:
        """Note the answer to what `next` returned."""
        items, self._asked = self._asked, []
        if isinstance(outcome, Ok):
            self.taken.append((len(items), outcome))
        elif len(items) > 1:
            half = len(items) // 2
            self._waiting += [items[half:], items[:half]]
        else:
            self._refuse(items, outcome)

    def _refuse(self, items: list[bytes], outcome: Refusal) -> None:
        for known, bodies in self.refused:
            if known == outcome:
                bodies.extend(items)
                return
        self.refused.append((outcome, items))


def _items(row: OutboxRow) -> list[bytes]:
    """Return a row's items; what cannot be cut is one."""
    try:
        items = items_of(row.body)
    except ValueError:
        return [row.body]
    return items if len(items) == row.items else [row.body]
