"""The outbox table: what will be told, and how far each destination has taken it.

Every row carries a bit mask of the destinations that it is for, and goes when
all of them have acknowledged it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from otelbridge.domain.ports import OutboxRow, Signal
from otelbridge.journal.statements import insert_rows
from otelbridge.journal.tail import OutboxTail

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from otelbridge.domain.ports import OutboxItem
    from otelbridge.journal.transaction import Buried


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A destination as the outbox sees it.

    Attributes:
        name: Its identity.
        variant: What it is told, as text: destinations with the same share rows.
        signals: What it takes.
        from_beginning: Whether it also gets what is still kept for others of
            its variant when it is new.
    """

    name: str
    variant: str
    signals: frozenset[str] = frozenset(Signal)
    from_beginning: bool = False


class Shed(NamedTuple):
    """The oldest rows of one signal that a destination will not get.

    Attributes:
        destination: Which destination.
        signal: Which signal.
        through: The last of the rows.
        items: Number of spans or log records in them.
    """

    destination: str
    signal: Signal
    through: int
    items: int


@dataclass(slots=True)
class _Progress:
    """One destination: the number of its bit, and the last row it acknowledged by signal."""

    bit: int
    through: dict[Signal, int] = field(default_factory=dict)


class OutboxTable:
    """What will be told."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._destinations: dict[str, _Progress] = {}
        (last,) = database.execute("SELECT max(seq) FROM outbox").fetchone()
        (taken,) = database.execute("SELECT max(max(traces, logs)) FROM destination").fetchone()
        self._last = max(last or 0, taken or 0)
        self._masks: dict[Signal, set[int]] = {Signal.TRACES: set(), Signal.LOGS: set()}
        self._tail = OutboxTail(self._last)

    def subscribe(self, subscriptions: list[Subscription]) -> dict[str, int]:
        """Make these the destinations; return each one's bit by name.

        One that is no longer among them loses its progress, and what was kept
        for it alone is forgotten.
        """
        rows = self._database.execute("SELECT id, name FROM destination").fetchall()
        known: dict[str, int] = {name: number for number, name in rows}
        names = {subscription.name for subscription in subscriptions}
        for name, number in known.items():
            if name not in names:
                self._remove(number)
        taken = {number for name, number in known.items() if name in names}
        for subscription in subscriptions:
            if subscription.name in known:
                self._database.execute(
                    "UPDATE destination SET variant = ? WHERE name = ?",
                    (subscription.variant, subscription.name),
                )
            else:
                number = next(n for n in range(len(taken) + 1) if n not in taken)
                taken.add(number)
                self._add(number, subscription)
        self._load()
        for subscription in subscriptions:
            bit = 1 << self._destinations[subscription.name].bit
            for signal in {Signal.TRACES, Signal.LOGS} - subscription.signals:
                self._release(bit, signal)
        self._find_masks()
        self._tail = OutboxTail(self._last)
        return {name: progress.bit for name, progress in self._destinations.items()}

    def insert(self, items: Iterable[OutboxItem], *, now_ns: int) -> dict[Signal, int]:
        """Insert rows; return the last one by signal. `inserted` must follow the commit."""
        last: dict[Signal, int] = {}
        rows = []
        for seq, item in enumerate(items, self._last + 1):
            signal, mask, count, body = item
            rows.append((seq, signal.value, mask, count, now_ns, len(body), body))
            last[signal] = seq
        insert_rows(self._database, "outbox", rows)
        return last

    def inserted(self, items: Iterable[OutboxItem]) -> None:
        """Note that `insert` has been committed."""
        for item in items:
            self._last += 1
            self._masks[item.signal].add(item.destinations)
            self._tail.append(self._last, item)

    def read(
        self, destination: str, signal: Signal, *, after: int = 0, limit: int, max_bytes: int
    ) -> list[OutboxRow]:
        """Return the destination's oldest rows; see `otelbridge.domain.ports.Outbox.read`.

        ``after`` is a row that it has acknowledged, if that is not stored yet.
        """
        progress = self._destinations[destination]
        after = max(after, progress.through[signal])
        if self._tail.reaches(after):
            return self._tail.read(progress.bit, signal, after, limit=limit, max_bytes=max_bytes)
        rows: list[tuple[int, int, int]] = []
        for mask, _ in self._places(destination, signal):
            rows += self._database.execute(
                "SELECT seq, items, size FROM outbox"
                " WHERE signal = ? AND destinations = ? AND seq > ? ORDER BY seq LIMIT ?",
                (signal.value, mask, after, limit),
            )
        rows.sort()
        found: list[OutboxRow] = []
        for seq, items, size in rows[:limit]:
            max_bytes -= size
            if found and max_bytes < 0:
                break
            (body,) = self._database.execute(
                "SELECT body FROM outbox WHERE seq = ?", (seq,)
            ).fetchone()
            found.append(OutboxRow(seq, items, body))
        return found

    def advance(self, progress: Mapping[tuple[str, Signal], int]) -> None:
        """Store how far destinations have taken the outbox and delete what all have taken."""
        for (name, signal), through in progress.items():
            self._database.execute(
                f"UPDATE destination SET {signal.value} = max({signal.value}, ?) WHERE name = ?",
                (through, name),
            )
        for signal in {signal for _, signal in progress}:
            for mask in self._masks[signal]:
                self._delete_taken(signal, mask, progress)

    def advanced(self, progress: Mapping[tuple[str, Signal], int]) -> None:
        """Note that `advance` has been committed."""
        for (name, signal), through in progress.items():
            taken = self._destinations[name].through
            taken[signal] = max(taken[signal], through)

    def bury(self, buried: Iterable[Buried], *, now_ns: int) -> None:
        """Keep what a destination refused for good."""
        insert_rows(
            self._database,
            "dead_letter (destination, signal, items, at_ns, reason, body)",
            [
                (b.destination, b.signal.value, b.row.items, now_ns, b.reason, b.row.body)
                for b in buried
            ],
        )

    def oldest_ns(self, destination: str, signal: Signal) -> int | None:
        """Return when the oldest row was told that waits for a destination; None if none does."""
        found = [
            self._database.execute(
                "SELECT at_ns FROM outbox WHERE signal = ? AND destinations = ? AND seq > ?"
                " ORDER BY seq LIMIT 1",
                (signal.value, mask, through),
            ).fetchone()
            for mask, through in self._places(destination, signal)
        ]
        return min((row[0] for row in found if row), default=None)

    def excess(self, destination: str, *, max_bytes: int) -> list[Shed]:
        """Return the oldest rows that wait for a destination beyond ``max_bytes``."""
        rows: list[tuple[int, str, int, int]] = []
        for signal in self._masks:
            for mask, through in self._places(destination, signal):
                rows += self._database.execute(
                    "SELECT seq, signal, items, size FROM outbox"
                    " WHERE signal = ? AND destinations = ? AND seq > ?",
                    (signal.value, mask, through),
                )
        over = sum(size for *_, size in rows) - max_bytes
        shed: dict[Signal, Shed] = {}
        for seq, name, items, size in sorted(rows):
            if over <= 0:
                break
            over -= size
            before = shed.get(Signal(name), Shed(destination, Signal(name), 0, 0))
            shed[Signal(name)] = before._replace(through=seq, items=before.items + items)
        return list(shed.values())

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

    def _places(self, destination: str, signal: Signal) -> list[tuple[int, int]]:
        """Return where a destination's rows are: masks, and the row it has taken last."""
        progress = self._destinations[destination]
        through = progress.through[signal]
        return [(mask, through) for mask in self._masks[signal] if mask >> progress.bit & 1]

    def _delete_taken(
        self, signal: Signal, mask: int, progress: Mapping[tuple[str, Signal], int]
    ) -> None:
        through = min(
            (
                progress.get((name, signal), destination.through[signal])
                for name, destination in self._destinations.items()
                if mask >> destination.bit & 1
            ),
            default=self._last,
        )
        self._database.execute(
            "DELETE FROM outbox WHERE signal = ? AND destinations = ? AND seq <= ?",
            (signal.value, mask, through),
        )

    def _remove(self, number: int) -> None:
        self._database.execute("DELETE FROM destination WHERE id = ?", (number,))
        for signal in (Signal.TRACES, Signal.LOGS):
            self._release(1 << number, signal)

    def _release(self, bit: int, signal: Signal) -> None:
        """Let rows go that a destination will never take."""
        self._database.execute(
            "UPDATE outbox SET destinations = destinations & ~?"
            " WHERE signal = ? AND destinations & ?",
            (bit, signal.value, bit),
        )
        self._database.execute("DELETE FROM outbox WHERE destinations = 0")

    def _add(self, number: int, subscription: Subscription) -> None:
        through = self._last
        if subscription.from_beginning:
            through = 0
            twins = self._database.execute(
                "SELECT id FROM destination WHERE variant = ?", (subscription.variant,)
            ).fetchall()
            for (twin,) in twins:
                self._database.execute(
                    "UPDATE outbox SET destinations = destinations | ? WHERE destinations & ?",
                    (1 << number, 1 << twin),
                )
        self._database.execute(
            "INSERT INTO destination (id, name, variant, traces, logs) VALUES (?, ?, ?, ?, ?)",
            (number, subscription.name, subscription.variant, through, through),
        )

    def _load(self) -> None:
        rows = self._database.execute("SELECT id, name, traces, logs FROM destination").fetchall()
        self._destinations = {
            name: _Progress(number, {Signal.TRACES: traces, Signal.LOGS: logs})
            for number, name, traces, logs in rows
        }

    def _find_masks(self) -> None:
        rows = self._database.execute("SELECT DISTINCT signal, destinations FROM outbox").fetchall()
        for signal, mask in rows:
            self._masks[Signal(signal)].add(mask)
            self._delete_taken(Signal(signal), mask, {})
