"""The dashboard "Bridge health"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards import delivery
from dashboards.delivery import ALERTS, counted
from dashboards.model import Panel, Query
from dashboards.parts import (
    AGENTS,
    HEALTH,
    USAGE,
    dashboard_of,
    destination_variable,
    lines,
    link,
    number,
)
from dashboards.promql import (
    BRIDGES,
    CLIENT,
    ERROR,
    GATEWAY,
    KIND,
    METHOD,
    MODEL,
    PROVIDER,
    REASON,
    RULE,
    STATUS,
    increase,
    or_nothing,
    quantile,
    rate,
    series,
    total,
)

if TYPE_CHECKING:
    from dashboards.model import Dashboard

_ONWARD = (link(AGENTS),)
_COST = (link(USAGE),)
_RECEIVED = total(series("otelbridge.records.received"))


def _known(name: str) -> str:
    """Return the sum of a counter that may not have begun."""
    return f"({or_nothing(total(series(name)))})"


_DISTINCT = f"{_RECEIVED} - {_known('otelbridge.records.duplicate')}"
_OPEN = total(series("otelbridge.journal.records"))
_MISSING = " - ".join(
    [
        _DISTINCT,
        _known("otelbridge.records.told"),
        _known("otelbridge.records.late"),
        _known("otelbridge.records.lost"),
        _OPEN,
    ]
)


def _now() -> list[Panel]:
    return [
        number(
            "Bridges",
            "How many bridges tell metrics.",
            f"count({series('otelbridge.journal.bytes')})",
            unit="short",
            links=ALERTS,
        ),
        number(
            "Oldest undelivered",
            "Age of the oldest telemetry that a destination has not taken.",
            f"max({series('otelbridge.journal.oldest_age')})",
            unit="s",
            links=ALERTS,
            limits=(300, 600),
        ),
        number(
            "Records unaccounted for",
            "Records received that are neither told nor pending nor counted as lost: 0, or a "
            "scrape's few while records arrive. `otelbridge reconcile` says it to the record.",
            _MISSING,
            unit="short",
            links=ALERTS,
        ),
        number(
            "Store wrong since",
            "How long a store file has been wrong, so that its last good state is answered.",
            f"max({series('otelbridge.store.age')})",
            unit="s",
            links=ALERTS,
            limits=(60, 300),
        ),
        number(
            "Gateways connected",
            "Sessions of gateways. One that calls over gRPC has none.",
            f"sum({series('otelbridge.gateway.sessions')})",
            unit="short",
            links=_ONWARD,
        ),
        _coverage(),
    ]


def _coverage() -> Panel:
    tokens = [
        series(f"otelbridge.records.{name}", f'{KIND}="tokens"')
        for name in ("received", "duplicate")
    ]
    counted = f"({total(increase(tokens[0]))} - ({or_nothing(total(increase(tokens[1])))}))"
    without = series("aibridge.cost.unpriced", ignoring=(PROVIDER, MODEL, CLIENT))
    unpriced = f"({or_nothing(total(increase(without)))})"
    return number(
        "Price coverage",
        "For which part of the time range's token records a price is known.",
        f"1 - {unpriced} / ({counted} > 0)",
        unit="percentunit",
        links=_COST,
    )


def _received(title: str, description: str, label: str) -> Panel:
    told = total(rate(series("otelbridge.records.received")), label)
    return lines(
        title,
        description,
        Query(expr=told, legend=f"{{{{{label}}}}}"),
        unit="cps",
        links=_ONWARD,
        is_stacked=True,
    )


def _records() -> list[Panel]:
    return [
        _received("Records in a second", "Well-formed records by kind, repeats included.", KIND),
        _received(
            "Records in by gateway",
            "Well-formed records a second by the gateway that reported; none for callers that "
            "show no gateway's key.",
            GATEWAY,
        ),
        _books(),
        *_odd_records(),
    ]


def _books() -> Panel:
    book = {
        "distinct": _DISTINCT,
        "told": _known("otelbridge.records.told"),
        "told late": _known("otelbridge.records.late"),
        "pending": _OPEN,
        "lost": _known("otelbridge.records.lost"),
    }
    return lines(
        "The books",
        "Distinct records are told, told late, pending or lost.",
        *(Query(expr=expr, legend=legend) for legend, expr in book.items()),
        unit="short",
        links=ALERTS,
    )


def _odd_records() -> list[Panel]:
    return [
        lines(
            "Records lost, by reason",
            "Acknowledged records that the journal has lost because its file was damaged, a "
            "second.",
            counted("otelbridge.records.lost", REASON),
            unit="cps",
            links=ALERTS,
        ),
        lines(
            "Records refused, by reason",
            "Records a second that were not accepted because they are wrong.",
            counted("otelbridge.records.rejected", REASON),
            unit="cps",
            links=ALERTS,
        ),
        lines(
            "Late, repeated and orphaned records",
            "Records a second that came after their interception was told, that were known, and "
            "that have no start.",
            *(
                Query(
                    expr=or_nothing(total(rate(series(f"otelbridge.records.{name}")))), legend=name
                )
                for name in ("late", "duplicate", "orphan")
            ),
            unit="cps",
            links=_ONWARD,
        ),
    ]


def _calls() -> list[Panel]:
    return [*_answers(), *_gateways()]


def _answers() -> list[Panel]:
    buckets = series("rpc.server.call.duration", part="bucket")
    count = series("rpc.server.call.duration", part="count")
    return [
        lines(
            "Calls a second, by status",
            "Calls of gateways. A record that is not answered with OK fails a user's LLM request.",
            Query(expr=total(rate(count), STATUS), legend=f"{{{{{STATUS}}}}}"),
            unit="reqps",
            links=ALERTS,
            is_stacked=True,
        ),
        lines(
            "Duration of calls, p99",
            "How long 99 % of the calls of a method take at most.",
            Query(
                expr=quantile(0.99, total(rate(buckets), "le", METHOD)), legend=f"{{{{{METHOD}}}}}"
            ),
            unit="s",
            links=_ONWARD,
        ),
        lines(
            "Calls refused, by reason",
            "Calls a second whose caller may not make them.",
            counted("otelbridge.calls.refused", REASON),
            unit="cps",
            links=ALERTS,
        ),
    ]


def _gateways() -> list[Panel]:
    version = "service_version"
    return [
        lines(
            "Gateway sessions",
            "Sessions by gateway; 0 for one that the store has and that is not connected.",
            Query(
                expr=total(series("otelbridge.gateway.sessions"), GATEWAY),
                legend=f"{{{{{GATEWAY}}}}}",
            ),
            unit="short",
            links=ALERTS,
        ),
        lines(
            "Protocol errors a second",
            "What gateways did against the protocol or beyond a limit, by error.type.",
            counted("otelbridge.gateway.protocol_errors", ERROR),
            unit="cps",
            links=ALERTS,
        ),
        lines(
            "Bridges by version",
            "Which versions run.",
            Query(
                expr=f"count by ({version}) (target_info{{{BRIDGES}}})",
                legend=f"{{{{{version}}}}}",
            ),
            unit="short",
            links=_ONWARD,
        ),
    ]


def _limits() -> list[Panel]:
    cut = (
        ("left out", "otelbridge.content.shed"),
        ("cut", "otelbridge.content.truncated"),
    )
    beyond = (
        ("values of labels", "otelbridge.label.overflow"),
        ("series", "otelbridge.series.overflow"),
    )
    return [
        lines(
            "Beyond the limits",
            "Values a second that are told as _OTHER because a label has too many, or an "
            "instrument too many series.",
            *_sums(beyond),
            unit="cps",
            links=ALERTS,
        ),
        lines(
            "Content left out or cut",
            "Items told without content because too much waits, and texts cut to their limit, a "
            "second.",
            *_sums(cut),
            unit="cps",
            links=ALERTS,
        ),
        lines(
            "Secrets taken out",
            "Secrets a second that were taken out before anything was told, by rule.",
            counted("otelbridge.content.redacted", RULE),
            unit="cps",
            links=_ONWARD,
        ),
    ]


def _sums(counters: tuple[tuple[str, str], ...]) -> list[Query]:
    return [
        Query(expr=or_nothing(total(rate(series(name)))), legend=legend)
        for legend, name in counters
    ]


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return dashboard_of(
        HEALTH,
        "Whether the bridge itself is well: records, delivery, journal and calls.",
        variables=[destination_variable()],
        rows={
            "Now": _now(),
            "Records": _records(),
            "Delivery": delivery.deliveries(),
            "Journal": delivery.journal(),
            "Calls and gateways": _calls(),
            "Limits": _limits(),
        },
    )
