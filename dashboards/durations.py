"""Panels of "Agents and tools" about how long requests take and how much they carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.model import Panel, Query
from dashboards.parts import TO_USAGE, USAGE, bars, drill, lines
from dashboards.promql import (
    ERROR,
    MODEL,
    PROVIDER,
    TOKEN_TYPE,
    either,
    increase,
    or_nothing,
    quantile,
    rate,
    series,
    top,
    total,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def duration(over: Callable[[str], str], *by: str, part: str, failed: bool = False) -> str:
    """Return a histogram of durations, under any profile of names.

    Args:
        over: What is made of the counters.
        by: By which labels.
        part: Which of its series: bucket, sum or count.
        failed: Whether only requests that failed count.
    """
    only = (f'{ERROR}!=""',) if failed else ()
    told, former = (
        total(over(series(f"gen_ai.client.{name}.duration", *only, part=part)), *by)
        for name in ("inference", "operation")
    )
    return either(told, former)


def durations() -> list[Panel]:
    """Return how long requests take."""
    buckets = duration(rate, "le", part="bucket")
    percentiles = [
        Query(expr=quantile(share, buckets), legend=f"p{share * 100:g}", exemplars=True)
        for share in (0.5, 0.95, 0.99)
    ]
    return [
        lines(
            "Duration of requests",
            "Percentiles of how long LLM requests take. Each dot is an exemplar: a request whose "
            "trace it opens, where the data source names a trace store.",
            *percentiles,
            unit="s",
            links=TO_USAGE,
        ),
        _slowest(MODEL, "model", "at most: the ten slowest."),
        _slowest(PROVIDER, "provider", "at most."),
    ]


def _slowest(label: str, variable: str, limit: str) -> Panel:
    return bars(
        f"Duration by {variable}, p95",
        f"How long 95 % of the time range's requests to a {variable} take {limit}",
        top(quantile(0.95, duration(increase, "le", label, part="bucket"))),
        legend=f"{{{{{label}}}}}",
        unit="s",
        links=TO_USAGE,
        drill=drill(USAGE, variable, label),
    )


def sizes() -> list[Panel]:
    """Return how much requests carry."""
    return [
        lines(
            "Tokens of a request",
            "Percentiles of the input of LLM requests, cached tokens included, and of their "
            "output.",
            *_tokens(),
            unit="short",
            links=TO_USAGE,
            width=12,
        ),
        lines(
            "Prompts and thoughts a second",
            "What people ask, and thoughts that models tell.",
            Query(expr=total(rate(series("aibridge.prompts"))), legend="prompts"),
            Query(
                expr=or_nothing(total(rate(series("aibridge.model_thoughts")))), legend="thoughts"
            ),
            unit="cps",
            links=TO_USAGE,
            width=12,
        ),
    ]


def _tokens() -> list[Query]:
    found = []
    for part in ("input", "output"):
        told = series(f"gen_ai.client.inference.operation.{part}_tokens", part="bucket")
        former = series("gen_ai.client.token.usage", f'{TOKEN_TYPE}="{part}"', part="bucket")
        buckets = either(total(rate(told), "le"), total(rate(former), "le"))
        found += [
            Query(expr=quantile(share, buckets), legend=f"{part} p{share * 100:g}", exemplars=True)
            for share in (0.5, 0.95)
        ]
    return found
