"""Briefs: what the page shows of an interception; see `otelbridge.domain.recent`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.domain.recent import (
    MAX_NAME,
    MAX_SESSION,
    MAX_TOOLS,
    Brief,
    TokenBrief,
    ToolBrief,
)
from otelbridge.domain.records import (
    InterceptionEnded,
    InterceptionStarted,
    PromptUsed,
    Record,
    TokensUsed,
    ToolUsed,
)
from otelbridge.domain.usage import total_usage, usage_of
from otelbridge.telemetry.servers import tool_error_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otelbridge.domain.usage import Usage
    from otelbridge.telemetry.accounts import Account
    from otelbridge.telemetry.summary import Summary

#: The outcome of an interception that is not finalised.
OPEN = "open"


def brief_of(summary: Summary, account: Account) -> Brief:
    """Return the brief of a finalised interception. It takes a microsecond or two."""
    interception = summary.interception
    start, thread = interception.start, interception.thread
    tools, prompt_chars = _events(summary.events)
    return Brief(
        interception.id,
        thread.root_id,
        thread.parent.interception_id if thread.parent else None,
        (start.client_session_id or "")[:MAX_SESSION] if start else "",
        account.provider[:MAX_NAME],
        account.model[:MAX_NAME],
        account.client[:MAX_NAME],
        summary.start_ns,
        summary.end_ns,
        summary.outcome.value,
        summary.error_type[:MAX_NAME],
        _tokens(summary.usage) if summary.usage is not None else None,
        summary.cost,
        summary.is_unpriced,
        prompt_chars,
        tuple([_tool(each) for each in tools[:MAX_TOOLS]]) if tools else (),
        len(tools),
    )


def brief_of_open(
    start: InterceptionStarted,
    records: Iterable[Record],
    account: Account,
    *,
    with_safe_name: Callable[[ToolUsed], ToolUsed],
) -> Brief:
    """Return the brief of an interception that has started and is not finalised.

    Args:
        start: Its start, as it is told.
        records: Its records, in the order of arrival.
        account: Whose it is.
        with_safe_name: Returns a tool use as its name is told.
    """
    found = list(records)
    used = [usage_of(each) for each in found if isinstance(each, TokensUsed)]
    ended = [each.at_ns for each in found if isinstance(each, InterceptionEnded)]
    tools, prompt_chars = _events(found)
    return Brief(
        id=start.interception_id,
        root_id=start.interception_id,  # its place in a thread is known when it is finalised
        parent_id=None,
        session=(start.client_session_id or "")[:MAX_SESSION],
        provider=account.provider[:MAX_NAME],
        model=account.model[:MAX_NAME],
        client=account.client[:MAX_NAME],
        started_ns=start.at_ns,
        ended_ns=max(start.at_ns, *(ended or [each.at_ns for each in found])),
        outcome=OPEN,
        error_type="",
        tokens=_tokens(total_usage(used)) if used else None,
        cost=None,
        is_unpriced=False,
        prompt_chars=prompt_chars,
        tools=tuple(_tool(with_safe_name(each)) for each in tools[:MAX_TOOLS]),
        tool_count=len(tools),
    )


def _events(records: Iterable[object]) -> tuple[list[ToolUsed], int]:
    """Return the tool uses, and the length of all prompts."""
    tools: list[ToolUsed] = []
    prompt_chars = 0
    for record in records:
        if type(record) is ToolUsed:
            tools.append(record)
        elif type(record) is PromptUsed:
            prompt_chars += record.length
    return tools, prompt_chars


def _tool(tool: ToolUsed) -> ToolBrief:
    error = tool_error_type(tool.invocation_error) if tool.invocation_error else ""
    return ToolBrief(tool.tool[:MAX_NAME], tool.at_ns, tool.injected, error)


def _tokens(usage: Usage) -> TokenBrief:
    return TokenBrief(
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read,
        usage.cache_write,
        usage.reasoning,
    )
