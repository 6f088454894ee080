"""The dashboard "Agents and tools"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards import durations, tools
from dashboards.model import Panel, Query
from dashboards.parts import (
    AGENTS,
    TO_USAGE,
    USAGE,
    amount,
    bars,
    dashboard_of,
    drill,
    failures,
    lines,
    request_variables,
)
from dashboards.promql import (
    CLIENT,
    ERROR,
    OUTCOME,
    increase,
    or_none,
    rate,
    series,
    top,
    total,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from dashboards.model import Dashboard

_REQUESTS = series("aibridge.interceptions")
_FAILED = series("aibridge.interceptions", f'{OUTCOME}="error"')
_THREADS = series("aibridge.threads")
_BY_CLIENT = f"{{{{{CLIENT}}}}}"


def _a_thread(over: Callable[[str], str], *by: str) -> str:
    """Return how many requests a thread has."""
    return f"{total(over(_REQUESTS), *by)} / ({total(over(_THREADS), *by)} > 0)"


def _now() -> list[Panel]:
    return [*_requests_now(), *_threads_now(), *tools.now()]


def _requests_now() -> list[Panel]:
    return [
        amount(
            "Requests",
            "LLM requests of the time range that were finalised.",
            total(increase(_REQUESTS)),
        ),
        amount(
            "Active now",
            "LLM requests that have started and not ended. The client is no label of it. Over "
            "OTLP, a model's last number stays for Prometheus' five minutes when all have ended.",
            total(series("aibridge.interceptions.active")),
        ),
        failures(
            "Failed requests",
            "Which part of the time range's requests the provider refused or broke off.",
            _FAILED,
            _REQUESTS,
        ),
    ]


def _threads_now() -> list[Panel]:
    return [
        amount(
            "Threads begun",
            "Threads of the time range. A thread is a request that answers no tool call, and all "
            "that follow from the tools it asked for; it counts under the first one's model.",
            total(increase(_THREADS)),
        ),
        amount(
            "Requests a thread",
            "How many LLM requests a thread has. Of a chosen model: its requests for each thread "
            "that began with it. A thread itself is in the traces (aibridge.thread.root.id).",
            _a_thread(increase),
        ),
    ]


def _requests() -> list[Panel]:
    outcomes = Query(expr=total(rate(_REQUESTS), OUTCOME), legend=f"{{{{{OUTCOME}}}}}")
    errors = or_none(durations.duration(rate, ERROR, part="count", failed=True), ERROR)
    return [
        lines(
            "Requests a second by outcome",
            "Completed; error: the provider refused; incomplete: no end came; orphan: no start "
            "came.",
            outcomes,
            unit="reqps",
            links=TO_USAGE,
            width=12,
            is_stacked=True,
        ),
        lines(
            "Failures a second by type",
            "error.type of requests that failed, as the gateway says. The client is no label of "
            "it.",
            Query(expr=errors, legend=f"{{{{{ERROR}}}}}"),
            unit="reqps",
            links=TO_USAGE,
            width=12,
            is_stacked=True,
        ),
    ]


def _threads() -> list[Panel]:
    return [
        lines(
            "Threads begun a second",
            "By coding agent.",
            Query(expr=total(rate(_THREADS), CLIENT), legend=_BY_CLIENT),
            unit="cps",
            links=TO_USAGE,
            width=12,
            is_stacked=True,
        ),
        lines(
            "Requests a thread over time",
            "How many LLM requests a thread has, by coding agent.",
            Query(expr=_a_thread(rate, CLIENT), legend=_BY_CLIENT),
            unit="short",
            links=TO_USAGE,
            width=12,
        ),
        _by_client(
            "Threads begun by client",
            "Threads of the time range, by coding agent: the ten most.",
            total(increase(_THREADS), CLIENT),
        ),
        _by_client(
            "Requests a thread by client",
            "How many LLM requests a thread of the time range has, by coding agent: the ten most.",
            _a_thread(increase, CLIENT),
        ),
    ]


def _by_client(title: str, description: str, expr: str) -> Panel:
    return bars(
        title,
        description,
        top(expr),
        legend=_BY_CLIENT,
        unit="short",
        links=TO_USAGE,
        drill=drill(USAGE, "client", CLIENT),
        width=12,
    )


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return dashboard_of(
        AGENTS,
        "What agents do: requests, failures, threads, durations, tools and MCP servers.",
        variables=request_variables(),
        rows={
            "Now": _now(),
            "Requests": _requests(),
            "Threads": _threads(),
            "Durations and sizes": [*durations.durations(), *durations.sizes()],
            "Tools": tools.tools(),
            "MCP servers and keys": [*tools.servers(), *tools.answers()],
        },
    )
