"""Cuts: rows of the outbox that a transaction gives up, or leaves without their content."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from otelbridge.domain.ledger import Changes
    from otelbridge.domain.ports import Signal
    from otelbridge.journal.outbox import OutboxTable, Place
    from otelbridge.journal.transaction import Transaction

CONTENT_SHED = "otelbridge.content.shed"
_REJECTED = "otelbridge.delivery.rejected"
# Rows that are looked at for content in one commit: each takes some 50 µs.
_STRIPPED_AT_ONCE = 2000


class Stripped(NamedTuple):
    """What taking content out came to.

    Attributes:
        freed: Bytes that became free.
        through: The last row that was looked at; 0 for none.
    """

    freed: int
    through: int


class Cuts:
    """Adds cuts to a transaction and counts them along with it.

    Args:
        outbox: Where the rows are.
        transaction: What will be committed.
        changes: What it adds to the ledger.

    Attributes:
        transaction: See above.
        changes: See above.
    """

    def __init__(self, outbox: OutboxTable, transaction: Transaction, changes: Changes) -> None:
        self._outbox = outbox
        self.changes = changes
        self.transaction = transaction

    @property
    def given_up(self) -> int:
        """Return how many rows are given up so far."""
        return len(self.transaction.given_up)

    def size(self, place: Place) -> int:
        """Return what a row takes after the transaction."""
        stripped = self.transaction.stripped.get(place.seq)
        return place.size if stripped is None else len(stripped[1])

    def give_up(self, place: Place, bits: Mapping[str, int], reason: str) -> None:
        """Have destinations not get a row.

        Args:
            place: The row.
            bits: The destinations' bits (1 << i) by name.
            reason: What is counted of it, once a destination.
        """
        _, before = self.transaction.given_up.get(place.seq, (place, 0))
        now = {name: bit for name, bit in bits.items() if not before & bit}
        if now:
            self.transaction.stripped.pop(place.seq, None)
            self.transaction.given_up[place.seq] = place, before | sum(now.values())
        for name in now:
            values = (name, place.signal.value, reason)
            self.changes.count(_REJECTED, *values, amount=place.items)

    def strip(
        self,
        places: Iterable[Place],
        take_out: Callable[[Signal, bytes], bytes | None],
        *,
        wanted: int,
        names: set[str],
    ) -> Stripped:
        """Take the content out of rows that nobody but some destinations waits for.

        Args:
            places: The rows.
            take_out: Returns a body without content; None if there is none in it.
            wanted: How many bytes should become free.
            names: The destinations.
        """
        freed = through = 0
        for place in islice(places, _STRIPPED_AT_ONCE):
            if freed >= wanted:
                break
            through = place.seq
            needing = self._outbox.needed_by(place).keys()
            is_kept = place.seq not in self.transaction.given_up
            if is_kept and needing and needing <= names:
                freed += self._strip(place, take_out, needing)
        return Stripped(freed, through)

    def _strip(
        self,
        place: Place,
        take_out: Callable[[Signal, bytes], bytes | None],
        needing: Iterable[str],
    ) -> int:
        body = self._outbox.body(place)
        bare = None if body is None else take_out(place.signal, body)
        if body is None or bare is None:
            return 0
        self.transaction.stripped[place.seq] = place, bare
        for name in needing:
            self.count_shed(name, place.signal, place.items)
        return len(body) - len(bare)

    def count_shed(self, name: str, signal: Signal, items: int) -> None:
        """Count items that a destination gets without content that it could have had."""
        self.changes.count(CONTENT_SHED, name, signal.value, amount=items)
