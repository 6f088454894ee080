"""Subscriptions: which destinations there are, and what each one's coming and going costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from otelbridge.domain.ports import Signal

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

_SIGNALS = (Signal.TRACES, Signal.LOGS)


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


class Count(NamedTuple):
    """An addition to a counter of the ledger.

    Attributes:
        instrument: Its name.
        values: Its attributes' values.
        amount: How much is added.
    """

    instrument: str
    values: tuple[str, ...]
    amount: int


def subscribe(
    database: sqlite3.Connection, subscriptions: list[Subscription], *, last: int
) -> Iterator[Count]:
    """Make these the destinations; yield what must be counted along with it.

    One that is no longer among them loses its progress, and what was kept for
    it alone is forgotten.

    Args:
        database: The connection, in a transaction.
        subscriptions: The destinations.
        last: The newest row of the outbox: where a new destination begins.
    """
    rows = database.execute("SELECT id, name FROM destination").fetchall()
    known: dict[str, int] = {name: number for number, name in rows}
    names = {subscription.name for subscription in subscriptions}
    for name in known.keys() - names:
        yield from _release(database, name, _SIGNALS, reason="removed")
        database.execute("DELETE FROM destination WHERE name = ?", (name,))
    taken = {number for name, number in known.items() if name in names}
    for subscription in subscriptions:
        if subscription.name not in known:
            number = next(n for n in range(len(taken) + 1) if n not in taken)
            taken.add(number)
            yield from _add(database, number, subscription, last=last)
        _keep_variant(database, subscription)
        unwanted = [signal for signal in _SIGNALS if signal not in subscription.signals]
        yield from _release(database, subscription.name, unwanted, reason="unsubscribed")


def _keep_variant(database: sqlite3.Connection, subscription: Subscription) -> None:
    """Note what a destination is told, if that has changed: a full disk takes no writes."""
    database.execute(
        "UPDATE destination SET variant = ?1 WHERE name = ?2 AND variant != ?1",
        (subscription.variant, subscription.name),
    )


def _add(
    database: sqlite3.Connection, number: int, subscription: Subscription, *, last: int
) -> Iterator[Count]:
    through = last
    if subscription.from_beginning:
        through = 0
        twins = database.execute(
            "SELECT id FROM destination WHERE variant = ?", (subscription.variant,)
        ).fetchall()
        for (twin,) in twins:
            database.execute(
                "UPDATE outbox SET destinations = destinations | ? WHERE destinations & ?",
                (1 << number, 1 << twin),
            )
    database.execute(
        "INSERT INTO destination (id, name, variant, traces, logs) VALUES (?, ?, ?, ?, ?)",
        (number, subscription.name, subscription.variant, through, through),
    )
    for signal in _SIGNALS:
        items = waiting_items(database, subscription.name, signal)
        if items:
            lane = (subscription.name, signal.value)
            yield Count("otelbridge.delivery.told", lane, items)


def _release(
    database: sqlite3.Connection,
    name: str,
    signals: list[Signal] | tuple[Signal, ...],
    *,
    reason: str,
) -> Iterator[Count]:
    """Let rows go that a destination will never take."""
    for signal in signals:
        items = waiting_items(database, name, signal)
        if items:
            values = (name, signal.value, reason)
            yield Count("otelbridge.delivery.rejected", values, items)
        database.execute(
            "UPDATE outbox SET destinations = destinations & ~bit FROM"
            " (SELECT 1 << id AS bit FROM destination WHERE name = ?)"
            " WHERE signal = ? AND destinations & bit",
            (name, signal.value),
        )
        database.execute("DELETE FROM outbox WHERE destinations = 0")


def waiting_items(database: sqlite3.Connection, name: str, signal: Signal) -> int:
    """Return how many spans or log records wait for a destination, by what is on the disk."""
    (items,) = database.execute(
        "SELECT coalesce(sum(o.items), 0) FROM outbox o, destination d"
        f" WHERE d.name = ? AND o.signal = ? AND o.seq > d.{signal.value}"
        " AND o.destinations & (1 << d.id)",
        (name, signal.value),
    ).fetchone()
    return int(items)
