"""Every alert of the rules has a live test, and the live tests have the rules' own alerts."""

from __future__ import annotations

import re

from tests.dashboards.told import RULES, rules
from tests.interop import test_alerts
from tests.interop.alerting import FIRED_BY, faster


def test_the_live_tests_let_the_rules_alerts_fire_and_no_others() -> None:
    fired = frozenset().union(*FIRED_BY.values())

    assert fired == {rule["alert"] for rule in rules("alert")}
    assert FIRED_BY.keys() == {name for name in vars(test_alerts) if name.startswith("test_")}


def test_the_times_are_shortened_and_nothing_else() -> None:
    text = RULES.read_text()

    fast = faster(text)

    assert "otelbridge_delivery_lag_seconds > 20\n" in fast
    assert "[120s:2s]" in fast
    assert "predict_linear(otelbridge_journal_free_bytes[120s], 4 * 120)" in fast
    assert not re.search(r"\b\d+[mh]\b", fast)
    assert re.sub(r"\d+[smh]?\b", "#", fast) == re.sub(r"\d+[smh]?\b", "#", text)
    assert len(rules("alert")) == fast.count("- alert: ")
