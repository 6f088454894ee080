"""The outbox table: what will be told, and how far each destination has taken it.

Every row carries a bit mask of the destinations that it is for, and goes when
all of them have acknowledged it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from heapq import merge
from typing import TYPE_CHECKING, NamedTuple

from otelbridge.domain.ports import OutboxItem, OutboxRow, Signal
from otelbridge.journal.quarantine import Damage
from otelbridge.journal.statements import insert_rows
from otelbridge.journal.subscriptions import subscribe, waiting_items
from otelbridge.journal.sweeping import Sweeper
from otelbridge.journal.tail import OutboxTail

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Generator, Iterable, Mapping

    from otelbridge.journal.quarantine import Quarantine
    from otelbridge.journal.subscriptions import Count, Subscription
    from otelbridge.journal.transaction import Transaction


class Place(NamedTuple):
    """A row without its body.

    Attributes:
        seq: Its number.
        signal: Of which signal it is.
        destinations: Whom it is for.
        items: Number of spans or log records in it.
        size: Length of its body in bytes.
    """

    seq: int
    signal: Signal
    destinations: int
    items: int
    size: int


@dataclass(slots=True)
class _Progress:
    """One destination.

    Attributes:
        bit: The number of its bit.
        through: The last row that it acknowledged, by signal.
        handed: The last row that it was given to send, by signal.
        waiting_bytes: Size of what it has not acknowledged.
    """

    bit: int
    through: dict[Signal, int]
    handed: dict[Signal, int] = field(default_factory=dict)
    waiting_bytes: int = 0


class OutboxTable:
    """What will be told.

    Args:
        database: The connection.
        quarantine: Where damaged rows are reported.
    """

    def __init__(self, database: sqlite3.Connection, quarantine: Quarantine) -> None:
        self._database = database
        self._quarantine = quarantine
        self._destinations: dict[str, _Progress] = {}
        (last,) = database.execute("SELECT max(seq) FROM outbox").fetchone()
        (taken,) = database.execute("SELECT max(max(traces, logs)) FROM destination").fetchone()
        self._last = max(last or 0, taken or 0)
        self._masks: dict[Signal, set[int]] = {Signal.TRACES: set(), Signal.LOGS: set()}
        self._tail = OutboxTail(self._last)
        self._sweeper = Sweeper(database)
        self._freed: dict[str, int] = {}
        self._damaged: dict[int, Place] = {}

    @property
    def has_taken_rows(self) -> bool:
        """Return whether a commit may have something to delete, even an empty one."""
        return self._sweeper.has_more

    def subscribe(self, subscriptions: list[Subscription]) -> list[Count]:
        """Make these the destinations, in a transaction; return what must be counted in it."""
        counts = list(subscribe(self._database, subscriptions, last=self._last))
        self.load()
        self._sweep({})
        self._sweeper.swept()
        return counts

    def load(self) -> None:
        """Learn from the tables what the destinations are, and what waits for them."""
        rows = self._database.execute("SELECT id, name, traces, logs FROM destination").fetchall()
        self._destinations = {
            name: _Progress(number, {Signal.TRACES: traces, Signal.LOGS: logs})
            for number, name, traces, logs in rows
        }
        for signal, mask in self._database.execute(
            "SELECT DISTINCT signal, destinations FROM outbox"
        ).fetchall():
            self._masks[Signal(signal)].add(mask)
        for name, progress in self._destinations.items():
            progress.waiting_bytes = sum(
                self._bytes_waiting(name, signal, through=self._last) for signal in self._masks
            )
        self._tail = OutboxTail(self._last)
        # Rows have changed their masks.
        self._sweeper = Sweeper(self._database)

    def bits(self) -> dict[str, int]:
        """Return each destination's number: its bit in a mask."""
        return {name: progress.bit for name, progress in self._destinations.items()}

    def mask_of(self, destination: str) -> int:
        """Return the mask of one destination; 0 if there is none of that name."""
        progress = self._destinations.get(destination)
        return 0 if progress is None else 1 << progress.bit

    def waiting_bytes(self, destination: str) -> int:
        """Return the size of what a destination has not acknowledged."""
        return self._destinations[destination].waiting_bytes

    def insert(self, items: Iterable[OutboxItem], *, now_ns: int) -> dict[Signal, int]:
        """Insert rows; return the last one by signal. `inserted` must follow the commit."""
        last: dict[Signal, int] = {}
        rows = []
        for seq, item in enumerate(items, self._last + 1):
            signal, mask, count, body = item
            size, crc = len(body), zlib.crc32(body)
            rows.append((seq, signal.value, mask, count, now_ns, size, bytearray(body), crc))
            last[signal] = seq
        insert_rows(self._database, "outbox", rows)
        return last

    def inserted(self, items: Iterable[OutboxItem]) -> None:
        """Note that `insert` has been committed."""
        for item in items:
            self._last += 1
            self._masks[item.signal].add(item.destinations)
            self._tail.append(self._last, item)
            for progress in self._destinations.values():
                if item.destinations >> progress.bit & 1:
                    progress.waiting_bytes += len(item.body)

    def read(
        self, destination: str, signal: Signal, *, after: int = 0, limit: int, max_bytes: int
    ) -> list[OutboxRow]:
        """Return the destination's oldest rows; see `otelbridge.domain.ports.Outbox.read`.

        ``after`` is a row that it has acknowledged, if that is not stored yet.
        """
        progress = self._destinations[destination]
        after = max(after, progress.through[signal])
        if self._tail.reaches(after):
            found = self._tail.read(progress.bit, signal, after, limit=limit, max_bytes=max_bytes)
        else:
            found = self._read(destination, signal, after, limit=limit, max_bytes=max_bytes)
        if found:
            progress.handed[signal] = max(progress.handed.get(signal, 0), found[-1].seq)
        return found

    def _read(
        self, destination: str, signal: Signal, after: int, *, limit: int, max_bytes: int
    ) -> list[OutboxRow]:
        cursors = [
            self._database.execute(
                "SELECT seq, items, size, body, crc, destinations FROM outbox"
                " WHERE signal = ? AND destinations = ? AND seq > ? ORDER BY seq",
                (signal.value, mask, after),
            )
            for mask in self._masks_of(destination, signal)
        ]
        found: list[OutboxRow] = []
        # A row of each place is read at a time: no more than what is returned.
        for seq, items, size, body, crc, mask in merge(*cursors):
            if zlib.crc32(body) != crc:
                self._report(Place(seq, signal, mask, items, size))
                continue
            max_bytes -= size
            if len(found) == limit or (found and max_bytes < 0):
                break
            found.append(OutboxRow(seq, items, body))
        for cursor in cursors:
            cursor.close()
        return found

    def advance(self, progress: Mapping[tuple[str, Signal], int]) -> None:
        """Store how far destinations have taken the outbox; delete some of what all have taken.

        `advanced` must follow the commit.
        """
        self._freed = {}
        for (name, signal), through in progress.items():
            freed = self._bytes_waiting(name, signal, through=through)
            self._freed[name] = self._freed.get(name, 0) + freed
            self._database.execute(
                f"UPDATE destination SET {signal.value} = max({signal.value}, ?) WHERE name = ?",
                (through, name),
            )
        self._sweep(progress)

    def advanced(self, progress: Mapping[tuple[str, Signal], int]) -> None:
        """Note that `advance` has been committed."""
        for (name, signal), through in progress.items():
            taken = self._destinations[name].through
            taken[signal] = max(taken[signal], through)
        for name, size in self._freed.items():
            self._destinations[name].waiting_bytes -= size
        self._sweeper.swept()

    def edit(self, transaction: Transaction) -> None:
        """Give rows up or write them anew; `edited` must follow the commit."""
        for place, bits in transaction.given_up.values():
            left = self._bits_needing(place) & ~bits
            if left:
                self._masks[place.signal].add(left)
                self._database.execute(
                    "UPDATE outbox SET destinations = ? WHERE seq = ?", (left, place.seq)
                )
            else:
                self._database.execute("DELETE FROM outbox WHERE seq = ?", (place.seq,))
        for place, body in transaction.stripped.values():
            self._database.execute(
                "UPDATE outbox SET size = ?, body = ?, crc = ? WHERE seq = ?",
                (len(body), body, zlib.crc32(body), place.seq),
            )

    def edited(self, transaction: Transaction) -> None:
        """Note that `edit` has been committed."""
        for place, bits in transaction.given_up.values():
            needing = self._bits_needing(place)
            self._change_waiting(needing & bits, -place.size)
            self._tail.change(place.seq, destinations=needing & ~bits)
            self._damaged.pop(place.seq, None)
        for place, body in transaction.stripped.values():
            self._change_waiting(self._bits_needing(place), len(body) - place.size)
            self._tail.change(place.seq, body=body)

    def damaged(self) -> list[Place]:
        """Return rows that could not be read: they must be given up."""
        return list(self._damaged.values())

    def body(self, place: Place) -> bytes | None:
        """Return the body of a row; None if it is damaged, which is reported."""
        body, crc = self._database.execute(
            "SELECT body, crc FROM outbox WHERE seq = ?", (place.seq,)
        ).fetchone()
        if zlib.crc32(body) != crc:
            self._report(place)
            return None
        return bytes(body)

    def oldest(self, *, after: int = 0) -> Generator[Place]:
        """Yield all rows behind ``after``, the oldest first, whomever they are for."""
        cursor = self._database.execute(
            "SELECT seq, signal, destinations, items, size FROM outbox WHERE seq > ? ORDER BY seq",
            (after,),
        )
        return _places(cursor)

    def waiting(self, destination: str, *, after: int = 0) -> Generator[Place]:
        """Yield the rows behind ``after`` that wait for a destination, the oldest first.

        The iterator must be closed before the table is changed.
        """
        through = self._destinations[destination].through
        cursors = [
            self._database.execute(
                "SELECT seq, signal, destinations, items, size FROM outbox"
                " WHERE signal = ? AND destinations = ? AND seq > ? ORDER BY seq",
                (signal.value, mask, max(after, through[signal])),
            )
            for signal in self._masks
            for mask in self._masks_of(destination, signal)
        ]
        return _places(*cursors)

    def items(self, destination: str, signal: Signal) -> int:
        """Return how many spans or log records wait for a destination."""
        return waiting_items(self._database, destination, signal)

    def needed_by(self, place: Place) -> dict[str, int]:
        """Return the destinations that have not acknowledged a row, with their bits (1 << i)."""
        return {
            name: 1 << progress.bit
            for name, progress in self._destinations.items()
            if place.destinations >> progress.bit & 1 and progress.through[place.signal] < place.seq
        }

    def is_handed(self, place: Place, destination: str) -> bool:
        """Return whether a destination was given a row, so that it may be on its way."""
        return self._destinations[destination].handed.get(place.signal, 0) >= place.seq

    def oldest_ns(self, destination: str, signal: Signal) -> int | None:
        """Return when the oldest row was told that waits for a destination; None if none does."""
        through = self._destinations[destination].through[signal]
        found = [
            self._database.execute(
                "SELECT at_ns FROM outbox WHERE signal = ? AND destinations = ? AND seq > ?"
                " ORDER BY seq LIMIT 1",
                (signal.value, mask, through),
            ).fetchone()
            for mask in self._masks_of(destination, signal)
        ]
        return min((row[0] for row in found if row), default=None)

    def total_bytes(self) -> int:
        """Return the size of everything that waits."""
        (size,) = self._database.execute("SELECT coalesce(sum(size), 0) FROM outbox").fetchone()
        return int(size)

    def metrics_base(self, destination: str) -> str:
        """Return what the destination acknowledged of the metrics, as it was stored."""
        row = self._database.execute(
            "SELECT metrics FROM destination WHERE name = ?", (destination,)
        ).fetchone()
        return str(row[0]) if row else ""

    def store_metrics(self, bases: Mapping[str, str]) -> None:
        """Store what destinations acknowledged of the metrics."""
        self._database.executemany(
            "UPDATE destination SET metrics = ? WHERE name = ?",
            [(base, name) for name, base in bases.items()],
        )

    def _masks_of(self, destination: str, signal: Signal) -> list[int]:
        """Return the masks of the rows that are for a destination."""
        bit = self._destinations[destination].bit
        return [mask for mask in self._masks[signal] if mask >> bit & 1]

    def _bytes_waiting(self, destination: str, signal: Signal, *, through: int) -> int:
        """Return the size of what a destination has not acknowledged, up to a row."""
        after = self._destinations[destination].through[signal]
        sizes = [
            self._database.execute(
                "SELECT coalesce(sum(size), 0) FROM outbox"
                " WHERE signal = ? AND destinations = ? AND seq > ? AND seq <= ?",
                (signal.value, mask, after, through),
            ).fetchone()[0]
            for mask in self._masks_of(destination, signal)
        ]
        return sum(sizes)

    def _bits_needing(self, place: Place) -> int:
        return sum(self.needed_by(place).values())

    def _change_waiting(self, bits: int, size: int) -> None:
        for progress in self._destinations.values():
            if bits >> progress.bit & 1:
                progress.waiting_bytes += size

    def _report(self, place: Place) -> None:
        self._damaged[place.seq] = place
        problem = "the checksum does not match"
        self._quarantine.report(Damage("outbox", place.seq, problem))

    def _sweep(self, progress: Mapping[tuple[str, Signal], int]) -> None:
        self._sweeper.sweep(
            (signal, mask, self._taken_by_all(signal, mask, progress))
            for signal, masks in self._masks.items()
            for mask in masks
        )

    def _taken_by_all(
        self, signal: Signal, mask: int, progress: Mapping[tuple[str, Signal], int]
    ) -> int:
        """Return the last row that all destinations of a mask have taken."""
        return min(
            (
                max(progress.get((name, signal), 0), destination.through[signal])
                for name, destination in self._destinations.items()
                if mask >> destination.bit & 1
            ),
            default=self._last,
        )


def _places(*cursors: sqlite3.Cursor) -> Generator[Place]:
    """Yield the rows of several cursors in ascending order; close them in the end."""
    try:
        for seq, signal, mask, items, size in merge(*cursors):
            yield Place(seq, Signal(signal), mask, items, size)
    finally:
        for cursor in cursors:
            cursor.close()
