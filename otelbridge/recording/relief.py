"""Relief: what is given up so that what waits stays within its limits.

From nine tenths of a destination's limit on it is told without content. Beyond
the limit its oldest dead letters go first, then the content of its oldest
rows is taken out, and only where that is not enough the oldest rows are given
up. A full disk is a limit of all destinations together. Everything is counted
in the transaction that does it.
"""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from otelbridge.recording.cuts import Cuts
from otelbridge.recording.dead_letters import drop_beyond

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from otelbridge.domain.ledger import Changes
    from otelbridge.domain.ports import OutboxItem, Signal
    from otelbridge.journal import SqliteJournal
    from otelbridge.journal.transaction import Transaction

logger = logging.getLogger(__name__)

_NS = 1_000_000_000
_LOG_EVERY_NS = 60 * _NS
# Told without content from the first part of the limit on, with it again from the second.
_SPARE_AT = 0.9
_SPARE_UNTIL = 0.75
# What one commit makes room for on a full disk, at least and at most. What is given up is
# overwritten (`secure_delete`), which takes as much of the log.
_LEAST_BYTES = 256 * 1024
_MOST_BYTES = 4 * 1024 * 1024
_ALL = ""  # in place of a destination's name: the disk is for all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may wait.

    Attributes:
        quotas: How many bytes may wait for each destination, by name.
        with_content: Names of the destinations that may receive content.
        take_out: Returns the body of a row without its content; None if there
            is none in it.
    """

    quotas: Mapping[str, int] = field(default_factory=dict)
    with_content: frozenset[str] = frozenset()
    take_out: Callable[[Signal, bytes], bytes | None] = lambda _signal, _body: None


class Relief:
    """Keeps what waits within its limits.

    Args:
        journal: Where it waits.
        limits: See there.
        clock_ns: The bridge's clock.
    """

    def __init__(
        self,
        journal: SqliteJournal,
        limits: Limits,
        *,
        clock_ns: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._outbox = journal.outbox
        self._limits = limits
        self._take_out = limits.take_out
        self._clock_ns = clock_ns
        self._spared: set[str] = set()
        self._disk_is_full = not journal.reserve.hold()
        # The last row that was looked at for content, by destination or for the disk.
        self._bare: dict[str, int] = {}
        self._drafted: dict[str, int] = {}
        self._logged_at_ns: dict[str, int] = {}

    @property
    def keeps_content(self) -> bool:
        """Return whether the content of new records is kept: somebody will be told it."""
        return bool(self._limits.with_content - self._spared)

    @property
    def disk_is_full(self) -> bool:
        """Return whether the disk was full and the journal has not got its reserve back."""
        return self._disk_is_full

    def note_full_disk(self) -> bool:
        """Note that a commit found no space; return whether it is worth another try."""
        is_news = not self._disk_is_full
        self._disk_is_full = True
        return self._journal.make_room() or is_news

    def look(self) -> None:
        """Take the reserve back if the disk has space for it."""
        reserve = self._journal.reserve
        # The space that the reserve itself gave back does not count.
        has_space = reserve.free_bytes() >= 2 * reserve.size
        if self._disk_is_full and has_space and reserve.hold():
            self._disk_is_full = False
            logger.info("journal: the disk has space again")

    def spared(self) -> int:
        """Return the mask of the destinations that are told no content from now on."""
        for name in self._limits.with_content:
            part = self._outbox.waiting_bytes(name) / self._limits.quotas[name]
            if self._disk_is_full or part >= _SPARE_AT:
                if name not in self._spared:
                    logger.warning("destination %s: is told no content: too much waits", name)
                self._spared.add(name)
            elif part < _SPARE_UNTIL:
                self._spared.discard(name)
        bits = self._outbox.bits()
        return sum(1 << bits[name] for name in self._spared)

    def draft(self, transaction: Transaction, changes: Changes) -> None:
        """Give up what a transaction leaves no space for; `committed` must follow the commit."""
        self._drafted = {}
        cuts = Cuts(self._outbox, transaction, changes)
        for place in self._outbox.damaged():
            cuts.give_up(place, self._outbox.needed_by(place), "damaged")
        for name, bit in self._bits():
            incoming = [item for item in transaction.outbox if item.destinations & bit]
            if name in self._spared:
                for signal, _, items, _ in incoming:
                    cuts.count_shed(name, signal, items)
            self._relieve(name, bit, incoming, cuts)
        if self._disk_is_full:
            self.look()
        if self._disk_is_full:
            self._relieve_disk(cuts)

    def committed(self) -> None:
        """Note that what was drafted has been committed."""
        self._bare.update(self._drafted)

    def _bits(self) -> Iterable[tuple[str, int]]:
        bits = self._outbox.bits()
        return [(name, 1 << bits[name]) for name in self._limits.quotas]

    def _relieve(self, name: str, bit: int, incoming: list[OutboxItem], cuts: Cuts) -> None:
        """Bring what waits for a destination back within its limit."""
        quota = self._limits.quotas[name]
        over = self._outbox.waiting_bytes(name) + _size(incoming) - quota
        drop_beyond(
            self._journal.dead_letters,
            name,
            space=-over,
            transaction=cuts.transaction,
            changes=cuts.changes,
        )
        if over <= 0:
            return
        if name in self._limits.with_content:
            with closing(self._outbox.waiting(name, after=self._bare.get(name, 0))) as places:
                names = {name, *self._spared}
                done = cuts.strip(places, self._take_out, wanted=over, names=names)
            self._looked(name, done.through)
            over -= done.freed
        before = cuts.given_up
        with closing(self._outbox.waiting(name)) as places:
            for place in places:
                if over <= 0:
                    break
                if not self._outbox.is_handed(place, name):
                    over -= cuts.size(place)
                    cuts.give_up(place, {name: bit}, "max_bytes")
        if cuts.given_up > before:
            self._log(name, f"more than {quota} bytes wait, the oldest items are given up")

    def _relieve_disk(self, cuts: Cuts) -> None:
        """Make space in the database for a transaction, within the size that it has."""
        transaction = cuts.transaction
        incoming = sum(len(entry.payload) for entry in transaction.entries)
        incoming += _size(transaction.outbox)
        wanted = 2 * incoming + _LEAST_BYTES - self._journal.unused_bytes()
        wanted = min(wanted, _MOST_BYTES)
        if wanted <= 0:
            return
        wanted -= self._drop_letters(cuts)
        with closing(self._outbox.oldest(after=self._bare.get(_ALL, 0))) as places:
            names = set(self._limits.with_content)
            done = cuts.strip(places, self._take_out, wanted=wanted, names=names)
        self._looked(_ALL, done.through)
        wanted -= done.freed
        before = cuts.given_up
        with closing(self._outbox.oldest()) as places:
            for place in places:
                if wanted <= 0:
                    break
                needing = self._outbox.needed_by(place)
                if needing and not any(self._outbox.is_handed(place, each) for each in needing):
                    wanted -= cuts.size(place)
                    cuts.give_up(place, needing, "disk_full")
        if cuts.given_up > before:
            self._log(_ALL, "the disk is full, the oldest items are given up")

    def _drop_letters(self, cuts: Cuts) -> int:
        """Drop dead letters of all destinations; return what that frees."""
        transaction = cuts.transaction
        before = sum(letter.size for letter in transaction.unburied)
        for name in self._limits.quotas:
            drop_beyond(
                self._journal.dead_letters,
                name,
                space=0,
                transaction=transaction,
                changes=cuts.changes,
            )
        return sum(letter.size for letter in transaction.unburied) - before

    def _looked(self, name: str, through: int) -> None:
        if through:
            self._drafted[name] = through

    def _log(self, name: str, text: str) -> None:
        """Write a line, at most one a minute: the counters have it all."""
        now_ns = self._clock_ns()
        if now_ns - self._logged_at_ns.get(name, -_LOG_EVERY_NS) >= _LOG_EVERY_NS:
            self._logged_at_ns[name] = now_ns
            logger.error("%s: %s", f"destination {name}" if name else "journal", text)


def _size(items: Iterable[OutboxItem]) -> int:
    return sum(len(item.body) for item in items)
