"""Rendering: a view becomes HTML. Every text in it is escaped, whoever wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from otelbridge.config.page import TRACE_ID
from otelbridge.page import formats
from otelbridge.page.attention import attention
from otelbridge.page.rates import STEP_S, STEPS
from otelbridge.page.waterfall import WIDTH, groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelbridge.domain.recent import Brief
    from otelbridge.page.view import Links, View

_BAR_STEP = 10
_CHART_HEIGHT = 60


class Bar(NamedTuple):
    """A bar of the chart.

    Attributes:
        x: Where it stands.
        y: Its upper end.
        height: Its height; 0 for nothing.
    """

    x: int
    y: int
    height: int


def render(view: View) -> str:
    """Return the page. Some milliseconds; may be called in any thread."""
    overview = view.overview
    return _TEMPLATE.render(
        view=view,
        problems=attention(view),
        bars=bars(view.rates.bars),
        chart=(STEPS * _BAR_STEP, _CHART_HEIGHT),
        minutes=int(STEPS * STEP_S) // 60,
        step_s=int(STEP_S),
        width=WIDTH,
        groups=groups([*overview.recent, *overview.open]),
        trace_link=lambda brief: trace_link(view.links, brief),
    )


def bars(counts: Sequence[int]) -> list[Bar]:
    """Return the chart's bars, the newest at the right end."""
    most = max(counts, default=0)
    if not most:
        return []
    first = STEPS - len(counts)
    heights = [-(-_CHART_HEIGHT * number // most) for number in counts]  # 1 is seen, too
    return [
        Bar((first + place) * _BAR_STEP, _CHART_HEIGHT - height, height)
        for place, height in enumerate(heights)
        if height
    ]


def trace_link(links: Links, brief: Brief) -> str:
    """Return where an interception's trace is shown; empty for nowhere.

    Nothing is told of an open one, so it has no trace yet.
    """
    if links.trace_url is None or brief.outcome == "open":
        return ""
    trace = brief.root_id if links.by_thread else brief.id
    return links.trace_url.replace(TRACE_ID, trace.hex)


def _template() -> Environment:
    environment = Environment(
        loader=PackageLoader("otelbridge.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ("age", "clock", "count", "duration", "iso", "moment", "percent", "plain", "rate")
    environment.filters |= {name: getattr(formats, name) for name in (*names, "size", "usd")}
    return environment


_TEMPLATE = _template().get_template("page.html")
