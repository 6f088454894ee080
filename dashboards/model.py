"""Dashboards, rows, panels and queries, and the JSON that Grafana imports.

Source: Grafana's dashboard JSON model, schema version 39 (Grafana 10.4 and later).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

Json: TypeAlias = dict[str, Any]

#: Grafana 10.4's; newer ones migrate it when they load it.
SCHEMA_VERSION = 39
#: Columns of Grafana's grid.
COLUMNS = 24
DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}

_ROW_HEIGHT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One PromQL query of a panel.

    Attributes:
        expr: PromQL with Grafana's variables.
        legend: What a series is called, with ``{{label}}``; empty for a single number.
        instant: Whether only the end of the time range is asked for.
        exemplars: Whether exemplars are shown, which open a trace.
    """

    expr: str
    legend: str = ""
    instant: bool = False
    exemplars: bool = False

    def to_json(self, ref: str) -> Json:
        """Return the target of that letter."""
        return {
            "datasource": DATASOURCE,
            "editorMode": "code",
            "exemplar": self.exemplars,
            "expr": self.expr,
            "instant": self.instant,
            # Grafana's $__rate_interval is four of these, so that a rate has two points at least.
            "interval": "$resolution",
            "legendFormat": self.legend or "__auto",
            "range": not self.instant,
            "refId": ref,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where a panel leads on to.

    Attributes:
        title: What is found there.
        url: The address, with Grafana's variables.
    """

    title: str
    url: str

    def to_json(self) -> Json:
        """Return it as panels and fields have it."""
        return {"title": self.title, "url": self.url, "targetBlank": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A panel.

    Attributes:
        title: What it shows; unique in its dashboard.
        description: What the number means, and what to know about it.
        kind: Grafana's panel type: stat, timeseries or bargauge.
        unit: Grafana's unit id.
        queries: What it shows.
        links: Where it leads on to; at least one.
        drill: Where a series of it leads on to, with its labels; if anywhere.
        width: Columns of `COLUMNS`.
        height: Rows of Grafana's grid.
        limits: Values from which on the colour is orange, and red; if any.
        maximum: Where the scale ends; None for the greatest value.
        is_stacked: Whether areas stand on each other: parts of a whole.
    """

    title: str
    description: str
    kind: str
    unit: str
    queries: Sequence[Query]
    links: Sequence[Link]
    drill: Link | None = None
    width: int = 8
    height: int = 8
    limits: tuple[float, float] | None = None
    maximum: float | None = None
    is_stacked: bool = False

    def to_json(self, number: int, *, x: int, y: int) -> Json:
        """Return it with its id and place."""
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "fieldConfig": {"defaults": self._defaults(), "overrides": []},
            "links": [link.to_json() for link in self.links],
            "options": _OPTIONS[self.kind],
            "targets": [
                query.to_json(ref)
                for ref, query in zip(ascii_uppercase, self.queries, strict=False)
            ],
        }

    def _defaults(self) -> Json:
        found: Json = {
            "color": {"mode": "thresholds" if self.limits else "palette-classic"},
            "min": 0,
            "thresholds": {"mode": "absolute", "steps": self._steps()},
            "unit": self.unit,
        }
        if self.kind == "stat" and not self.limits:
            found["color"] = {"mode": "fixed", "fixedColor": "text"}
        if self.kind == "timeseries":
            found["color"] = {"mode": "palette-classic"}
            found["custom"] = self._lines()
        if self.maximum is not None:
            found["max"] = self.maximum
        if self.drill is not None:
            found["links"] = [self.drill.to_json()]
        return found

    def _lines(self) -> Json:
        return {
            "drawStyle": "line",
            "fillOpacity": 30 if self.is_stacked else 8,
            "lineWidth": 1,
            "showPoints": "never",
            "stacking": {"group": "A", "mode": "normal" if self.is_stacked else "none"},
            "thresholdsStyle": {"mode": "line" if self.limits else "off"},
        }

    def _steps(self) -> list[Json]:
        steps: list[Json] = [{"color": "green", "value": None}]
        if self.limits:
            steps += [
                {"color": color, "value": value}
                for color, value in zip(("orange", "red"), self.limits, strict=True)
            ]
        return steps


_REDUCED: Json = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: dict[str, Json] = {
    "stat": {
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": _REDUCED,
        "textMode": "auto",
    },
    "timeseries": {
        "legend": {"calcs": ["lastNotNull"], "displayMode": "table", "placement": "bottom"},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "bargauge": {
        "displayMode": "basic",
        "minVizWidth": 8,
        "orientation": "horizontal",
        "reduceOptions": _REDUCED,
        "showUnfilled": True,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels under a heading.

    Attributes:
        title: The heading.
        panels: Its panels, in the order in which they are read.
    """

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """A dashboard.

    Attributes:
        uid: Its id in Grafana; also its file's name.
        title: Its name.
        description: What it answers.
        rows: Its panels.
        variables: Grafana's templating list.
        links: Links of the whole dashboard, as JSON.
        tags: What it is found by.
    """

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    variables: Sequence[Json]
    links: Sequence[Json] = field(default_factory=list)
    tags: Sequence[str] = ("otelbridge",)

    def to_json(self) -> Json:
        """Return what Grafana imports."""
        return {
            "annotations": {"list": []},
            "description": self.description,
            # A change by hand would be lost with the next import: the code is what is edited.
            "editable": False,
            "graphTooltip": 1,
            "links": list(self.links),
            "panels": self._panels(),
            "refresh": "1m",
            "schemaVersion": SCHEMA_VERSION,
            "tags": list(self.tags),
            "templating": {"list": list(self.variables)},
            "time": {"from": "now-24h", "to": "now"},
            # Periods of budgets, and days, begin at midnight UTC.
            "timezone": "utc",
            "title": self.title,
            "uid": self.uid,
            "version": 1,
        }

    def _panels(self) -> list[Json]:
        found: list[Json] = []
        y = 0
        for row in self.rows:
            found.append(_heading(row.title, len(found) + 1, y))
            y += _ROW_HEIGHT
            for line in _lines(row.panels):
                x = 0
                for panel in line:
                    found.append(panel.to_json(len(found) + 1, x=x, y=y))
                    x += panel.width
                y += max(panel.height for panel in line)
        return found


def _heading(title: str, number: int, y: int) -> Json:
    return {
        "id": number,
        "type": "row",
        "title": title,
        "collapsed": False,
        "gridPos": {"h": _ROW_HEIGHT, "w": COLUMNS, "x": 0, "y": y},
        "panels": [],
    }


def _lines(panels: Sequence[Panel]) -> list[Sequence[Panel]]:
    """Break panels into lines of the grid's width."""
    starts, width = [0], 0
    for number, panel in enumerate(panels):
        if width + panel.width > COLUMNS:
            starts.append(number)
            width = 0
        width += panel.width
    return [panels[start:end] for start, end in pairwise([*starts, len(panels)])]
