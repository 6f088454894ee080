"""The dashboards: their JSON is the code's, and every query asks for what a bridge tells."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import promql_parser as ast
import pytest
from click.testing import CliRunner

import dashboards.__main__ as generator
from dashboards import agents, health, usage
from dashboards.promql import names, series
from otelbridge.telemetry.instruments import INSTRUMENTS, instruments_of
from otelbridge.telemetry.semconv import PROFILES, Profile
from tests.dashboards.panels import FOLDER, Asked, Json, Shown, labels_in, panels, queries
from tests.dashboards.panels import dashboards as written
from tests.dashboards.promql import finds, labels_of, parsed
from tests.dashboards.told import known

_KNOWN = known()
_PANELS = panels()
_QUERIES = queries()
_DASHBOARDS = written()
#: Grafana's ids of the units that are used (`packages/grafana-data/src/valueFormats`).
_UNITS = {"short", "s", "bytes", "percentunit", "currencyUSD", "reqps", "cps"}
#: The one panel whose counters are totals on purpose, and its sum.
_BOOKS = ("health: The books", "health: Records unaccounted for")
#: What no panel shows, and why.
_NOT_SHOWN = {
    "aibridge.budget.limit": "it is the unit of what is used of a budget",
    "aibridge.usage.inconsistent": "for who looks for a gateway's mistake, on spans",
    "otelbridge.delivery.told": "delivered, waiting and never delivered are its parts",
    "otelbridge.delivery.dead_lettered": "a part of what is never delivered",
    "otelbridge.delivery.resent": "what somebody has just asked for",
    "otelbridge.delivery.dropped": "what somebody has just asked for, or an alert tells",
}
#: What only the counters of the profiles dup and latest tell; their descriptions say so.
_NEW_COUNTERS = {
    "usage: Cache hits A",
    "usage: Cache hits by provider A",
    "usage: Tokens by user A",
    *(f"usage: Tokens a second by kind {letter}" for letter in "CDE"),
}
every_panel = pytest.mark.parametrize("shown", _PANELS, ids=lambda shown: shown.name)
every_query = pytest.mark.parametrize("asked", _QUERIES, ids=lambda asked: asked.name)
every_dashboard = pytest.mark.parametrize("dashboard", _DASHBOARDS, ids=lambda each: each["uid"])


def test_the_json_is_what_the_code_makes() -> None:
    assert generator.stale(FOLDER) == [], "run: make dashboards"


def test_a_file_that_was_changed_is_missing_or_belongs_to_no_dashboard_is_stale(
    tmp_path: Path,
) -> None:
    for name, text in generator.generated().items():
        (tmp_path / name).write_text(text)
    (tmp_path / "otelbridge-usage.json").write_text("{}")
    (tmp_path / "otelbridge-health.json").unlink()
    (tmp_path / "another.json").write_text("{}")

    stale = generator.stale(tmp_path)

    assert stale == ["another.json", "otelbridge-health.json", "otelbridge-usage.json"]


def test_check_writes_nothing_and_fails_for_a_stale_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "FOLDER", tmp_path)

    checked = CliRunner().invoke(generator.main, ["--check"])
    there = list(tmp_path.iterdir())
    made = CliRunner().invoke(generator.main)
    checked_again = CliRunner().invoke(generator.main, ["--check"])

    assert (checked.exit_code, there) == (1, [])
    assert (made.exit_code, checked_again.exit_code, checked_again.output) == (0, 0, "")


def test_the_code_of_a_query_knows_only_what_is_declared() -> None:
    with pytest.raises(KeyError):
        series("aibridge.cost.of_living")


@every_query
def test_a_query_asks_for_series_and_labels_that_a_bridge_tells(asked: Asked) -> None:
    labels = labels_of(asked.expr, _KNOWN)

    assert labels is not None
    assert labels_in(asked.legend) <= labels


@every_query
def test_a_query_with_several_series_says_what_they_are(asked: Asked) -> None:
    labels = labels_of(asked.expr, _KNOWN) or frozenset()

    assert not labels or labels_in(asked.legend)


@every_query
def test_every_selector_asks_for_the_chosen_bridges(asked: Asked) -> None:
    for selector in _selectors(asked.expr):
        matchers = {str(each) for each in selector.matchers.matchers}
        assert {'job=~"$job"', 'instance=~"$instance"'} <= matchers


@every_query
def test_a_counter_is_never_shown_as_it_is(asked: Asked) -> None:
    """Its height is history; only how it changes says something of the time that is shown."""
    if asked.name.startswith(_BOOKS):
        return
    raw = re.findall(r"(\w+_(?:total|bucket|sum|count))\{[^}]*\}(?!\[)", asked.expr)

    assert raw == []


@every_query
def test_a_rate_is_over_grafanas_interval_and_an_increase_over_what_a_number_stands_for(
    asked: Asked,
) -> None:
    windows = re.findall(r"(rate|increase)\([^[]*\[([^\]]+)\]", asked.expr)

    for function, window in windows:
        assert function == "increase" or window == "$__rate_interval"
        assert function == "rate" or (asked.instant and window in {"$__range", "1d"})


@every_panel
def test_a_panel_says_what_it_shows_in_which_unit_and_leads_on(shown: Shown) -> None:
    panel = shown.panel

    assert len(panel["description"]) > 15
    assert panel["fieldConfig"]["defaults"]["unit"] in _UNITS
    assert panel["links"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert [each["refId"] for each in panel["targets"]] == list("ABCDEFGH")[: len(panel["targets"])]
    assert all(each["datasource"] == panel["datasource"] for each in panel["targets"])


@every_panel
def test_a_panel_leads_to_a_dashboard_that_has_the_variables(shown: Shown) -> None:
    variables = {each["uid"]: _variables(each) for each in _DASHBOARDS}
    links = [*shown.panel["links"], *shown.panel["fieldConfig"]["defaults"].get("links", [])]

    for link in links:
        found = re.match(r"/d/([\w-]+)\?", link["url"])
        assert found or link["url"].startswith("/alerting/")
        if found:
            kept = set(re.findall(r"\$\{(\w+):queryparam\}", link["url"]))
            given = set(re.findall(r"var-(\w+)=", link["url"]))
            assert kept <= variables[shown.uid]
            assert kept | given <= variables[found[1]]


@every_panel
def test_a_link_of_a_series_uses_a_label_that_it_has(shown: Shown) -> None:
    for link in shown.panel["fieldConfig"]["defaults"].get("links", []):
        for target in shown.panel["targets"]:
            labels = labels_of(target["expr"], _KNOWN)
            assert labels
            assert labels_in(link["url"]) <= labels


@every_dashboard
def test_ids_titles_and_places_are_unique(dashboard: Json) -> None:
    shown = dashboard["panels"]

    assert len({panel["id"] for panel in shown}) == len(shown)
    titles = [panel["title"] for panel in shown if panel["type"] != "row"]
    assert len(set(titles)) == len(titles)
    for one, other in combinations((panel["gridPos"] for panel in shown), 2):
        assert not _overlap(one, other), (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in shown)


@every_dashboard
def test_every_variable_is_used_and_every_used_one_is_there(dashboard: Json) -> None:
    exprs = [target["expr"] for p in dashboard["panels"] for target in p.get("targets", [])]
    asked = [str(each["query"]) for each in dashboard["templating"]["list"]]
    resolutions = [
        target["interval"] for p in dashboard["panels"] for target in p.get("targets", [])
    ]
    used = set(re.findall(r"\$(?!__)\{?(\w+)", " ".join([*exprs, *asked, *resolutions])))

    assert used | {"datasource"} == _variables(dashboard)


@every_dashboard
def test_a_variable_asks_for_a_label_that_a_bridge_tells(dashboard: Json) -> None:
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
            assert found
            labels = labels_of(found[1], _KNOWN)
            assert labels
            assert found[2] in labels
            assert (variable["includeAll"], variable["allValue"]) == (True, ".*")


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_only_parts_of_tokens_and_tokens_by_user_depend_on_the_profile(profile: Profile) -> None:
    told = {name for each in instruments_of(profile).values() for name in names(each)}
    told |= known().keys() - {name for each in INSTRUMENTS.values() for name in names(each)}

    without = {asked.name for asked in _QUERIES if not finds(asked.expr, told)}

    assert without == (_NEW_COUNTERS if profile.name == "v1_41" else set())


def test_every_instrument_is_shown_but_for_those_with_a_reason() -> None:
    asked = {each.name for query in _QUERIES for each in _selectors(query.expr)}
    shown = {
        name
        for name, instrument in INSTRUMENTS.items()
        for metric in names(instrument)
        if metric in asked
    }

    assert set(INSTRUMENTS) - shown == set(_NOT_SHOWN)


def test_the_dashboards_are_found_by_their_tag() -> None:
    made = [module.dashboard().to_json() for module in (usage, agents, health)]

    assert sorted(json.dumps(each["tags"]) for each in made) == ['["otelbridge"]'] * 3
    assert [each["uid"] for each in made] == [
        "otelbridge-usage",
        "otelbridge-agents",
        "otelbridge-health",
    ]


def _variables(dashboard: Json) -> set[str]:
    return {each["name"] for each in dashboard["templating"]["list"]}


def _overlap(one: Json, other: Json) -> bool:
    across = one["x"] < other["x"] + other["w"] and other["x"] < one["x"] + one["w"]
    return bool(across and one["y"] < other["y"] + other["h"] and other["y"] < one["y"] + one["h"])


def _selectors(query: str) -> list[Any]:
    return [
        *_nodes(query, ast.VectorSelector),
        *(each.vector_selector for each in _nodes(query, ast.MatrixSelector)),
    ]


def _nodes(query: str, kind: type) -> list[Any]:
    found: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(node, kind):
            found.append(node)

    ast.walk(parsed(query), visit)
    return found
