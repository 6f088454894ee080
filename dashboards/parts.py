"""What the dashboards share: variables, links from one to the next, shapes of panels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.model import DATASOURCE, Dashboard, Link, Panel, Query, Row
from dashboards.promql import (
    BRIDGES,
    CLIENT,
    DESTINATION,
    MODEL,
    PROVIDER,
    increase,
    names,
    series,
    share,
)
from otelbridge.telemetry.instruments import INSTRUMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dashboards.model import Json

USAGE, AGENTS, HEALTH = "otelbridge-usage", "otelbridge-agents", "otelbridge-health"
TITLES = {USAGE: "Usage and cost", AGENTS: "Agents and tools", HEALTH: "Bridge health"}

_KEPT = "${__url_time_range}&${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"
_FILTERS = "&${provider:queryparam}&${model:queryparam}&${client:queryparam}"
_BRIDGE = names(INSTRUMENTS["otelbridge.journal.bytes"])[0]


def link(uid: str, *, filters: bool = False) -> Link:
    """Return the way to a dashboard, with the time and the variables of this one.

    Args:
        uid: The dashboard.
        filters: Whether both have provider, model and client.
    """
    url = f"/d/{uid}?{_KEPT}{_FILTERS if filters else ''}"
    return Link(title=TITLES[uid], url=url)


#: The way from what agents do to what it costs.
TO_USAGE: tuple[Link, ...] = (link(USAGE, filters=True),)


def drill(uid: str, variable: str, label: str) -> Link:
    """Return the way from a series to a dashboard about that value alone."""
    title = f"{TITLES[uid]} of ${{__field.labels.{label}}}"
    return Link(title=title, url=f"/d/{uid}?{_KEPT}&var-{variable}=${{__field.labels.{label}}}")


def dashboard_of(
    uid: str, description: str, *, variables: Sequence[Json], rows: Mapping[str, Sequence[Panel]]
) -> Dashboard:
    """Return a dashboard with what all have: the menu, and the choice of bridges.

    Args:
        uid: One of `TITLES`.
        description: What it answers.
        variables: What else it asks.
        rows: Its panels, by the heading under which they stand.
    """
    return Dashboard(
        uid=uid,
        title=TITLES[uid],
        description=description,
        variables=[*_bridge_variables(), *variables],
        links=_menu(),
        rows=[Row(title=title, panels=panels) for title, panels in rows.items()],
    )


def _menu() -> list[Json]:
    """Return the links above every dashboard: to all others of the tag."""
    return [
        {
            "asDropdown": False,
            "icon": "external link",
            "includeVars": True,
            "keepTime": True,
            "tags": ["otelbridge"],
            "targetBlank": False,
            "title": "otelbridge",
            "type": "dashboards",
            "url": "",
        }
    ]


def _bridge_variables() -> list[Json]:
    """Return what every dashboard asks: which Prometheus, which bridges, how often they tell."""
    return [
        {
            "hide": 0,
            "label": "Data source",
            "name": "datasource",
            "query": "prometheus",
            "refresh": 1,
            "regex": "",
            "type": "datasource",
        },
        _query("job", f"label_values({_BRIDGE}, job)", label="Job"),
        _query("instance", f'label_values({_BRIDGE}{{job=~"$job"}}, instance)', label="Instance"),
        _custom("resolution", ("15s", "30s", "1m", "2m", "5m"), default="1m", label="Told every"),
    ]


def request_variables() -> list[Json]:
    """Return what chooses among LLM requests."""
    name = names(INSTRUMENTS["aibridge.interceptions"])[0]
    return [
        _query("provider", f"label_values({name}{{{BRIDGES}}}, {PROVIDER})", label="Provider"),
        _query(
            "model",
            f'label_values({name}{{{BRIDGES}, {PROVIDER}=~"$provider"}}, {MODEL})',
            label="Model",
        ),
        _query("client", f"label_values({name}{{{BRIDGES}}}, {CLIENT})", label="Client"),
    ]


def destination_variable() -> Json:
    """Return what chooses among destinations."""
    lag = series("otelbridge.delivery.lag", ignoring=(DESTINATION,))
    return _query("destination", f"label_values({lag}, {DESTINATION})", label="Destination")


def _query(name: str, query: str, *, label: str) -> Json:
    return {
        # Also what has no such label: with another store than Prometheus there may be no job.
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "datasource": DATASOURCE,
        "definition": query,
        "hide": 0,
        "includeAll": True,
        "label": label,
        "multi": True,
        "name": name,
        "query": {"query": query, "refId": f"Prometheus-{name}"},
        "refresh": 2,
        "regex": "",
        "sort": 1,
        "type": "query",
    }


def _custom(name: str, values: Sequence[str], *, default: str, label: str) -> Json:
    options = [{"selected": each == default, "text": each, "value": each} for each in values]
    return {
        "current": {"selected": True, "text": default, "value": default},
        "hide": 0,
        "includeAll": False,
        "label": label,
        "multi": False,
        "name": name,
        "options": options,
        "query": ",".join(values),
        "type": "custom",
    }


def number(
    title: str,
    description: str,
    expr: str,
    *,
    unit: str,
    links: Sequence[Link],
    width: int = 4,
    limits: tuple[float, float] | None = None,
) -> Panel:
    """Return a panel with one number."""
    return Panel(
        title=title,
        description=description,
        kind="stat",
        unit=unit,
        queries=[Query(expr=expr, instant=True)],
        links=links,
        width=width,
        height=4,
        limits=limits,
    )


def amount(title: str, description: str, expr: str) -> Panel:
    """Return a panel with how many of what agents do there are."""
    return number(title, description, expr, unit="short", links=TO_USAGE, width=3)


def failures(title: str, description: str, failed: str, whole: str) -> Panel:
    """Return a panel with which part of what agents did in the time range failed."""
    expr = share(increase(failed), increase(whole))
    limits = (0.05, 0.2)
    return number(
        title, description, expr, unit="percentunit", links=TO_USAGE, width=3, limits=limits
    )


def bars(
    title: str,
    description: str,
    expr: str,
    *,
    legend: str,
    unit: str,
    links: Sequence[Link],
    drill: Link | None = None,
    width: int = 8,
    limits: tuple[float, float] | None = None,
) -> Panel:
    """Return a panel with a bar for each series; one with limits ends at the last of them."""
    return Panel(
        title=title,
        description=description,
        kind="bargauge",
        unit=unit,
        queries=[Query(expr=expr, legend=legend, instant=True)],
        links=links,
        drill=drill,
        width=width,
        limits=limits,
        maximum=limits[-1] if limits else None,
    )


def lines(
    title: str,
    description: str,
    *queries: Query,
    unit: str,
    links: Sequence[Link],
    width: int = 8,
    limits: tuple[float, float] | None = None,
    maximum: float | None = None,
    is_stacked: bool = False,
) -> Panel:
    """Return a panel of values over time."""
    return Panel(
        title=title,
        description=description,
        kind="timeseries",
        unit=unit,
        queries=queries,
        links=links,
        width=width,
        limits=limits,
        maximum=maximum,
        is_stacked=is_stacked,
    )
