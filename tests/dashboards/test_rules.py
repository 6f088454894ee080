"""Rules: they ask for what a bridge tells, lead to a runbook, and do what their tests say."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.dashboards.promql import labels_of
from tests.dashboards.told import ROOT, RULE_TESTS, known, rules

_KNOWN = known()
_ALERTS = rules("alert")
_SEVERITIES = {"critical", "warning", "info"}
_TESTS: list[dict[str, Any]] = yaml.safe_load(RULE_TESTS.read_text())["tests"]
every_alert = pytest.mark.parametrize("alert", _ALERTS, ids=lambda rule: rule["alert"])


@pytest.mark.parametrize(
    "rule", rules("record") + _ALERTS, ids=lambda rule: rule.get("alert") or rule["record"]
)
def test_a_rule_asks_for_series_and_labels_that_a_bridge_tells(rule: dict[str, Any]) -> None:
    assert labels_of(rule["expr"], _KNOWN) is not None


@every_alert
def test_an_alert_tells_of_labels_that_it_has(alert: dict[str, Any]) -> None:
    labels = labels_of(alert["expr"], _KNOWN)
    told = re.findall(r"\$labels\.(\w+)", alert["annotations"]["description"])

    assert labels is not None
    assert set(told) <= labels


@every_alert
def test_an_alert_has_a_severity_a_sentence_and_a_runbook(alert: dict[str, Any]) -> None:
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)

    assert alert["labels"]["severity"] in _SEVERITIES
    assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert anchor == alert["alert"].lower()
    assert alert["alert"] in headings


def test_the_names_of_the_rules_are_unique() -> None:
    names = [rule.get("alert") or rule["record"] for rule in rules("record") + _ALERTS]

    assert len(set(names)) == len(names)


@every_alert
def test_an_alert_is_tested_to_fire_and_not_to(alert: dict[str, Any]) -> None:
    """`promtool` runs what is counted here: tests/interop/test_rules.py."""
    cases = [
        bool(case["exp_alerts"])
        for test in _TESTS
        for case in test.get("alert_rule_test", [])
        if case["alertname"] == alert["alert"]
    ]

    assert True in cases
    assert False in cases


@pytest.mark.parametrize("rule", rules("record"), ids=lambda rule: rule["record"])
def test_a_recording_rule_is_tested(rule: dict[str, Any]) -> None:
    tested = [case["expr"] for test in _TESTS for case in test.get("promql_expr_test", [])]

    assert any(rule["record"] in expr for expr in tested)
