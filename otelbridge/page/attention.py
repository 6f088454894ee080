"""What needs somebody's attention, each in one line that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.page.formats import clock, count, moment, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelbridge.page.view import DestinationView, View

# What a destination says can be long; its beginning says what it is.
_ERROR_CHARS = 200
_STARTING = ("ready", "starting", "draining")


def attention(view: View) -> list[str]:
    """Return what is wrong, the worst first; not escaped for HTML."""
    destinations = (line for each in view.destinations for line in _destination(each))
    return [*_bridge(view), *destinations, *_usage(view)]


def _bridge(view: View) -> Iterator[str]:
    if view.status not in _STARTING:
        yield f"Calls are refused: {plain(view.status)}. The log says why."
    if view.journal.disk_is_full:
        yield "The journal's disk is full: the oldest of what waits for delivery is given up."
    store = view.store
    if store.health.problems:
        yield (
            f"The store file is wrong since {moment(store.wrong_since_ns)} UTC"
            f" ({store.health.problems} {_plural('mistake', store.health.problems)}):"
            " what was last right stays in force. otelbridge check says what is wrong."
        )
    if view.journal.unread:
        yield f"About {count(view.journal.unread)} records of the last run are still being read."


def _usage(view: View) -> Iterator[str]:
    for budget in view.budgets:
        if budget.utilization >= 1:
            yield f"{plain(budget.user)} has spent the whole budget of the {budget.period}."
    unpriced = view.overview.total.unpriced
    if unpriced:
        yield (
            f"{count(unpriced)} token {_plural('record', unpriced)} of today without a price:"
            " [prices] overrides can name one."
        )


def _destination(each: DestinationView) -> Iterator[str]:
    if each.error:
        yield (
            f"Destination {each.name} fails since {clock(each.since_ns)} UTC:"
            f" {plain(each.error, _ERROR_CHARS)}"
        )
    if each.dead_letters:
        yield (
            f"Destination {each.name} refused {count(each.dead_letters)}"
            f" {_plural('item', each.dead_letters)} for good:"
            " otelbridge deadletters deals with them."
        )


def _plural(noun: str, number: int) -> str:
    return noun if number == 1 else f"{noun}s"
