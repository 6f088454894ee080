"""The waterfall: recent interceptions, grouped by session, each with a bar in its group's time."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from otelbridge.page.formats import cost_nanos

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from uuid import UUID

    from otelbridge.domain.recent import Brief, ToolBrief

#: Width of a group's time, in units of the drawing.
WIDTH = 1000
# A bar that is shorter cannot be seen.
_LEAST = 6
# A session that pauses for longer goes on in a group of its own, or its bars would be dots.
_PAUSE_NS = 300 * 10**9
#: Tools of one interception that have rows of their own.
MAX_TOOL_ROWS = 6
#: How many interceptions are shown, the newest.
SHOWN = 100


class ToolRow(NamedTuple):
    """A tool that the gateway ran.

    Attributes:
        tool: The tool use.
        x: Where its mark stands.
    """

    tool: ToolBrief
    x: int


class Row(NamedTuple):
    """An interception.

    Attributes:
        brief: What is known of it.
        is_follow_up: Whether it carries the result of a tool that another row asked for.
        x: Where its bar begins.
        width: How long its bar is.
        cost_nanos: What it cost, in USD * 10^9; None if that is not known.
        tools: Tools that the gateway ran, the first few.
        more_tools: How many further ones it ran, of those that are known.
        asked: Tools that the model asked its client for, and how often.
    """

    brief: Brief
    is_follow_up: bool
    x: int
    width: int
    cost_nanos: int | None
    tools: list[ToolRow]
    more_tools: int
    asked: list[tuple[str, int]]


class Group(NamedTuple):
    """Interceptions of one session, or of one thread where the client names no session.

    Attributes:
        key: Names the group in the page; safe in an attribute.
        session: The session; empty if the client names none.
        client: The client.
        began_ns: When its first row began.
        lasted_ns: From there to the end of the last one.
        rows: Its rows, the oldest first.
        input: Input tokens of all rows.
        output: Output tokens of all rows.
        cost_nanos: What all rows cost, as far as that is known, in USD * 10^9.
        errors: How many rows failed.
    """

    key: str
    session: str
    client: str
    began_ns: int
    lasted_ns: int
    rows: list[Row]
    input: int
    output: int
    cost_nanos: int
    errors: int


def groups(briefs: Iterable[Brief]) -> list[Group]:
    """Return the groups, the one with the newest row first.

    Args:
        briefs: Interceptions in any order; of many the newest are shown.
    """
    newest = sorted(briefs, key=lambda brief: (brief.started_ns, brief.id.bytes))[-SHOWN:]
    latest: dict[object, list[Brief]] = {}
    found: list[list[Brief]] = []
    for brief in newest:
        key = (brief.session, brief.client) if brief.session else brief.root_id
        together = latest.get(key)
        if together is None or brief.started_ns - together[-1].ended_ns > _PAUSE_NS:
            together = latest[key] = []
            found.append(together)
        together.append(brief)
    found.sort(key=lambda each: each[-1].started_ns, reverse=True)
    return [_group(each) for each in found]


def _group(briefs: list[Brief]) -> Group:
    began_ns = briefs[0].started_ns
    lasted_ns = max(brief.ended_ns for brief in briefs) - began_ns
    ids = {brief.id for brief in briefs}
    rows = [_row(brief, ids, began_ns, max(1, lasted_ns)) for brief in briefs]
    used = [brief.tokens for brief in briefs if brief.tokens is not None]
    return Group(
        key=briefs[0].id.hex,
        session=briefs[0].session,
        client=briefs[0].client,
        began_ns=began_ns,
        lasted_ns=lasted_ns,
        rows=rows,
        input=sum(tokens.input for tokens in used),
        output=sum(tokens.output for tokens in used),
        cost_nanos=sum(row.cost_nanos or 0 for row in rows),
        errors=sum(bool(brief.error_type) for brief in briefs),
    )


def _row(brief: Brief, ids: Collection[UUID | None], began_ns: int, lasted_ns: int) -> Row:
    x = _place(brief.started_ns - began_ns, lasted_ns)
    end = _place(brief.ended_ns - began_ns, lasted_ns)
    ran = [tool for tool in brief.tools if tool.injected]
    asked = Counter(tool.name for tool in brief.tools if not tool.injected)
    return Row(
        brief=brief,
        is_follow_up=brief.parent_id in ids,
        x=min(x, WIDTH - _LEAST),
        width=max(end - x, _LEAST),
        cost_nanos=None if brief.cost is None else cost_nanos(brief.cost),
        tools=[
            ToolRow(tool, min(_place(tool.at_ns - began_ns, lasted_ns), WIDTH - _LEAST))
            for tool in ran[:MAX_TOOL_ROWS]
        ],
        more_tools=len(ran[MAX_TOOL_ROWS:]),
        asked=list(asked.items()),
    )


def _place(since_ns: int, lasted_ns: int) -> int:
    return min(max(0, WIDTH * since_ns // lasted_ns), WIDTH)
