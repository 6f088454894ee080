"""The dashboard "Usage and cost"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.model import Panel, Query
from dashboards.parts import (
    AGENTS,
    HEALTH,
    USAGE,
    bars,
    dashboard_of,
    drill,
    lines,
    link,
    number,
    request_variables,
)
from dashboards.promql import (
    BRIDGES,
    CLIENT,
    COMPONENT,
    MODEL,
    PERIOD,
    PROVIDER,
    TOKEN_TYPE,
    USER,
    either,
    increase,
    rate,
    series,
    top,
    total,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboards.model import Dashboard

#: What the recording rules call the part of a budget that its period will have taken.
PROJECTED = "user:aibridge_budget_projected:ratio"

_COST = series("aibridge.cost")
_ONWARD = (link(AGENTS, filters=True),)
_PRICED = (link(HEALTH),)
_USD = "currencyUSD"


def _tokens(part: str, over: Callable[[str], str], *by: str) -> str:
    """Return input or output tokens, under any profile of names."""
    told = series(f"gen_ai.client.inference.usage.{part}_tokens")
    former = series("gen_ai.client.token.usage", f'{TOKEN_TYPE}="{part}"', part="sum")
    return either(total(over(told), *by), total(over(former), *by))


def _share(over: Callable[[str], str], *by: str) -> str:
    """Return which part of the input tokens the providers had in their caches."""
    read = total(over(series("gen_ai.client.inference.usage.cache_read.input_tokens")), *by)
    return f"{read} / ({_tokens('input', over, *by)} > 0)"


def _now() -> list[Panel]:
    return [
        number(
            "Spend an hour",
            "What an hour costs at the present rate. Usage without a known price counts nothing.",
            f"{total(rate(_COST))} * 3600",
            unit=_USD,
            links=_PRICED,
        ),
        number(
            "Spend, last 24 hours",
            "What the last 24 hours cost, whatever the time range above.",
            total(increase(_COST, "1d")),
            unit=_USD,
            links=_PRICED,
        ),
        number(
            "Projection, 30 days",
            "What 30 days cost if each is as the last 24 hours.",
            f"{total(increase(_COST, '1d'))} * 30",
            unit=_USD,
            links=_PRICED,
        ),
        number(
            "Spend",
            "What the time range above cost.",
            total(increase(_COST)),
            unit=_USD,
            links=_ONWARD,
        ),
        number(
            "Tokens",
            "Input tokens, cached ones included, and output tokens of the time range. The client "
            "is no label of token counts.",
            f"{_tokens('input', increase)} + {_tokens('output', increase)}",
            unit="short",
            links=_ONWARD,
        ),
        number(
            "Cache hits",
            "Which part of the input tokens of the time range the providers had in their caches. "
            "Told under the profiles dup and latest.",
            _share(increase),
            unit="percentunit",
            links=_ONWARD,
        ),
    ]


def _over_time() -> list[Panel]:
    spend = Query(expr=f"{total(rate(_COST), COMPONENT)} * 3600", legend=f"{{{{{COMPONENT}}}}}")
    return [
        lines(
            "Spend an hour by component",
            "What the money is spent on: uncached input, output, cache reads, cache writes and "
            "web searches.",
            spend,
            unit=_USD,
            links=_ONWARD,
            is_stacked=True,
        ),
        lines(
            "Tokens a second by kind",
            "Cache reads and writes are parts of the input, reasoning is a part of the output: "
            "they are not added up. Parts are told under the profiles dup and latest.",
            *_kinds(),
            unit="short",
            links=_ONWARD,
        ),
        lines(
            "Cache hits by provider",
            "Which part of the input tokens each provider had in its cache. Told under the "
            "profiles dup and latest.",
            Query(expr=_share(rate, PROVIDER), legend=f"{{{{{PROVIDER}}}}}"),
            unit="percentunit",
            links=_ONWARD,
            maximum=1,
        ),
    ]


def _kinds() -> list[Query]:
    parts = {
        "cache reads": "cache_read.input_tokens",
        "cache writes": "cache_write.input_tokens",
        "reasoning": "reasoning.output_tokens",
    }
    found = [Query(expr=_tokens(part, rate), legend=part) for part in ("input", "output")]
    for legend, part in parts.items():
        told = total(rate(series(f"gen_ai.client.inference.usage.{part}")))
        found.append(Query(expr=told, legend=legend))
    return found


def _by(title: str, label: str, what: str, variable: str | None = None) -> Panel:
    return bars(
        title,
        f"What the time range cost, by {what}: the ten greatest.",
        top(total(increase(_COST), label)),
        legend=f"{{{{{label}}}}}",
        unit=_USD,
        links=_ONWARD,
        drill=None if variable is None else drill(AGENTS, variable, label),
        width=6,
    )


def _tokens_by(label: str, what: str, variable: str) -> Panel:
    both = f"{_tokens('input', increase, label)} + {_tokens('output', increase, label)}"
    return bars(
        f"Tokens by {what}",
        f"Input and output tokens of the time range, by {what}: the ten greatest.",
        top(both),
        legend=f"{{{{{label}}}}}",
        unit="short",
        links=_ONWARD,
        drill=drill(AGENTS, variable, label),
        width=6,
    )


def _shares() -> list[Panel]:
    told = total(increase(series("aibridge.interceptions")), CLIENT)
    return [
        _by("Spend by model", MODEL, "model", "model"),
        _by("Spend by provider", PROVIDER, "provider", "provider"),
        _by("Spend by client", CLIENT, "client: the coding agent", "client"),
        _by(
            "Spend by user",
            USER,
            "user's id, where [metrics] user_label is on; else one bar for all",
        ),
        _tokens_by(MODEL, "model", "model"),
        _tokens_by(PROVIDER, "provider", "provider"),
        bars(
            "Requests by client",
            "LLM requests of the time range that were finalised, by coding agent.",
            top(told),
            legend=f"{{{{{CLIENT}}}}}",
            unit="short",
            links=_ONWARD,
            drill=drill(AGENTS, "client", CLIENT),
            width=6,
        ),
        bars(
            "Tokens by user",
            "Input and output tokens of the time range by user's id, where [metrics] user_label "
            "is on and the profile is dup or latest.",
            top(total(f"{_user_tokens('input')} + {_user_tokens('output')}", USER)),
            legend=f"{{{{{USER}}}}}",
            unit="short",
            links=_ONWARD,
            width=6,
        ),
    ]


def _user_tokens(part: str) -> str:
    return total(increase(series(f"gen_ai.client.inference.usage.{part}_tokens")), USER)


def _budget(title: str, description: str, expr: str) -> Panel:
    return bars(
        title,
        f"{description} Told where [metrics] user_label is on, of users who have spent something.",
        top(expr),
        legend=f"{{{{{USER}}}}} a {{{{{PERIOD}}}}}",
        unit="percentunit",
        links=_PRICED,
        limits=(0.8, 1.0),
    )


def _budgets() -> list[Panel]:
    spent = Query(
        expr=top(series("aibridge.budget.spent")), legend=f"{{{{{USER}}}}} a {{{{{PERIOD}}}}}"
    )
    return [
        _budget(
            "Budget used",
            "Which part of its budget a user has spent in the current day, week or month, UTC.",
            series("aibridge.budget.utilization"),
        ),
        _budget(
            "Budget burn",
            "Which part of it will be spent when the period ends, at the rate of the last hour. "
            "Needs the recording rules.",
            f"{PROJECTED}{{{BRIDGES}}}",
        ),
        lines(
            "Spent in the period",
            "What users have spent in their budget's period: it begins anew at midnight UTC. Told "
            "where [metrics] user_label is on.",
            spent,
            unit=_USD,
            links=_PRICED,
        ),
    ]


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return dashboard_of(
        USAGE,
        "What LLM requests use and cost: by model, provider, client and user.",
        variables=request_variables(),
        rows={
            "Now": _now(),
            "Over time": _over_time(),
            "Who and what": _shares(),
            "Budgets": _budgets(),
        },
    )
