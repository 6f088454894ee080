"""The dashboard "Agents and tools"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.model import Dashboard, Panel, Query, Row
from dashboards.parts import (
    AGENTS,
    HEALTH,
    TITLES,
    USAGE,
    bars,
    bridge_variables,
    drill,
    lines,
    link,
    menu,
    number,
    request_variables,
)
from dashboards.promql import (
    ERROR,
    INJECTED,
    MODEL,
    OUTCOME,
    PROVIDER,
    TOKEN_TYPE,
    TOOL,
    either,
    increase,
    or_none,
    or_nothing,
    quantile,
    rate,
    series,
    top,
    total,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_ONWARD = (link(USAGE, filters=True),)
_HEALTH = (link(HEALTH),)
_REQUESTS = series("aibridge.interceptions")
_FAILED = series("aibridge.interceptions", f'{OUTCOME}="error"')
_TOOLS = series("aibridge.tool.calls")
_FAILED_TOOLS = series("aibridge.tool.calls", f'{ERROR}!=""')


def _duration(over: Callable[[str], str], *by: str, part: str, failed: bool = False) -> str:
    """Return a histogram of durations, under any profile of names."""
    only = (f'{ERROR}!=""',) if failed else ()
    told, former = (
        total(over(series(f"gen_ai.client.{name}.duration", *only, part=part)), *by)
        for name in ("inference", "operation")
    )
    return either(told, former)


def _now() -> list[Panel]:
    prompts = total(increase(series("aibridge.prompts")))
    return [
        number(
            "Requests",
            "LLM requests of the time range that were finalised.",
            total(increase(_REQUESTS)),
            unit="short",
            links=_ONWARD,
        ),
        number(
            "Active now",
            "LLM requests that have started and not ended. The client is no label of it. Over "
            "OTLP, a model's last number stays for Prometheus' five minutes when all have ended.",
            total(series("aibridge.interceptions.active")),
            unit="short",
            links=_ONWARD,
        ),
        number(
            "Failed requests",
            "Which part of the time range's requests the provider refused or broke off.",
            f"({or_nothing(total(increase(_FAILED)))}) / ({total(increase(_REQUESTS))} > 0)",
            unit="percentunit",
            links=_ONWARD,
            limits=(0.05, 0.2),
        ),
        number(
            "Requests a prompt",
            "How many LLM requests an agent makes for one prompt: about the length of a thread. "
            "The threads themselves are in the traces (aibridge.thread.root.id).",
            f"{total(increase(_REQUESTS))} / ({prompts} > 0)",
            unit="short",
            links=_ONWARD,
        ),
        number(
            "Tool calls",
            "Tools that models asked for in the time range. Tool calls have no other label than "
            "the tool.",
            total(increase(_TOOLS)),
            unit="short",
            links=_ONWARD,
        ),
        number(
            "Failed tool calls",
            "Which part of the time range's tool calls failed. Only of tools that the gateway runs "
            "is that known.",
            f"({or_nothing(total(increase(_FAILED_TOOLS)))}) / ({total(increase(_TOOLS))} > 0)",
            unit="percentunit",
            links=_ONWARD,
            limits=(0.05, 0.2),
        ),
    ]


def _requests() -> list[Panel]:
    outcomes = Query(expr=total(rate(_REQUESTS), OUTCOME), legend=f"{{{{{OUTCOME}}}}}")
    errors = or_none(_duration(rate, ERROR, part="count", failed=True), ERROR)
    threads = f"{total(rate(_REQUESTS))} / ({total(rate(series('aibridge.prompts')))} > 0)"
    return [
        lines(
            "Requests a second by outcome",
            "Completed; error: the provider refused; incomplete: no end came; orphan: no start "
            "came.",
            outcomes,
            unit="reqps",
            links=_ONWARD,
            is_stacked=True,
        ),
        lines(
            "Failures a second by type",
            "error.type of requests that failed, as the gateway says. The client is no label of "
            "it.",
            Query(expr=errors, legend=f"{{{{{ERROR}}}}}"),
            unit="reqps",
            links=_ONWARD,
            is_stacked=True,
        ),
        lines(
            "Requests a prompt over time",
            "How many LLM requests agents make for one prompt: about the length of a thread.",
            Query(expr=threads, legend="requests"),
            unit="short",
            links=_ONWARD,
        ),
    ]


def _latency() -> list[Panel]:
    buckets = _duration(rate, "le", part="bucket")
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
            links=_ONWARD,
        ),
        bars(
            "Duration by model, p95",
            "How long 95 % of the time range's requests to a model take at most: the ten slowest.",
            top(quantile(0.95, _duration(increase, "le", MODEL, part="bucket"))),
            legend=f"{{{{{MODEL}}}}}",
            unit="s",
            links=_ONWARD,
            drill=drill(USAGE, "model", MODEL),
        ),
        bars(
            "Duration by provider, p95",
            "How long 95 % of the time range's requests to a provider take at most.",
            top(quantile(0.95, _duration(increase, "le", PROVIDER, part="bucket"))),
            legend=f"{{{{{PROVIDER}}}}}",
            unit="s",
            links=_ONWARD,
            drill=drill(USAGE, "provider", PROVIDER),
        ),
        lines(
            "Tokens of a request",
            "Percentiles of the input of LLM requests, cached tokens included, and of their "
            "output.",
            *_sizes(),
            unit="short",
            links=_ONWARD,
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
            links=_ONWARD,
            width=12,
        ),
    ]


def _sizes() -> list[Query]:
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


def _tools() -> list[Panel]:
    kinds = total(rate(_TOOLS), INJECTED)
    failures = or_none(total(rate(_FAILED_TOOLS), TOOL, ERROR), ERROR)
    answers = series("aibridge.mcp.token_requests")
    return [
        bars(
            "Tool calls by tool",
            "Tools that models asked for in the time range: the ten most frequent.",
            top(total(increase(_TOOLS), TOOL)),
            legend=f"{{{{{TOOL}}}}}",
            unit="short",
            links=_ONWARD,
        ),
        lines(
            "Tool calls a second",
            "injected is true where the gateway ran the tool on an MCP server, false where the "
            "agent runs it itself.",
            Query(expr=kinds, legend=f"injected: {{{{{INJECTED}}}}}"),
            unit="cps",
            links=_ONWARD,
        ),
        lines(
            "Failed tool calls a second",
            "By tool and error.type: tools that the gateway runs on MCP servers. The server is an "
            "attribute of the execute_tool span.",
            Query(expr=failures, legend=f"{{{{{TOOL}}}}} {{{{{ERROR}}}}}"),
            unit="cps",
            links=_ONWARD,
        ),
        lines(
            "MCP tokens a second",
            "Answers to gateways that asked for a user's token at an MCP server: no_link means "
            "that the user has not logged in, failed that the authorization server did not answer.",
            Query(
                expr=or_none(total(rate(answers), OUTCOME), OUTCOME), legend=f"{{{{{OUTCOME}}}}}"
            ),
            unit="reqps",
            links=_HEALTH,
            width=12,
        ),
        lines(
            "Key checks a second",
            "Answers to gateways that asked whether a user's key is valid, by outcome.",
            Query(
                expr=or_none(total(rate(series("aibridge.authorizations")), OUTCOME), OUTCOME),
                legend=f"{{{{{OUTCOME}}}}}",
            ),
            unit="reqps",
            links=_HEALTH,
            width=12,
        ),
    ]


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return Dashboard(
        uid=AGENTS,
        title=TITLES[AGENTS],
        description="What agents do: requests, failures, durations, tools and MCP servers.",
        variables=[*bridge_variables(), *request_variables()],
        links=menu(),
        rows=[
            Row(title="Now", panels=_now()),
            Row(title="Requests", panels=_requests()),
            Row(title="Durations and sizes", panels=_latency()),
            Row(title="Tools", panels=_tools()),
        ],
    )
