"""Panels of "Agents and tools" about tools and the MCP servers that run them."""

from __future__ import annotations

from dashboards.model import Panel, Query
from dashboards.parts import HEALTH, TO_USAGE, amount, bars, failures, lines, link
from dashboards.promql import (
    ERROR,
    INJECTED,
    OUTCOME,
    SERVER,
    TOOL,
    increase,
    or_none,
    rate,
    series,
    top,
    total,
)

_HEALTH = (link(HEALTH),)
_TOOLS = series("aibridge.tool.calls")
_FAILED = series("aibridge.tool.calls", f'{ERROR}!=""')
_CALLS = series("aibridge.mcp.tool.calls")
_FAILED_CALLS = series("aibridge.mcp.tool.calls", f'{ERROR}!=""')


def now() -> list[Panel]:
    """Return the numbers of the time range."""
    return [
        amount(
            "Tool calls",
            "Tools that models asked for in the time range. Tool calls have no other label than "
            "the tool.",
            total(increase(_TOOLS)),
        ),
        failures(
            "Failed tool calls",
            "Which part of the time range's tool calls failed. Only of tools that the gateway runs "
            "is that known.",
            _FAILED,
            _TOOLS,
        ),
        failures(
            "Failed MCP calls",
            "Which part of the tools that gateways ran at MCP servers in the time range failed.",
            _FAILED_CALLS,
            _CALLS,
        ),
    ]


def tools() -> list[Panel]:
    """Return which tools models ask for."""
    kinds = total(rate(_TOOLS), INJECTED)
    errors = or_none(total(rate(_FAILED), TOOL, ERROR), ERROR)
    return [
        bars(
            "Tool calls by tool",
            "Tools that models asked for in the time range: the ten most frequent.",
            top(total(increase(_TOOLS), TOOL)),
            legend=f"{{{{{TOOL}}}}}",
            unit="short",
            links=TO_USAGE,
        ),
        lines(
            "Tool calls a second",
            "injected is true where the gateway ran the tool on an MCP server, false where the "
            "agent runs it itself.",
            Query(expr=kinds, legend=f"injected: {{{{{INJECTED}}}}}"),
            unit="cps",
            links=TO_USAGE,
        ),
        lines(
            "Failed tool calls a second",
            "By tool and error.type: tools that the gateway runs on MCP servers.",
            Query(expr=errors, legend=f"{{{{{TOOL}}}}} {{{{{ERROR}}}}}"),
            unit="cps",
            links=TO_USAGE,
        ),
    ]


def servers() -> list[Panel]:
    """Return how the MCP servers do that the gateway runs tools on."""
    calls, failed = (total(increase(each), SERVER) for each in (_CALLS, _FAILED_CALLS))
    errors = or_none(total(rate(_FAILED_CALLS), SERVER, ERROR), SERVER)
    return [
        _by_server(
            "Tool calls by MCP server",
            "Tools that gateways ran in the time range, by the server's host: the ten most.",
            calls,
            unit="short",
        ),
        _by_server(
            "Failed tool calls by MCP server",
            "Which part of the time range's calls at a server failed: the ten greatest. The tool "
            "and its arguments are on the execute_tool span.",
            f"({failed} or 0 * {calls}) / ({calls} > 0)",
            unit="percentunit",
        ),
        lines(
            "Failed tool calls a second by MCP server",
            "By the server's host and error.type.",
            Query(expr=errors, legend=f"{{{{{SERVER}}}}} {{{{{ERROR}}}}}"),
            unit="cps",
            links=TO_USAGE,
        ),
    ]


def _by_server(title: str, description: str, expr: str, *, unit: str) -> Panel:
    legend = f"{{{{{SERVER}}}}}"
    return bars(title, description, top(expr), legend=legend, unit=unit, links=TO_USAGE)


def answers() -> list[Panel]:
    """Return what gateways that ask for tokens and keys are answered."""
    return [
        _answers(
            "MCP tokens a second",
            "Answers to gateways that asked for a user's token at an MCP server: no_link means "
            "that the user has not logged in, failed that the authorization server did not answer.",
            "aibridge.mcp.token_requests",
        ),
        _answers(
            "Key checks a second",
            "Answers to gateways that asked whether a user's key is valid, by outcome.",
            "aibridge.authorizations",
        ),
    ]


def _answers(title: str, description: str, instrument: str) -> Panel:
    told = total(rate(series(instrument)), OUTCOME)
    return lines(
        title,
        description,
        Query(expr=or_none(told, OUTCOME), legend=f"{{{{{OUTCOME}}}}}"),
        unit="reqps",
        links=_HEALTH,
        width=12,
    )
