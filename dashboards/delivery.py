"""Panels of "Bridge health" about delivery and the journal."""

from __future__ import annotations

from dashboards.model import Link, Panel, Query
from dashboards.parts import lines
from dashboards.promql import (
    DESTINATION,
    REASON,
    SIGNAL,
    or_none,
    or_nothing,
    rate,
    series,
    total,
)

#: Alerts that fire now, in Grafana's own list.
ALERTS: tuple[Link, ...] = (
    Link(title="Alerts of otelbridge", url="/alerting/list?search=Otelbridge"),
)
_LANE = f"{{{{{DESTINATION}}}}} {{{{{SIGNAL}}}}}"


def counted(name: str, label: str, *matchers: str) -> Query:
    """Return the rate of a counter of what may never have happened."""
    told = total(rate(series(name, *matchers)), label)
    return Query(expr=or_none(told, label), legend=f"{{{{{label}}}}}")


def deliveries() -> list[Panel]:
    """Return what destinations take."""
    return [*_taken(), *_not_taken()]


def _taken() -> list[Panel]:
    told, waiting = series("otelbridge.delivery.delivered"), series("otelbridge.delivery.waiting")
    lag = series("otelbridge.delivery.lag")
    return [
        lines(
            "Lag by destination",
            "Age of the oldest item that a destination has not taken, by signal.",
            Query(
                expr=f"max by ({DESTINATION}, {SIGNAL}) ({lag})",
                legend=_LANE,
            ),
            unit="s",
            links=ALERTS,
            limits=(300, 600),
        ),
        lines(
            "Delivered a second",
            "Spans, log records and metric points that destinations took.",
            Query(expr=total(rate(told), DESTINATION, SIGNAL), legend=_LANE),
            unit="cps",
            links=ALERTS,
        ),
        lines(
            "Waiting by destination",
            "Size of what waits. From 90 % of the destination's max_bytes on, content is left out; "
            "beyond it the oldest is given up.",
            Query(expr=total(waiting, DESTINATION), legend=f"{{{{{DESTINATION}}}}}"),
            unit="bytes",
            links=ALERTS,
        ),
    ]


def _not_taken() -> list[Panel]:
    letters = series("otelbridge.delivery.dead_letters")
    return [
        lines(
            "Retries a second, by reason",
            "Requests that were not taken and will be sent again.",
            counted("otelbridge.delivery.retries", REASON),
            unit="cps",
            links=ALERTS,
        ),
        lines(
            "Never delivered, by reason",
            "Items a second that a destination will never get. Those that it refused are kept as "
            "dead letters; max_bytes and disk_full mean that they were given up.",
            counted("otelbridge.delivery.rejected", REASON),
            unit="cps",
            links=ALERTS,
        ),
        lines(
            "Dead letters",
            "Items that a destination refused and that are kept: `otelbridge deadletters list`.",
            Query(expr=total(letters, DESTINATION, SIGNAL), legend=_LANE),
            unit="short",
            links=ALERTS,
        ),
    ]


def journal() -> list[Panel]:
    """Return how the journal is."""
    return [
        lines(
            "Journal",
            "Size of the journal, and free space on its disk.",
            Query(
                expr=total(series("otelbridge.journal.bytes"), "instance"), legend="{{instance}}"
            ),
            Query(
                expr=total(series("otelbridge.journal.free"), "instance"),
                legend="{{instance}} free",
            ),
            unit="bytes",
            links=ALERTS,
        ),
        lines(
            "Disk full, and records not read",
            "1 if the disk was full and has no space yet; records not read since the start.",
            Query(expr=f"max({series('otelbridge.journal.disk_full')})", legend="disk full"),
            Query(expr=f"max({series('otelbridge.journal.refusing')})", legend="refusing records"),
            Query(expr=total(series("otelbridge.journal.unread")), legend="not read"),
            unit="short",
            links=ALERTS,
        ),
        lines(
            "Failed attempts to tell",
            "Attempts a second to tell an interception that failed; it is tried again.",
            Query(
                expr=or_nothing(total(rate(series("otelbridge.interceptions.failed")))),
                legend="failed",
            ),
            unit="cps",
            links=ALERTS,
        ),
    ]
