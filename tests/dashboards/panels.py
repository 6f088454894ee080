"""The dashboards' JSON as Grafana reads it."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from tests.dashboards.told import ROOT

FOLDER = ROOT / "dashboards" / "grafana"
Json = dict[str, Any]
_LABEL = re.compile(r"\{\{(\w+)\}\}|\$\{__field\.labels\.(\w+)")


class Shown(NamedTuple):
    """A panel of a dashboard.

    Attributes:
        uid: The dashboard's id.
        panel: The panel's JSON.
    """

    uid: str
    panel: Json

    @property
    def name(self) -> str:
        """Return a name for a test."""
        return f"{self.uid.removeprefix('otelbridge-')}: {self.panel['title']}"


class Asked(NamedTuple):
    """A query of a panel.

    Attributes:
        name: Its panel's name, and its letter.
        expr: PromQL with Grafana's variables.
        legend: What its series are called.
        instant: Whether only one point is asked for.
    """

    name: str
    expr: str
    legend: str
    instant: bool


def dashboards() -> list[Json]:
    """Return every dashboard."""
    return [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]


def panels() -> list[Shown]:
    """Return every panel but the rows' headings."""
    return [
        Shown(dashboard["uid"], panel)
        for dashboard in dashboards()
        for panel in dashboard["panels"]
        if panel["type"] != "row"
    ]


def queries() -> list[Asked]:
    """Return every query of every panel."""
    return [
        Asked(
            f"{shown.name} {target['refId']}",
            target["expr"],
            target["legendFormat"],
            target["instant"],
        )
        for shown in panels()
        for target in shown.panel["targets"]
    ]


def labels_in(text: str) -> set[str]:
    """Return the labels that a legend or a link puts in."""
    found: list[tuple[str, str]] = _LABEL.findall(text)
    return {legend or link for legend, link in found}
